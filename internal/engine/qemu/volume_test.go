package qemu

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
)

// A volume has the filesystem and the label that it was asked for with, on the
// disk itself.
func TestFilesystems(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, test := range []struct {
		kind          string
		magic         string
		at, labelFrom int64
	}{
		{"ext4", "\x53\xef", 1080, 1144},
		{"xfs", "XFSB", 0, 108},
	} {
		t.Run(test.kind, func(t *testing.T) {
			if _, err := host.Find("mkfs." + test.kind); err != nil {
				t.Skipf("QEMU: %v; scripts/with-qemu installs it", err)
			}
			v := engine.Volume{Ref: ref(test.kind), Region: "nyc3", SizeGigabytes: 1, FilesystemType: test.kind, FilesystemLabel: "label-" + test.kind}
			l.must(func(w engine.Work) (engine.Progress, error) { return l.CreateVolume(t.Context(), w, v) })
			f, err := os.Open(filepath.Join(l.folder(volumes, test.kind), volumeFile))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			start := make([]byte, 4096)
			if _, err := io.ReadFull(f, start); err != nil {
				t.Fatal(err)
			}
			if got := start[test.at:][:len(test.magic)]; string(got) != test.magic {
				t.Errorf("at %d it has %q, want %q", test.at, got, test.magic)
			}
			label, _, _ := bytes.Cut(start[test.labelFrom:][:12], []byte{0})
			if string(label) != v.FilesystemLabel {
				t.Errorf("its label is %q, want %q", label, v.FilesystemLabel)
			}
		})
	}
}

// What cannot be made here is refused for good, and the refusal says what would
// help.
func TestFilesystemsThatAreNotThere(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	v := engine.Volume{Ref: ref("v"), Region: "nyc3", SizeGigabytes: 1, FilesystemType: "btrfs"}
	_, err := l.finish(engine.Work{Key: "btrfs"}, func(w engine.Work) (engine.Progress, error) { return l.CreateVolume(t.Context(), w, v) })
	if !engine.IsFinal(err) || !strings.Contains(err.Error(), "there is no filesystem btrfs here: use ext4 or xfs") {
		t.Errorf("a filesystem that nobody knows: %v", err)
	}
	err = l.makeFilesystem(t.Context(), v, t.TempDir(), "mkfs.none", "nonefsprogs")
	if !engine.IsFinal(err) || !strings.Contains(err.Error(), "mkfs.none is not installed on the server: apt-get install nonefsprogs") {
		t.Errorf("a program that is not installed: %v", err)
	}
}
