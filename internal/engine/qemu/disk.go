package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// A machine's disk is a folder of its own in the machine's: links to the files
// of the image that it was made from, and over base.qcow2 what the machine has
// written. The links keep an image's files for as long as a machine needs them,
// even when the image was removed. Names are relative, as QEMU runs in the
// machine's folder.
const (
	diskFile   = "disk.qcow2"
	baseFile   = "base.qcow2"
	kernelFile = "kernel"
	initrdFile = "initrd"
)

const gibibyte = 1 << 30

// disk is a machine's disk: which one, and how it boots.
type disk struct {
	Number int64 `json:"number"`
	// Kernel says that it boots by a kernel beside it, with Cmdline, and not by
	// what is on it.
	Kernel  bool   `json:"kernel,omitempty"`
	Cmdline string `json:"cmdline,omitempty"`
}

// path is where one of a disk's files is, relative to the machine's folder.
func (d disk) path(name string) string { return filepath.Join(fmt.Sprintf("disk-%d", d.Number), name) }

// source is an image that a disk can be made from.
type source struct {
	dir string
	disk
}

// sourceOf finds an image that is to fill a disk of so many GiB, or says why it
// cannot.
func (e *Engine) sourceOf(ctx context.Context, i engine.Image, region string, size int64) (source, error) {
	if i.Base {
		return e.baseSource(i.Slug, size)
	}
	own, err := look[ownImage](ctx, e, images, i.ID)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return source{}, refuse("there is no image %s", i.ID)
	case err != nil:
		return source{}, err
	case !slices.Contains(own.Regions, region):
		return source{}, refuse("image %s is not in %s", i.ID, region)
	case own.MinDisk > size:
		return source{}, refuse("image %s needs a disk of %d GiB and this one has %d", i.ID, own.MinDisk, size)
	}
	return source{e.folder(images, i.ID), own.Disk}, nil
}

func (e *Engine) baseSource(slug string, size int64) (source, error) {
	base, err := e.Images.Find(slug)
	if err != nil {
		return source{}, refuse("image %s is not on this machine: %v", slug, err)
	}
	if base.MinDiskSize > size {
		return source{}, refuse("image %s needs a disk of %d GiB and this one has %d", slug, base.MinDiskSize, size)
	}
	return source{base.Dir, disk{Kernel: base.Kernel, Cmdline: base.Cmdline}}, nil
}

// makeDisk makes a machine's disk of so many GiB over an image.
func (e *Engine) makeDisk(ctx context.Context, dir string, number int64, from source, size int64) (disk, error) {
	d := from.disk
	d.Number = number
	folder := filepath.Join(dir, d.path(""))
	if err := os.RemoveAll(folder); err != nil {
		return d, err
	}
	owner, err := e.ownerOf(dir)
	if err != nil {
		return d, err
	}
	if err := makeFolder(folder, owner); err != nil {
		return d, err
	}
	if err := linkImage(from, folder, baseFile); err != nil {
		return d, err
	}
	_, err = e.img(ctx, folder, "create", "-q", "-f", "qcow2", "-b", baseFile, "-F", "qcow2", diskFile, fmt.Sprint(size*gibibyte))
	return d, err
}

// linkImage links an image's files into a folder, its disk under a name.
func linkImage(from source, folder, name string) error {
	links := map[string]string{diskFile: name}
	if from.Kernel {
		links[kernelFile], links[initrdFile] = kernelFile, initrdFile
	}
	for file, as := range links {
		if err := link(filepath.Join(from.dir, file), folder, as); err != nil {
			return err
		}
	}
	return nil
}

// resizeDisk makes a stopped machine's disk so many GiB. It shrinks only what
// was grown and never used.
func (e *Engine) resizeDisk(ctx context.Context, m machine, size int64) error {
	_, err := e.img(ctx, filepath.Join(e.folder(machines, m.ID), m.Disk.path("")),
		"resize", "-q", "-f", "qcow2", "--shrink", diskFile, fmt.Sprint(size*gibibyte))
	return err
}

// allocated returns how many bytes of the disk a file takes.
func allocated(path string) (int64, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return stat.Blocks * 512, nil
}

// gigabytes is a size in bytes as the API shows it: in GB, with two digits, and
// never nothing.
func gigabytes(bytes int64) float64 {
	return max(0.01, float64((bytes+5e6)/1e7)/100)
}

func syncFilesystem(f *os.File) error {
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", f.Name(), err)
	}
	return nil
}
