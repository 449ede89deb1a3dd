package cli

import "github.com/spf13/cobra"

func newDroplet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "droplet",
		Short: "Destroy Droplets with what belongs to them, make sure that some are there, and log in to them",
		Long: "Destroys Droplets with what belongs to them, makes sure that some are there, and leads onto them.\n" +
			"Destroys and ensure speak to any server of this API, DigitalOcean too; access, ssh, console and screenshot\n" +
			"to a Cistern with real machines. For all else there is doctl.",
		Example: "  cistern droplet destroy web-1\n  cistern droplet ssh web-1",
	}
	isGroup(cmd)
	cmd.AddCommand(newDropletDestroy(), newDestroyStatus(), newDestroyRetry(), newDropletEnsure(),
		newDropletAccess(), newDropletSSH(), newDropletConsole(), newDropletScreenshot())
	return cmd
}
