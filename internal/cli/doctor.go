package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
)

func newDoctor() *cobra.Command {
	var d app.Doctor
	var v view
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine lacks to run an engine",
		Long: "Looks at what this machine has for an engine, and says how to mend what it lacks. It changes nothing, needs no server,\n" +
			"and fails if no machine could run. Give it the flags that serve is to have.",
		Example: "  cistern doctor --engine qemu\n  cistern doctor --engine qemu --network routed --data /var/lib/cistern",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := v.check(doctorColumns); err != nil {
				return err
			}
			checks, err := d.Run(cmd.Context())
			if err != nil {
				return err
			}
			return showChecks(cmd, d.Engine, v, checks)
		},
	}
	addViewFlags(cmd, &v)
	flags := cmd.Flags()
	flags.StringVar(&d.Engine, "engine", "sim", "what is to run the machines: sim or qemu")
	flags.StringVar(&d.Data, "data", "", "folder for the state (default "+app.DefaultData()+")")
	addHostFlags(flags, &d.Real)
	return cmd
}

var doctorColumns = []string{"State", "Check", "Found", "Fix"}

// doctorDocument is the answer as JSON.
type doctorDocument struct {
	Engine string      `json:"engine"`
	Ready  bool        `json:"ready"` // machines could run
	Checks []app.Check `json:"checks"`
}

func showChecks(cmd *cobra.Command, engine string, v view, checks []app.Check) error {
	problems := 0
	rows := make([][]string, len(checks))
	for i, c := range checks {
		rows[i] = []string{c.State, c.Name, c.Found, c.Fix}
		if c.State == app.CheckProblem {
			problems++
		}
	}
	var err error
	if v.output == "json" {
		err = writeJSON(cmd.OutOrStdout(), doctorDocument{engine, problems == 0, checks})
	} else {
		err = v.table(cmd.OutOrStdout(), doctorColumns, rows)
	}
	if err != nil {
		return err
	}
	if problems > 0 {
		return exitWith(1, "no machine can run here: %s", counted(problems, "problem"))
	}
	if v.output == "text" && !v.bare() {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nThe engine %s can run here.\n", engine)
	}
	return err
}
