package control

import (
	"context"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// dropletDestroy ends a Droplet, with or without associated resources. Nothing
// but the machine itself can make it fail: what fails before is recorded on the
// resource and passed over. There is nothing to undo.
var dropletDestroy = op.Define("droplet.destroy",
	op.Step[*Plane, destroyArgs]{Name: "wait", Do: (*Plane).waitForDroplet, Save: (*Plane).holdDroplet},
	op.Step[*Plane, destroyArgs]{Name: "hold", Save: (*Plane).holdResources},
	op.Step[*Plane, destroyArgs]{Name: "stop", Do: (*Plane).stopForGood, Save: (*Plane).saveStopped},
	op.Step[*Plane, destroyArgs]{Name: "release", Do: (*Plane).release},
	op.Step[*Plane, destroyArgs]{Name: "resources", Do: (*Plane).destroyResources},
	op.Step[*Plane, destroyArgs]{Name: "machine", Do: (*Plane).destroyMachine, Save: (*Plane).saveDestroyed},
).Failed((*Plane).saveNotDestroyed)

// graceForVolumes is how long the guest is given to write out what belongs on
// volumes that are kept.
const graceForVolumes = 5 * time.Second

type destroyArgs struct {
	Droplet int64 `json:"droplet"`
	// Destroy is the record of what else goes, or 0 for the Droplet alone.
	Destroy int64 `json:"destroy,omitempty"`
}

func (a destroyArgs) ref() cloud.Ref {
	return cloud.Ref{Kind: cloud.KindDroplet, ID: cloud.FormatID(a.Droplet)}
}

// target is what a destroy is about, as it stands: the Droplet, unless it is
// gone, and the record of what goes with it.
type target struct {
	droplet cloud.Droplet
	gone    bool
	destroy cloud.Destroy
	volumes []cloud.Volume // attached to the Droplet
}

func readTarget(tx *store.Tx, account int64, args destroyArgs) (t target, err error) {
	if args.Destroy != 0 {
		if t.destroy, err = tx.Destroy(args.Destroy); err != nil {
			return t, err
		}
	}
	t.droplet, err = tx.Droplet(account, args.Droplet)
	if cloud.IsNotFound(err) {
		t.gone = true
		return t, nil
	}
	if err != nil {
		return t, err
	}
	t.volumes, _, err = tx.Volumes(account, cloud.VolumeFilter{Droplet: args.Droplet}, cloud.Page{})
	return t, err
}

func (p *Plane) readTarget(ctx context.Context, run *op.Run[destroyArgs]) (t target, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		t, err = readTarget(tx, run.Account, run.Args)
		return err
	})
	return t, err
}

// listed finds a resource of the destroy by what it is: a volume's ID, or a
// reserved IP's address.
func (t target) listed(kind cloud.AssociatedKind, idOrName string) (cloud.DestroyResource, bool) {
	for _, r := range t.destroy.Resources {
		if r.Kind == kind && (r.ID == idOrName || r.Name == idOrName) {
			return r, true
		}
	}
	return cloud.DestroyResource{}, false
}

// keepsVolumes reports whether an attached volume outlives the Droplet.
func (t target) keepsVolumes() bool {
	for _, v := range t.volumes {
		if _, goes := t.listed(cloud.AssociatedVolume, v.ID); !goes {
			return true
		}
	}
	return false
}

// waitForDroplet asks what holds the Droplet to stop, and waits for its end.
func (p *Plane) waitForDroplet(ctx context.Context, run *op.Run[destroyArgs]) error {
	var holder int64
	err := run.Commit(ctx, func(tx *store.Tx) (err error) {
		if holder, err = tx.Holder(run.Args.ref()); err != nil || holder == 0 || holder == run.ID {
			return err
		}
		return tx.CancelOperation(holder)
	})
	if err != nil || holder == 0 || holder == run.ID {
		return err
	}
	p.runner.Notify()
	return op.WaitFor(holder)
}

func (p *Plane) holdDroplet(tx *store.Tx, run *op.Run[destroyArgs]) error {
	return hold(tx, run.Args.ref(), run.ID)
}

// hold takes something for an operation, or waits for who has it.
func hold(tx *store.Tx, r cloud.Ref, action int64) error {
	free, err := tx.Hold(r, action)
	if err != nil || free {
		return err
	}
	holder, err := tx.Holder(r)
	switch {
	case err != nil:
		return err
	case holder == 0: // it has ended in the meantime
		return op.Again(time.Millisecond)
	}
	return op.WaitFor(holder)
}

// holdResources takes all that will be detached, unassigned or destroyed.
// Nothing new can be attached any more, since the Droplet is held.
func (p *Plane) holdResources(tx *store.Tx, run *op.Run[destroyArgs]) error {
	t, err := readTarget(tx, run.Account, run.Args)
	if err != nil {
		return err
	}
	refs := []cloud.Ref{}
	for _, v := range t.volumes {
		refs = append(refs, v.Ref())
	}
	if ip := t.droplet.ReservedIP; ip != "" {
		refs = append(refs, cloud.Ref{Kind: cloud.KindReservedIP, ID: ip})
	}
	if ip := t.droplet.ReservedIPv6; ip != "" {
		refs = append(refs, cloud.Ref{Kind: cloud.KindReservedIPv6, ID: ip})
	}
	for _, r := range t.destroy.Resources {
		if !r.Finished() {
			refs = append(refs, resourceRef(r))
		}
	}
	backups, _, err := tx.DropletImages(run.Account, run.Args.Droplet, cloud.ImageBackup, cloud.Page{})
	if err != nil {
		return err
	}
	for _, b := range backups {
		refs = append(refs, b.Ref())
	}
	for _, ref := range refs {
		if err := holdResource(tx, ref, run.ID); err != nil {
			return err
		}
	}
	return nil
}

// holdResource holds what a destroy is about to destroy or to free. An image is
// locked first: whoever accepts it looks for holds, takes none, and has to end
// before it is looked whose the image is.
func holdResource(tx *store.Tx, ref cloud.Ref, action int64) error {
	if id, ok := cloud.ParseID(ref.ID); ok && ref.Kind == cloud.KindImage {
		if _, err := tx.LockAnyImage(id); err != nil && !cloud.IsNotFound(err) {
			return err
		}
	}
	return hold(tx, ref, action)
}

func resourceRef(r cloud.DestroyResource) cloud.Ref {
	switch r.Kind {
	case cloud.AssociatedVolume:
		return cloud.Ref{Kind: cloud.KindVolume, ID: r.ID}
	case cloud.AssociatedVolumeSnapshot:
		return cloud.Ref{Kind: cloud.KindVolumeSnapshot, ID: r.ID}
	case cloud.AssociatedSnapshot:
		return cloud.Ref{Kind: cloud.KindImage, ID: r.ID}
	default:
		return cloud.Ref{Kind: cloud.KindReservedIP, ID: r.Name}
	}
}

// passOver turns a failure that must not stop the destroy into its text, once
// it is final or has been tried often enough. What goes on later is returned.
func passOver(run *op.Run[destroyArgs], err error) (failure string, later error) {
	if err == nil {
		return "", nil
	}
	if op.IsWaiting(err) || store.IsOutage(err) || (!op.IsFinal(err) && !run.LastTry) {
		return "", err
	}
	return err.Error(), nil
}

// stopped is what the step stop has found out: that the machine is off, and the
// host of one that was made by a create that did not end.
type stopped struct {
	off  bool
	host string
}

func (p *Plane) stopForGood(ctx context.Context, run *op.Run[destroyArgs]) error {
	run.Keep(stopped{})
	t, err := p.readTarget(ctx, run)
	if err != nil || t.gone {
		return err
	}
	how := engine.Stop{Force: true}
	if t.keepsVolumes() {
		how.Grace = graceForVolumes
	}
	failure, later := passOver(run, work(p.engine.StopMachine(ctx, do(run), machineRef(t.droplet), how)))
	if failure != "" && failure != engine.ErrNotFound.Message { // it never came to be
		p.log.Warn("destroy: the machine does not stop; it is destroyed as it runs", "droplet", t.droplet.ID, "error", failure)
	}
	if failure != "" || later != nil {
		return later
	}
	result := stopped{off: true, host: t.droplet.Host}
	if result.host == "" { // should the machine stay, its Droplet is to be as good as any
		state, err := p.engine.Machine(ctx, cloud.FormatID(t.droplet.ID))
		if _, later := passOver(run, err); later != nil {
			return later
		}
		result.host = state.Host
	}
	run.Keep(result)
	return nil
}

func (p *Plane) saveStopped(tx *store.Tx, run *op.Run[destroyArgs]) error {
	result, _ := run.Kept().(stopped)
	if !result.off {
		return nil
	}
	return tx.PlaceDroplet(run.Args.Droplet, result.host, cloud.DropletOff)
}

// release detaches every volume and takes away the reserved IP, whether they
// go too or are kept. What cannot be released becomes free with the machine; if
// it was to be destroyed, its failure is recorded.
func (p *Plane) release(ctx context.Context, run *op.Run[destroyArgs]) error {
	t, err := p.readTarget(ctx, run)
	if err != nil || t.gone {
		return err
	}
	var waiting error
	for _, v := range t.volumes {
		err := work(p.engine.DetachVolume(ctx, do(run, v.ID), volumeRef(v), machineRef(t.droplet)))
		free := func(tx *store.Tx) error { return tx.SetVolumeDroplet(v.ID, 0) }
		if err := p.recordRelease(ctx, run, t, cloud.AssociatedVolume, v.ID, err, free); err != nil {
			waiting = err
		}
	}
	if ip := t.droplet.ReservedIP; ip != "" {
		err := work(p.engine.ApplyNetwork(ctx, do(run, ip), machineRef(t.droplet), network(t.droplet, "")))
		free := func(tx *store.Tx) error { return tx.AssignReservedIP(ip, 0) }
		if err := p.recordRelease(ctx, run, t, cloud.AssociatedReservedIP, ip, err, free); err != nil {
			waiting = err
		}
	}
	if waiting != nil {
		return waiting
	}
	if t.droplet.ReservedIPv6 == "" {
		return nil
	}
	return p.releaseIPv6(ctx, run)
}

// releaseIPv6 takes away the reserved IPv6 address, which is kept. What has
// become of the IPv4 address stays as it is.
func (p *Plane) releaseIPv6(ctx context.Context, run *op.Run[destroyArgs]) error {
	d, err := p.readDroplet(ctx, run.Account, run.Args.Droplet)
	ip := d.ReservedIPv6
	if err != nil || ip == "" {
		return err
	}
	d.ReservedIPv6 = ""
	failure, later := passOver(run, work(p.engine.ApplyNetwork(ctx, do(run, ip), machineRef(d), network(d, d.ReservedIP))))
	if later != nil || failure != "" {
		return later
	}
	return run.Commit(ctx, func(tx *store.Tx) error { return tx.AssignReservedIPv6(ip, 0) })
}

// recordRelease writes down how the release of one thing went, and returns an
// error when it is to be tried again.
func (p *Plane) recordRelease(ctx context.Context, run *op.Run[destroyArgs], t target,
	kind cloud.AssociatedKind, idOrName string, result error, free func(*store.Tx) error,
) error {
	failure, later := passOver(run, result)
	if later != nil {
		return later
	}
	return run.Commit(ctx, func(tx *store.Tx) error {
		if failure == "" {
			return free(tx)
		}
		r, goes := t.listed(kind, idOrName)
		if !goes || r.Finished() {
			return nil
		}
		r.Error = failure
		return tx.SaveDestroyResource(run.Args.Destroy, r)
	})
}

// destroyMachine destroys the machine, which frees what still hangs on it, and
// then its backups: while there is a machine, they may be needed.
func (p *Plane) destroyMachine(ctx context.Context, run *op.Run[destroyArgs]) error {
	t, err := p.readTarget(ctx, run)
	if err != nil {
		return err
	}
	if !t.gone {
		if err := work(p.engine.DestroyMachine(ctx, do(run), machineRef(t.droplet))); err != nil {
			return err
		}
	}
	return p.destroyBackups(ctx, run)
}

func (p *Plane) saveDestroyed(tx *store.Tx, run *op.Run[destroyArgs]) error {
	if err := tx.LockAccount(run.Account); err != nil {
		return err
	}
	t, err := readTarget(tx, run.Account, run.Args)
	if err != nil {
		return err
	}
	if !t.gone {
		if err := tx.DeleteDroplet(run.Account, run.Args.Droplet); err != nil {
			return err
		}
		t.destroy.DestroyedAt = tx.Now
	}
	return completeDestroy(tx, t.destroy)
}

// saveNotDestroyed gives the Droplet back to its owner, off and usable.
func (p *Plane) saveNotDestroyed(tx *store.Tx, run *op.Run[destroyArgs]) error {
	if err := tx.LockAccount(run.Account); err != nil {
		return err
	}
	t, err := readTarget(tx, run.Account, run.Args)
	if err != nil {
		return err
	}
	if !t.gone {
		if err := tx.UnmarkDroplet(run.Account, run.Args.Droplet); err != nil {
			return err
		}
	}
	t.destroy.Error = run.Err
	return completeDestroy(tx, t.destroy)
}

func completeDestroy(tx *store.Tx, destroy cloud.Destroy) error {
	if destroy.ID == 0 {
		return nil
	}
	destroy.CompletedAt = tx.Now
	return tx.SaveDestroy(destroy)
}
