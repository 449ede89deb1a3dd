//go:build linux

package routed

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

const etherHeader, vnetHeader = 14, 10

// A machine's process gets a tap, over which frames go both ways; the tap stays
// when the process ends, and is taken over while it runs.
func TestTap(t *testing.T) {
	w := newWorld(t)
	w.real = true
	m, other := described(2, "a"), described(3, "a")
	nics, err := w.net.Plug(t.Context(), m)
	w.must(err)
	peers, err := w.net.Plug(t.Context(), other)
	w.must(err)
	defer closeAll(peers)
	if len(nics) != 2 || nics[0].Netdev != "tap,fd=%d" || nics[0].MAC != m.PublicMAC || nics[1].MAC != m.PrivateMAC {
		t.Fatalf("%+v", nics)
	}
	own := netip.MustParseAddr(m.Network.PublicIPv4)
	for _, asked := range []string{"198.18.1.1", "198.18.1.3"} { // the gateway, and who is behind it
		if mac := w.resolve(nics[0].File, m.PublicMAC, own, asked); mac.String() != hostMAC.String() {
			t.Errorf("%s is at %s", asked, mac)
		}
	}
	for _, asked := range []string{"198.19.0.1", "198.19.0.3"} {
		if mac := w.resolve(nics[1].File, m.PrivateMAC, netip.MustParseAddr(m.Network.PrivateIPv4), asked); mac.String() != hostMAC.String() {
			t.Errorf("%s is at %s", asked, mac)
		}
	}

	again, err := w.net.Plug(t.Context(), m)
	w.must(err)
	if again[0].File != nil || again[0].Netdev == nics[0].Netdev {
		t.Errorf("a running machine's tap was opened again: %+v", again[0])
	}
	public, private := linkNames(m.ID)
	if running := w.running(); !slices.Contains(running, public) || !slices.Contains(running, private) {
		t.Errorf("running: %v", running)
	}
	closeAll(nics)
	if running := w.running(); slices.Contains(running, public) {
		t.Errorf("running: %v", running)
	}
	nics, err = w.net.Plug(t.Context(), m)
	w.must(err)
	if nics[0].File == nil {
		t.Error("the tap cannot be opened once its process has ended")
	}
	closeAll(nics)
	w.must(w.net.Unplug(t.Context(), m.ID))
}

func (w *world) running() []string {
	w.Helper()
	found, err := Find(int(w.host))
	w.must(err)
	return found.Running()
}

// resolve asks over a tap who has an address.
func (w *world) resolve(tap *os.File, mac string, own netip.Addr, asked string) net.HardwareAddr {
	w.Helper()
	sender, err := net.ParseMAC(mac)
	w.must(err)
	target := netip.MustParseAddr(asked)
	frame := make([]byte, vnetHeader, 100)
	frame = append(frame, bytes.Repeat([]byte{0xff}, 6)...)
	frame = append(frame, sender...)
	frame = append(frame, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	frame = append(append(frame, sender...), own.AsSlice()...)
	frame = append(append(frame, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
	_, err = tap.Write(frame)
	w.must(err)
	w.must(tap.SetReadDeadline(time.Now().Add(patient)))
	buffer := make([]byte, 2000)
	for {
		n, err := tap.Read(buffer)
		w.must(err)
		if n < vnetHeader+etherHeader+28 {
			continue
		}
		got := buffer[vnetHeader:n]
		arp := got[etherHeader:]
		isAnswer := bytes.Equal(got[12:14], []byte{8, 6}) && arp[7] == 2
		if isAnswer && bytes.Equal(arp[14:18], target.AsSlice()) {
			return slices.Clone(net.HardwareAddr(arp[8:14]))
		}
	}
}
