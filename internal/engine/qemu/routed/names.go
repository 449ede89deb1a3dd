//go:build linux

package routed

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
)

// What belongs to this network can be told by these.
const (
	linkPrefix = "ctn"
	// protocol is the number in routes and rules that says who made them. The
	// kernel gives it no meaning.
	protocol  = 206
	tableName = "cistern"
)

// Routing tables and policy rules. A link's table is told by its index, which
// no other link has; a private network's by a part of its ID's hash.
const (
	linkTables = 0x63000000
	vpcTables  = 0x64000000

	ruleLink    = 20600 // what only this link has
	ruleVPC     = 20601 // the machines of its private network
	rulePeers   = 20602 // those of the networks that are joined to it
	ruleNothing = 20603 // and nothing else

	// These do nothing but record what was changed on the uplink.
	ruleForwarding4 = 20604
	ruleForwarding6 = 20605
)

var (
	metadataAddr = netip.MustParseAddr("169.254.169.254")
	linkLocal    = netip.MustParsePrefix("169.254.0.0/16")
	// gateway6 is the gateway of every guest: being link-local, it is the same
	// on each link and takes none of the pool.
	gateway6 = netip.MustParseAddr("fe80::1")
	// hostMAC is the host's end of every link, which no guest shares with
	// another: so guests need not learn a new one when theirs is made anew.
	hostMAC = net.HardwareAddr{0x02, 0x63, 0x74, 0x6e, 0x00, 0x01}
)

// hashed is the part of names that stands for a machine's ID.
func hashed(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:5])
}

// linkNames are the names of a machine's links: public, private. A name has at
// most 15 characters.
func linkNames(id string) (public, private string) {
	return linkPrefix + hashed(id) + "e0", linkPrefix + hashed(id) + "e1"
}

func isOurs(link string) bool { return strings.HasPrefix(link, linkPrefix) && len(link) == 15 }

// number is a number that an ID has at first, below a limit.
func number(id string, limit uint32) uint32 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint32(sum[:4]) % limit
}

// numbers gives IDs numbers that differ, and that are the same after a restart
// unless two IDs want the same one.
type numbers struct {
	limit uint32
	of    map[string]uint32
	taken map[uint32]bool
}

func newNumbers(limit uint32) numbers {
	return numbers{limit: limit, of: map[string]uint32{}, taken: map[uint32]bool{}}
}

// get returns an ID's number, from 1 to limit.
func (n numbers) get(id string) uint32 {
	if have, ok := n.of[id]; ok {
		return have
	}
	next := number(id, n.limit)
	for n.taken[next] {
		next = (next + 1) % n.limit
	}
	n.of[id], n.taken[next] = next+1, true
	return next + 1
}
