package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/routed"
)

func TestDoctorRefuses(t *testing.T) {
	for want, d := range map[string]Doctor{
		"--engine incus: use sim or qemu":         {Engine: "incus", Network: "user", Accel: "auto"},
		"--network bridge: use user or routed":    {Engine: "qemu", Network: "bridge", Accel: "auto"},
		"--accel hvf: use auto, kvm or tcg":       {Engine: "qemu", Network: "user", Accel: "hvf"},
		"--accel : use auto, kvm or tcg":          {Engine: "sim", Network: "user"},
		"--network : use user or routed":          {Engine: "sim", Accel: "auto"},
		"--engine : use sim or qemu":              {Network: "user", Accel: "tcg"},
		"--engine QEMU: use sim or qemu":          {Engine: "QEMU", Network: "user", Accel: "kvm"},
		"--network user,routed: use user or rout": {Engine: "qemu", Network: "user,routed", Accel: "auto"},
	} {
		if checks, err := d.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) || checks != nil {
			t.Errorf("%+v: %v, %v", d, checks, err)
		}
	}
}

// Each check in each state, with what mends it.
func TestChecks(t *testing.T) {
	d := Doctor{Engine: "qemu", Data: "/srv/cistern", Accel: "auto"}
	forced := Doctor{Accel: "kvm"}
	denied := &fs.PathError{Op: "open", Path: "/dev/kvm", Err: fs.ErrPermission}
	listening := func(ssh, other error) func(netip.AddrPort) error {
		return func(at netip.AddrPort) error {
			if at.Port() == 22 {
				return ssh
			}
			return other
		}
	}
	busy, low := os.NewSyscallError("bind", syscall.EADDRINUSE), os.NewSyscallError("bind", syscall.EACCES)
	for _, test := range []struct {
		check             Check
		state, found, fix string
	}{
		{checkProgram("qemu", host.Program{}, fmt.Errorf("qemu: %w", host.ErrMissing)), "problem", "not found", "install"},
		{checkProgram("qemu", host.Program{}, errors.New("it fails")), "problem", "it fails", "install"},
		{checkProgram("qemu", host.Program{Path: "/usr/bin/q", Version: "6.2.0"}, nil), "problem", "6.2.0, and machines need 7.2", "install"},
		{checkProgram("qemu", host.Program{Path: "/usr/bin/q", Version: "8.0.1"}, nil), "ok", "version 8.0.1, /usr/bin/q", ""},
		{d.checkKVM(host.Probe{Why: "open /dev/kvm: permission denied", Err: denied}), "warning", "machines run without (tcg)", "usermod -aG kvm"},
		{d.checkKVM(host.Probe{Why: "none", Err: fs.ErrNotExist}), "warning", "not usable: none", "modprobe kvm_"},
		{d.checkKVM(host.Probe{Why: "its test took 257ms", Figure: 257 * time.Millisecond}), "warning", "257ms", ""},
		{forced.checkKVM(host.Probe{Why: "its test took 257ms"}), "problem", "257ms", "--accel auto"},
		{forced.checkKVM(host.Probe{Usable: true, Why: "its test took 310µs"}), "ok", "usable: its test took 310µs", ""},
		{checkStart("tcg", errors.New("no seccomp")), "problem", "no seccomp", "install"},
		{checkStart("tcg", nil), "ok", "starts with tcg", ""},
		{checkMemory(host.Memory{}, 2, errors.New("unknown")), "warning", "unknown", ""},
		{checkMemory(host.Memory{Total: 8 << 30, Available: 500 << 20}, 2, nil), "problem", "0.5 GiB of 8.0 GiB", "ps "},
		{checkMemory(host.Memory{Total: 8 << 30, Available: 1 << 30}, 2, nil), "warning", "few machines", "ps "},
		{checkMemory(host.Memory{Total: 8 << 30, Available: 7 << 30}, 2, nil), "ok", "7.0 GiB of 8.0 GiB available; processors: 2", ""},
		{d.checkFolder(false, errors.New("permission denied")), "problem", "permission denied", "/srv/cistern"},
		{d.checkFolder(true, nil), "ok", "/srv/cistern", ""},
		{d.checkDisk(host.Disk{}, errors.New("it is a file")), "problem", "it is a file", "--data"},
		{d.checkDisk(host.Disk{Total: 9 << 30, Free: 1 << 29}, nil), "problem", "0.5 GiB of 9.0 GiB free", "df "},
		{d.checkDisk(host.Disk{Total: 9 << 30, Free: 9 << 30}, nil), "warning", "few machines", "df "},
		{d.checkDisk(host.Disk{Total: 90 << 30, Free: 80 << 30}, nil), "ok", "80.0 GiB of 90.0 GiB free", ""},
		{checkPorts(listening(busy, busy)), "problem", "nothing can be listened on at 127.100.0.1: address already in use", "ip link set lo up"},
		{checkPorts(listening(low, nil)), "warning", "from 2222 on", "sysctl net.ipv4.ip_unprivileged_port_start=22"},
		{checkPorts(listening(busy, nil)), "warning", "port 22 is taken", "ss -ltnp"},
		{checkPorts(listening(nil, nil)), "ok", "port 22", ""},
		{checkRoot(false), "problem", "it takes root", "sudo cistern serve"},
		{checkRoot(true), "ok", "root", ""},
		{checkTun(denied), "problem", "permission denied", "modprobe tun"},
		{checkTun(nil), "ok", "/dev/net/tun", ""},
		{checkUplink("eth0", nil), "ok", "eth0 has the default route", ""},
		{checkUplink("", &routed.Unready{Why: "nothing leads there", Command: "ip link"}), "problem", "nothing leads there", "ip link"},
		{checkUplink("", denied), "problem", "permission denied", ""},
	} {
		c := test.check
		if c.State != test.state || !strings.Contains(c.Found, test.found) || !strings.Contains(c.Fix, test.fix) || (c.Fix == "") != (test.fix == "") {
			t.Errorf("%+v, want %s, %q, %q", c, test.state, test.found, test.fix)
		}
	}
}

func TestFolderThatNobodyElseCanEnter(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	d := Doctor{Data: filepath.Join(closed, "data")}
	if c := d.checkFolder(true, nil); c.State != CheckWarning || !strings.Contains(c.Found, "nobody else can go through "+closed) {
		t.Errorf("%+v", c)
	}
	if c := d.checkFolder(false, nil); c.State != CheckOK {
		t.Errorf("%+v", c)
	}
}

func TestImagesAreFound(t *testing.T) {
	d := Doctor{Data: filepath.Join(t.TempDir(), "a [strange] folder")}
	c := d.images()
	if want := "cistern image build tiny --data '" + d.Data + "'"; c.State != CheckProblem || c.Fix != want {
		t.Errorf("%+v", c)
	}
	for _, name := range []string{"tiny", "debian-12-x64", ".new-1"} {
		if err := os.MkdirAll(filepath.Join(d.Data, "images", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tiny", "debian-12-x64"} {
		if err := os.WriteFile(filepath.Join(d.Data, "images", name, "image.json"), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c := d.images(); c.State != CheckOK || c.Found != "debian-12-x64, tiny" {
		t.Errorf("%+v", c)
	}
}

func TestInstallOn(t *testing.T) {
	for release, want := range map[string]string{
		"": "apt-get install qemu-system-x86 qemu-utils",
		"NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n": "apt-get install qemu-system-x86 qemu-utils",
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"": "dnf install qemu-kvm qemu-img",
		"ID=fedora\n": "dnf install qemu-kvm qemu-img",
		"ID=alpine\n": "apk add qemu-system-x86_64 qemu-img",
		"ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n": "zypper install qemu-x86 qemu-tools",
		"ID=arch\n": "pacman -S qemu-base",
	} {
		if got := installOn(release); got != want {
			t.Errorf("%q: %s", release, got)
		}
	}
}

// On a machine with nothing installed everything is looked at all the same.
func TestDoctorWithNothingInstalled(t *testing.T) {
	t.Setenv("PATH", "")
	for network, want := range map[string][]string{
		"user":   {"qemu", "qemu-img", "memory", "data", "disk", "network user", "images"},
		"routed": {"qemu", "qemu-img", "memory", "data", "disk", "network routed", "tun", "uplink", "images"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		d := Doctor{Engine: "qemu", Network: network, Accel: "tcg", Data: filepath.Join(t.TempDir(), "data")}
		checks, err := d.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range checks {
			names = append(names, c.Name)
			if c.State == CheckProblem && c.Fix == "" {
				t.Errorf("nothing mends %+v", c)
			}
		}
		if !slices.Equal(names, want) || checks[0].State != CheckProblem || checks[1].State != CheckProblem {
			t.Errorf("%+v", checks)
		}
		if _, err := os.Stat(d.Data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it made the folder: %v", err)
		}
	}
}
