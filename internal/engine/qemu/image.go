package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
)

// ownImage is what the records hold of an account's image: a snapshot, a backup
// or one that was imported.
type ownImage struct {
	engine.Ref
	Regions []string `json:"regions"`
	// MinDisk is the least disk for it, in GiB.
	MinDisk       int64   `json:"min_disk"`
	SizeGigabytes float64 `json:"size_gigabytes"`
	// Disk is how what is made from it boots.
	Disk disk `json:"disk"`
}

func (i ownImage) save(t *database.Tx) error { return save(t, images, i.ID, "", i) }

// CopyImage copies a machine's disk as it is at one instant into a new image.
func (e *Engine) CopyImage(ctx context.Context, w engine.Work, from, ref engine.Ref) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{diskLock(from.ID), imageLock(ref.ID)}, makes: images, id: ref.ID,
		run: func(ctx context.Context, j *job) (effect, error) {
			if i, err := look[ownImage](ctx, e, images, ref.ID); err == nil {
				return effect{progress: engine.Progress{SizeGigabytes: i.SizeGigabytes}}, nil
			}
			m, err := look[machine](ctx, e, machines, from.ID)
			if err != nil {
				return effect{}, err
			}
			i := ownImage{Ref: ref, Regions: []string{m.Region}, MinDisk: m.Shape.Disk, Disk: m.Disk}
			return e.madeImage(&i, e.copyMachine(ctx, j, m, e.folder(images, ref.ID)))
		},
	})
}

// madeImage is the effect of having made an image's files.
func (e *Engine) madeImage(i *ownImage, err error) (effect, error) {
	if err != nil {
		return effect{}, err
	}
	dir := e.folder(images, i.ID)
	if err := e.finish(dir); err != nil {
		return effect{}, err
	}
	bytes, err := allocated(filepath.Join(dir, diskFile))
	i.SizeGigabytes = gigabytes(bytes)
	return effect{record: i.save, progress: engine.Progress{SizeGigabytes: i.SizeGigabytes}}, err
}

// finish seals the copy in a folder, and waits until it is on the disk.
func (e *Engine) finish(dir string) error {
	if err := e.seal(filepath.Join(dir, diskFile)); err != nil {
		return err
	}
	return e.sync(dir)
}

// emptyFolder makes a folder for a copy in place of one that was cut off. It is
// this process's own: machines have links to what is in it.
func emptyFolder(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Mkdir(dir, 0o700)
}

// copyMachine makes an image's folder from a machine's disk.
func (e *Engine) copyMachine(ctx context.Context, j *job, m machine, to string) error {
	if err := emptyFolder(to); err != nil {
		return err
	}
	own := filepath.Join(e.folder(machines, m.ID), m.Disk.path(""))
	if m.Disk.Kernel {
		for _, file := range []string{kernelFile, initrdFile} {
			if err := link(filepath.Join(own, file), to, file); err != nil {
				return err
			}
		}
	}
	vm, err := e.process(m.ID)
	if err != nil {
		return err
	}
	if vm != nil {
		return e.copyLive(ctx, j, vm, "disk", m.Shape.Disk*gibibyte, filepath.Join(to, diskFile))
	}
	return e.copyFile(ctx, own, diskFile, "qcow2", filepath.Join(to, diskFile))
}

// ImportImage makes an image from what a URL leads to.
func (e *Engine) ImportImage(ctx context.Context, w engine.Work, i engine.Import) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{imageLock(i.ID)}, makes: images, id: i.ID,
		run: func(ctx context.Context, j *job) (effect, error) {
			if there, err := look[ownImage](ctx, e, images, i.ID); err == nil {
				return effect{progress: engine.Progress{SizeGigabytes: there.SizeGigabytes}}, nil
			}
			virtual, err := e.fetch(ctx, j, i)
			made := ownImage{Ref: i.Ref, Regions: []string{i.Region}, MinDisk: (virtual + gibibyte - 1) / gibibyte}
			return e.madeImage(&made, err)
		},
	})
}

// fetch makes an image's folder from a URL and returns the size of its disk. What
// is fetched is not trusted: it is looked at before any program opens it.
func (e *Engine) fetch(ctx context.Context, j *job, i engine.Import) (virtual int64, err error) {
	dir := e.folder(images, i.ID)
	if err := emptyFolder(dir); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			discard(dir)
		}
	}()
	fetched := filepath.Join(dir, "fetched")
	file, err := create(fetched)
	if err != nil {
		return 0, err
	}
	defer discard(fetched)
	report := func(done, total int64) {
		if total > 0 {
			j.percent.Store(int32(min(90, 90*done/total)))
		}
	}
	err = image.Fetch(ctx, i.URL, file, image.FetchOptions{Allow: e.ImportAllow, Progress: report})
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, final(ctx, "The image could not be fetched", err)
	}
	info, err := image.Convert(ctx, fetched, filepath.Join(dir, diskFile), image.DefaultLimits())
	return info.VirtualSize, final(ctx, "The image could not be read", err)
}

// final explains why work on something of a user's failed. It is not tried
// again, unless it was cut off.
func final(ctx context.Context, what string, err error) error {
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	return &engine.Error{Message: fmt.Sprintf("%s: %v", what, err)}
}

// TransferImage makes an image available in one more region, all of which are
// this host.
func (e *Engine) TransferImage(ctx context.Context, w engine.Work, ref engine.Ref, region string) (engine.Progress, error) {
	return e.do(ctx, e.changeImage(w, ref.ID, func(i *ownImage) {
		if !slices.Contains(i.Regions, region) {
			i.Regions = append(i.Regions, region)
		}
	}))
}

// WithdrawImage takes an image out of a region. An image that is not there is
// nowhere.
func (e *Engine) WithdrawImage(ctx context.Context, w engine.Work, ref engine.Ref, region string) (engine.Progress, error) {
	c := e.changeImage(w, ref.ID, func(i *ownImage) {
		i.Regions = slices.DeleteFunc(i.Regions, func(r string) bool { return r == region })
	})
	run := c.run
	c.run = func(ctx context.Context, j *job) (effect, error) {
		done, err := run(ctx, j)
		if errors.Is(err, engine.ErrNotFound) {
			return effect{}, nil
		}
		return done, err
	}
	return e.do(ctx, c)
}

func (e *Engine) changeImage(w engine.Work, id string, run func(*ownImage)) call {
	return call{
		work: w, locks: []string{imageLock(id)},
		run: func(ctx context.Context, j *job) (effect, error) {
			i, err := look[ownImage](ctx, e, images, id)
			if err != nil {
				return effect{}, err
			}
			run(&i)
			return effect{record: i.save}, nil
		},
	}
}

// DeleteImage removes an image, or makes sure that it never comes to be.
// Machines that were made from it have their own links to its files.
func (e *Engine) DeleteImage(ctx context.Context, w engine.Work, ref engine.Ref) (engine.Progress, error) {
	return e.do(ctx, e.deletion(w, images, ref.ID))
}

// deletion removes a thing that has nothing but its folder.
func (e *Engine) deletion(w engine.Work, k kind, id string) call {
	return call{
		work: w, locks: []string{string(k) + "/" + id},
		run: func(ctx context.Context, j *job) (effect, error) {
			return effect{record: func(t *database.Tx) error { return bury(t, k, id) }}, os.RemoveAll(e.folder(k, id))
		},
	}
}

// ReplaceImage puts a fresh disk over an image in place of a machine's. The
// former disk is kept until it is replaced again. Taking the work back puts it
// in place, if nothing has replaced it since.
func (e *Engine) ReplaceImage(ctx context.Context, w engine.Work, ref engine.Ref, i engine.Image) (engine.Progress, error) {
	if w.Undo {
		return e.do(ctx, e.changeDisk(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
			if m.ReplacedBy != w.Key {
				return nil
			}
			m.Disk, m.Former, m.ReplacedBy = m.Former, disk{}, ""
			e.dropDisks(j, *m)
			return nil
		}))
	}
	return e.do(ctx, e.changeDisk(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
		from, err := e.sourceOf(ctx, i, m.Region, m.Shape.Disk)
		if err != nil {
			return err
		}
		dir := e.folder(machines, m.ID)
		fresh, err := e.makeDisk(ctx, dir, max(m.Disk.Number, m.Former.Number)+1, from, m.Shape.Disk)
		if err != nil {
			return err
		}
		m.Former, m.Disk, m.ReplacedBy, m.Image = m.Disk, fresh, w.Key, i
		e.dropDisks(j, *m)
		return e.sync(dir)
	}))
}

// dropDisks removes, when it is recorded which disks a machine has, every other.
func (e *Engine) dropDisks(j *job, m machine) {
	j.atEnd = append(j.atEnd, func() {
		recorded, err := look[machine](e.life, e, machines, m.ID)
		if err != nil || recorded.Disk != m.Disk {
			return
		}
		found, _ := filepath.Glob(filepath.Join(e.folder(machines, m.ID), "disk-*"))
		for _, folder := range found {
			name := filepath.Base(folder)
			if name != m.Disk.path("") && name != m.Former.path("") {
				if err := os.RemoveAll(folder); err != nil {
					e.log.Warn("remove a former disk", "machine", m.ID, "error", err)
				}
			}
		}
	})
}
