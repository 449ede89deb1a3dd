package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke tokens",
		Long:  "Makes, lists and revokes tokens, also while a server runs on the same state: a revoked token is refused at once.",
	}
	isGroup(cmd)
	cmd.AddCommand(newTokenCreate(), newTokenList(), newTokenRevoke())
	return cmd
}

func newTokenCreate() *cobra.Command {
	var storage app.Storage
	var name, scopes string
	var account accountNumber
	var expires span
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token and show it, once",
		Example: "  cistern token create --name ci --expires 24h\n" +
			"  cistern token create --scopes droplet:read,image:read",
		Args: takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			allowed, err := cloud.ParseScopes(scopes)
			if err != nil {
				return fmt.Errorf("--scopes: %w", err)
			}
			return app.WithAccounts(cmd.Context(), storage, func(accounts app.Accounts) error {
				secret := cloud.NewSecret()
				owner, err := tokenOwner(cmd.Context(), accounts, int64(account))
				if err != nil {
					return err
				}
				if _, err := accounts.AddToken(cmd.Context(), owner, name, secret, allowed, time.Duration(expires)); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
				return err
			})
		},
	}
	addStorageFlags(cmd, &storage)
	cmd.Flags().Var(&account, "account", "number of the account (default: the first)")
	cmd.Flags().StringVar(&name, "name", "", "what the token is for")
	cmd.Flags().StringVar(&scopes, "scopes", "full", "what the token may do: full, read, or a list such as droplet:read,image:read")
	cmd.Flags().Var(&expires, "expires", "how long the token lives, such as 24h or 30d (default: for ever)")
	return cmd
}

// tokenOwner is the account that was named, or the first.
func tokenOwner(ctx context.Context, accounts app.Accounts, named int64) (int64, error) {
	if named != 0 {
		return named, nil
	}
	first, ok, err := accounts.First(ctx)
	if err == nil && !ok {
		err = errors.New("there is no account yet; make one with cistern account create, or start the server")
	}
	return first.ID, err
}

func newTokenList() *cobra.Command {
	var storage app.Storage
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens, without their secrets",
		Example: "  cistern token list",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.WithAccounts(cmd.Context(), storage, func(accounts app.Accounts) error {
				tokens, err := accounts.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				t := newTable(cmd.OutOrStdout(), "ID", "ACCOUNT", "NAME", "SCOPES", "CREATED", "EXPIRES")
				for _, token := range tokens {
					t.row(token.ID, token.Account, token.Name, scopeText(token.Scopes), cloud.FormatTime(token.CreatedAt), expiry(token, accounts.Store.Now()))
				}
				return t.Flush()
			})
		},
	}
	addStorageFlags(cmd, &storage)
	return cmd
}

func scopeText(scopes cloud.Scopes) string {
	if scopes.Has(cloud.FullAccess) {
		return "full"
	}
	return scopes.String()
}

func expiry(t cloud.Token, now time.Time) string {
	switch {
	case t.ExpiresAt.IsZero():
		return "never"
	case t.Expired(now):
		return "expired " + cloud.FormatTime(t.ExpiresAt)
	default:
		return cloud.FormatTime(t.ExpiresAt)
	}
}

func newTokenRevoke() *cobra.Command {
	var storage app.Storage
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "Revoke a token at once",
		Example: "  cistern token revoke 1000001",
		Args:    takes("a token's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseNumber(args[0])
			if err != nil {
				return fmt.Errorf("%q is not a token's number; see %s", args[0], sameStorage(cmd, "cistern token list"))
			}
			return app.WithAccounts(cmd.Context(), storage, func(accounts app.Accounts) error {
				return accounts.RevokeToken(cmd.Context(), id)
			})
		},
	}
	addStorageFlags(cmd, &storage)
	return cmd
}

// parseNumber reads the number of an account or a token.
func parseNumber(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err == nil && id <= 0 {
		err = strconv.ErrRange
	}
	return id, err
}
