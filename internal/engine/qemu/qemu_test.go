package qemu

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/enginetest"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image/imagetest"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// quiet is a network that nothing is on: its devices are there and lead
// nowhere.
type quiet struct{}

func (quiet) Guest(vnet.Machine) vnet.Guest { return vnet.Guest{} }

func (quiet) Plug(_ context.Context, m vnet.Machine) ([]vnet.NIC, error) {
	const nowhere = "dgram,local.type=unix,local.path=public,remote.type=unix,remote.path=nowhere"
	return []vnet.NIC{{MAC: m.PublicMAC, Netdev: nowhere}}, nil
}

func (quiet) Update(context.Context, vnet.Machine) error { return nil }
func (quiet) Unplug(context.Context, string) error       { return nil }
func (quiet) Peer(context.Context, engine.Peering) error { return nil }
func (quiet) Unpeer(context.Context, string) error       { return nil }
func (quiet) SSH(string) netip.AddrPort                  { return netip.AddrPort{} }
func (quiet) Close() error                               { return nil }

func (quiet) Check(f engine.Firewall) error {
	if len(f.Inbound) > 0 && f.Inbound[0].Protocol == "impossible" {
		return refuse("this network cannot keep the rule")
	}
	return nil
}

// lab is an engine in a test, with a folder of its own. What runs in it ends
// with the test.
type lab struct {
	*testing.T
	*Engine
	options Options
	opened  func() // called before the engine is opened; may be nil
}

func newLab(t *testing.T, change ...func(*Options)) *lab {
	t.Helper()
	dir := t.TempDir()
	imagetest.TinyIn(t, filepath.Join(dir, "images"))
	l := &lab{T: t, options: Options{
		Dir: filepath.Join(dir, "qemu"), Images: image.Open(filepath.Join(dir, "images")),
		Network: quiet{}, Accel: "tcg", Region: "nyc3", Host: "here",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Unsafe: true,
	}}
	for _, f := range change {
		f(&l.options)
	}
	l.open()
	t.Cleanup(l.clear)
	return l
}

func (l *lab) open() {
	l.Helper()
	if l.opened != nil {
		l.opened()
	}
	e, err := Open(context.Background(), l.options)
	if err != nil {
		l.Fatal(err)
	}
	l.Engine = e
}

// reopen ends the engine and opens another one on what it left.
func (l *lab) reopen() {
	l.Helper()
	if err := l.Close(); err != nil {
		l.Error(err)
	}
	l.open()
}

// clear destroys every machine and closes the engine.
func (l *lab) clear() {
	entries, _ := os.ReadDir(l.folder(machines, ""))
	for _, entry := range entries {
		if err := l.remove(context.Background(), entry.Name()); err != nil {
			l.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		l.Error(err)
	}
}

func (l *lab) machine(id string) engine.Machine {
	return engine.Machine{
		Ref: ref(id), Region: "nyc3", Shape: engine.Shape{VCPUs: 1, Memory: 256, Disk: 2},
		Image: engine.Image{Base: true, Slug: "tiny"}, PublicKeys: []string{"ssh-ed25519 AAAA me"},
	}
}

func ref(id string) engine.Ref { return engine.Ref{Account: 1, ID: id, Name: "name-" + id} }

// must finishes new work.
func (l *lab) must(call func(w engine.Work) (engine.Progress, error)) engine.Progress {
	l.Helper()
	p, err := l.finish(engine.Work{Key: rand.Text()}, call)
	if err != nil {
		l.Fatal(err)
	}
	return p
}

func (l *lab) finish(w engine.Work, call func(w engine.Work) (engine.Progress, error)) (engine.Progress, error) {
	for {
		p, err := call(w)
		if err != nil || p.Done {
			return p, err
		}
		time.Sleep(p.After)
	}
}

func (l *lab) create(id string) { l.createAs(l.machine(id)) }

func (l *lab) createAs(m engine.Machine) {
	l.Helper()
	l.must(func(w engine.Work) (engine.Progress, error) { return l.CreateMachine(l.Context(), w, m) })
}

func (l *lab) startMachine(id string) {
	l.Helper()
	l.must(func(w engine.Work) (engine.Progress, error) { return l.StartMachine(l.Context(), w, ref(id)) })
}

func (l *lab) runs(id string, want bool) {
	l.Helper()
	got, err := l.Machine(l.Context(), id)
	if err != nil || got.Running != want {
		l.Errorf("machine %s: %+v, %v; want running %t", id, got, err, want)
	}
}

// loopback is where images come from in tests.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// serveImages serves the lab's images, and returns the URL of a disk.
func (l *lab) serveImages() string {
	web := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(filepath.Dir(l.Dir), "images"))))
	l.Cleanup(web.Close)
	return web.URL + "/tiny/disk.qcow2"
}

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) enginetest.Harness {
		l := newLab(t, func(o *Options) { o.ImportAllow = loopback })
		like := l.machine("")
		like.Ref = engine.Ref{}
		return enginetest.Harness{
			Engine: l.Engine, Machine: like, ImageURL: l.serveImages(),
			Reopen: func() engine.Engine { l.reopen(); return l.Engine },
		}
	})
}

func itoa(n int) string { return strconv.Itoa(n) }

// readUntil reads a console until it has written some text.
func readUntil(t *testing.T, console io.Reader, text string) {
	t.Helper()
	var seen []byte
	for b := make([]byte, 1024); !bytes.Contains(seen, []byte(text)); {
		n, err := console.Read(b)
		seen = append(seen, b[:n]...)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
	}
}
