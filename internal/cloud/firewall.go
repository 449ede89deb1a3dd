package cloud

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Firewall is a set of rules for the Droplets that it is assigned to, by
// themselves or through a tag. What no rule allows does not pass.
type Firewall struct {
	ID        string // UUID
	Account   int64
	Name      string
	CreatedAt time.Time
	Inbound   []FirewallRule
	Outbound  []FirewallRule
	Droplets  []int64  // assigned by themselves
	Tags      []string // whose Droplets are assigned
	// Pending is what Droplets have yet to learn of it.
	Pending []FirewallChange
}

// FirewallStatus says whether a firewall is in force as it stands.
type FirewallStatus string

// A firewall that is failed is still tried again.
const (
	FirewallWaiting   FirewallStatus = "waiting"
	FirewallSucceeded FirewallStatus = "succeeded"
	FirewallFailed    FirewallStatus = "failed"
)

// Status is how the firewall stands on all its Droplets together.
func (f Firewall) Status() FirewallStatus {
	status := FirewallSucceeded
	for _, change := range f.Pending {
		if change.Failed {
			return FirewallFailed
		}
		status = FirewallWaiting
	}
	return status
}

// FirewallChange is a Droplet that has yet to get a firewall's rules, or to
// lose them.
type FirewallChange struct {
	Droplet  int64
	Removing bool
	Failed   bool
}

// Status is how the change stands.
func (c FirewallChange) Status() FirewallStatus {
	if c.Failed {
		return FirewallFailed
	}
	return FirewallWaiting
}

// FirewallRule lets some traffic pass. The names of its fields are those it is
// stored under.
type FirewallRule struct {
	Protocol string          `json:"protocol"`
	Ports    string          `json:"ports"`
	Action   string          `json:"action"`
	Peers    FirewallTargets `json:"peers"`
}

// FirewallTargets is where traffic comes from or goes to. What was not given is
// nil and stays apart from what was given empty, as it is shown the same way.
type FirewallTargets struct {
	Addresses     []string `json:"addresses,omitzero"`
	Droplets      []int64  `json:"droplet_ids,omitzero"`
	LoadBalancers []string `json:"load_balancer_uids,omitzero"`
	Kubernetes    []string `json:"kubernetes_ids,omitzero"`
	Tags          []string `json:"tags,omitzero"`
}

// FirewallAllow is the action of a rule that does not name one.
const FirewallAllow = "allow"

// allPorts is how all ports of a protocol are written.
const allPorts = "0"

const maxFirewallName = 255

// maxFirewallAction leaves room for any word: the API shows what it was given.
const maxFirewallAction = 16

var firewallNamePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]+$`)

// Check refuses a firewall that could not be one, whatever there is in the
// account, and writes its rules as they are kept.
func (f *Firewall) Check() error {
	if err := CheckFirewallName(f.Name); err != nil {
		return err
	}
	if len(f.Inbound)+len(f.Outbound) == 0 {
		return Invalid("must have at least one rule")
	}
	return CheckFirewallRules(f.Inbound, f.Outbound)
}

// CheckFirewallName refuses what cannot be a firewall's name.
func CheckFirewallName(name string) error {
	if len(name) > maxFirewallName || !firewallNamePattern.MatchString(name) {
		return Invalid("invalid name")
	}
	return nil
}

// CheckFirewallRules refuses rules that could not be ones, and writes the others
// as they are kept.
func CheckFirewallRules(lists ...[]FirewallRule) error {
	for _, rules := range lists {
		for i := range rules {
			if err := rules[i].check(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *FirewallRule) check() error {
	r.Protocol = strings.ToLower(r.Protocol)
	if !slices.Contains([]string{"tcp", "udp", "icmp"}, r.Protocol) {
		return Invalid("you specified an invalid protocol")
	}
	if len(r.Action) > maxFirewallAction {
		return Invalid("action is too long (maximum is %d characters); use allow or deny", maxFirewallAction)
	}
	r.Action = r.action()
	if r.Ports == "all" || r.Ports == "" && r.Protocol == "icmp" {
		r.Ports = allPorts
	}
	if !isPortRange(r.Ports) {
		return Invalid("invalid port range")
	}
	for _, address := range r.Peers.Addresses {
		if !isAddressOrRange(address) {
			return Invalid("invalid address: %s", address)
		}
	}
	switch {
	case len(r.Peers.LoadBalancers) > 0:
		return Invalid("load balancer does not exist")
	case len(r.Peers.Kubernetes) > 0:
		return Invalid("kubernetes cluster does not exist")
	}
	return nil
}

func (r FirewallRule) action() string { return cmp.Or(r.Action, FirewallAllow) }

func isPortRange(text string) bool {
	first, last, isRange := strings.Cut(text, "-")
	low, ok := portNumber(first)
	if !isRange {
		return ok
	}
	high, alsoOK := portNumber(last)
	return ok && alsoOK && low <= high
}

func portNumber(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err == nil
}

func isAddressOrRange(text string) bool {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Zone() == ""
	}
	_, err := netip.ParsePrefix(text)
	return err == nil
}

// Same reports whether two rules do the same with the same traffic. The order of what
// they list does not matter.
func (r FirewallRule) Same(other FirewallRule) bool {
	return r.Protocol == other.Protocol && r.Ports == other.Ports && r.action() == other.action() &&
		sameSet(r.Peers.Addresses, other.Peers.Addresses) && sameSet(r.Peers.Droplets, other.Peers.Droplets) &&
		sameSet(r.Peers.Tags, other.Peers.Tags)
}

func sameSet[T string | int64](a, b []T) bool {
	sorted := func(list []T) []T { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return slices.Equal(sorted(a), sorted(b))
}

// MaxFirewallListed is how many rules, and addresses, Droplets and tags in
// them, a firewall has. All of them are read and written with every change.
const MaxFirewallListed = 1000

// Listed counts what a firewall's rules list, the rules themselves included.
func (f Firewall) Listed() (n int) {
	for _, rule := range slices.Concat(f.Inbound, f.Outbound) {
		n += 1 + len(rule.Peers.Addresses) + len(rule.Peers.Droplets) + len(rule.Peers.Tags)
	}
	return n
}

// AddFirewallRules adds to rules those that are not there yet.
func AddFirewallRules(rules, more []FirewallRule) []FirewallRule {
	for _, rule := range more {
		if !slices.ContainsFunc(rules, rule.Same) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// RemoveFirewallRules takes rules away.
func RemoveFirewallRules(rules, gone []FirewallRule) []FirewallRule {
	return slices.DeleteFunc(rules, func(rule FirewallRule) bool { return slices.ContainsFunc(gone, rule.Same) })
}

// Mentions lists the Droplets and the tags that a firewall's rules name, each
// once.
func (f Firewall) Mentions() (droplets []int64, tags []string) {
	for _, rule := range slices.Concat(f.Inbound, f.Outbound) {
		droplets = append(droplets, rule.Peers.Droplets...)
		tags = append(tags, rule.Peers.Tags...)
	}
	slices.Sort(droplets)
	slices.Sort(tags)
	return slices.Compact(droplets), slices.Compact(tags)
}
