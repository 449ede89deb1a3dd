package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

func newAccount() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "account",
		Short: "Make and list accounts, and limit them",
		Long:  "Accounts are apart: nothing of one exists for another. The first start of a server makes the first.",
	}
	isGroup(cmd)
	cmd.AddCommand(newAccountCreate(), newAccountList(), newAccountLimits())
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

func newAccountLimits() *cobra.Command {
	var storage app.Storage
	var droplets, volumes, reservedIPs int64
	cmd := &cobra.Command{
		Use:   "limits ID",
		Short: "Show or change how much an account may have",
		Long: "Without flags, shows how many Droplets, volumes and reserved IPs an account may have. What it has above a\n" +
			"limit stays; it gets no more until it has less.",
		Example: "  cistern account limits 1000000 --droplets 5 --volumes 10",
		Args:    takes("an account's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is not an account's number; see cistern account list", args[0])
			}
			var limits app.Limits
			for name, limit := range map[string]struct {
				value *int64
				to    **int64
			}{
				"droplets": {&droplets, &limits.Droplets}, "volumes": {&volumes, &limits.Volumes},
				"reserved-ips": {&reservedIPs, &limits.ReservedIPs},
			} {
				if !cmd.Flags().Changed(name) {
					continue
				}
				if *limit.value < 0 {
					return fmt.Errorf("--%s %d: use a number, 0 or more", name, *limit.value)
				}
				*limit.to = limit.value
			}
			return app.WithAccounts(cmd.Context(), storage, func(accounts app.Accounts) error {
				a, err := accounts.SetLimits(cmd.Context(), id, limits)
				if err != nil {
					return err
				}
				t := newTable(cmd.OutOrStdout(), "ID", "DROPLETS", "VOLUMES", "RESERVED IPS")
				t.row(a.ID, a.DropletLimit, a.VolumeLimit, a.ReservedIPLimit)
				return t.Flush()
			})
		},
	}
	addStorageFlags(cmd, &storage)
	cmd.Flags().Int64Var(&droplets, "droplets", 0, "how many Droplets it may have")
	cmd.Flags().Int64Var(&volumes, "volumes", 0, "how many volumes it may have")
	cmd.Flags().Int64Var(&reservedIPs, "reserved-ips", 0, "how many reserved IPs it may have")
	return cmd
}
