package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// handOver gives a volume to somebody else. A file that nobody has who runs
// machines was put there by mischief.
func (e *Engine) handOver(id string, to *User) error {
	folder := e.folder(volumes, id)
	from, err := e.ownerOf(folder)
	if err != nil || from == nil || from.UID == to.UID {
		return err
	}
	f, err := openPlain(filepath.Join(folder, volumeFile), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if stat, is := info.Sys().(*syscall.Stat_t); !is || stat.Uid != from.UID && !e.User.runsMachines(stat.Uid) {
		return fmt.Errorf("%s is no machine's", f.Name())
	}
	if err := to.chown(f); err != nil {
		return err
	}
	return to.lchown(folder) // last, so that one that was cut off is gone on with
}

// takeBackVolume takes a volume from whoever ran the machine that it was attached
// to.
func (e *Engine) takeBackVolume(v volume) error {
	if err := e.handOver(v.ID, e.User); err != nil {
		return fmt.Errorf("volume %s: %w", v.ID, err)
	}
	return nil
}

// takeBackVolumes is takeBackVolume for all that are attached to a machine that
// is destroyed. What fails is no reason to keep it: whom a volume is attached to
// next takes it as well.
func (e *Engine) takeBackVolumes(ctx context.Context, machine string) {
	attached, err := e.volumesOf(ctx, machine)
	for _, v := range attached {
		err = errors.Join(err, e.takeBackVolume(v))
	}
	if err != nil {
		e.log.Error("take back the volumes of a machine that is destroyed", "machine", machine, "error", err)
	}
}
