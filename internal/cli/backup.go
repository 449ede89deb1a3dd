package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
)

func newBackup() *cobra.Command {
	var storage app.Storage
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up the state, also while a server runs on it",
		Long: "Copies the state into one file, as it is at one instant, also while a server runs on it.\n" +
			"To restore, put the file into an empty folder as cistern.db and start a server there.",
		Example: "  cistern backup cistern-2026-01-31.db\n" +
			"  mkdir -m 700 restored && cp cistern-2026-01-31.db restored/cistern.db && cistern serve --data restored",
		Args: takes("the FILE to copy to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			size, err := app.Backup(cmd.Context(), storage, args[0], force)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Backed up to %s: %s, checked and found whole.\n", args[0], byteSize(size))
			return err
		},
	}
	addStorageFlags(cmd, &storage)
	cmd.Flags().BoolVar(&force, "force", false, "overwrite FILE if it is there")
	return cmd
}

// byteSize writes a size for people.
func byteSize(n int64) string {
	size, unit := float64(n), 0
	units := []string{"bytes", "KB", "MB", "GB", "TB"}
	for size >= 1000 && unit < len(units)-1 {
		size /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
