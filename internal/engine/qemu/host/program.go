package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// MinimumQEMU is the first version that has all that machines need: networks of
// datagrams over sockets came with it.
const MinimumQEMU = "7.2"

// ErrMissing is a program that is not installed.
var ErrMissing = errors.New("not found")

// Program is one that is installed.
type Program struct{ Path, Version string }

// systemFolders have programs that are no user's to run, and are missing in the
// PATH of many users.
var systemFolders = []string{"/usr/libexec", "/usr/sbin", "/sbin"}

// Find returns the path of the first of some programs that is installed, also
// where PATH does not lead, or an [ErrMissing].
func Find(names ...string) (string, error) {
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return filepath.Abs(found)
		}
		for _, folder := range systemFolders {
			if found, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("%s: %w", strings.Join(names, ", "), ErrMissing)
}

// QEMU finds the program that runs machines of the x86-64 kind.
func QEMU(ctx context.Context) (Program, error) {
	names := []string{"qemu-system-x86_64"}
	if runtime.GOARCH == "amd64" {
		names = append(names, "qemu-kvm") // its name where a distribution has one for its own kind only
	}
	return find(ctx, names...)
}

// QEMUImg finds the program that makes and converts disks.
func QEMUImg(ctx context.Context) (Program, error) { return find(ctx, "qemu-img") }

var versionWords = regexp.MustCompile(`version (\d+\.\d+[.\d]*)`)

func find(ctx context.Context, names ...string) (p Program, err error) {
	if p.Path, err = Find(names...); err != nil {
		return p, err
	}
	out, err := run(ctx, "", p.Path, "--version")
	if err != nil {
		return p, err
	}
	words := versionWords.FindStringSubmatch(out)
	if words == nil {
		return p, fmt.Errorf("%s --version names no version", p.Path)
	}
	p.Version = words[1]
	return p, nil
}

// run runs a program that ends by itself at once. It gets ten seconds.
func run(ctx context.Context, in, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(in)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s does not end: %w", program, ctx.Err())
	case err != nil:
		words, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		return "", fmt.Errorf("%s fails: %w: %s", program, err, words)
	}
	return string(out), nil
}

// AtLeast reports whether the program is of a version, such as 7.2, or later.
func (p Program) AtLeast(version string) bool {
	have := strings.Split(p.Version, ".")
	for i, word := range strings.Split(version, ".") {
		want, _ := strconv.Atoi(word)
		got := 0
		if i < len(have) {
			got, _ = strconv.Atoi(have[i])
		}
		if got != want {
			return got > want
		}
	}
	return true
}

// Try starts a machine without a guest the way that machines are started, and
// ends it. It fails where QEMU was built without something that they need.
func Try(ctx context.Context, qemu Program, accel string) error {
	_, err := run(ctx, "quit\n", qemu.Path, "-accel", accel, "-machine", "q35", "-m", "16", "-S", "-display", "none", "-nodefaults", "-no-user-config",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-netdev", "dgram,id=net,local.type=inet,local.host=127.0.0.1,local.port=0,remote.type=inet,remote.host=127.0.0.1,remote.port=9",
		"-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-scsi-pci", "-device", "virtio-rng-pci", "-device", "VGA",
		"-monitor", "stdio")
	return err
}
