//go:build linux

package routed

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
	"github.com/cistern-cloud/cistern/internal/logtest"
)

// taps is a world whose links are taps, as nobody holds the other ends of those
// by itself.
func taps(t *testing.T) *world {
	w := bareWorld(t)
	w.real = true
	return w
}

// idle plugs a machine that no process is of.
func (w *world) idle(m vnet.Machine) {
	w.Helper()
	nics, err := w.net.Plug(w.Context(), m)
	w.must(err)
	closeAll(nics)
}

// listing is show, where the kernel says a little later how a tap is that nobody
// holds.
func (w *world) listing() string {
	w.Helper()
	return strings.NewReplacer(" state UNKNOWN ", " state UP ", " state DOWN ", " state UP ", "NO-CARRIER,", "", ",LOWER_UP", "", " linkdown", "").Replace(w.show())
}

// A start that fails leaves the host as it was, with what had been there.
func TestStartIsTakenBack(t *testing.T) {
	w := taps(t)
	untouched := w.listing()
	w.start()
	w.idle(described(2, "a"))
	w.idle(described(3, "b"))
	w.must(w.net.TakeBack())
	w.must(w.net.TakeBack())
	w.same(untouched, w.listing())

	w.start()
	w.idle(described(2, "a"))
	w.must(w.net.Close()) // as a server ends that had started
	had := w.listing()
	w.start()
	w.idle(described(2, "a"))
	w.idle(described(3, "a"))
	w.must(w.net.TakeBack())
	w.same(had, w.listing())
}

// What machines run on is not taken from them.
func TestWhatMachinesRunOnIsNotTakenBack(t *testing.T) {
	w := taps(t)
	w.start()
	base := w.listing()
	nics, err := w.net.Plug(t.Context(), described(2, "a"))
	w.must(err)
	defer closeAll(nics)
	public, private := linkNames("a2")
	w.eventually(func() bool { return slices.Contains(w.running(), public) && slices.Contains(w.running(), private) })
	had := w.listing()
	w.idle(described(3, "b"))
	w.must(w.net.TakeBack())
	w.same(had, w.listing())
	closeAll(nics)
	w.eventually(func() bool { return len(w.running()) == 0 })
	w.must(w.net.TakeBack())
	if now := w.listing(); now == base || strings.Contains(now, public) {
		t.Errorf("what nobody runs on is there yet:\n%s", now)
	}
}

// Whoever cleans the network beside a server that runs is told by its log which
// machines he has cut off, once.
func TestMachinesThatAreCutOffAreNamed(t *testing.T) {
	w := taps(t)
	var log logtest.Buffer
	w.options.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.start()
	nics, err := w.net.Plug(t.Context(), described(2, "a"))
	w.must(err)
	defer closeAll(nics)
	found, err := Find(int(w.host))
	w.must(err)
	w.must(found.Remove())
	const said = "it has no network any more; power_cycle gives it one\" machine=a2"
	w.eventually(func() bool { return strings.Count(log.String(), said) > 0 })

	// A later start finds it by its tap, which is new.
	w.must(w.net.Close())
	w.start()
	again, err := w.net.Plug(t.Context(), described(2, "a"))
	w.must(err)
	defer closeAll(again)
	if slices.ContainsFunc(again, func(n vnet.NIC) bool { return n.File == nil }) {
		t.Errorf("the links are held by somebody: %+v", again)
	}
	if n := strings.Count(log.String(), said); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}

// The pools may change: who has an address of a former one keeps it, with its way
// to the world and back.
func TestFormerPool(t *testing.T) {
	w := bareWorld(t)
	w.options.Routed = false
	w.start()
	g := w.plug(described(2, "a"))
	w.serve(g.place, ":80")
	w.serve(w.beyond, ":80")
	w.must(w.net.Close())

	w.options.Public = []netip.Prefix{netip.MustParsePrefix("198.18.3.0/24")}
	w.options.Reserved = []netip.Prefix{netip.MustParsePrefix("198.18.4.0/24")}
	w.start()
	m := g.m
	m.Network.ReservedIPv4 = "198.18.2.9" // of the former pool, too
	w.plug(m)
	other := described(3, "b")
	other.Network.PublicIPv4, other.Network.PublicGateway = "198.18.3.3", "198.18.3.1"
	o := w.plug(other)
	w.serve(o.place, ":80")
	w.reaches(g.place, "198.18.255.2:80", "198.18.255.1")
	w.reaches(o.place, "198.18.255.2:80", "198.18.255.1")
	w.reaches(g.place, "[2001:db8:ff::2]:80", "2001:db8:ff::1")
	w.reaches(o.place, "198.18.1.2:80", "198.18.3.3")
	w.reaches(g.place, "198.18.3.3:80", "198.18.1.2")
	for _, from := range []place{w.host, w.beyond} {
		w.reaches(from, "198.18.1.2:80", "")
		w.reaches(from, "198.18.2.9:80", "")
		w.reaches(from, "198.18.3.3:80", "")
	}
	w.must(w.net.Unplug(t.Context(), "a2"))
	w.cannotReach(w.beyond, "198.18.1.2:80")
}
