package image

import (
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// debianFiles are what is put into Debian.
//
//go:embed debian
var debianFiles embed.FS

const (
	debianDiskSize = 2 << 30
	// debianStart is where the one partition begins. What starts the machine is
	// in front of it.
	debianStart = 1 << 20
	sectorSize  = 512
	grubFolder  = "/usr/lib/grub/i386-pc"
)

var debianPackages = []string{
	"linux-image-cloud-amd64", "systemd-sysv", "ifupdown", "resolvconf", "dbus", "udev", "cloud-init", "cloud-guest-utils", "fdisk", "parted",
	"openssh-server", "qemu-guest-agent", "e2fsprogs", "xfsprogs", "ca-certificates", "curl", "iproute2", "iputils-ping", "netbase", "sudo",
	"nano", "less", "procps", "kmod", "gpg", "apt-utils",
}

func debian12() recipe {
	return recipe{
		Spec: Spec{
			Slug: "debian-12", Name: "12 x64", Distribution: "Debian", Description: "Debian 12 with cloud-init and the QEMU guest agent",
			Aliases: []string{"debian-12-x64"},
		},
		tools: map[string]string{
			"apt-get": "apt", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "fakeroot": "fakeroot", "tar": "tar", "qemu-img": "qemu-utils",
			"grub-mkimage": "grub-common",
		},
		files:    debianFiles,
		contents: []any{debianPackages, debianDiskSize},
		build:    buildDebian12,
	}
}

func buildDebian12(ctx context.Context, b *builder) error {
	if _, err := os.Stat(filepath.Join(grubFolder, "boot.img")); err != nil {
		return errors.New("building needs GRUB for machines with a BIOS; on Debian or Ubuntu it is installed with: apt-get install grub-pc-bin")
	}
	if _, err := os.Stat(keyring); err != nil {
		return errNoKeyring
	}
	b.tell("installing Debian 12, which takes some minutes")
	if err := b.debianRoot(ctx); err != nil {
		return err
	}
	b.tell("making the disk")
	disk := b.path("disk.raw")
	if err := b.debianDisk(ctx, disk); err != nil {
		return err
	}
	if err := b.debianStarter(ctx, disk); err != nil {
		return err
	}
	return b.toQcow2(ctx, disk)
}

// debianRoot makes an archive of the whole system.
func (b *builder) debianRoot(ctx context.Context) error {
	for _, name := range []string{"grub.cfg", "cloud.cfg", "sshd.conf", "fstab", "customize"} {
		data, err := debianFiles.ReadFile("debian/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.path(name), data, 0o755); err != nil {
			return err
		}
	}
	plain := strings.NewReplacer("[arch=amd64 signed-by="+keyring+"] ", "").Replace(sources())
	if err := os.WriteFile(b.path("sources.list"), []byte(plain), 0o644); err != nil {
		return err
	}
	args := []string{
		"--quiet", "--variant=minbase", "--architectures=amd64", "--include=" + strings.Join(debianPackages, ","),
		"--aptopt=Acquire::Retries \"3\"", fmt.Sprintf("--customize-hook=%q \"$1\" %q", b.path("customize"), b.work), "bookworm", "root.tar",
	}
	for line := range strings.Lines(sources()) {
		args = append(args, strings.TrimSpace(line))
	}
	_, err := b.run(ctx, "mmdebstrap", args...)
	return err
}

// debianDisk unpacks the archive into a file system on a partition. Within
// fakeroot files keep their owners although nobody here may give them away.
func (b *builder) debianDisk(ctx context.Context, disk string) error {
	script := `mkdir root && tar -xpf root.tar -C root --exclude=./dev/* && rm root.tar &&
		mke2fs -q -t ext4 -L debian-root -E "offset=$1,lazy_itable_init=1" -d root "$2" "$3"`
	_, err := b.run(ctx, "fakeroot", "sh", "-c", script, "sh", fmt.Sprint(debianStart), disk, fmt.Sprintf("%dk", (debianDiskSize-debianStart)/1024))
	if err != nil {
		return err
	}
	return os.Truncate(disk, debianDiskSize)
}

// debianStarter puts GRUB in front of the partition: what the BIOS loads into
// the first sector, beside the table of partitions, and the rest right behind.
func (b *builder) debianStarter(ctx context.Context, disk string) error {
	core := b.path("core.img")
	_, err := b.run(ctx, "grub-mkimage", "-O", "i386-pc", "-d", grubFolder, "-p", "(hd0,msdos1)/boot/grub", "-o", core,
		"biosdisk", "part_msdos", "ext2", "normal", "linux", "boot", "configfile", "serial", "terminal", "echo", "test", "sleep")
	if err != nil {
		return err
	}
	first, err := os.ReadFile(filepath.Join(grubFolder, "boot.img"))
	if err != nil {
		return err
	}
	rest, err := os.ReadFile(core)
	if err != nil {
		return err
	}
	if len(first) != sectorSize || len(rest) > debianStart-sectorSize {
		return fmt.Errorf("GRUB does not fit in front of the partition: it has %d and %d bytes", len(first), len(rest))
	}
	file, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	copy(first[446:], partitionTable(debianStart/sectorSize, (debianDiskSize-debianStart)/sectorSize))
	_, err = file.WriteAt(append(first, rest...), 0)
	return errors.Join(err, file.Close())
}

// partitionTable is one of one partition with Linux, that machines start from,
// and the mark of a sector to start from.
func partitionTable(start, length uint32) []byte {
	table := make([]byte, sectorSize-446)
	copy(table, []byte{0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff})
	binary.LittleEndian.PutUint32(table[8:], start)
	binary.LittleEndian.PutUint32(table[12:], length)
	table[64], table[65] = 0x55, 0xaa
	return table
}
