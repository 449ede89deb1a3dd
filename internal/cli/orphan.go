package cli

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/associated"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

// orphans is cistern orphans.
type orphans struct {
	flags  clientFlags
	view   view
	goes   selection
	really bool // --destroy

	remote  remote
	screen  screen
	account string
}

func newOrphans() *cobra.Command {
	var o orphans
	cmd := &cobra.Command{
		Use:   "orphans",
		Short: "Show what earlier Droplets left behind and what it costs, or destroy it",
		Long: "Shows what costs money and belongs to no Droplet: volumes that are attached to none, reserved IPs that are assigned\n" +
			"to none, snapshots whose Droplet is gone, and volume snapshots whose volume is gone. Somebody may keep it on purpose.\n\n" +
			"With --destroy it asks what of it goes and whether it is meant. Without a terminal, --with and --yes answer.",
		Example: "  cistern orphans\n  cistern orphans --destroy\n  cistern orphans --destroy --with reserved_ips --yes",
		Args:    takesNothing,
		RunE:    o.run,
	}
	addClientFlags(cmd, &o.flags)
	addViewFlags(cmd, &o.view)
	o.goes.addFlags(cmd)
	cmd.Flags().BoolVar(&o.really, "destroy", false, "destroy what is chosen")
	notFromEnvironment(cmd, "destroy")
	return cmd
}

var orphanColumns = []string{"Kind", "Name", "ID", "Cost"}

func (o *orphans) run(cmd *cobra.Command, _ []string) (err error) {
	ctx := cmd.Context()
	if err := o.view.check(orphanColumns); err != nil {
		return err
	}
	if !o.really && (o.goes.with != "" || o.goes.yes) {
		return errors.New("--with and --yes say what --destroy destroys; add it, or leave them out")
	}
	o.screen = newScreen(cmd, o.view.output)
	kinds, err := o.goes.check(o.screen.asks || !o.really)
	if err != nil {
		return err
	}
	if o.remote, err = o.flags.remote(cmd); err != nil {
		return err
	}
	if o.account, err = o.remote.account(ctx); err != nil {
		return err
	}
	all, err := o.remote.orphans(ctx)
	if err != nil {
		return o.remote.explain(err)
	}
	if o.really {
		return o.destroy(cmd, all, kinds)
	}
	return o.show(cmd, all)
}

type orphanDocument struct {
	Server  string      `json:"server"`
	Account string      `json:"account"`
	Cost    string      `json:"cost"` // of all a month, in US dollars
	Orphans []*resource `json:"orphans"`
}

func (o *orphans) document(all []*resource) orphanDocument {
	if all == nil {
		all = []*resource{}
	}
	sum := total(all, func(r *resource) bool { return !r.gone() })
	return orphanDocument{o.remote.url, o.account, sum.String()[1:], all}
}

func (o *orphans) show(cmd *cobra.Command, all []*resource) error {
	if o.view.output == "json" {
		return writeJSON(cmd.OutOrStdout(), o.document(all))
	}
	o.screen.out = cmd.OutOrStdout()
	return o.table(all)
}

func (o *orphans) table(all []*resource) error {
	if len(all) == 0 && !o.view.bare() {
		o.screen.say("Nothing is left behind on %s, account %s.\n", o.remote.url, o.account)
		return nil
	}
	rows := make([][]string, len(all))
	for i, r := range all {
		rows[i] = []string{kindNames[r.Kind], r.Name, r.ID, aMonth(r.Cost)}
	}
	if err := o.view.table(o.screen.out, orphanColumns, rows); err != nil || o.view.bare() {
		return err
	}
	o.screen.say("\nKeeping all of it costs %s a month on %s, account %s.\n", total(all, func(*resource) bool { return true }), o.remote.url, o.account)
	return nil
}

// orphans finds what belongs to no Droplet. Snapshots are listed before what
// they were made from, so that nothing new can seem to be left behind.
func (r remote) orphans(ctx context.Context) (all []*resource, err error) {
	for _, find := range []func(context.Context) ([]*resource, error){
		r.volumeSnapshotsLeft, r.volumesLeft, r.snapshotsLeft, r.reservedIPsLeft,
	} {
		some, err := find(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// left makes a resource of something that is paid for by its size.
func left(kind associated.Kind, id, name string, gigabytes float64) *resource {
	priced := cloud.Associated{Kind: cloud.AssociatedKind(kind), SizeGigabytes: gigabytes}
	return &resource{Kind: kind, ID: id, Name: name, Cost: priced.MonthlyCost()}
}

func (r remote) volumesLeft(ctx context.Context) (found []*resource, err error) {
	volumes, err := r.volumes(ctx)
	for _, v := range volumes {
		if len(v.DropletIDs) == 0 {
			found = append(found, left(associated.Volumes, v.ID, v.Name, float64(v.SizeGigaBytes)))
		}
	}
	return found, err
}

func (r remote) volumes(ctx context.Context) ([]godo.Volume, error) {
	return everyPage(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.Volume, *godo.Response, error) {
		return r.api.Storage.ListVolumes(ctx, &godo.ListVolumeParams{ListOptions: o})
	})
}

func (r remote) reservedIPsLeft(ctx context.Context) (found []*resource, err error) {
	ips, err := everyPage(ctx, r.api.ReservedIPs.List)
	for _, ip := range ips {
		if ip.Droplet == nil {
			found = append(found, left(associated.ReservedIPs, ip.IP, ip.IP, 0))
		}
	}
	return found, err
}

func (r remote) snapshotsLeft(ctx context.Context) ([]*resource, error) {
	snapshots, err := everyPage(ctx, r.api.Snapshots.ListDroplet)
	snapshots = slices.DeleteFunc(snapshots, func(s godo.Snapshot) bool { return !isDroplet(s.ResourceID) })
	if err != nil || len(snapshots) == 0 {
		return nil, err
	}
	droplets, err := everyPage(ctx, r.api.Droplets.List)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, d := range droplets {
		there[strconv.Itoa(d.ID)] = true
	}
	return madeFromNothing(snapshots, associated.Snapshots, there, func(id string) error {
		number, err := strconv.Atoi(id)
		if err == nil {
			_, _, err = r.api.Droplets.Get(ctx, number)
		}
		return err
	})
}

// isDroplet reports whether an ID may be a Droplet's. A snapshot that came from
// another account says nothing of its Droplet; no Droplet left that behind.
func isDroplet(id string) bool {
	number, err := strconv.Atoi(id)
	return err == nil && number > 0
}

func (r remote) volumeSnapshotsLeft(ctx context.Context) ([]*resource, error) {
	snapshots, err := everyPage(ctx, r.api.Snapshots.ListVolume)
	if err != nil || len(snapshots) == 0 {
		return nil, err
	}
	volumes, err := r.volumes(ctx)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, v := range volumes {
		there[v.ID] = true
	}
	return madeFromNothing(snapshots, associated.VolumeSnapshots, there, func(id string) error {
		_, _, err := r.api.Storage.GetVolume(ctx, id)
		return err
	})
}

// madeFromNothing keeps the snapshots whose origin is gone. One that a list does
// not have is asked for once more by itself: lists leave out what has a GPU.
func madeFromNothing(snapshots []godo.Snapshot, kind associated.Kind, there map[string]bool, ask func(id string) error) (found []*resource, err error) {
	for _, s := range snapshots {
		known, asked := there[s.ResourceID]
		if !asked {
			err := ask(s.ResourceID)
			if err != nil && !refused(err, http.StatusNotFound) {
				return nil, err
			}
			known = err == nil
			there[s.ResourceID] = known
		}
		if !known {
			found = append(found, left(kind, s.ID, s.Name, s.SizeGigaBytes))
		}
	}
	return found, nil
}
