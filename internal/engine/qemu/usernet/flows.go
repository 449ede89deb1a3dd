package usernet

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// maxFlows bounds what one machine can make us remember. When so many are
// open, its firewall lets no new one pass.
const maxFlows = 16384

// How long a flow without packets is remembered.
const (
	tcpOpening = time.Minute // or closing
	tcpIdle    = 4 * time.Hour
	udpIdle    = 3 * time.Minute
	icmpIdle   = 30 * time.Second
)

// flowKey names a flow from the machine's point of view.
type flowKey struct {
	private               bool // on the private link
	proto                 uint8
	guest, remote         netip.Addr
	guestPort, remotePort uint16
	fragments             uint32 // the id of a packet in pieces, with no ports
}

// flow is traffic that was let through once, both ways.
type flow struct {
	inbound bool // it was begun from outside
	ours    bool // its beginner is this process, which held it against the rules itself
	closing bool
	open    bool // both ends have sent
	expires time.Time
}

// flowTable is a machine's stateful firewall.
type flowTable struct {
	alias func(netip.Addr) netip.Addr // another name of a peer, or none
	now   func() time.Time

	mu    sync.Mutex
	rules *rules
	flows map[flowKey]*flow
	swept time.Time
}

func newFlowTable(alias func(netip.Addr) netip.Addr) *flowTable {
	return &flowTable{alias: alias, now: time.Now, flows: map[flowKey]*flow{}}
}

// setRules makes other rules hold. Flows that they would not have let begin
// end now: a port that is closed is closed for whoever is connected, too.
func (t *flowTable) setRules(r *rules) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rules = r
	for key, f := range t.flows {
		if key.fragments == 0 && !f.ours && !t.allowed(key, f.inbound) {
			delete(t.flows, key)
		}
	}
}

// outbound says whether a packet from the machine may pass.
func (t *flowTable) outbound(p packet, private bool) bool { return t.admit(p, private, false, false) }

// inbound says whether a packet to the machine may pass.
func (t *flowTable) inbound(p packet, private bool) bool { return t.admit(p, private, true, false) }

// begin lets a packet of ours to the machine pass, which opens a flow.
func (t *flowTable) begin(p packet) bool { return t.admit(p, false, true, true) }

func keyOf(p packet, private, inbound bool) flowKey {
	key := flowKey{private: private, proto: p.proto, guest: p.src, remote: p.dst, guestPort: p.srcPort, remotePort: p.dstPort}
	if inbound {
		key.guest, key.remote, key.guestPort, key.remotePort = p.dst, p.src, p.dstPort, p.srcPort
	}
	if p.fragment {
		key.guestPort, key.remotePort, key.fragments = 0, 0, p.id|1<<31
	}
	return key
}

func (t *flowTable) admit(p packet, private, inbound, ours bool) bool {
	key := keyOf(p, private, inbound)
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[key]
	if f == nil || now.After(f.expires) {
		if p.fragment {
			return t.rules == nil
		}
		if !ours && !t.allowed(key, inbound) {
			return t.related(p, private, inbound, now)
		}
		f = &flow{inbound: inbound, ours: ours}
		if !t.add(key, f, now) {
			return t.rules == nil
		}
	}
	f.see(p, inbound, now)
	if p.more {
		t.addFragments(p, private, inbound, now)
	}
	return true
}

// allowed says whether the rules let a flow begin.
func (t *flowTable) allowed(key flowKey, inbound bool) bool {
	if t.rules == nil {
		return true
	}
	if inbound {
		return t.rules.allowInbound(key.proto, key.guestPort, key.remote, t.alias(key.remote))
	}
	return t.rules.allowOutbound(key.proto, key.remotePort, key.remote, t.alias(key.remote))
}

// add remembers a flow, unless there are too many.
func (t *flowTable) add(key flowKey, f *flow, now time.Time) bool {
	if len(t.flows) >= maxFlows && now.Sub(t.swept) > time.Second {
		t.swept = now
		for key, f := range t.flows {
			if now.After(f.expires) {
				delete(t.flows, key)
			}
		}
	}
	if len(t.flows) >= maxFlows {
		return false
	}
	t.flows[key] = f
	return true
}

// addFragments remembers that the other pieces of a packet may follow it.
func (t *flowTable) addFragments(p packet, private, inbound bool, now time.Time) {
	p.fragment = true
	t.add(keyOf(p, private, inbound), &flow{inbound: inbound, expires: now.Add(icmpIdle)}, now)
}

// see notes that a packet passed.
func (f *flow) see(p packet, inbound bool, now time.Time) {
	idle := icmpIdle
	switch p.proto {
	case protoUDP:
		idle = udpIdle
	case protoTCP:
		f.open = f.open || inbound != f.inbound
		switch {
		case p.tcpFlags&(tcpFIN|tcpRST) != 0:
			f.closing = true
		case p.tcpFlags&(tcpSYN|tcpACK) == tcpSYN:
			f.open, f.closing = false, false // its ports are used again
		}
		idle = tcpOpening
		if f.open && !f.closing {
			idle = tcpIdle
		}
	}
	f.expires = now.Add(idle)
}

// related says whether an ICMP error is about a packet of a flow.
func (t *flowTable) related(p packet, private, inbound bool, now time.Time) bool {
	about, ok := errorAbout(p)
	if !ok {
		return false
	}
	f := t.flows[keyOf(about, private, !inbound)]
	return f != nil && !now.After(f.expires)
}

// errorAbout is the packet that an ICMP error is about, of which only the
// beginning is in it.
func errorAbout(p packet) (about packet, ok bool) {
	if p.fragment || len(p.payload) < 8 {
		return about, false
	}
	inner := p.payload[8:]
	switch kind := p.payload[0]; {
	case p.proto == protoICMP && (kind == 3 || kind == 11 || kind == 12):
		if len(inner) < 20 {
			return about, false
		}
		head := int(inner[0]&15) * 4
		if head < 20 || len(inner) < head+8 {
			return about, false
		}
		about.proto, about.payload = inner[9], inner[head:]
		about.src, about.dst = netip.AddrFrom4([4]byte(inner[12:16])), netip.AddrFrom4([4]byte(inner[16:20]))
	case p.proto == protoICMPv6 && kind >= 1 && kind <= 4:
		if len(inner) < 48 {
			return about, false
		}
		about.proto, about.payload = inner[6], inner[40:]
		about.src, about.dst = netip.AddrFrom16([16]byte(inner[8:24])), netip.AddrFrom16([16]byte(inner[24:40]))
	default:
		return about, false
	}
	switch about.proto {
	case protoTCP, protoUDP:
		about.srcPort, about.dstPort = binary.BigEndian.Uint16(about.payload), binary.BigEndian.Uint16(about.payload[2:])
	case protoICMP, protoICMPv6:
		about.srcPort = binary.BigEndian.Uint16(about.payload[4:])
		about.dstPort = about.srcPort
	}
	return about, true
}

// continues says whether a packet to the machine belongs to a flow that is
// open.
func (t *flowTable) continues(p packet) bool {
	key, now := keyOf(p, false, true), t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[key]
	if f == nil || now.After(f.expires) {
		return t.rules == nil || t.related(p, false, true, now)
	}
	f.see(p, true, now)
	if p.more {
		t.addFragments(p, false, true, now)
	}
	return true
}
