package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

func newAccount() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "account",
		Short: "Make and list accounts",
		Long:  "Accounts are apart: nothing of one exists for another. The first start of a server makes the first.",
	}
	isGroup(cmd)
	cmd.AddCommand(newAccountCreate(), newAccountList())
	return cmd
}

func newAccountCreate() *cobra.Command {
	var storage app.Storage
	var name string
	cmd := &cobra.Command{
		Use:     "create EMAIL",
		Short:   "Make an account",
		Example: "  cistern account create ann@example.com --name Ann",
		Args:    takes("the owner's EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				name = args[0]
			}
			return app.WithAccounts(cmd.Context(), storage, func(accounts app.Accounts) error {
				account, err := accounts.Add(cmd.Context(), name, args[0])
				if err != nil {
					return err
				}
				next := sameStorage(cmd, fmt.Sprintf("cistern token create --account %d", account.ID))
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Made account %d. Give it a token with: %s\n", account.ID, next)
				return err
			})
		},
	}
	addStorageFlags(cmd, &storage)
	cmd.Flags().StringVar(&name, "name", "", "name of the account (default: its email)")
	return cmd
}

func newAccountList() *cobra.Command {
	var storage app.Storage
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the accounts",
		Example: "  cistern account list",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return app.WithAccounts(cmd.Context(), storage, func(accounts app.Accounts) error {
				all, err := accounts.List(cmd.Context())
				if err != nil {
					return err
				}
				t := newTable(cmd.OutOrStdout(), "ID", "NAME", "EMAIL", "CREATED")
				for _, a := range all {
					t.row(a.ID, a.Name, a.Email, cloud.FormatTime(a.CreatedAt))
				}
				return t.Flush()
			})
		},
	}
	addStorageFlags(cmd, &storage)
	return cmd
}
