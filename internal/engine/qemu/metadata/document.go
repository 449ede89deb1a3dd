// Package metadata answers what a guest asks about itself at 169.254.169.254:
// the tree under /metadata/v1/ and the same facts as JSON in /metadata/v1.json.
package metadata

import (
	"net"
	"net/netip"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// Document is all that a machine is told about itself. Its form in JSON is that
// of v1.json, which cloud-init's DigitalOcean data source reads.
type Document struct {
	DropletID  int64      `json:"droplet_id"`
	Hostname   string     `json:"hostname"`
	UserData   string     `json:"user_data,omitempty"`
	VendorData string     `json:"vendor_data"`
	PublicKeys []string   `json:"public_keys"`
	AuthKey    string     `json:"auth_key"`
	Region     string     `json:"region"`
	Interfaces Interfaces `json:"interfaces"`
	FloatingIP Reserved4  `json:"floating_ip"`
	ReservedIP Reserved   `json:"reserved_ip"`
	DNS        DNS        `json:"dns"`
	Tags       []string   `json:"tags"`
	Features   Features   `json:"features"`
	// MaintenanceEvent is what is about to be done to the machine, such as
	// live_migrate. It is in no JSON.
	MaintenanceEvent string `json:"-"`
}

// Interfaces are a machine's network devices by what they lead to. A kind that
// the machine has none of is left out: cloud-init takes the first of each that
// it finds.
type Interfaces struct {
	Public  []Interface `json:"public,omitempty"`
	Private []Interface `json:"private,omitempty"`
}

// Interface is one network device.
type Interface struct {
	IPv4       *IPv4  `json:"ipv4,omitempty"`
	IPv6       *IPv6  `json:"ipv6,omitempty"`
	AnchorIPv4 *IPv4  `json:"anchor_ipv4,omitempty"`
	MAC        string `json:"mac"`
	Type       string `json:"type"` // public or private
}

// IPv4 is a device's IPv4 address.
type IPv4 struct {
	Address string `json:"ip_address"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
}

// IPv6 is a device's IPv6 address.
type IPv6 struct {
	Address string `json:"ip_address"`
	CIDR    int    `json:"cidr"`
	Gateway string `json:"gateway"`
}

// Reserved tells of the reserved addresses that lead to the machine.
type Reserved struct {
	IPv4 ReservedAddress `json:"ipv4"`
	IPv6 ReservedAddress `json:"ipv6"`
}

// Reserved4 is what floating IPs, the former name of reserved ones, can be.
type Reserved4 struct {
	IPv4 ReservedAddress `json:"ipv4"`
}

// ReservedAddress is one of them, or none.
type ReservedAddress struct {
	Active  bool   `json:"active"`
	Address string `json:"ip_address,omitempty"`
}

// DNS are the resolvers.
type DNS struct {
	Nameservers []string `json:"nameservers"`
}

// Features is what the network offers.
type Features struct {
	DHCPEnabled bool `json:"dhcp_enabled"`
}

// SetNetwork fills in everything about a machine's network: its devices as its
// guest is to configure them, its reserved addresses and its resolvers.
func (d *Document) SetNetwork(m vnet.Machine, guest vnet.Guest) {
	d.Interfaces = Interfaces{
		Public:  devices("public", m.PublicMAC, guest.Public),
		Private: devices("private", m.PrivateMAC, guest.Private),
	}
	d.ReservedIP = Reserved{IPv4: reserved(m.Network.ReservedIPv4), IPv6: reserved(m.Network.ReservedIPv6)}
	d.FloatingIP = Reserved4{IPv4: d.ReservedIP.IPv4}
	d.DNS.Nameservers = nil
	for _, server := range guest.Nameservers {
		d.DNS.Nameservers = append(d.DNS.Nameservers, server.String())
	}
}

// devices is the one device of a link, or none where there is no link.
func devices(kind, mac string, link vnet.Link) []Interface {
	if !link.IPv4.IsValid() && !link.IPv6.IsValid() {
		return nil
	}
	// Guests compare it with what their kernel says, which is lower case.
	device := Interface{MAC: strings.ToLower(mac), Type: kind}
	if link.IPv4.IsValid() {
		device.IPv4 = &IPv4{
			Address: link.IPv4.Addr().String(),
			Netmask: net.IP(net.CIDRMask(link.IPv4.Bits(), 32)).String(),
			Gateway: text(link.IPv4Gateway),
		}
	}
	if link.IPv6.IsValid() {
		device.IPv6 = &IPv6{Address: link.IPv6.Addr().String(), CIDR: link.IPv6.Bits(), Gateway: text(link.IPv6Gateway)}
	}
	return []Interface{device}
}

func reserved(address string) ReservedAddress {
	return ReservedAddress{Active: address != "", Address: address}
}

// text is an address, or nothing for none.
func text(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	return address.String()
}
