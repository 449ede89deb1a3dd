package host

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scripts makes a folder of programs the only one that PATH names.
func scripts(t *testing.T, programs map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	before := systemFolders
	systemFolders = nil
	t.Cleanup(func() { systemFolders = before })
}

func TestQEMUIsNotFound(t *testing.T) {
	for name, test := range map[string]struct {
		programs map[string]string
		want     string
	}{
		"nothing installed": {nil, "qemu-system-x86_64"},
		"it fails":          {map[string]string{"qemu-system-x86_64": "echo 'cannot load libfoo' >&2; exit 127"}, "cannot load libfoo"},
		"another program":   {map[string]string{"qemu-system-x86_64": "echo hello"}, "names no version"},
	} {
		t.Run(name, func(t *testing.T) {
			scripts(t, test.programs)
			_, err := QEMU(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, ErrMissing) != (test.programs == nil) {
				t.Error(err)
			}
		})
	}
	scripts(t, map[string]string{"qemu-img": "read forever"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := QEMUImg(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestQEMUIsFound(t *testing.T) {
	scripts(t, map[string]string{
		"qemu-kvm": "echo 'QEMU emulator version 9.1.0 (qemu-kvm-9.1.0-15.el9)'",
		"qemu-img": "echo 'qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)'",
	})
	if p, err := QEMU(t.Context()); err != nil || p.Version != "9.1.0" || filepath.Base(p.Path) != "qemu-kvm" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := QEMUImg(t.Context()); err != nil || p.Version != "7.2.22" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAtLeast(t *testing.T) {
	for version, want := range map[string]bool{
		"": false, "6.2.0": false, "7.1.99": false, "7": false, "7.2": true, "7.2.0": true, "7.10.1": true, "8.0": true, "10.0.2": true,
	} {
		if got := (Program{Version: version}).AtLeast(MinimumQEMU); got != want {
			t.Errorf("%q: %t", version, got)
		}
	}
}

func TestTry(t *testing.T) {
	qemu, err := QEMU(t.Context())
	if errors.Is(err, ErrMissing) {
		t.Skip("QEMU: there is no qemu-system-x86_64 here")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := Try(t.Context(), qemu, "nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an accelerator that there is not: %v", err)
	}
	if err := Try(t.Context(), qemu, TCG); err != nil {
		t.Error(err)
	}
}

func TestCanListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	for _, at := range []netip.AddrPort{at, netip.MustParseAddrPort("198.18.0.9:0"), {}} {
		if err := CanListen(t.Context(), at); err == nil {
			t.Errorf("%v: no error", at)
		}
	}
	l.Close()
	if err := CanListen(t.Context(), at); err != nil {
		t.Error(err)
	}
	if n := UnprivilegedPort(); n > 1024 {
		t.Logf("the lowest port is %d", n)
	}
}
