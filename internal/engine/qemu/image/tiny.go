package image

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tinyFiles are the first program of a tiny machine, and what is on its disk
// beside Debian's programs.
//
//go:embed all:tiny
var tinyFiles embed.FS

// What the tiny image is made of.
var (
	tinyPackages = []string{
		"busybox-static", "dropbear-bin", "qemu-guest-agent", "e2fsprogs", "util-linux",
		"libc6", "libtomcrypt1", "libtommath1", "zlib1g", "libcrypt1", "libgmp10", "libglib2.0-0", "libpcre2-8-0", "libudev1",
		"libnuma1", "liburing2", "libext2fs2", "libcom-err2", "libblkid1", "libuuid1",
	}
	tinyPrograms = []string{"dropbear", "dropbearkey", "qemu-ga", "mke2fs", "e2fsck", "resize2fs", "blkid"}
	// tinyBoot are loaded at each start, and tinyModules when they are needed.
	tinyBoot = []string{
		"virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "sd_mod", "virtio_console", "virtio_rng", "evdev", "button",
	}
	tinyModules = append([]string{"xfs", "vfat", "nls_cp437", "nls_ascii", "isofs", "virtio_balloon"}, tinyBoot...)
	// tinyLinks are names of what is there under another.
	tinyLinks = map[string]string{
		"usr/bin": "../bin", "usr/sbin": "../bin", "sbin": "bin",
		"bin/mkfs.ext2": "mke2fs", "bin/mkfs.ext3": "mke2fs", "bin/mkfs.ext4": "mke2fs", "bin/fsck.ext4": "e2fsck",
		"bin/poweroff": "leave", "bin/reboot": "leave", "bin/halt": "leave", "bin/shutdown": "leave",
		"etc/mtab": "/proc/mounts",
	}
)

const (
	tinyDiskSize = 64 << 20
	// tinyCmdline has the console that programs write to last. Both the screen and
	// the serial port have one. The kernel counts a few ticks of its timer against
	// the processor's clock and panics where some are missing, which an emulated
	// machine loses when its host has no time for it (no_timer_check).
	tinyCmdline = "root=/dev/vda console=tty0 console=ttyS0 quiet no_timer_check panic=10"
)

func tiny() recipe {
	return recipe{
		Spec: Spec{
			Slug: "tiny", Name: "Cistern tiny", Distribution: "Cistern",
			Description: "Busybox, Dropbear and the QEMU guest agent on Debian's kernel: starts in seconds",
		},
		tools: map[string]string{
			"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg", "mke2fs": "e2fsprogs", "debugfs": "e2fsprogs", "qemu-img": "qemu-utils",
		},
		files:    tinyFiles,
		contents: []any{tinyPackages, tinyPrograms, tinyModules, tinyLinks, tinyDiskSize, tinyCmdline},
		build:    buildTiny,
	}
}

func buildTiny(ctx context.Context, b *builder) error {
	b.tell("fetching the lists of packages")
	if err := b.prepareApt(ctx); err != nil {
		return err
	}
	kernel, err := b.kernelPackage(ctx)
	if err != nil {
		return err
	}
	b.tell("fetching " + kernel + " and programs")
	files, err := b.unpack(ctx, append([]string{kernel}, tinyPackages...)...)
	if err != nil {
		return err
	}
	b.tell("making the disk")
	version := strings.TrimPrefix(kernel, "linux-image-")
	all, err := findModules(filepath.Join(files, "lib/modules", version))
	if err != nil {
		return err
	}
	if err := b.tinyRoot(ctx, files, version, all); err != nil {
		return err
	}
	if err := b.tinyDisk(ctx); err != nil {
		return err
	}
	if err := b.tinyInitrd(files, version, all); err != nil {
		return err
	}
	b.image.Kernel, b.image.Cmdline = true, tinyCmdline
	return copyFile(filepath.Join(files, "boot/vmlinuz-"+version), filepath.Join(b.out, KernelFile), 0o644)
}

// tinyRoot fills the folder that the disk is made from.
func (b *builder) tinyRoot(ctx context.Context, files, version string, all modules) error {
	root := b.path("root")
	for _, folder := range []string{"bin", "dev", "proc", "sys", "run", "tmp", "mnt", "root", "usr/local/bin", "usr/local/sbin",
		"etc/dropbear", "var/log", "var/lib/cistern", "var/tmp", "home", "opt", "srv"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	if err := copyEmbedded("tiny/root", root); err != nil {
		return err
	}
	if err := installPrograms(files, root, append([]string{"busybox"}, tinyPrograms...)...); err != nil {
		return err
	}
	for name, to := range tinyLinks {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	if err := all.install(root, version, tinyModules...); err != nil {
		return err
	}
	return errors.Join(b.busyboxLinks(ctx, root), os.Symlink("/run", filepath.Join(root, "var/run")), secure(root))
}

// secure closes what is not for everyone to read, and opens what is for all.
func secure(root string) error {
	return errors.Join(os.Chmod(root, 0o755), os.Chmod(filepath.Join(root, "root"), 0o700),
		os.Chmod(filepath.Join(root, "etc/shadow"), 0o600), os.Chmod(filepath.Join(root, "var/tmp"), 0o777|os.ModeSticky))
}

// busyboxLinks gives busybox's programs their names, where no other has them.
func (b *builder) busyboxLinks(ctx context.Context, root string) error {
	names, err := b.run(ctx, filepath.Join(root, "bin/busybox"), "--list")
	if err != nil {
		return fmt.Errorf("busybox cannot run here, which takes an x86-64 machine: %w", err)
	}
	for name := range strings.FieldsSeq(names + " init getty login") {
		err := os.Symlink("busybox", filepath.Join(root, "bin", name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// copyEmbedded writes files of the recipe. Those that begin like scripts can be
// run.
func copyEmbedded(from, to string) error {
	return fs.WalkDir(tinyFiles, from, func(name string, d fs.DirEntry, err error) error {
		target := filepath.Join(to, strings.TrimPrefix(name, from))
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(target, 0o755))
		}
		data, err := tinyFiles.ReadFile(name)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if bytes.HasPrefix(data, []byte("#!")) {
			mode = 0o755
		}
		return errors.Join(os.WriteFile(target, data, mode), os.Chmod(target, mode))
	})
}

// tinyDisk makes the disk. Its file system can grow to 1 TiB while it is used,
// for which its journal has to be larger than one of this size would be.
func (b *builder) tinyDisk(ctx context.Context) error {
	raw := b.path("disk.raw")
	_, err := b.run(ctx, "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-m", "1", "-L", "cistern-tiny", "-J", "size=16",
		"-E", fmt.Sprintf("resize=%d,lazy_itable_init=1,root_owner=0:0", (1<<40)/4096),
		"-d", b.path("root"), raw, fmt.Sprint(tinyDiskSize/4096))
	if err != nil {
		return err
	}
	if err := b.ownedByRoot(ctx, b.path("root"), raw); err != nil {
		return err
	}
	return b.toQcow2(ctx, raw)
}

// tinyInitrd makes the first file system. It is not compressed: taking it apart
// costs an emulated processor more than reading it.
func (b *builder) tinyInitrd(files, version string, all modules) error {
	root := b.path("initrd")
	if err := all.install(root, version, tinyBoot...); err != nil {
		return err
	}
	if err := installBusybox(files, root); err != nil {
		return err
	}
	init, err := tinyFiles.ReadFile("tiny/init")
	if err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(b.out, InitrdFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	c := &cpioWriter{w: out}
	for _, folder := range []string{"dev", "proc", "sys", "root"} {
		c.folder(folder)
	}
	c.device("dev/console", 5, 1)
	c.file("init", 0o755, init)
	c.link("sbin", "bin")
	c.file("modules", 0o644, []byte(strings.Join(tinyBoot, " ")+"\n"))
	if err := c.tree(root); err != nil {
		return err
	}
	c.link("bin/sh", "busybox")
	return errors.Join(c.close(), out.Close())
}

func installBusybox(files, root string) error {
	busybox, err := findIn(files, programFolders, "busybox")
	if err != nil {
		return err
	}
	return copyFile(busybox, filepath.Join(root, "bin/busybox"), 0o755)
}
