package cli

import "github.com/spf13/cobra"

func newDroplet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "droplet",
		Short: "Destroy Droplets with what belongs to them, and make sure that some are there",
		Long: "Destroys Droplets with what belongs to them, and makes sure that some are there.\n" +
			"These commands speak to any server of this API, DigitalOcean too. For all else there is doctl.",
		Example: "  cistern droplet destroy web-1",
	}
	isGroup(cmd)
	cmd.AddCommand(newDropletDestroy(), newDestroyStatus(), newDestroyRetry(), newDropletEnsure())
	return cmd
}
