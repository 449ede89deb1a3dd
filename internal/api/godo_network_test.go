package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"
)

func TestGodoFirewalls(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, droplet := a.godo(), int(a.droplet("web"))
		ok(c.Tags.Create(ctx, &godo.TagCreateRequest{Name: "walled"}))(t)
		inbound := godo.InboundRule{Protocol: "tcp", PortRange: "22", Sources: &godo.Sources{Addresses: []string{"0.0.0.0/0"}}}
		outbound := godo.OutboundRule{Protocol: "icmp", Destinations: &godo.Destinations{Addresses: []string{"::/0"}}}
		wall := ok(c.Firewalls.Create(ctx, &godo.FirewallRequest{Name: "wall", InboundRules: []godo.InboundRule{inbound}}))(t)
		for _, change := range []func() (*godo.Response, error){
			func() (*godo.Response, error) { return c.Firewalls.AddDroplets(ctx, wall.ID, droplet) },
			func() (*godo.Response, error) { return c.Firewalls.AddTags(ctx, wall.ID, "walled") },
			func() (*godo.Response, error) {
				return c.Firewalls.AddRules(ctx, wall.ID, &godo.FirewallRulesRequest{OutboundRules: []godo.OutboundRule{outbound}})
			},
		} {
			res, err := change()
			done(t, res, err)
		}
		got := ok(c.Firewalls.Get(ctx, wall.ID))(t)
		if len(got.DropletIDs) != 1 || got.DropletIDs[0] != droplet || len(got.Tags) != 1 || len(got.OutboundRules) != 1 {
			t.Errorf("got %+v", got)
		}
		if list := ok(c.Firewalls.ListByDroplet(ctx, droplet, nil))(t); len(list) != 1 || list[0].ID != wall.ID {
			t.Errorf("got %v", list)
		}
		for _, change := range []func() (*godo.Response, error){
			func() (*godo.Response, error) { return c.Firewalls.RemoveDroplets(ctx, wall.ID, droplet) },
			func() (*godo.Response, error) { return c.Firewalls.RemoveTags(ctx, wall.ID, "walled") },
			func() (*godo.Response, error) {
				return c.Firewalls.RemoveRules(ctx, wall.ID, &godo.FirewallRulesRequest{OutboundRules: got.OutboundRules})
			},
		} {
			res, err := change()
			done(t, res, err)
		}
		ok(c.Firewalls.Update(ctx, wall.ID, &godo.FirewallRequest{Name: "wall-2", InboundRules: []godo.InboundRule{inbound}}))(t)
		list := ok(c.Firewalls.List(ctx, nil))(t)
		if len(list) != 1 || list[0].Name != "wall-2" || len(list[0].DropletIDs)+len(list[0].Tags)+len(list[0].OutboundRules) != 0 {
			t.Errorf("got %+v", list)
		}
		res, err := c.Firewalls.Delete(ctx, wall.ID)
		done(t, res, err)
		_, _, err = c.Firewalls.Get(ctx, wall.ID)
		fails(t, http.StatusNotFound, err)
	})
}

func TestGodoVPCs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c := a.godo()
		network := ok(c.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: "net", RegionSlug: "nyc3", IPRange: "10.200.0.0/24"}))(t)
		in := request("within")
		in.VPCUUID = network.ID
		_, res, err := c.Droplets.Create(ctx, in)
		done(t, res, err)
		a.finish(res.Links)
		members := ok(c.VPCs.ListMembers(ctx, network.ID, &godo.VPCListMembersRequest{ResourceType: "droplet"}, nil))(t)
		if len(members) != 1 || members[0].Name != "within" {
			t.Errorf("got %v", members)
		}
		ok(c.VPCs.Update(ctx, network.ID, &godo.VPCUpdateRequest{Name: "net-2", Description: "about it"}))(t)
		ok(c.VPCs.Set(ctx, network.ID, godo.VPCSetName("net-3")))(t)
		got := ok(c.VPCs.Get(ctx, network.ID))(t)
		if got.Name != "net-3" || got.Description != "about it" || got.IPRange != "10.200.0.0/24" || got.Default {
			t.Errorf("got %+v", got)
		}
		names := []string{}
		for _, one := range ok(c.VPCs.List(ctx, nil))(t) {
			if !one.Default {
				names = append(names, one.Name)
			}
		}
		if diff := cmp.Diff([]string{"net-3"}, names); diff != "" {
			t.Error(diff)
		}
		_, err = c.VPCs.Delete(ctx, network.ID)
		fails(t, http.StatusConflict, err)
		empty := ok(c.VPCs.Create(ctx, &godo.VPCCreateRequest{Name: "empty", RegionSlug: "nyc3", IPRange: "10.201.0.0/24"}))(t)
		res, err = c.VPCs.Delete(ctx, empty.ID)
		done(t, res, err)
	})
}

func TestGodoBackups(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, id := a.godo(), int(a.droplet("web"))
		a.wait(int64(ok(c.DropletActions.EnableBackups(ctx, id))(t).ID))
		a.wait(int64(ok(c.DropletActions.DisableBackups(ctx, id))(t).ID))
		hour := 20
		weekly := &godo.DropletBackupPolicyRequest{Plan: "weekly", Weekday: "SUN", Hour: &hour}
		a.wait(int64(ok(c.DropletActions.EnableBackupsWithPolicy(ctx, id, weekly))(t).ID))
		if got := ok(c.Droplets.GetBackupPolicy(ctx, id))(t); got.BackupPolicy.Plan != "weekly" || got.BackupPolicy.Hour != hour {
			t.Errorf("got %+v", got)
		}
		a.wait(int64(ok(c.DropletActions.ChangeBackupPolicy(ctx, id, &godo.DropletBackupPolicyRequest{Plan: "daily", Hour: &hour}))(t).ID))
		if all := ok(c.Droplets.ListBackupPolicies(ctx, nil))(t); all[id] == nil || all[id].BackupPolicy.Plan != "daily" {
			t.Errorf("got %v", all)
		}
		if plans := ok(c.Droplets.ListSupportedBackupPolicies(ctx))(t); len(plans) != 2 {
			t.Errorf("got %v", plans)
		}
		if backups := ok(c.Droplets.Backups(ctx, id, nil))(t); len(backups) != 0 {
			t.Errorf("got %v", backups)
		}
	})
}

func TestGodoVPCPeerings(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, one, two, three := a.godo(), a.vpc("one"), a.vpc("two"), a.vpc("three")
		pair := ok(c.VPCs.CreateVPCPeering(ctx, &godo.VPCPeeringCreateRequest{Name: "pair", VPCIDs: []string{one, two}}))(t)
		other := ok(c.VPCs.CreateVPCPeeringByVPCID(ctx, one, &godo.VPCPeeringCreateRequestByVPCID{Name: "other", VPCID: three}))(t)
		for _, peering := range []*godo.VPCPeering{pair, other} {
			a.becomesActive("/v2/vpc_peerings/" + peering.ID)
		}
		ok(c.VPCs.UpdateVPCPeering(ctx, pair.ID, &godo.VPCPeeringUpdateRequest{Name: "pair-2"}))(t)
		ok(c.VPCs.UpdateVPCPeeringByVPCID(ctx, one, other.ID, &godo.VPCPeeringUpdateRequest{Name: "other-2"}))(t)
		if got := ok(c.VPCs.GetVPCPeering(ctx, pair.ID))(t); got.Name != "pair-2" || got.Status != "ACTIVE" || len(got.VPCIDs) != 2 {
			t.Errorf("got %+v", got)
		}
		if all := ok(c.VPCs.ListVPCPeerings(ctx, nil))(t); len(all) != 2 {
			t.Errorf("got %v", all)
		}
		if list := ok(c.VPCs.ListVPCPeeringsByVPCID(ctx, three, nil))(t); len(list) != 1 || list[0].Name != "other-2" {
			t.Errorf("got %v", list)
		}
		res, err := c.VPCs.DeleteVPCPeering(ctx, pair.ID)
		done(t, res, err)
	})
}

func TestGodoReservedIPv6s(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, droplet := a.godo(), int(a.droplet("web"))
		ip := ok(c.ReservedIPV6s.Create(ctx, &godo.ReservedIPV6CreateRequest{Region: "nyc3"}))(t).IP
		a.wait(int64(ok(c.ReservedIPV6Actions.Assign(ctx, ip, droplet))(t).ID))
		got := ok(c.ReservedIPV6s.Get(ctx, ip))(t)
		if got.Droplet == nil || got.Droplet.ID != droplet || got.RegionSlug != "nyc3" || got.ReservedAt.IsZero() {
			t.Errorf("got %+v", got)
		}
		_, err := c.ReservedIPV6s.Delete(ctx, ip)
		fails(t, http.StatusUnprocessableEntity, err)
		a.wait(int64(ok(c.ReservedIPV6Actions.Unassign(ctx, ip))(t).ID))
		if list := ok(c.ReservedIPV6s.List(ctx, nil))(t); len(list) != 1 || list[0].IP != ip || list[0].Droplet != nil {
			t.Errorf("got %v", list)
		}
		res, err := c.ReservedIPV6s.Delete(ctx, ip)
		done(t, res, err)
	})
}
