package metadata

import (
	"strconv"
	"strings"
)

// node is a place in the tree: an index of children, or a value.
type node struct {
	name     string
	value    string
	children []node // nil for a value
	hidden   bool   // it answers, and no index lists it
}

func leaf(name, value string) node { return node{name: name, value: value} }

func index(name string, children ...node) node {
	if children == nil {
		children = []node{}
	}
	return node{name: name, children: children}
}

// tree is what is below /metadata/v1/.
func tree(d Document) node {
	event := leaf("maintenance_event", d.MaintenanceEvent)
	event.hidden = true
	return index("v1",
		leaf("id", strconv.FormatInt(d.DropletID, 10)),
		leaf("hostname", d.Hostname),
		leaf("user-data", d.UserData),
		leaf("vendor-data", d.VendorData),
		leaf("public-keys", strings.Join(d.PublicKeys, "\n")),
		leaf("region", d.Region),
		interfacesNode(d.Interfaces),
		index("dns", leaf("nameservers", strings.Join(d.DNS.Nameservers, "\n"))),
		index("floating_ip", reservedNode("ipv4", d.FloatingIP.IPv4)),
		index("reserved_ip", reservedNode("ipv4", d.ReservedIP.IPv4), reservedNode("ipv6", d.ReservedIP.IPv6)),
		tagsNode(d.Tags),
		index("features", leaf("dhcp_enabled", strconv.FormatBool(d.Features.DHCPEnabled))),
		event,
	)
}

func interfacesNode(all Interfaces) node {
	n := index("interfaces")
	for _, kind := range []struct {
		name    string
		devices []Interface
	}{{"public", all.Public}, {"private", all.Private}} {
		if len(kind.devices) > 0 {
			n.children = append(n.children, index(kind.name, numbered(kind.devices)...))
		}
	}
	return n
}

func numbered(devices []Interface) []node {
	nodes := make([]node, len(devices))
	for i, device := range devices {
		nodes[i] = deviceNode(strconv.Itoa(i), device)
	}
	return nodes
}

func deviceNode(name string, device Interface) node {
	n := index(name, leaf("mac", device.MAC), leaf("type", device.Type))
	if v4 := device.IPv4; v4 != nil {
		n.children = append(n.children, ipv4Node("ipv4", *v4))
	}
	if v6 := device.IPv6; v6 != nil {
		n.children = append(n.children, index("ipv6",
			leaf("address", v6.Address), leaf("cidr", strconv.Itoa(v6.CIDR)), leaf("gateway", v6.Gateway)))
	}
	if anchor := device.AnchorIPv4; anchor != nil {
		n.children = append(n.children, ipv4Node("anchor_ipv4", *anchor))
	}
	return n
}

func ipv4Node(name string, v4 IPv4) node {
	return index(name, leaf("address", v4.Address), leaf("netmask", v4.Netmask), leaf("gateway", v4.Gateway))
}

func reservedNode(name string, address ReservedAddress) node {
	n := index(name, leaf("active", strconv.FormatBool(address.Active)))
	if address.Active {
		n.children = append(n.children, leaf("ip_address", address.Address))
	}
	return n
}

// tagsNode lists the tags. They are no places of their own.
func tagsNode(tags []string) node {
	n := index("tags")
	n.value = strings.Join(tags, "\n")
	return n
}

// text is what the node answers: its value, or its children, one a line. As
// with the values, nothing ends the last line.
func (n node) text() string {
	if len(n.children) == 0 {
		return n.value
	}
	var lines []string
	for _, child := range n.children {
		switch {
		case child.hidden:
		case child.children != nil:
			lines = append(lines, child.name+"/")
		default:
			lines = append(lines, child.name)
		}
	}
	return strings.Join(lines, "\n")
}

// find is the place at a path below n, and whether the path is written as that
// kind of place is: an index with a slash at its end, a value without.
func (n node) find(path string) (found node, exact, ok bool) {
	if path == "" {
		return n, n.children == nil, true
	}
	if path == "/" {
		return n, true, n.children != nil
	}
	name, rest, more := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if more {
		rest = "/" + rest
	}
	for _, child := range n.children {
		if child.name == name {
			return child.find(rest)
		}
	}
	return node{}, false, false
}
