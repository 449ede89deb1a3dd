package cli

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// destroyAgain is what cistern droplet destroy-status and destroy-retry share:
// they are about a destroy that the server knows.
type destroyAgain struct {
	flags clientFlags
	view  view
	wait  bool

	remote remote
	screen screen
}

// command fills in a command about the destroy of one Droplet.
func (d *destroyAgain) command(cmd *cobra.Command, run func(cmd *cobra.Command, id int) error) *cobra.Command {
	cmd.Args = takes("a Droplet's ID")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := d.view.check(statusColumns); err != nil {
			return err
		}
		id, err := dropletID(args[0])
		if err != nil {
			return err
		}
		if d.remote, err = d.flags.remote(cmd); err != nil {
			return err
		}
		d.screen = newScreen(cmd, d.view.output)
		return run(cmd, id)
	}
	addClientFlags(cmd, &d.flags)
	addViewFlags(cmd, &d.view)
	cmd.Flags().BoolVar(&d.wait, "wait", false, "wait until the destroy has ended, and show what ends meanwhile")
	notFromEnvironment(cmd, "wait")
	return cmd
}

func newDestroyStatus() *cobra.Command {
	var d destroyAgain
	return d.command(&cobra.Command{
		Use:   "destroy-status ID",
		Short: "Show how the destroy of a Droplet stands, also after it is gone",
		Long: "Shows how the destroy of a Droplet stands, also after the Droplet is gone.\n" +
			"It ends with 0 if all is gone, with 2 if something could not be destroyed, and with 3 while the destroy runs.",
		Example: "  cistern droplet destroy-status 1000000\n  cistern droplet destroy-status 1000000 --wait",
	}, d.status)
}

func newDestroyRetry() *cobra.Command {
	var d destroyAgain
	return d.command(&cobra.Command{
		Use:   "destroy-retry ID",
		Short: "Try again what a destroy could not destroy",
		Long: "Tries again what the destroy of a Droplet could not destroy, and only that.\n" +
			"With --wait it ends with 0 if all is gone, and with 2 if something could not be destroyed.",
		Example: "  cistern droplet destroy-retry 1000000 --wait",
	}, d.retry)
}

// find asks how the destroy of a Droplet stands.
func (d *destroyAgain) find(cmd *cobra.Command, id int) (*destroy, error) {
	status, _, err := d.remote.destroyer.Status(cmd.Context(), id)
	if refused(err, http.StatusNotFound) {
		return nil, fmt.Errorf("%s knows of no destroy of a Droplet %d", d.remote.url, id)
	}
	if err != nil {
		return nil, d.remote.explain(err)
	}
	return destroyOf(id, status), nil
}

func (d *destroyAgain) status(cmd *cobra.Command, id int) error {
	one, err := d.find(cmd, id)
	if err != nil {
		return err
	}
	if d.wait {
		return d.follow(cmd, one)
	}
	if err := d.show(cmd, one); err != nil {
		return err
	}
	switch {
	case one.CompletedAt == nil:
		return exitWith(exitRunning, "the destroy runs; follow it with: %s", again(cmd, "cistern droplet destroy-status "+one.ID+" --wait"))
	case one.Failures > 0:
		return d.follower(cmd).partial(destroys{one})
	}
	return nil
}

func (d *destroyAgain) retry(cmd *cobra.Command, id int) error {
	_, err := d.remote.destroyer.Retry(cmd.Context(), id)
	switch {
	case refused(err, http.StatusNotFound):
		return fmt.Errorf("%s knows of no destroy of a Droplet %d", d.remote.url, id)
	case err != nil:
		return errors.New(d.remote.reason(err))
	}
	one, err := d.find(cmd, id)
	if err != nil {
		return err
	}
	if d.wait {
		return d.follow(cmd, one)
	}
	if err := d.show(cmd, one); err != nil {
		return err
	}
	if !d.view.bare() {
		d.screen.say("\nIt is tried again; follow it with: %s\n", again(cmd, "cistern droplet destroy-status "+one.ID+" --wait"))
	}
	return nil
}

func (d *destroyAgain) follower(cmd *cobra.Command) follower {
	return follower{remote: d.remote, screen: d.screen, again: func(suggested string) string { return again(cmd, suggested) }}
}

func (d *destroyAgain) follow(cmd *cobra.Command, one *destroy) error {
	err := d.follower(cmd).follow(cmd.Context(), destroys{one})
	if d.view.output == "json" {
		err = errors.Join(writeJSON(cmd.OutOrStdout(), one), err)
	}
	return err
}

var statusColumns = []string{"Kind", "Name", "ID", "State", "Error"}

func (d *destroyAgain) show(cmd *cobra.Command, one *destroy) error {
	if d.view.output == "json" {
		return writeJSON(cmd.OutOrStdout(), one)
	}
	rows := [][]string{}
	for _, r := range one.going() {
		rows = append(rows, []string{kindNames[r.Kind], r.Name, r.ID, r.state(), r.ErrorMessage})
	}
	return d.view.table(cmd.OutOrStdout(), statusColumns, rows)
}

// state is what has become of a resource that is to go.
func (r *resource) state() string {
	switch {
	case r.gone():
		return "gone"
	case r.ErrorMessage != "":
		return "failed"
	}
	return "waiting"
}
