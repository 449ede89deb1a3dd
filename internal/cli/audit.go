package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

func newAudit() *cobra.Command {
	var storage app.Storage
	var form output
	var account accountNumber
	since := span(24 * time.Hour)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what, when and from where",
		Long: "Shows the requests that changed something, and those that were refused for who sent them, oldest first.\n" +
			"It reads the state itself, also while a server runs on it. With -o json, each line is one entry.",
		Example: "  cistern audit --since 1h\n  cistern audit --since 30d --account 1000000 -o json",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := form.check(); err != nil {
				return err
			}
			filter := cloud.AuditFilter{Since: time.Now().Add(-time.Duration(since)), Account: int64(account)}
			return app.WithAccounts(cmd.Context(), storage, func(accounts app.Accounts) error {
				show, flush := auditPrinter(cmd.OutOrStdout(), form)
				return errors.Join(accounts.Audit(cmd.Context(), filter, show), flush())
			})
		},
	}
	addStorageFlags(cmd, &storage)
	addOutputFlag(cmd, &form)
	cmd.Flags().Var(&since, "since", "how far back to look, such as 24h or 30d")
	cmd.Flags().Var(&account, "account", "number of the account (default: all)")
	return cmd
}

// auditPrinter returns what shows one entry, and what ends the output.
func auditPrinter(w io.Writer, form output) (show func(cloud.AuditEntry) error, flush func() error) {
	if form == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return func(e cloud.AuditEntry) error { return encoder.Encode(viewAudit(e)) }, func() error { return nil }
	}
	t := newTable(w, "TIME", "ACCOUNT", "TOKEN", "FROM", "REQUEST", "OUTCOME", "BEGAN")
	return func(e cloud.AuditEntry) error {
		t.row(cloud.FormatTime(e.At), number(e.Account), auditToken(e), auditFrom(e), e.Method+" "+e.Path, auditOutcome(e), auditBegan(e))
		return nil
	}, t.Flush
}

// auditLine is an entry for programs.
type auditLine struct {
	Time         string `json:"time"`
	RequestID    string `json:"request_id"`
	Account      int64  `json:"account,omitempty"`
	Token        int64  `json:"token,omitempty"`
	TokenName    string `json:"token_name,omitempty"`
	Remote       string `json:"remote"`
	ForwardedFor string `json:"forwarded_for,omitempty"`
	Method       string `json:"method"`
	Route        string `json:"route"`
	Path         string `json:"path"`
	Outcome      string `json:"outcome"`
	Status       int64  `json:"status,omitempty"`
	Action       int64  `json:"action,omitempty"`
	ResourceType string `json:"resource_type,omitempty"`
	ResourceID   string `json:"resource_id,omitempty"`
}

func viewAudit(e cloud.AuditEntry) auditLine {
	line := auditLine{
		Time: e.At.UTC().Format(time.RFC3339Nano), RequestID: e.RequestID,
		Account: e.Account, Token: e.Token, TokenName: e.TokenName, Remote: e.Remote, ForwardedFor: e.Forwarded,
		Method: e.Method, Route: e.Route, Path: e.Path, Outcome: "accepted", Status: e.Refused,
		Action: e.Action, ResourceType: string(e.About.Kind), ResourceID: e.About.ID,
	}
	if e.Refused != 0 {
		line.Outcome = "refused"
	}
	return line
}

func number(n int64) string {
	if n == 0 {
		return "-"
	}
	return cloud.FormatID(n)
}

func auditToken(e cloud.AuditEntry) string {
	if e.TokenName == "" {
		return number(e.Token)
	}
	return fmt.Sprintf("%d (%s)", e.Token, e.TokenName)
}

// auditFrom is the address that a request came from. What it was forwarded for
// is a claim.
func auditFrom(e cloud.AuditEntry) string {
	if e.Forwarded == "" {
		return e.Remote
	}
	return fmt.Sprintf("%s (for %s)", e.Remote, e.Forwarded)
}

func auditOutcome(e cloud.AuditEntry) string {
	if e.Refused == 0 {
		return "accepted"
	}
	return fmt.Sprintf("refused %d", e.Refused)
}

func auditBegan(e cloud.AuditEntry) string {
	if e.Action == 0 {
		return "-"
	}
	return fmt.Sprintf("action %d on %s %s", e.Action, e.About.Kind, e.About.ID)
}
