package api

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// What a firewall has is changed in parts at paths of its own, each with a body
// and an answer without one.

type firewallDropletsRequest struct {
	DropletIDs []integer `json:"droplet_ids"`
}

type firewallTagsRequest struct {
	Tags []string `json:"tags"`
}

type firewallRulesRequest struct {
	InboundRules  []firewallRuleInput `json:"inbound_rules"`
	OutboundRules []firewallRuleInput `json:"outbound_rules"`
}

// assignment assigns a firewall to Droplets and tags, or takes it from them.
type assignment func(ctx context.Context, who cloud.Actor, id string, droplets []int64, tags []string) error

func (s *Server) addFirewallDroplets(c *call) (*reply, error) {
	return s.changeFirewallDroplets(c, s.plane.AssignFirewall)
}

func (s *Server) removeFirewallDroplets(c *call) (*reply, error) {
	return s.changeFirewallDroplets(c, s.plane.UnassignFirewall)
}

func (s *Server) changeFirewallDroplets(c *call, change assignment) (*reply, error) {
	var in firewallDropletsRequest
	id, err := c.firewallPart(&in)
	if err != nil {
		return nil, err
	}
	if err := given("droplet_ids", len(in.DropletIDs)); err != nil {
		return nil, err
	}
	return noContent(), change(c.Context(), c.Actor, id, numbers(in.DropletIDs), nil)
}

func (s *Server) addFirewallTags(c *call) (*reply, error) {
	return s.changeFirewallTags(c, s.plane.AssignFirewall)
}

func (s *Server) removeFirewallTags(c *call) (*reply, error) {
	return s.changeFirewallTags(c, s.plane.UnassignFirewall)
}

func (s *Server) changeFirewallTags(c *call, change assignment) (*reply, error) {
	var in firewallTagsRequest
	id, err := c.firewallPart(&in)
	if err != nil {
		return nil, err
	}
	if err := given("tags", len(in.Tags)); err != nil {
		return nil, err
	}
	return noContent(), change(c.Context(), c.Actor, id, nil, in.Tags)
}

// ruleChange adds rules to a firewall or takes them away.
type ruleChange func(ctx context.Context, who cloud.Actor, id string, inbound, outbound []cloud.FirewallRule) error

func (s *Server) addFirewallRules(c *call) (*reply, error) {
	return s.changeFirewallRules(c, s.plane.AddFirewallRules)
}

func (s *Server) removeFirewallRules(c *call) (*reply, error) {
	return s.changeFirewallRules(c, s.plane.RemoveFirewallRules)
}

func (s *Server) changeFirewallRules(c *call, change ruleChange) (*reply, error) {
	var in firewallRulesRequest
	id, err := c.firewallPart(&in)
	if err != nil {
		return nil, err
	}
	inbound, outbound, err := firewallRules(in.InboundRules, in.OutboundRules)
	if err != nil {
		return nil, err
	}
	return noContent(), change(c.Context(), c.Actor, id, inbound, outbound)
}

// firewallPart reads which firewall is to be changed, and how. One that is not
// there is told before anything is wrong with the body.
func (c *call) firewallPart(in any) (id string, err error) {
	if id, err = c.firewallID(); err != nil {
		return "", err
	}
	if _, err := c.server.plane.Firewall(c.Context(), c.Actor, id); err != nil {
		return "", err
	}
	return id, c.decode(in)
}

// given refuses a list that has nothing, or too much.
func given(field string, n int) error {
	if n == 0 {
		return cloud.Invalid("%s is required", field)
	}
	return checkListed(field, n)
}
