package image

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestArchiveIsRead(t *testing.T) {
	program, err := exec.LookPath("cpio")
	args := []string{"-itv"}
	if err != nil {
		if program, err = exec.LookPath("busybox"); err != nil {
			t.Skip("cpio: it is not installed, nor is busybox")
		}
		args = []string{"cpio", "-itv"}
	}
	var archive bytes.Buffer
	c := &cpioWriter{w: &archive}
	c.folder("bin")
	c.file("bin/odd", 0o755, []byte("12345"))
	c.link("bin/sh", "odd")
	c.device("console", 5, 1)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = &archive
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"drwxr-xr-x", "-rwxr-xr-x", "bin/sh -> odd", "crw-------"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestArchiveTellsOfFullDisk(t *testing.T) {
	c := &cpioWriter{w: full{}}
	c.folder("bin")
	if err := c.close(); !errors.Is(err, errFull) {
		t.Error(err)
	}
}
