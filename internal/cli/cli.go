// Package cli is the command line.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cistern-cloud/cistern/internal/app"
)

// version is set when the binary is built.
var version = "dev"

// Main runs a command and returns the process's exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return execute(ctx, args, os.Stdin, stdout, stderr)
}

func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		if text := err.Error(); text != "" { // else another program has said it
			fmt.Fprintln(stderr, "cistern:", text)
		}
		return statusOf(err)
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "cistern",
		Short:         "A Droplet cloud that you run yourself",
		Long:          "Cistern speaks the DigitalOcean v2 API, so that the tools you have work against it unchanged.",
		SilenceUsage:  true,
		SilenceErrors: true,
		// Every flag is an environment variable too.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return flagsFromEnvironment(cmd) },
	}
	root.SetFlagErrorFunc(flagError)
	root.Version = version
	root.SetVersionTemplate("cistern {{.Version}}\n")
	isGroup(root)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServe(), newDroplet(), newOrphans(), newSim(), newToken(), newAccount(), newOperations(), newAudit(),
		newBackup(), newState(), newImage(), newMigrate(), newNetwork(), newHealth(), newDoctor(), newVersion())
	return root
}

// Annotations of flags.
const (
	// withoutEnvironment is of flags that no CISTERN_ variable sets.
	withoutEnvironment = "cistern_without_environment"
	// fromEnvironment is of flags that one has set.
	fromEnvironment = "cistern_from_environment"
)

// notFromEnvironment keeps variables from setting flags: what a command is to do
// this one time is said with it, above all that it may destroy something.
func notFromEnvironment(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		_ = cmd.Flags().SetAnnotation(name, withoutEnvironment, nil) // the flag is there
	}
}

// flagsFromEnvironment sets the flags that were not given from CISTERN_
// variables: --sim-latency from CISTERN_SIM_LATENCY.
func flagsFromEnvironment(cmd *cobra.Command) (err error) {
	placed := storageGiven(cmd)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := environment(f.Name)
		value, ok := os.LookupEnv(name)
		if f.Changed || !ok || err != nil || value == "" || f.Name == "help" {
			return
		}
		_, without := f.Annotations[withoutEnvironment]
		if without || placed && slices.Contains(storageFlags, f.Name) {
			return
		}
		if e := cmd.Flags().Set(f.Name, value); e != nil {
			if invalid, is := errors.AsType[*pflag.InvalidValueError](e); is {
				e = fmt.Errorf("%s: %w", value, wrongValue(invalid))
			}
			err = fmt.Errorf("%s: %w", name, e)
		}
		_ = cmd.Flags().SetAnnotation(f.Name, fromEnvironment, nil) // the flag is there
	})
	return err
}

// storageFlags say where the state is. They exclude each other.
var storageFlags = []string{"data", "ephemeral", "database"}

// storageGiven reports whether a flag says where the state is. Then no variable
// does: two variables contradict each other, but a flag overrules both.
func storageGiven(cmd *cobra.Command) bool {
	return slices.ContainsFunc(storageFlags, func(name string) bool {
		f := cmd.Flags().Lookup(name)
		return f != nil && f.Changed
	})
}

func environment(flag string) string {
	return "CISTERN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// addStorageFlags adds the flags that say where the state is.
func addStorageFlags(cmd *cobra.Command, s *app.Storage) {
	flags := cmd.Flags()
	flags.StringVar(&s.Data, "data", "", "folder for the state (default "+app.DefaultData()+")")
	flags.BoolVar(&s.Ephemeral, "ephemeral", false, "keep nothing")
	flags.StringVar(&s.Database, "database", "", "keep the state in PostgreSQL, at a postgres:// URL")
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version",
		Example: "  cistern version",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "cistern", version)
			return err
		},
	}
}

func newMigrate() *cobra.Command {
	var storage app.Storage
	cmd := &cobra.Command{
		Use:     "migrate",
		Short:   "Bring the schema of the state up to date",
		Long:    "Brings the schema of the state up to date. A server does so itself when it starts.",
		Example: "  cistern migrate --database postgres://cistern@db.example.com/cistern",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := app.Migrate(cmd.Context(), storage)
			if err != nil {
				return err
			}
			if n == 0 {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "The schema is up to date.")
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Brought up to date in %d steps.\n", n)
			}
			return err
		},
	}
	addStorageFlags(cmd, &storage)
	return cmd
}
