package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"
)

func newOperations() *cobra.Command {
	var flags clientFlags
	var v view
	var state string
	cmd := &cobra.Command{
		Use:   "operations",
		Short: "Show what a server is working on",
		Long: "Shows what a server works on for the token's account: what runs, waits, is tried again or is stuck.\n" +
			"It asks the server of --api-url and --token; else of DIGITALOCEAN_API_URL and DIGITALOCEAN_TOKEN; else the one on this machine.",
		Example: "  cistern operations\n  cistern operations --state stuck -o json",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := v.check(operationColumns); err != nil {
				return err
			}
			from, err := flags.source(cmd)
			if err != nil {
				return err
			}
			operations, err := fetchOperations(cmd.Context(), from, state)
			if err != nil {
				return err
			}
			if v.output == "json" {
				return writeJSON(cmd.OutOrStdout(), operations)
			}
			return showOperations(cmd.OutOrStdout(), v, operations)
		},
	}
	addClientFlags(cmd, &flags)
	addViewFlags(cmd, &v)
	cmd.Flags().StringVar(&state, "state", "unfinished", "which to show: unfinished, running, waiting, retrying, undoing, stuck or errored")
	return cmd
}

// operation is a durable operation as the server shows it.
type operation struct {
	ID           int64   `json:"id"`
	Kind         string  `json:"kind"`
	State        string  `json:"state"`
	ActionType   *string `json:"action_type"`
	ResourceType string  `json:"resource_type"`
	ResourceID   string  `json:"resource_id"`
	Region       string  `json:"region"`
	Step         string  `json:"step"`
	Undoing      bool    `json:"undoing"`
	Cancelled    bool    `json:"cancelled"`
	Attempts     int64   `json:"attempts"`
	FailingSince *string `json:"failing_since"`
	WaitsFor     *int64  `json:"waits_for"`
	NextRun      *string `json:"next_run"`
	LastError    string  `json:"last_error"`
	UndoError    string  `json:"undo_error"`
	StartedAt    string  `json:"started_at"`
	CompletedAt  *string `json:"completed_at"`
}

// fetchOperations reads every page.
func fetchOperations(ctx context.Context, from source, state string) ([]operation, error) {
	if from.isDigitalOcean() {
		return nil, fmt.Errorf("%s has a token for DigitalOcean, which does not show its operations; name a Cistern with --api-url and --token, DIGITALOCEAN_API_URL, or --data", from.name)
	}
	client, err := from.client()
	if err != nil {
		return nil, err
	}
	all := []operation{}
	for page := 1; ; page++ {
		path := "/_cistern/operations?" + url.Values{
			"state": {state}, "page": {strconv.Itoa(page)}, "per_page": {"200"},
		}.Encode()
		request, err := client.NewRequest(ctx, http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		var body struct {
			Operations []operation `json:"operations"`
			Links      *godo.Links `json:"links"`
		}
		response, err := client.Do(ctx, request, &body)
		if response != nil && response.StatusCode == http.StatusNotFound {
			return nil, fmt.Errorf("%s has no operations to show: it is no Cistern, or an earlier version", from.url)
		}
		if err != nil {
			return nil, from.explain(err)
		}
		all = append(all, body.Operations...)
		if body.Links == nil || body.Links.IsLastPage() {
			return all, nil
		}
	}
}

var operationColumns = []string{"ID", "Kind", "State", "Resource", "Step", "Attempts", "Started", "Next", "Error"}

func showOperations(w io.Writer, v view, operations []operation) error {
	if len(operations) == 0 && !v.bare() {
		_, err := fmt.Fprintln(w, "There are none.")
		return err
	}
	rows := make([][]string, len(operations))
	for i, o := range operations {
		rows[i] = []string{
			strconv.FormatInt(o.ID, 10), o.Kind, o.State, o.ResourceType + " " + o.ResourceID, o.Step,
			strconv.FormatInt(o.Attempts, 10), o.StartedAt, o.next(), o.trouble(),
		}
	}
	return v.table(w, operationColumns, rows)
}

// next is when the operation goes on.
func (o operation) next() string {
	switch {
	case o.WaitsFor != nil:
		return fmt.Sprintf("after action %d", *o.WaitsFor)
	case o.NextRun != nil:
		return *o.NextRun
	default:
		return "-"
	}
}

// trouble is what went wrong last.
func (o operation) trouble() string {
	if o.UndoError != "" {
		return fmt.Sprintf("%s; and taking it back: %s", o.LastError, o.UndoError)
	}
	return o.LastError
}

// dash stands for nothing in a table.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
