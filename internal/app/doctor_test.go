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
		"--engine incus: use sim or qemu":                {Engine: "incus", Real: Real{Network: "user", Accel: "auto"}},
		"--network bridge: use user or routed":           {Engine: "qemu", Real: Real{Network: "bridge", Accel: "auto"}},
		"--accel hvf: use auto, kvm or tcg":              {Engine: "qemu", Real: Real{Network: "user", Accel: "hvf"}},
		"--accel : use auto, kvm or tcg":                 {Engine: "sim", Real: Real{Network: "user"}},
		"--network : use user or routed":                 {Engine: "sim", Real: Real{Accel: "auto"}},
		"--engine : use sim or qemu":                     {Real: Real{Network: "user", Accel: "tcg"}},
		"--engine QEMU: use sim or qemu":                 {Engine: "QEMU", Real: Real{Network: "user", Accel: "kvm"}},
		"--network user,routed: use user or rout":        {Engine: "qemu", Real: Real{Network: "user,routed", Accel: "auto"}},
		"--uplink is for --network routed":               {Engine: "qemu", Real: Real{Network: "user", Accel: "auto", Uplink: "eth0"}},
		"--uplink is for --engine qemu":                  {Engine: "sim", Real: Real{Network: "user", Accel: "auto", Uplink: "eth0"}},
		"--network is for --engine qemu":                 {Engine: "sim", Real: Real{Network: "routed", Accel: "auto"}},
		"--public-pool 10.1.0.0/16: with --network user": {Engine: "qemu", Real: Real{Network: "user", Accel: "auto", PublicPool: "10.1.0.0/16"}},
		"--reserved-pool: ":                              {Engine: "qemu", Real: Real{Network: "routed", Accel: "auto", ReservedPool: "here"}},
		"--ipv6-pool: ":                                  {Engine: "qemu", Real: Real{Network: "routed", Accel: "auto", IPv6Pool: "10.0.0.0/8"}},
	} {
		if checks, err := d.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) || checks != nil {
			t.Errorf("%+v: %v, %v", d, checks, err)
		}
	}
}

// Each check in each state, with what mends it.
func TestChecks(t *testing.T) {
	d := Doctor{Engine: "qemu", Data: "/srv/cistern", Real: Real{Network: "user", Accel: "auto"}}
	forced := Doctor{Real: Real{Accel: "kvm"}}
	at := netip.MustParseAddr("127.100.0.1")
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
		{d.checkFolder(true, nil), "ok", "/srv/cistern", ""},
		{d.checkFolder(true, errors.New("it is broken")), "problem", "it is broken", "cistern serve --engine qemu --data /var/lib/cistern"},
		{d.checkUsers("nobody", vmUIDs{}), "warning", "machines share the user nobody, as root has few user IDs here", ""},
		{d.checkUsers("nobody", vmUIDs{2_100_000_000, 10}), "ok", "the user IDs 2100000000 to 2100000009, in the group of nobody", ""},
		{Doctor{Real: Real{VMUIDs: "off"}}.checkUsers("nobody", vmUIDs{}), "ok", "machines share the user nobody", ""},
		{d.checkDisk(host.Disk{}, errors.New("it is a file")), "problem", "it is a file", "--data"},
		{d.checkDisk(host.Disk{Total: 9 << 30, Free: 1 << 29}, nil), "problem", "0.5 GiB of 9.0 GiB free", "df "},
		{d.checkDisk(host.Disk{Total: 9 << 30, Free: 9 << 30}, nil), "warning", "few machines", "df "},
		{d.checkDisk(host.Disk{Total: 90 << 30, Free: 80 << 30}, nil), "ok", "80.0 GiB of 90.0 GiB free", ""},
		{checkPorts(at, listening(busy, busy)), "problem", "nothing can be listened on at 127.100.0.1: address already in use", "ip link set lo up"},
		{checkPorts(at, listening(low, nil)), "warning", "from 2222 on", "sysctl net.ipv4.ip_unprivileged_port_start=22"},
		{checkPorts(at, listening(busy, nil)), "warning", "port 22 is taken", "ss -ltnp"},
		{checkPorts(at, listening(nil, nil)), "ok", "port 22", ""},
		{d.checkRoot(false), "problem", "it takes root", "sudo cistern serve"},
		{d.checkRoot(true), "ok", "root", ""},
		{checkTun(denied), "problem", "permission denied", "modprobe tun"},
		{checkTun(nil), "ok", "/dev/net/tun", ""},
		{d.checkUplink("eth0", nil), "ok", "eth0 has the default route", ""},
		{Doctor{Real: Real{Uplink: "eth1"}}.checkUplink("eth1", nil), "ok", "there is eth1", ""},
		{d.checkUplink("", &routed.Unready{Why: "nothing leads there", Command: "ip link"}), "problem", "nothing leads there", "ip link"},
		{d.checkUplink("", denied), "problem", "permission denied", ""},
	} {
		c := test.check
		if c.State != test.state || !strings.Contains(c.Found, test.found) || !strings.Contains(c.Fix, test.fix) || (c.Fix == "") != (test.fix == "") {
			t.Errorf("%+v, want %s, %q, %q", c, test.state, test.found, test.fix)
		}
	}
}

// No machine can be made where those who run them cannot go.
func TestFolderThatNobodyElseCanEnter(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	d := Doctor{Data: filepath.Join(closed, "data")}
	c := d.checkFolder(true, nil)
	if c.State != CheckProblem || !strings.Contains(c.Found, "nobody else can go through "+closed) || c.Fix != "cistern serve --engine qemu --data /var/lib/cistern" {
		t.Errorf("%+v", c)
	}
	if c := d.checkFolder(false, nil); c.State != CheckOK {
		t.Errorf("%+v", c)
	}
}

// What is said to mend the data folder mends it: a folder is given to somebody
// only if it is nobody's, and they get there.
func TestDataFolderIsMended(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	other := "cistern serve --engine qemu --data " + filepath.Join(home, "cistern")
	full, empty, file := filepath.Join(home, "full"), filepath.Join(home, "empty one"), filepath.Join(home, "file")
	for _, folder := range []string{full, empty} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{file, filepath.Join(full, "somebody's")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	given := asRoot("install -d -m 700 -o " + userName() + " ")
	denied := func(path string) error { return &fs.PathError{Op: "write to", Path: path, Err: syscall.EACCES} }
	for name, test := range map[string]struct {
		data, found, fix string
		err              error
	}{
		"nobody's yet":      {filepath.Join(empty, "new"), "permission denied", given + "'" + filepath.Join(empty, "new") + "'", denied(empty)},
		"empty":             {empty, "permission denied", given + "'" + empty + "'", denied(empty)},
		"somebody's":        {full, "permission denied", other, denied(full)},
		"a file":            {file, file + " is a file and not a folder", other, nil},
		"below a file":      {filepath.Join(file, "new"), file + " is a file and not a folder", other, nil},
		"no place for any":  {"/proc/new", "permission denied", other, denied("/proc")},
		"cannot be written": {empty, "read-only", other, &fs.PathError{Op: "write to", Path: empty, Err: syscall.EROFS}},
	} {
		if test.err == nil {
			test.err = host.Writable(test.data)
		}
		if c := (Doctor{Data: test.data}).checkFolder(false, test.err); c.State != CheckProblem || !strings.Contains(c.Found, test.found) || c.Fix != test.fix {
			t.Errorf("%s: %+v; want %q", name, c, test.fix)
		}
	}
	d := Doctor{Data: "/var/lib/cistern", Real: Real{Network: "routed"}}
	if c := d.checkFolder(true, denied("/var/lib")); c.Fix != asRoot("cistern serve --engine qemu --network routed")+" --data /srv/cistern" {
		t.Errorf("%+v", c)
	}
}

// Only images that machines can start from count.
func TestImagesAreFound(t *testing.T) {
	d := Doctor{Data: filepath.Join(t.TempDir(), "a [strange] folder")}
	build := "cistern image build tiny --data '" + d.Data + "'"
	remove := "cistern image rm bad --data '" + d.Data + "'"
	if c := d.images(); c.State != CheckProblem || c.Fix != build {
		t.Errorf("%+v", c)
	}
	putImage(t, d.Data, "bad", "{}")
	putImage(t, d.Data, ".new-1", "{}")
	if c := d.images(); c.State != CheckProblem || c.Fix != remove+" && "+build || !strings.Contains(c.Found, "there is none in "+d.Data) {
		t.Errorf("%+v", c)
	}
	putImage(t, d.Data, "tiny", `{"id":1,"slug":"tiny","virtual_size":1}`)
	putImage(t, d.Data, "debian-12-x64", `{"id":2,"slug":"debian-12-x64","virtual_size":1}`)
	c := d.images()
	if want := "debian-12-x64, tiny; the image in " + d.Data + "/images/bad cannot be used: "; c.State != CheckWarning || c.Fix != remove || !strings.HasPrefix(c.Found, want) {
		t.Errorf("%+v", c)
	}
	if err := os.Rename(filepath.Join(d.Data, "images", "bad"), filepath.Join(d.Data, "images", "Bad One")); err != nil {
		t.Fatal(err)
	}
	if c := d.images(); c.Fix != "rm -r '"+d.Data+"/images/Bad One'" {
		t.Errorf("%+v", c)
	}
	if err := os.RemoveAll(filepath.Join(d.Data, "images", "Bad One")); err != nil {
		t.Fatal(err)
	}
	if c := d.images(); c.State != CheckOK || c.Found != "debian-12-x64, tiny" || c.Fix != "" {
		t.Errorf("%+v", c)
	}
}

// putImage makes an image's folder, with a disk and a description.
func putImage(t *testing.T, data, slug, description string) {
	t.Helper()
	dir := filepath.Join(data, "images", slug)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"image.json": description, "disk.qcow2": "disk"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
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
		d := Doctor{Engine: "qemu", Data: filepath.Join(t.TempDir(), "data"), Real: Real{Network: network, Accel: "tcg"}}
		checks, err := d.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range checks {
			if c.Name == "users" { // of root only
				continue
			}
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
