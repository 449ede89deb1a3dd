package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func newClock() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "clock",
		Short:   "Let time pass at once",
		Example: "  cistern sim clock advance 7d",
	}
	isGroup(cmd)
	cmd.AddCommand(newClockShow(), newClockAdvance())
	return cmd
}

// clockTime is what a server's clock shows.
type clockTime struct {
	Now   string `json:"now"`
	Ahead string `json:"ahead"`
}

func newClockShow() *cobra.Command {
	return clockCommand(&cobra.Command{
		Use:     "show",
		Short:   "Show the server's time, and how far it is ahead",
		Example: "  cistern sim clock show",
		Args:    takesNothing,
	}, http.MethodGet)
}

func newClockAdvance() *cobra.Command {
	return clockCommand(&cobra.Command{
		Use:   "advance DURATION",
		Short: "Move the server's clock on",
		Long: "Moves the server's clock on, and waits until all that fell due on the way is done: backups, slow actions,\n" +
			"tokens that end. It never goes back.",
		Example: "  cistern sim clock advance 7d\n  cistern sim clock advance 90m",
		Args:    takes("a duration"),
	}, http.MethodPost)
}

func clockCommand(cmd *cobra.Command, method string) *cobra.Command {
	var s simCommand
	var form output
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := form.check(); err != nil {
			return err
		}
		if s.remote, err = s.flags.remote(cmd); err != nil {
			return err
		}
		var body any
		if len(args) > 0 {
			body = map[string]string{"advance": args[0]}
		}
		var at clockTime
		if err := s.ask(cmd.Context(), method, "clock", body, &at); err != nil {
			return err
		}
		if form == "json" {
			return writeJSON(cmd.OutOrStdout(), at)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "It is %s at the server, %s ahead.\n", at.Now, at.Ahead)
		return err
	}
	addClientFlags(cmd, &s.flags)
	addOutputFlag(cmd, &form)
	return cmd
}
