package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
)

func newNetwork() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "network",
		Short:   "Look after the network of virtual machines on this host",
		Example: "  sudo cistern network clean",
	}
	isGroup(cmd)
	cmd.AddCommand(newNetworkClean())
	return cmd
}

func newNetworkClean() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove what the routed network has made on this host",
		Long: "Removes what the routed network of virtual machines has made on this host, and lists it: links, addresses, routes,\n" +
			"policy rules, nftables tables, forwarding. A server makes what it needs anew when it starts, and for each machine when\n" +
			"that starts. Machines that run go on without a network, whether the server is started again or not, until each is\n" +
			"power-cycled; the server's log names them. What is not the network's own stays as it is.",
		Example: "  sudo cistern network clean",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			cut, err := app.CleanNetwork(force, func(lines []string) error {
				for _, line := range lines {
					if _, err := fmt.Fprintln(out, "Removing", line); err != nil {
						return err
					}
				}
				if len(lines) > 0 {
					return nil
				}
				_, err := fmt.Fprintln(out, "There is nothing to remove.")
				return err
			})
			if err == nil && len(cut) > 0 {
				_, err = fmt.Fprintf(out, "Machines run on without a network (%s), until each is power-cycled; the server's log names them.\n", strings.Join(cut, ", "))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "cut off the machines that run, until each is power-cycled")
	notFromEnvironment(cmd, "force")
	return cmd
}
