package qemu

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine"
)

// The users of machines in tests: one for all, and each their own.
var (
	shared = &User{UID: 65534, GID: 65534}
	apart  = &User{UID: 65534, GID: 65534, Own: UIDs{2100000000, 1000}}
)

// newRootLab is a lab whose machines run as somebody else, which takes root.
func newRootLab(t *testing.T, u *User) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not root: machines run as whoever runs this")
	}
	return newLab(t, func(o *Options) {
		o.ImportAllow = loopback
		o.User = u
		for dir := o.Dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			_ = os.Chmod(dir, 0o711) // as the folders of a server are
		}
	})
}

// owner is who a file belongs to, or a process.
func owner(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func TestUserOfAMachine(t *testing.T) {
	for machine, want := range map[string]uint32{
		"0": 2100000000, "7": 2100000007, "999": 2100000999, "1000": 2100000000, "18446744073709551615": 2100000615,
	} {
		if got := apart.of(machine); got.UID != want || got.GID != 65534 {
			t.Errorf("machine %s runs as %d, want %d", machine, got.UID, want)
		}
	}
	if got := apart.of("no number").UID; got < 2100000000 || got >= 2100001000 || apart.UID != 65534 {
		t.Errorf("a machine whose ID is no number runs as %d", got)
	}
	if shared.of("7").UID != 65534 || (*User)(nil).of("7") != nil {
		t.Error("a machine has a user to itself that nobody asked for")
	}
}

// Where this runs as root, machines do not.
func TestMachinesRunUnprivileged(t *testing.T) {
	t.Parallel()
	for _, u := range []*User{shared, apart} {
		l := newRootLab(t, u)
		l.create("1")
		l.startMachine("1")
		dir := l.folder(machines, "1")
		want := u.of("1").UID
		if uid := owner(t, filepath.Join("/proc", itoa(lockHolder(dir)))); uid != want {
			t.Errorf("its process runs as %d, want %d", uid, want)
		}
		if folder, err := os.Stat(dir); err != nil || folder.Mode().Perm() != 0o700 || owner(t, dir) != want {
			t.Errorf("its folder is %v, %v", folder, err)
		}
		url := l.serveImages()
		v := engine.Volume{Ref: ref("v"), Region: "nyc3", SizeGigabytes: 1, FilesystemType: "ext4"}
		for _, call := range []func(w engine.Work) (engine.Progress, error){
			func(w engine.Work) (engine.Progress, error) { return l.CreateVolume(t.Context(), w, v) },
			func(w engine.Work) (engine.Progress, error) {
				return l.AttachVolume(t.Context(), w, ref("v"), ref("1"))
			},
			func(w engine.Work) (engine.Progress, error) {
				return l.SnapshotVolume(t.Context(), w, ref("v"), ref("s"))
			},
			func(w engine.Work) (engine.Progress, error) { return l.CopyImage(t.Context(), w, ref("1"), ref("i")) },
			func(w engine.Work) (engine.Progress, error) {
				return l.DetachVolume(t.Context(), w, ref("v"), ref("1"))
			},
			func(w engine.Work) (engine.Progress, error) {
				return l.SnapshotVolume(t.Context(), w, ref("v"), ref("t"))
			},
			func(w engine.Work) (engine.Progress, error) {
				return l.ImportImage(t.Context(), w, engine.Import{Ref: ref("imported"), URL: url, Region: "nyc3"})
			},
		} {
			l.must(call)
		}
	}
}

// Whoever has broken out of a machine is its user, and that one finds nothing of
// another machine's. A volume is the machine's that it is attached to.
func TestMachinesAreApart(t *testing.T) {
	t.Parallel()
	l := newRootLab(t, apart)
	l.create("1")
	l.create("2")
	l.startMachine("1")
	l.must(func(w engine.Work) (engine.Progress, error) {
		return l.CreateVolume(t.Context(), w, engine.Volume{Ref: ref("v"), Region: "nyc3", SizeGigabytes: 1})
	})
	folder := l.folder(volumes, "v")
	file := filepath.Join(folder, volumeFile)
	for _, test := range []struct {
		after string
		call  func(w engine.Work) (engine.Progress, error)
		want  uint32
	}{
		{"it is attached", func(w engine.Work) (engine.Progress, error) {
			return l.AttachVolume(t.Context(), w, ref("v"), ref("1"))
		}, apart.of("1").UID},
		{"it is detached", func(w engine.Work) (engine.Progress, error) {
			return l.DetachVolume(t.Context(), w, ref("v"), ref("1"))
		}, apart.UID},
		{"it is attached to one that is off", func(w engine.Work) (engine.Progress, error) {
			return l.AttachVolume(t.Context(), w, ref("v"), ref("2"))
		}, apart.UID},
		{"that is started", func(w engine.Work) (engine.Progress, error) {
			return l.StartMachine(t.Context(), w, ref("2"))
		}, apart.of("2").UID},
	} {
		l.must(test.call)
		if owner(t, folder) != test.want || owner(t, file) != test.want {
			t.Errorf("after %s it is %d's and its file %d's, want %d", test.after, owner(t, folder), owner(t, file), test.want)
		}
	}
	theirs := filepath.Join(l.folder(machines, "2"), l.record("2").Disk.path(diskFile))
	for _, path := range []string{theirs, file, filepath.Join(l.folder(machines, "2"), monitorSocket)} {
		look := exec.Command("ls", path)
		look.SysProcAttr = &syscall.SysProcAttr{Credential: apart.of("1").credential()}
		if out, err := look.CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
			t.Errorf("machine 1 gets to %s: %s, %v", path, out, err)
		}
	}
	l.must(func(w engine.Work) (engine.Progress, error) { return l.DestroyMachine(t.Context(), w, ref("2")) })
	if owner(t, folder) != apart.UID || owner(t, file) != apart.UID {
		t.Errorf("after a destroy it is %d's and its file %d's", owner(t, folder), owner(t, file))
	}
}

// A volume's file that was replaced by a link to an image's, which is the
// server's, is given to nobody. One whose handing over was cut off is gone on
// with.
func TestHandOver(t *testing.T) {
	t.Parallel()
	l := newRootLab(t, apart)
	folder := l.folder(volumes, "v")
	if err := makeFolder(folder, apart); err != nil {
		t.Fatal(err)
	}
	if err := l.makeFile(folder, volumeFile); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, volumeFile)
	if err := os.Lchown(file, int(apart.of("3").UID), 65534); err != nil {
		t.Fatal(err)
	}
	if err := l.handOver("v", apart.of("4")); err != nil || owner(t, file) != apart.of("4").UID {
		t.Errorf("%v, and the file is %d's", err, owner(t, file))
	}
	image := filepath.Join(l.Dir, "image")
	if err := os.WriteFile(image, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := link(image, folder, volumeFile); err != nil {
		t.Fatal(err)
	}
	if err := l.handOver("v", apart); err == nil || owner(t, image) != 0 {
		t.Errorf("%v, and the image is %d's", err, owner(t, image))
	}
}

// Copies are the server's own where machines run as somebody else, who has links
// to them.
func TestCopiesBelongToTheServer(t *testing.T) {
	t.Parallel()
	l := newRootLab(t, apart)
	l.create("1")
	l.must(func(w engine.Work) (engine.Progress, error) { return l.CopyImage(t.Context(), w, ref("1"), ref("i")) })
	for _, path := range []string{l.folder(images, "i"), filepath.Join(l.folder(images, "i"), diskFile)} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner(t, path) != 0 || info.Mode().Perm()&0o222 != 0 && !info.IsDir() {
			t.Errorf("%s is %d's, with mode %s", path, owner(t, path), info.Mode())
		}
	}
	own := l.machine("2")
	own.Image = engine.Image{Ref: ref("i")}
	l.createAs(own)
}
