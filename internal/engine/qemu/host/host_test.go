package host

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHasUIDs(t *testing.T) {
	for name, test := range map[string]struct {
		uidMap string
		want   bool
	}{
		"no such file":           {"", false},
		"a container":            {"         0     100000      65536\n", true},
		"a host":                 {"         0          0 4294967295\n", true},
		"some of them":           {"0 0 1\n1 100000 2000\n", false},
		"just these, in a line":  {"0 0 1\n1000 100000 2000\n", true},
		"what makes no sense":    {"all of them\n", false},
		"one too few at the end": {"1000 100000 1999\n", false},
	} {
		root := fstest.MapFS{}
		if test.uidMap != "" {
			root["proc/self/uid_map"] = &fstest.MapFile{Data: []byte(test.uidMap)}
		}
		if got := hasUIDs(root, 1000, 2999); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestReadMemory(t *testing.T) {
	const info = "MemTotal:        4096 kB\nMemFree:          100 kB\nMemAvailable:    2048 kB\nHugePages_Total:   0\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  Memory
		err   string
	}{
		"no such file": {err: "how much memory"},
		"nothing said": {files: map[string]string{"proc/meminfo": "MemFree: 100 kB\n"}, err: "does not say"},
		"no number":    {files: map[string]string{"proc/meminfo": "MemTotal: much kB\n"}, err: "invalid syntax"},
		"a machine":    {files: map[string]string{"proc/meminfo": info, "proc/self/cgroup": "0::/\n"}, want: Memory{4 << 20, 2 << 20}},
		"no limit": {files: map[string]string{
			"proc/meminfo": info, "proc/self/cgroup": "1:name=x:/\n0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
		}, want: Memory{4 << 20, 2 << 20}},
		"a container": {files: map[string]string{
			"proc/meminfo": info, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "3145728\n", "sys/fs/cgroup/memory.current": "2097152\n",
		}, want: Memory{3 << 20, 1 << 20}},
		"a group around this": {files: map[string]string{
			"proc/meminfo": info, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
			"sys/fs/cgroup/a/memory.max": "1000\n", "sys/fs/cgroup/a/memory.current": "2000\n",
		}, want: Memory{1000, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range test.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			m, err := readMemory(root)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want %s", err, test.err)
				}
				return
			}
			if err != nil || m != test.want {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	file, closed := filepath.Join(dir, "file"), filepath.Join(dir, "closed")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{file, filepath.Join(file, "below")} {
		if _, err := ReadDisk(folder); err == nil {
			t.Errorf("%s: no error", folder)
		}
		if err := Writable(folder); err == nil {
			t.Errorf("%s: no error", folder)
		}
	}
	missing := filepath.Join(closed, "not", "there")
	if d, err := ReadDisk(missing); err != nil || d.Total <= 0 || d.Free < 0 || d.Free > d.Total {
		t.Errorf("%+v, %v", d, err)
	}
	if err := Writable(missing); err != nil {
		t.Error(err)
	}
	if err := Writable("/sys/not/there"); err == nil || !strings.HasPrefix(err.Error(), "write to /sys: ") {
		t.Errorf("where nobody can make a file: %v", err)
	}
	if left, err := os.ReadDir(closed); len(left) > 0 || err != nil {
		t.Errorf("it left %v, %v", left, err)
	}
	if around, err := Closed(missing); err != nil || around != closed {
		t.Errorf("%s, %v", around, err)
	}
	if around, err := Closed("/srv-not-there/x"); err != nil || around != "" {
		t.Errorf("%s, %v", around, err)
	}
	if !Root() {
		if err := os.Chmod(closed, 0o500); err != nil {
			t.Fatal(err)
		}
		if err := Writable(missing); err == nil || !strings.Contains(err.Error(), fs.ErrPermission.Error()) {
			t.Error(err)
		}
	}
}
