package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/associated"
)

// dropletDestroy is cistern droplet destroy.
type dropletDestroy struct {
	flags  clientFlags
	view   view
	goes   selection
	tag    string
	dryRun bool

	remote  remote
	screen  screen
	account string
}

// selection says on the command line what goes, and that it is meant.
type selection struct {
	with string
	yes  bool
}

func (s *selection) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.with, "with", "", "what goes: all, none, or some of volumes,snapshots,volume_snapshots,reserved_ips (default: ask)")
	cmd.Flags().BoolVarP(&s.yes, "yes", "y", false, "do not ask whether it is meant")
	notFromEnvironment(cmd, "with", "yes")
}

// check refuses a wrong --with, and questions that nobody would answer.
func (s *selection) check(asks bool) ([]associated.Kind, error) {
	if s.with == "" || !s.yes {
		if !asks {
			return nil, errors.New("there is no terminal to ask at: say what goes with --with all, none, or some of " +
				"volumes,snapshots,volume_snapshots,reserved_ips, and that it is meant with --yes; --dry-run shows what there is")
		}
	}
	if s.with == "" {
		return nil, nil
	}
	return kindsFlag(s.with)
}

func newDropletDestroy() *cobra.Command {
	var d dropletDestroy
	cmd := &cobra.Command{
		Use:   "destroy {ID|NAME... | --tag TAG}",
		Short: "Destroy Droplets with what belongs to them",
		Long: "Shows what belongs to each Droplet and what keeping it costs a month, asks what of it goes and whether it is meant,\n" +
			"destroys that, and waits until it is gone. What was not shown is not destroyed.\n\n" +
			"One Droplet is confirmed by its name, several by their number. Without a terminal, --with and --yes answer.\n" +
			"It ends with 0 if all that was asked for is gone, with 2 if a part failed, and with 130 after Ctrl-C; what the\n" +
			"server has accepted goes on there.",
		Example: "  cistern droplet destroy web-1\n" +
			"  cistern droplet destroy web-1 --with volumes,reserved_ips --yes\n" +
			"  cistern droplet destroy --tag staging --dry-run -o json",
		Args: d.args,
		RunE: d.run,
	}
	addClientFlags(cmd, &d.flags)
	addViewFlags(cmd, &d.view)
	d.goes.addFlags(cmd)
	cmd.Flags().StringVar(&d.tag, "tag", "", "destroy all Droplets that have this tag")
	cmd.Flags().BoolVar(&d.dryRun, "dry-run", false, "show what there is and what would go, and end")
	notFromEnvironment(cmd, "tag", "dry-run")
	return cmd
}

func (d *dropletDestroy) args(cmd *cobra.Command, args []string) error {
	tagged := cmd.Flags().Changed("tag")
	switch {
	case tagged && len(args) > 0:
		return fmt.Errorf("name Droplets or their --tag, not both: %q is one word too many", args[0])
	case tagged && d.tag == "":
		return errors.New("--tag needs the name of a tag")
	case !tagged && len(args) == 0:
		return fmt.Errorf("%s needs the IDs or names of Droplets, or --tag, such as in: cistern droplet destroy web-1", cmd.CommandPath())
	case slices.Contains(args, ""):
		return errors.New("a Droplet's ID or name cannot be empty")
	}
	return nil
}

func (d *dropletDestroy) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	if err := d.view.check(resourceColumns); err != nil {
		return err
	}
	d.screen = newScreen(cmd, d.view.output)
	kinds, err := d.goes.check(d.screen.asks || d.dryRun)
	if err != nil {
		return err
	}
	if d.remote, err = d.flags.remote(cmd); err != nil {
		return err
	}
	all, err := d.find(ctx, args)
	if err != nil {
		return err
	}
	all.choose(kinds)
	if d.dryRun {
		return d.show(cmd, all)
	}
	d.head(all)
	if err := d.view.table(d.screen.out, resourceColumns[:5], all.rows()); err != nil {
		return err
	}
	d.sums(all)
	if err := d.confirm(ctx, all); err != nil {
		return err
	}
	return d.destroy(cmd, all)
}

// find finds the Droplets and what belongs to them.
func (d *dropletDestroy) find(ctx context.Context, words []string) (all destroys, err error) {
	if d.account, err = d.remote.account(ctx); err != nil {
		return nil, err
	}
	var droplets []godo.Droplet
	if d.tag != "" {
		droplets, err = d.remote.tagged(ctx, d.tag)
	} else {
		droplets, err = d.remote.dropletsOf(ctx, words)
	}
	if err != nil {
		return nil, err
	}
	for _, droplet := range droplets {
		list, _, err := d.remote.destroyer.List(ctx, droplet.ID)
		if err != nil {
			return nil, d.remote.explain(err)
		}
		all = append(all, newDestroy(droplet, list))
	}
	return all, nil
}

// head says which Droplets it is about, and where.
func (d *dropletDestroy) head(all destroys) {
	if d.view.bare() {
		return
	}
	d.screen.say("On %s, account %s:\n", d.remote.url, d.account)
	for _, one := range all {
		d.screen.say("  %s (%s), %s\n", one.label(), one.ID, one.about)
	}
	d.screen.say("\n")
}

// sums says what keeping costs.
func (d *dropletDestroy) sums(all destroys) {
	if d.view.bare() {
		return
	}
	resources := all.resources()
	whole := total(resources, func(*resource) bool { return true })
	switch kept := total(resources, func(r *resource) bool { return !r.Destroy }); {
	case len(resources) == 0:
		d.screen.say("Nothing else belongs to %s.\n\n", all.them())
	case d.goes.with == "":
		d.screen.say("\nKeeping all of it costs %s a month.\n\n", whole)
	default:
		d.screen.say("\nKeeping all of it costs %s a month; what is kept costs %s.\n\n", whole, kept)
	}
}

// show is the whole of a dry run.
func (d *dropletDestroy) show(cmd *cobra.Command, all destroys) error {
	if d.view.output == "json" {
		return writeJSON(cmd.OutOrStdout(), d.document(all))
	}
	d.screen.out = cmd.OutOrStdout()
	d.head(all)
	columns := resourceColumns
	if d.goes.with == "" && d.view.format == "" {
		columns = columns[:5]
	}
	if err := d.view.table(d.screen.out, columns, all.rows()); err != nil {
		return err
	}
	d.sums(all)
	return nil
}

// confirm asks what goes, if --with does not say, and whether it is meant.
func (d *dropletDestroy) confirm(ctx context.Context, all destroys) error {
	resources := all.resources()
	where := fmt.Sprintf("On %s, account %s", d.remote.url, d.account)
	if d.goes.with == "" && len(resources) > 0 {
		chosen, err := d.screen.choose(ctx, fmt.Sprintf("What goes with %s?", all.them()),
			where+". What is not chosen is kept.", all.lines())
		if err != nil {
			return err
		}
		for _, i := range chosen {
			resources[i].Destroy = true
		}
	}
	if d.goes.yes {
		return nil
	}
	chosen, what := toDestroy(resources), "nothing else"
	if len(chosen) > 0 {
		what = counted(len(chosen), "resource")
	}
	if kept := total(resources, func(r *resource) bool { return !r.Destroy }); kept > 0 {
		where += fmt.Sprintf(". What is kept costs %s a month", kept)
	}
	return d.screen.typed(ctx, fmt.Sprintf("Type %s to destroy %s and %s", all.password(), all.them(), what),
		named(chosen)+where+". This cannot be undone.", all.password())
}

// destroy asks the server for the destroys, and follows them to their ends.
func (d *dropletDestroy) destroy(cmd *cobra.Command, all destroys) error {
	f := follower{remote: d.remote, screen: d.screen, again: func(suggested string) string { return again(cmd, suggested) }}
	for _, one := range all {
		if cmd.Context().Err() != nil {
			break
		}
		_, err := d.remote.destroyer.DestroySelective(cmd.Context(), one.number, one.selection())
		if _, answered := errors.AsType[*godo.ErrorResponse](err); !answered {
			one.accepted = true // or it is not known, and asking for the status will tell
			continue
		}
		one.ErrorMessage = d.remote.reason(err)
		if refused(err, http.StatusConflict) {
			one.ErrorMessage += "; follow it with: " + f.again("cistern droplet destroy-status "+one.ID+" --wait")
		}
		d.screen.say("%s\n", d.screen.mark(true, one.label()+": "+one.ErrorMessage))
	}
	if !slices.ContainsFunc(all, func(one *destroy) bool { return one.accepted }) {
		if cmd.Context().Err() != nil {
			return errInterrupted
		}
		return fmt.Errorf("nothing was destroyed on %s", d.remote.url)
	}
	err := f.follow(cmd.Context(), all)
	if d.view.output == "json" {
		err = errors.Join(writeJSON(cmd.OutOrStdout(), d.document(all)), err)
	}
	return err
}

type destroyDocument struct {
	Server   string   `json:"server"`
	Account  string   `json:"account"`
	DryRun   bool     `json:"dry_run"`
	Droplets destroys `json:"droplets"`
}

func (d *dropletDestroy) document(all destroys) destroyDocument {
	return destroyDocument{d.remote.url, d.account, d.dryRun, all}
}

// them names the Droplets of a destroy.
func (all destroys) them() string {
	if len(all) == 1 {
		return all[0].label()
	}
	return counted(len(all), "Droplet")
}

// password is what is typed before the Droplets are destroyed.
func (all destroys) password() string {
	if len(all) == 1 {
		return oneLine(all[0].Name)
	}
	return fmt.Sprint(len(all))
}

// lines are the resources as a person chooses among them.
func (all destroys) lines() (lines []string) {
	var text strings.Builder
	t := newTable(&text)
	for _, one := range all {
		for _, r := range one.Resources {
			if cells := []any{kindNames[r.Kind], r.Name, aMonth(r.Cost)}; len(all) > 1 {
				t.row(append(cells, "of "+one.Name)...)
			} else {
				t.row(cells...)
			}
		}
	}
	_ = t.Flush() // to memory
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}
