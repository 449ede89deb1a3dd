package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProbeFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kvm")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]string{
		file + ".not":                "no such file",
		file:                         "is something else",
		"/dev/null":                  "is something else",
		filepath.Dir(file):           "is a directory",
		filepath.Join(file, "below"): "not a directory",
	} {
		if took, err := probe(t.Context(), device, 1); err == nil || !strings.Contains(err.Error(), want) || took != 0 {
			t.Errorf("%s: %v, %v", device, took, err)
		}
	}
}

// The guest's code is right, and a guest that is never done is ended. Both need
// a KVM of any speed.
func TestProbeRuns(t *testing.T) {
	if file, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		t.Skipf("not applicable: KVM: %v", err)
	} else if err == nil {
		file.Close()
	}
	for _, loops := range []uint32{1, 2, 1000} {
		if took, err := probe(t.Context(), "/dev/kvm", loops); err != nil || took <= 0 {
			t.Errorf("%d loops: %v, %v", loops, took, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := probe(ctx, "/dev/kvm", 1<<32-1)
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > probeDeadline {
		t.Errorf("%v after %v", err, took)
	}
	if took, err := probe(t.Context(), "/dev/kvm", 10); err != nil {
		t.Errorf("the next: %v, %v", took, err)
	}
}
