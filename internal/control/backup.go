package control

import (
	"context"
	"errors"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

var (
	// dropletBackup copies the disk as a snapshot does. One that fails is tried
	// again while its window is open.
	dropletBackup = op.Define("droplet.backup",
		op.Step[*Plane, dropletArgs]{Name: "copy", Do: (*Plane).copyDisk, Undo: (*Plane).dropCopy, Save: (*Plane).publishCopy},
	).Failed((*Plane).saveBackupFailed)
	// dropletBackupPolicy enables and disables backups and changes when they are.
	dropletBackupPolicy = op.Define("droplet.backup_policy",
		op.Step[*Plane, dropletArgs]{Name: "set", Save: (*Plane).saveBackupPolicy})
)

const (
	// backupsEvery is how often to look for backups that are due although
	// nothing said so: another process's.
	backupsEvery = 10 * time.Minute
	// backupBatch is how many are looked for at once.
	backupBatch = 100
	// busyBackup is how long a backup, or the delete of one, waits while another
	// action has what it needs.
	busyBackup = 5 * time.Minute
	// retryBackup is how long after a backup that failed the next is tried.
	retryBackup = 15 * time.Minute
	// retryExpiry is how long after the delete of an old backup has begun it is
	// looked whether it has come to anything.
	retryExpiry = time.Hour
)

// BackupPolicies lists Droplets for what they say of their backups, those
// without included.
func (p *Plane) BackupPolicies(ctx context.Context, who cloud.Actor, page cloud.Page) ([]cloud.Droplet, int64, error) {
	return p.Droplets(ctx, who, cloud.DropletFilter{}, page)
}

// backupPolicy is the policy that an action sets: with none given the default
// one, and to disable backups that of never.
func (a DropletAction) backupPolicy() (policy cloud.BackupPolicy, err error) {
	switch {
	case a.Type == cloud.ActionDisableBackups:
		return policy, nil
	case a.Type == cloud.ActionChangeBackupPolicy && (a.Backups == nil || a.Backups.Plan == ""):
		return policy, cloud.Invalid("backup_policy is required, with its plan: daily or weekly")
	case a.Backups != nil:
		policy = *a.Backups
	}
	return policy.Check()
}

func checkBackupPolicy(a DropletAction) error {
	_, err := a.backupPolicy()
	return err
}

func beginBackupPolicy(b dropletBeginning) (cloud.Action, error) {
	policy, err := b.request.backupPolicy()
	if err != nil {
		return cloud.Action{}, err
	}
	return begin(b.tx, b.Plane, dropletBackupPolicy, b.new, dropletArgs{Droplet: b.droplet.ID, Backups: policy})
}

func (p *Plane) saveBackupPolicy(tx *store.Tx, run *op.Run[dropletArgs]) error {
	return p.setBackupPolicy(tx, run.Args.Droplet, run.Args.Backups)
}

// setBackupPolicy records a policy whose first window is the next to open.
func (p *Plane) setBackupPolicy(tx *store.Tx, droplet int64, policy cloud.BackupPolicy) error {
	var window time.Time
	if policy.Enabled() {
		window = policy.NextWindow(tx.Now)
	}
	tx.OnCommit(p.backups.Wake)
	return tx.SetBackupPolicy(droplet, policy, window)
}

// reconcileBackups takes the backups whose windows are open and deletes those
// that have been kept long enough.
func (p *Plane) reconcileBackups(ctx context.Context) error {
	return errors.Join(
		eachDue(ctx, p, (*store.Tx).DueBackups, p.backUp),
		eachDue(ctx, p, (*store.Tx).ExpiredBackups, p.expireBackup),
	)
}

// eachDue handles whatever is due until nothing is. What fails is left to the
// next pass, and stops nothing else.
func eachDue[T any](ctx context.Context, p *Plane, list func(*store.Tx, int) ([]T, error), handle func(context.Context, T) error) error {
	for {
		var due []T
		err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
			due, err = list(tx, backupBatch)
			return err
		})
		if err != nil || len(due) == 0 {
			return err
		}
		for _, one := range due {
			err = errors.Join(err, handle(ctx, one))
		}
		if err != nil {
			return err
		}
	}
}

// nextBackup is when the reconciler has something to do.
func (p *Plane) nextBackup(ctx context.Context) (at time.Time, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		at, err = tx.NextBackup()
		return err
	})
	return at, err
}

// backUp begins the backup of a Droplet whose window is open, or puts it off
// while another action holds the Droplet.
func (p *Plane) backUp(ctx context.Context, due cloud.Droplet) error {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	image, err := p.store.ID(ctx, store.ImageIDs)
	if err != nil {
		return err
	}
	return p.store.Write(ctx, func(tx *store.Tx) error {
		d, err := tx.LockDroplet(due.Account, due.ID)
		if cloud.IsNotFound(err) || err == nil && (!d.Backups.Enabled() || d.BackupWindow.After(tx.Now)) {
			return nil // it was destroyed, disabled or taken meanwhile
		}
		if err != nil {
			return err
		}
		if d.BackupWindow = p.openWindow(tx, d); d.BackupWindow.After(tx.Now) {
			return tx.SetBackupWindow(d.ID, d.BackupWindow, d.BackupWindow)
		}
		if d.Free() != nil {
			return tx.SetBackupWindow(d.ID, d.BackupWindow, tx.Now.Add(busyBackup))
		}
		return p.beginBackup(tx, action, image, d)
	})
}

// openWindow is the Droplet's window if it is still open, else the first one
// that is open now or will be. Those between were missed, which is said.
func (p *Plane) openWindow(tx *store.Tx, d cloud.Droplet) time.Time {
	window := d.BackupWindow
	if tx.Now.Before(window.Add(cloud.BackupWindow)) {
		return window
	}
	next := d.Backups.NextWindow(tx.Now.Add(-cloud.BackupWindow))
	tx.OnCommit(func() { p.warnMissed(d.ID, window, next) })
	return next
}

func (p *Plane) warnMissed(droplet int64, window, next time.Time) {
	p.log.Warn("the window of a backup is over and there is none: the Droplet was busy, its backup failed, or this server did not run",
		"droplet", droplet, "window", window, "next_window", next)
}

func (p *Plane) beginBackup(tx *store.Tx, action, image int64, d cloud.Droplet) error {
	backup := newSnapshot(d, image, cloud.BackupName(d.Name, tx.Now), tx.Now)
	backup.Type = cloud.ImageBackup
	if err := tx.AddImage(backup); err != nil {
		return err
	}
	if err := tx.KeepBackup(image, tx.Now.Add(d.Backups.Retention())); err != nil {
		return err
	}
	next := d.Backups.NextWindow(tx.Now)
	if err := tx.SetBackupWindow(d.ID, next, next); err != nil {
		return err
	}
	_, err := begin(tx, p, dropletBackup, op.New{
		ID: action, Account: d.Account, Type: cloud.ActionBackup, About: d.Ref(), Region: d.Region, Holds: []cloud.Ref{d.Ref()},
	}, dropletArgs{Droplet: d.ID, Name: backup.Name, Image: image, Window: d.BackupWindow})
	return err
}

// saveBackupFailed forgets the image, and puts the window back while there is
// time for another try in it.
func (p *Plane) saveBackupFailed(tx *store.Tx, run *op.Run[dropletArgs]) error {
	if err := p.dropImage(tx, run); err != nil {
		return err
	}
	d, err := tx.LockDroplet(run.Account, run.Args.Droplet)
	if cloud.IsNotFound(err) || err == nil && (!d.Backups.Enabled() || d.DestroyedBy != 0) {
		return nil
	}
	if err != nil {
		return err
	}
	again := tx.Now.Add(retryBackup)
	if again.Before(run.Args.Window.Add(cloud.BackupWindow)) {
		tx.OnCommit(p.backups.Wake)
		return tx.SetBackupWindow(d.ID, run.Args.Window, again)
	}
	tx.OnCommit(func() { p.warnMissed(d.ID, run.Args.Window, d.BackupWindow) })
	return nil
}

// expireBackup begins the delete of a backup that was kept long enough, unless
// something is done with it just now.
func (p *Plane) expireBackup(ctx context.Context, expired cloud.Image) error {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return err
	}
	return p.store.Write(ctx, func(tx *store.Tx) error {
		image, err := tx.LockImage(expired.Account, expired.ID) // so that it does not become a snapshot now
		if cloud.IsNotFound(err) || err == nil && image.Type != cloud.ImageBackup {
			return nil
		}
		if err != nil {
			return err
		}
		used, err := backupInUse(tx, image)
		if err != nil {
			return err
		}
		if used {
			return tx.KeepBackup(image.ID, tx.Now.Add(busyBackup))
		}
		if err := tx.KeepBackup(image.ID, tx.Now.Add(retryExpiry)); err != nil {
			return err
		}
		_, err = begin(tx, p, imageDelete, op.New{
			ID: action, Account: image.Account, About: image.Ref(), Holds: []cloud.Ref{image.Ref()},
		}, imageArgs{Image: image.ID, Name: image.Name})
		return err
	})
}

// backupInUse reports whether something is done with a backup: it is held
// itself, or its Droplet is given a disk that may be made from it.
func backupInUse(tx *store.Tx, backup cloud.Image) (bool, error) {
	holder, err := tx.Holder(backup.Ref())
	if err != nil || holder != 0 {
		return holder != 0, err
	}
	d, err := tx.Droplet(backup.Account, backup.SourceDroplet)
	if cloud.IsNotFound(err) {
		return false, nil
	}
	return d.HeldFor == cloud.ActionRestore || d.HeldFor == cloud.ActionRebuild, err
}

// destroyBackups deletes the backups of a Droplet that is being destroyed. One
// that cannot be deleted stays in sight, and is tried again as an expired one.
func (p *Plane) destroyBackups(ctx context.Context, run *op.Run[destroyArgs]) error {
	backups, err := p.backupsOf(ctx, run.Account, run.Args.Droplet)
	if err != nil || len(backups) == 0 {
		return err
	}
	var gone, left []int64
	var later error
	for _, b := range backups {
		result := work(p.engine.DeleteImage(ctx, do(run, "backup", cloud.FormatID(b.ID)), imageRef(b.Account, b.ID, b.Name)))
		failure, waiting := passOver(run, result)
		switch {
		case waiting != nil:
			later = waiting
		case failure != "":
			p.log.Warn("destroy: a backup cannot be deleted; it will be tried again", "image", b.ID, "error", failure)
			left = append(left, b.ID)
		default:
			gone = append(gone, b.ID)
		}
	}
	err = run.Commit(ctx, func(tx *store.Tx) error { return p.saveBackupsGone(tx, gone, left) })
	if err != nil {
		return err
	}
	return later
}

func (p *Plane) saveBackupsGone(tx *store.Tx, gone, left []int64) error {
	for _, image := range gone {
		if err := tx.DropImage(image); err != nil {
			return err
		}
	}
	for _, image := range left {
		if err := tx.KeepBackup(image, tx.Now.Add(retryExpiry)); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		tx.OnCommit(p.backups.Wake)
	}
	return nil
}

// backupsOf lists the backups of a Droplet, which may be gone.
func (p *Plane) backupsOf(ctx context.Context, account, droplet int64) (backups []cloud.Image, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		backups, _, err = tx.DropletImages(account, droplet, cloud.ImageBackup, cloud.Page{})
		return err
	})
	return backups, err
}
