package api

import (
	"encoding/json"
	"strconv"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

var firewallRoutes = []route{
	get("/v2/firewalls", (*Server).listFirewalls, "firewall:read"),
	post("/v2/firewalls", (*Server).createFirewall, "firewall:create"),
	get("/v2/firewalls/{firewall_id}", (*Server).getFirewall, "firewall:read"),
	put("/v2/firewalls/{firewall_id}", (*Server).replaceFirewall, "firewall:update"),
	del("/v2/firewalls/{firewall_id}", (*Server).deleteFirewall, "firewall:delete"),
	post("/v2/firewalls/{firewall_id}/droplets", (*Server).addFirewallDroplets, "firewall:update"),
	del("/v2/firewalls/{firewall_id}/droplets", (*Server).removeFirewallDroplets, "firewall:update"),
	post("/v2/firewalls/{firewall_id}/tags", (*Server).addFirewallTags, "firewall:update"),
	del("/v2/firewalls/{firewall_id}/tags", (*Server).removeFirewallTags, "firewall:update"),
	post("/v2/firewalls/{firewall_id}/rules", (*Server).addFirewallRules, "firewall:update"),
	del("/v2/firewalls/{firewall_id}/rules", (*Server).removeFirewallRules, "firewall:update"),
	get("/v2/droplets/{droplet_id}/firewalls", (*Server).listDropletFirewalls, "firewall:read"),
}

type wireFirewall struct {
	ID             string               `json:"id"`
	Name           string               `json:"name"`
	Status         string               `json:"status"`
	CreatedAt      string               `json:"created_at"`
	PendingChanges []wireFirewallChange `json:"pending_changes"`
	InboundRules   []wireInboundRule    `json:"inbound_rules"`
	OutboundRules  []wireOutboundRule   `json:"outbound_rules"`
	DropletIDs     []int64              `json:"droplet_ids"`
	Tags           []string             `json:"tags"`
}

type wireFirewallChange struct {
	DropletID int64  `json:"droplet_id"`
	Removing  bool   `json:"removing"`
	Status    string `json:"status"`
}

type wireInboundRule struct {
	Protocol string              `json:"protocol"`
	Ports    string              `json:"ports"`
	Action   string              `json:"action,omitempty"`
	Sources  wireFirewallTargets `json:"sources"`
}

type wireOutboundRule struct {
	Protocol     string              `json:"protocol"`
	Ports        string              `json:"ports"`
	Action       string              `json:"action,omitempty"`
	Destinations wireFirewallTargets `json:"destinations"`
}

// shownAction is a rule's action unless it is the usual one. Ansible compares
// rules with what it was given, which has none.
func shownAction(r cloud.FirewallRule) string {
	if r.Action == cloud.FirewallAllow {
		return ""
	}
	return r.Action
}

// wireFirewallTargets has the keys that were given, and no others.
type wireFirewallTargets struct {
	Addresses     []string  `json:"addresses,omitzero"`
	DropletIDs    []integer `json:"droplet_ids,omitzero"`
	LoadBalancers []string  `json:"load_balancer_uids,omitzero"`
	Kubernetes    []string  `json:"kubernetes_ids,omitzero"`
	Tags          []string  `json:"tags,omitzero"`
}

type firewallBody struct {
	Firewall wireFirewall `json:"firewall"`
}

func (v view) firewall(f cloud.Firewall) wireFirewall {
	return wireFirewall{
		ID: f.ID, Name: f.Name, Status: string(f.Status()), CreatedAt: stamp(f.CreatedAt),
		PendingChanges: list(v.sees("droplet:read"), each(f.Pending, func(c cloud.FirewallChange) wireFirewallChange {
			return wireFirewallChange{c.Droplet, c.Removing, string(c.Status())}
		})),
		InboundRules: each(f.Inbound, func(r cloud.FirewallRule) wireInboundRule {
			return wireInboundRule{r.Protocol, r.Ports, shownAction(r), v.firewallTargets(r.Peers)}
		}),
		OutboundRules: each(f.Outbound, func(r cloud.FirewallRule) wireOutboundRule {
			return wireOutboundRule{r.Protocol, r.Ports, shownAction(r), v.firewallTargets(r.Peers)}
		}),
		DropletIDs: list(v.sees("droplet:read"), f.Droplets),
		Tags:       list(v.sees("tag:read"), f.Tags),
	}
}

// firewallTargets leaves out what a rule names that the caller may not read.
func (v view) firewallTargets(t cloud.FirewallTargets) wireFirewallTargets {
	w := wireFirewallTargets{Addresses: t.Addresses, LoadBalancers: t.LoadBalancers, Kubernetes: t.Kubernetes}
	if t.Droplets != nil && v.sees("droplet:read") {
		w.DropletIDs = each(t.Droplets, func(id int64) integer { return integer(id) })
	}
	if v.sees("tag:read") {
		w.Tags = t.Tags
	}
	return w
}

type firewallRequest struct {
	Name          string              `json:"name"`
	InboundRules  []firewallRuleInput `json:"inbound_rules"`
	OutboundRules []firewallRuleInput `json:"outbound_rules"`
	DropletIDs    []integer           `json:"droplet_ids"`
	Tags          []string            `json:"tags"`
}

// firewallRuleInput is a rule of either direction; each has targets of its own.
type firewallRuleInput struct {
	Protocol     string              `json:"protocol"`
	Ports        portRange           `json:"ports"`
	Action       string              `json:"action"`
	Sources      wireFirewallTargets `json:"sources"`
	Destinations wireFirewallTargets `json:"destinations"`
}

// portRange is ports as text, also where they are given as a number.
type portRange string

// UnmarshalJSON reads ports.
func (p *portRange) UnmarshalJSON(data []byte) error {
	if data[0] == '"' || string(data) == "null" {
		return json.Unmarshal(data, (*string)(p))
	}
	var n integer
	if err := n.UnmarshalJSON(data); err != nil {
		return cloud.Invalid("invalid port range")
	}
	*p = portRange(strconv.FormatInt(int64(n), 10))
	return nil
}

func (in firewallRequest) firewall() (f cloud.Firewall, err error) {
	if err := checkListed("droplet_ids", len(in.DropletIDs)); err != nil {
		return f, err
	}
	if err := checkListed("tags", len(in.Tags)); err != nil {
		return f, err
	}
	f = cloud.Firewall{Name: in.Name, Droplets: numbers(in.DropletIDs), Tags: in.Tags}
	f.Inbound, f.Outbound, err = firewallRules(in.InboundRules, in.OutboundRules)
	return f, err
}

func firewallRules(inbound, outbound []firewallRuleInput) (in, out []cloud.FirewallRule, err error) {
	for _, r := range inbound {
		in = append(in, r.rule(r.Sources))
	}
	for _, r := range outbound {
		out = append(out, r.rule(r.Destinations))
	}
	f := cloud.Firewall{Inbound: in, Outbound: out}
	return in, out, checkListed("inbound_rules and outbound_rules together", f.Listed())
}

func (r firewallRuleInput) rule(t wireFirewallTargets) cloud.FirewallRule {
	peers := cloud.FirewallTargets{
		Addresses: t.Addresses, LoadBalancers: t.LoadBalancers, Kubernetes: t.Kubernetes, Tags: t.Tags,
	}
	if t.DropletIDs != nil {
		peers.Droplets = numbers(t.DropletIDs)
	}
	return cloud.FirewallRule{Protocol: r.Protocol, Ports: string(r.Ports), Action: r.Action, Peers: peers}
}

func numbers(list []integer) []int64 {
	return each(list, func(n integer) int64 { return int64(n) })
}

// firewallID reads the firewall's ID from the path. Its family has a 404 of its
// own, for what cannot be an ID as well.
func (c *call) firewallID() (string, error) {
	id, err := c.uuid("firewall_id")
	if err != nil {
		return "", cloud.Errorf(cloud.CodeNotFound, "Firewall not found")
	}
	return id, nil
}

func (c *call) firewalls(firewalls []cloud.Firewall, total int64, links wireLinks) *reply {
	return ok(struct {
		Firewalls []wireFirewall `json:"firewalls"`
		Links     wireLinks      `json:"links"`
		Meta      wireMeta       `json:"meta"`
	}{each(firewalls, c.view().firewall), links, wireMeta{total}})
}

func (s *Server) listFirewalls(c *call) (*reply, error) {
	p := c.paging()
	firewalls, total, err := s.plane.Firewalls(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	return c.firewalls(firewalls, total, c.links(p, total)), nil
}

func (s *Server) listDropletFirewalls(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	p := c.paging()
	firewalls, total, err := s.plane.DropletFirewalls(c.Context(), c.Actor, id, p.page())
	if err != nil {
		return nil, err
	}
	return c.firewalls(firewalls, total, c.linksWithPages(p, total)), nil
}

func (s *Server) createFirewall(c *call) (*reply, error) {
	var in firewallRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	n, err := in.firewall()
	if err != nil {
		return nil, err
	}
	f, err := s.plane.CreateFirewall(c.Context(), c.Actor, n)
	if err != nil {
		return nil, err
	}
	return accepted(firewallBody{c.view().firewall(f)}), nil
}

func (s *Server) getFirewall(c *call) (*reply, error) {
	id, err := c.firewallID()
	if err != nil {
		return nil, err
	}
	f, err := s.plane.Firewall(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(firewallBody{c.view().firewall(f)}), nil
}

func (s *Server) replaceFirewall(c *call) (*reply, error) {
	id, err := c.firewallID()
	if err != nil {
		return nil, err
	}
	var in firewallRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	n, err := in.firewall()
	if err != nil {
		return nil, err
	}
	f, err := s.plane.ReplaceFirewall(c.Context(), c.Actor, id, n)
	if err != nil {
		return nil, err
	}
	return ok(firewallBody{c.view().firewall(f)}), nil
}

func (s *Server) deleteFirewall(c *call) (*reply, error) {
	id, err := c.firewallID()
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteFirewall(c.Context(), c.Actor, id)
}
