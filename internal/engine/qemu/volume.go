package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
)

// A volume is a file of its own, as large as the volume and with holes where
// nothing was written. A machine that it is attached to has a link to it in its
// folder.
const volumeFile = "volume.raw"

// volume is what the records hold of a volume.
type volume struct {
	engine.Volume
	// Machine is the ID of the machine that it is attached to, or empty.
	Machine string `json:"machine"`
}

func (v volume) save(t *database.Tx) error { return save(t, volumes, v.ID, v.Machine, v) }

// node and fileNode are the volume's names in QEMU, and file is the link in the
// machine's folder.
func (v volume) node() string     { return "vol-" + nodeID(v.ID) }
func (v volume) fileNode() string { return "vof-" + nodeID(v.ID) }
func (v volume) file() string     { return "volume-" + v.ID + ".raw" }

// nodeID shortens an ID to what fits QEMU's names, which have 31 characters at
// most: of a UUID, its first 24 hexadecimal digits.
func nodeID(id string) string {
	id = strings.ReplaceAll(id, "-", "")
	return id[:min(len(id), 24)]
}

// CreateVolume makes a volume, empty, with a filesystem, or filled from a
// snapshot.
func (e *Engine) CreateVolume(ctx context.Context, w engine.Work, v engine.Volume) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{volumeLock(v.ID)}, makes: volumes, id: v.ID,
		run: func(ctx context.Context, j *job) (effect, error) {
			there, err := e.isThere(ctx, volumes, v.ID)
			if err != nil || there {
				return effect{}, err
			}
			return effect{record: volume{Volume: v}.save}, e.makeVolume(ctx, v)
		},
	})
}

func (e *Engine) makeVolume(ctx context.Context, v engine.Volume) error {
	dir := e.folder(volumes, v.ID)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := makeFolder(dir, e.User); err != nil {
		return err
	}
	if v.Snapshot.ID != "" {
		if err := e.fill(ctx, v, dir); err != nil {
			return err
		}
	} else if err := e.makeFile(dir, volumeFile); err != nil {
		return err
	}
	if err := e.grow(filepath.Join(dir, volumeFile), v.SizeGigabytes*gibibyte); err != nil {
		return err
	}
	if v.Snapshot.ID == "" {
		if err := e.format(ctx, v, dir); err != nil {
			return err
		}
	}
	return e.sync(dir)
}

// fill makes a volume's file from a snapshot.
func (e *Engine) fill(ctx context.Context, v engine.Volume, dir string) error {
	s, err := look[volumeSnapshot](ctx, e, snapshots, v.Snapshot.ID)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return refuse("there is no snapshot %s", v.Snapshot.ID)
	case err == nil && s.VolumeGigabytes > v.SizeGigabytes:
		return refuse("snapshot %s needs a volume of %d GiB and this one has %d", s.ID, s.VolumeGigabytes, v.SizeGigabytes)
	case err != nil:
		return err
	}
	from := "from.qcow2"
	if err := link(filepath.Join(e.folder(snapshots, s.ID), diskFile), dir, from); err != nil {
		return err
	}
	if _, err := e.img(ctx, dir, "convert", "-q", "-f", "qcow2", "-O", "raw", from, volumeFile); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, from))
}

// grow makes a file at least so large, and waits until it is so on the disk.
func (e *Engine) grow(path string, size int64) error {
	f, err := openPlain(path, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < size {
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	if e.Unsafe {
		return nil
	}
	return f.Sync()
}

// format puts the filesystem on a new volume that was asked for.
func (e *Engine) format(ctx context.Context, v engine.Volume, dir string) error {
	switch v.FilesystemType {
	case "":
		return nil
	case "ext4":
		return e.makeFilesystem(ctx, v, dir, "mkfs.ext4", "e2fsprogs", "-q", "-F")
	case "xfs":
		return e.makeFilesystem(ctx, v, dir, "mkfs.xfs", "xfsprogs", "-q", "-f")
	}
	return refuse("there is no filesystem %s here: use ext4 or xfs", v.FilesystemType)
}

// makeFilesystem has a program make a filesystem, which is in one of Debian's
// packages.
func (e *Engine) makeFilesystem(ctx context.Context, v engine.Volume, dir, program, pack string, args ...string) error {
	if v.FilesystemLabel != "" {
		args = append(args, "-L", v.FilesystemLabel)
	}
	path, err := host.Find(program)
	if err != nil {
		return refuse("%s is not installed on the server: apt-get install %s", program, pack)
	}
	_, err = e.tool(ctx, dir, path, append(args, volumeFile)...)
	return err
}

// ResizeVolume makes a volume larger, attached or not.
func (e *Engine) ResizeVolume(ctx context.Context, w engine.Work, ref engine.Ref, size int64) (engine.Progress, error) {
	return e.do(ctx, e.changeVolume(w, ref.ID, func(ctx context.Context, v *volume) error {
		if size < v.SizeGigabytes {
			return refuse("volume %s has %d GiB and cannot shrink to %d", v.ID, v.SizeGigabytes, size)
		}
		if err := e.grow(filepath.Join(e.folder(volumes, v.ID), volumeFile), size*gibibyte); err != nil {
			return err
		}
		v.SizeGigabytes = size
		machine, err := e.process(v.Machine)
		if err != nil || machine == nil {
			return err
		}
		return machine.execute(ctx, "block_resize", map[string]any{"node-name": v.node(), "size": size * gibibyte}, nil)
	}))
}

// changeVolume makes a call that changes a volume that is there, together with
// the machine that it is attached to.
func (e *Engine) changeVolume(w engine.Work, id string, run func(ctx context.Context, v *volume) error) call {
	return call{
		work: w,
		run: func(ctx context.Context, j *job) (effect, error) {
			v, unlock, err := e.lockVolume(ctx, id, machineLock)
			if err != nil {
				return effect{}, err
			}
			j.atEnd = append(j.atEnd, unlock)
			if err := run(ctx, &v); err != nil {
				return effect{}, err
			}
			return effect{record: v.save}, nil
		},
	}
}

// lockVolume takes the lock of a volume, after one of the machine that it is
// attached to. Which machine that is can change until both are held.
func (e *Engine) lockVolume(ctx context.Context, id string, of func(machine string) string) (v volume, unlock func(), err error) {
	for {
		before, err := look[volume](ctx, e, volumes, id)
		if err != nil {
			return before, nil, err
		}
		names := []string{volumeLock(id)}
		if before.Machine != "" {
			names = []string{of(before.Machine), volumeLock(id)}
		}
		if unlock, err = e.locks.take(ctx, names); err != nil {
			return before, nil, err
		}
		v, err = look[volume](ctx, e, volumes, id)
		if err == nil && v.Machine == before.Machine {
			return v, unlock, nil
		}
		unlock()
		if err != nil {
			return v, nil, err
		}
	}
}

// DeleteVolume removes a volume that is attached nowhere, or makes sure that it
// never comes to be.
func (e *Engine) DeleteVolume(ctx context.Context, w engine.Work, ref engine.Ref) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{volumeLock(ref.ID)},
		run: func(ctx context.Context, j *job) (effect, error) {
			v, err := look[volume](ctx, e, volumes, ref.ID)
			switch {
			case err == nil && v.Machine != "":
				return effect{}, refuse("the volume is attached to machine %s", v.Machine)
			case err != nil && !errors.Is(err, engine.ErrNotFound):
				return effect{}, err
			}
			return effect{record: func(t *database.Tx) error { return bury(t, volumes, ref.ID) }}, os.RemoveAll(e.folder(volumes, ref.ID))
		},
	})
}

// AttachVolume attaches a volume to a machine, running or not.
func (e *Engine) AttachVolume(ctx context.Context, w engine.Work, ref, to engine.Ref) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{machineLock(to.ID), volumeLock(ref.ID)},
		run: func(ctx context.Context, j *job) (effect, error) {
			m, err := look[machine](ctx, e, machines, to.ID)
			if err != nil {
				return effect{}, err
			}
			v, err := look[volume](ctx, e, volumes, ref.ID)
			switch {
			case err != nil:
				return effect{}, err
			case v.Machine != "" && v.Machine != m.ID:
				return effect{}, refuse("the volume is attached to machine %s", v.Machine)
			case v.Region != m.Region:
				return effect{}, refuse("volume %s is in %s and machine %s in %s", v.ID, v.Region, m.ID, m.Region)
			}
			v.Machine = m.ID
			return effect{record: v.save}, e.plugVolume(ctx, v)
		},
	})
}

// plugVolume gives a running machine a volume that it may have already.
func (e *Engine) plugVolume(ctx context.Context, v volume) error {
	machine, err := e.process(v.Machine)
	if err != nil || machine == nil {
		return err
	}
	if has, err := machine.hasDevice(ctx, v.node()); err != nil || has {
		return err
	}
	if err := e.linkVolumes(v.Machine, []volume{v}); err != nil {
		return err
	}
	if err := machine.dropNodes(ctx, v.node(), v.fileNode()); err != nil { // of a try that was cut off
		return err
	}
	for _, node := range []map[string]any{
		{"driver": "file", "node-name": v.fileNode(), "filename": v.file(), "discard": "unmap"},
		{"driver": "raw", "node-name": v.node(), "file": v.fileNode(), "discard": "unmap"},
	} {
		if err := machine.execute(ctx, "blockdev-add", node, nil); err != nil {
			return err
		}
	}
	return machine.execute(ctx, "device_add", map[string]any{
		"driver": "scsi-hd", "bus": "scsi.0", "id": v.node(), "drive": v.node(),
		"vendor": "DO", "product": "Volume", "serial": v.Name, "device_id": v.Name,
	}, nil)
}

// linkVolumes gives volumes to whoever runs a machine, and puts links to them into
// its folder.
func (e *Engine) linkVolumes(machine string, attached []volume) error {
	for _, v := range attached {
		if err := e.handOver(v.ID, e.User.of(machine)); err != nil {
			return fmt.Errorf("volume %s: %w", v.ID, err)
		}
		if err := link(filepath.Join(e.folder(volumes, v.ID), volumeFile), e.folder(machines, machine), v.file()); err != nil {
			return fmt.Errorf("volume %s: %w", v.ID, err)
		}
	}
	return nil
}

// DetachVolume frees a volume from one machine. A volume that is not attached
// to it is left alone, so that a late detach cannot undo a newer attach.
func (e *Engine) DetachVolume(ctx context.Context, w engine.Work, ref, from engine.Ref) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{machineLock(from.ID), volumeLock(ref.ID)},
		run: func(ctx context.Context, j *job) (effect, error) {
			v, err := look[volume](ctx, e, volumes, ref.ID)
			if errors.Is(err, engine.ErrNotFound) {
				return effect{}, nil
			}
			if err != nil {
				return effect{}, err
			}
			// An attach that was cut off has plugged it in without having noted it.
			if err := e.unplugVolume(ctx, from.ID, v); err != nil || v.Machine != "" && v.Machine != from.ID {
				return effect{}, err
			}
			v.Machine = ""
			return effect{record: v.save}, e.takeBackVolume(v)
		},
	})
}

// unplugVolume takes a volume from a machine that has it, running or not.
func (e *Engine) unplugVolume(ctx context.Context, machine string, v volume) error {
	vm, err := e.process(machine)
	if err != nil {
		return err
	}
	if vm != nil {
		if err := vm.removeDevice(ctx, v.node()); err != nil {
			return err
		}
		if err := vm.dropNodes(ctx, v.node(), v.fileNode()); err != nil {
			return err
		}
	}
	err = os.Remove(filepath.Join(e.folder(machines, machine), v.file()))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}

// volumesOf lists the volumes that are attached to a machine.
func (e *Engine) volumesOf(ctx context.Context, machine string) (attached []volume, err error) {
	err = e.db.Peek(ctx, func(t *database.Tx) (err error) {
		attached, err = all[volume](t, volumes, machine)
		return err
	})
	return attached, err
}
