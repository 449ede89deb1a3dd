package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
)

func newState() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Take what an account has from one cloud to another",
		Long: "Takes what an account has from one cloud to another: to start tests from, or to move from SQLite to\n" +
			"PostgreSQL. IDs and addresses stay the same.",
	}
	isGroup(cmd)
	cmd.AddCommand(newStateExport(), newStateImport())
	return cmd
}

func newStateExport() *cobra.Command {
	var storage app.Storage
	var account accountNumber
	var force bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write all that an account has into a file",
		Long: "Writes all that an account has into a JSON file, or with - to standard output: as it is at one instant, also\n" +
			"while a server runs. It is refused while operations of the account are under way. Tokens stay behind.",
		Example: "  cistern state export seed.json\n  cistern state export - --account 1000001 | cistern state import - --database postgres://db.example.com/cistern",
		Args:    takes("the FILE to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			export := func(w io.Writer) error { return app.ExportState(cmd.Context(), storage, int64(account), w) }
			if args[0] == "-" {
				return export(cmd.OutOrStdout())
			}
			if err := writeWhole(args[0], force, export); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Exported to %s.\n", args[0])
			return err
		},
	}
	addStorageFlags(cmd, &storage)
	cmd.Flags().Var(&account, "account", "number of the account (default: the first)")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite FILE if it is there")
	return cmd
}

// writeWhole writes a file that has its name only once it is complete. It is its
// owner's alone, as what is written may hold secrets.
func writeWhole(path string, force bool, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); err == nil && !force {
		return fmt.Errorf("%s is there already; name another file, or overwrite it with --force", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // once it has its own name, there is nothing to remove
	defer file.Close()
	if err := write(file); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func newStateImport() *cobra.Command {
	var storage app.Storage
	var account accountNumber
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Give an account that has nothing what is in a file",
		Long: "Gives an account that has nothing what cistern state export wrote into a file, or with - what is on standard\n" +
			"input: all of it, or nothing if something of it is wrong, also while a server runs.",
		Example: "  cistern state import seed.json\n  cistern state import seed.json --database postgres://db.example.com/cistern",
		Args:    takes("the FILE to read"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := cmd.InOrStdin()
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				from = file
			}
			done, err := app.ImportState(cmd.Context(), storage, int64(account), from)
			if err != nil {
				return fmt.Errorf("nothing was imported: %w", err)
			}
			return tellImported(cmd.OutOrStdout(), done)
		},
	}
	addStorageFlags(cmd, &storage)
	cmd.Flags().Var(&account, "account", "number of the account (default: the first)")
	return cmd
}

func tellImported(w io.Writer, done app.Imported) error {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(done.Rows)) {
		n := done.Rows[name]
		if n == 0 || name == "accounts" || strings.HasPrefix(name, "sim_") {
			continue
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(name, "_", " ")))
	}
	fmt.Fprintf(w, "Imported into account %d: %s.\n", done.Account, strings.Join(parts, ", "))
	if done.Ahead > 0 {
		fmt.Fprintf(w, "It was written at a time that is %s ahead of this cloud's; POST /_sim/clock moves that on.\n", done.Ahead)
	}
	return nil
}
