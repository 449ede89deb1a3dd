package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func newSim() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sim",
		Short:   "Make simulated machines fail, and let time pass at once",
		Example: "  cistern sim fault add volume.delete data --error 'disk is on fire' --times 1\n  cistern sim clock advance 7d",
	}
	isGroup(cmd)
	cmd.AddCommand(newFault(), newClock())
	return cmd
}

// simCommand is a command that speaks to the sim engine of a Cistern.
type simCommand struct {
	flags  clientFlags
	remote remote
}

// ask sends a request to /_sim. Only a Cistern with the sim engine has it.
func (s *simCommand) ask(ctx context.Context, method, path string, body, answer any) error {
	if s.remote.isDigitalOcean() {
		return fmt.Errorf("%s has a token for DigitalOcean, where nothing is simulated; name a Cistern with --api-url and --token, DIGITALOCEAN_API_URL, or --data", s.remote.name)
	}
	request, err := s.remote.api.NewRequest(ctx, method, "/_sim/"+path, body)
	if err != nil {
		return err
	}
	_, err = s.remote.api.Do(ctx, request, answer)
	switch {
	case err == nil:
		return nil
	case refused(err, http.StatusNotImplemented), refused(err, http.StatusNotFound) && method != http.MethodDelete:
		return fmt.Errorf("%s simulates nothing: it is no Cistern, or one with another engine than sim", s.remote.url)
	}
	return errors.New(s.remote.reason(err))
}

func newFault() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "fault",
		Short:   "Make simulated work fail or take longer",
		Example: "  cistern sim fault add volume.delete data --error 'disk is on fire' --times 1",
	}
	isGroup(cmd)
	cmd.AddCommand(newFaultAdd(), newFaultList(), newFaultRemove())
	return cmd
}

// fault is a fault as the server shows it.
type fault struct {
	ID        int64  `json:"id,omitempty"`
	Operation string `json:"operation"`
	Resource  string `json:"resource"`
	Error     string `json:"error,omitempty"`
	Transient bool   `json:"transient"`
	Delay     string `json:"delay,omitempty"`
	Times     int64  `json:"times"`
	Hits      int64  `json:"hits"`
}

var faultColumns = []string{"ID", "Operation", "Resource", "Error", "Transient", "Delay", "Times", "Hits"}

func (f fault) row() []string {
	times := "always"
	if f.Times > 0 {
		times = strconv.FormatInt(f.Times, 10)
	}
	return []string{
		strconv.FormatInt(f.ID, 10), f.Operation, f.Resource, f.Error, strconv.FormatBool(f.Transient), f.Delay, times, strconv.FormatInt(f.Hits, 10),
	}
}

func newFaultAdd() *cobra.Command {
	var s simCommand
	var form output
	var f fault
	cmd := &cobra.Command{
		Use:   "add OPERATION [RESOURCE]",
		Short: "Make an operation fail, or take longer",
		Long: "Makes an operation of the simulated machines fail, such as volume.delete, or take longer.\n" +
			"The resource is the ID or name of anything that the operation is about; without one it strikes all.\n" +
			"The operations are in docs/faults.md; a wrong one is refused with all that there are.",
		Example: "  cistern sim fault add volume.delete data --error 'disk is on fire' --times 1\n" +
			"  cistern sim fault add machine.create --delay 30s",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) == 2 {
				return nil
			}
			return fmt.Errorf("%s takes an operation and at most one resource, such as in: cistern sim fault add volume.delete data --error 'disk is on fire'", cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := form.check(); err != nil {
				return err
			}
			if f.Error == "" && f.Delay == "" {
				return errors.New("say how the operation fails with --error, or how much longer it takes with --delay")
			}
			f.Operation, f.Resource = args[0], strings.Join(args[1:], "")
			if s.remote, err = s.flags.remote(cmd); err != nil {
				return err
			}
			var answer struct{ Fault fault }
			if err := s.ask(cmd.Context(), http.MethodPost, "faults", f, &answer); err != nil {
				return err
			}
			if form == "json" {
				return writeJSON(cmd.OutOrStdout(), answer.Fault)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Fault %d is there. Remove it with: %s\n", answer.Fault.ID,
				again(cmd, fmt.Sprintf("cistern sim fault rm %d", answer.Fault.ID)))
			return err
		},
	}
	addClientFlags(cmd, &s.flags)
	addOutputFlag(cmd, &form)
	flags := cmd.Flags()
	flags.StringVar(&f.Error, "error", "", "the message that the operation fails with")
	flags.BoolVar(&f.Transient, "transient", false, "let the server try again by itself; else the failure is final")
	flags.StringVar(&f.Delay, "delay", "", "how much longer the work takes, such as 30s")
	flags.Int64Var(&f.Times, "times", 0, "how often it strikes (default: always)")
	notFromEnvironment(cmd, "error", "transient", "delay", "times")
	return cmd
}

func newFaultList() *cobra.Command {
	var s simCommand
	var v view
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the faults, with how often each has struck",
		Example: "  cistern sim fault list",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := v.check(faultColumns); err != nil {
				return err
			}
			if s.remote, err = s.flags.remote(cmd); err != nil {
				return err
			}
			answer := struct{ Faults []fault }{[]fault{}}
			if err := s.ask(cmd.Context(), http.MethodGet, "faults", nil, &answer); err != nil {
				return err
			}
			if v.output == "json" {
				return writeJSON(cmd.OutOrStdout(), answer.Faults)
			}
			rows := make([][]string, len(answer.Faults))
			for i, f := range answer.Faults {
				rows[i] = f.row()
			}
			return v.table(cmd.OutOrStdout(), faultColumns, rows)
		},
	}
	addClientFlags(cmd, &s.flags)
	addViewFlags(cmd, &v)
	return cmd
}

func newFaultRemove() *cobra.Command {
	var s simCommand
	var all bool
	cmd := &cobra.Command{
		Use:     "rm {ID... | --all}",
		Aliases: []string{"remove"},
		Short:   "Remove faults",
		Example: "  cistern sim fault rm 1\n  cistern sim fault rm --all",
		Args: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return fmt.Errorf("%s takes the IDs of faults or --all, such as in: cistern sim fault rm 1", cmd.CommandPath())
			}
			for _, id := range args {
				if _, err := parseNumber(id); err != nil {
					return fmt.Errorf("%q is not a fault's number; see cistern sim fault list", id)
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, ids []string) (err error) {
			if s.remote, err = s.flags.remote(cmd); err != nil {
				return err
			}
			if all {
				return s.ask(cmd.Context(), http.MethodDelete, "faults", nil, nil)
			}
			for _, id := range ids {
				if err := s.ask(cmd.Context(), http.MethodDelete, "faults/"+id, nil, nil); err != nil {
					return fmt.Errorf("fault %s: %w", id, err)
				}
			}
			return nil
		},
	}
	addClientFlags(cmd, &s.flags)
	cmd.Flags().BoolVar(&all, "all", false, "remove all faults")
	notFromEnvironment(cmd, "all")
	return cmd
}
