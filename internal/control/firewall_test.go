package control

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/store"
)

// newFirewall is a request for a firewall that lets ssh in from a place.
func newFirewall(name string, from cloud.FirewallTargets) cloud.Firewall {
	return cloud.Firewall{Name: name, Inbound: []cloud.FirewallRule{{Protocol: "tcp", Ports: "22", Peers: from}}}
}

var anywhere = cloud.FirewallTargets{Addresses: []string{"0.0.0.0/0"}}

// addFirewall makes a firewall and does not wait for it to be in force.
func (c *testCloud) addFirewall(n cloud.Firewall) cloud.Firewall {
	c.Helper()
	f, err := c.plane.CreateFirewall(c.Context(), c.who, n)
	if err != nil {
		c.Fatal(err)
	}
	return f
}

func (c *testCloud) firewall(id string) cloud.Firewall {
	c.Helper()
	f, err := c.plane.Firewall(c.Context(), c.who, id)
	if err != nil {
		c.Fatal(err)
	}
	return f
}

// tag puts a tag on a Droplet or takes it off.
func (c *testCloud) tag(name string, on bool, droplets ...int64) {
	c.Helper()
	c.inStore(func(tx *store.Tx) error {
		ids := []string{}
		for _, id := range droplets {
			ids = append(ids, cloud.FormatID(id))
		}
		if !on {
			return tx.UntagResources(c.who.Account, name, cloud.KindDroplet, ids)
		}
		if _, err := tx.AddTag(c.who.Account, name); err != nil {
			return err
		}
		return tx.TagResources(c.who.Account, name, cloud.KindDroplet, ids)
	})
}

// filter is what a machine's rules let pass, in short.
func (c *testCloud) filter(droplet int64) string {
	c.Helper()
	for _, m := range c.world().Machines {
		if m.ID != cloud.FormatID(droplet) {
			continue
		}
		if !m.Firewall.On {
			return "all"
		}
		text := ""
		for _, r := range m.Firewall.Inbound {
			text += fmt.Sprint(r.Protocol, "/", r.Ports, r.Addresses)
		}
		return text
	}
	c.Fatalf("Droplet %d has no machine", droplet)
	return ""
}

// becomes checks that a machine's rules are waited for and come to be what is
// wanted.
func (c *testCloud) becomes(f cloud.Firewall, droplet int64, want string) {
	c.Helper()
	if status := c.firewall(f.ID).Status(); status != cloud.FirewallWaiting {
		c.Errorf("the firewall is %s", status)
	}
	if got := c.filter(droplet); got == want {
		c.Errorf("the machine has %s at once", got)
	}
	c.settle()
	if status := c.firewall(f.ID).Status(); status != cloud.FirewallSucceeded {
		c.Errorf("the firewall is %s in the end", status)
	}
	if got := c.filter(droplet); got != want {
		c.Errorf("the machine has %s, want %s", got, want)
	}
	c.checkWorld()
}

// Whatever changes a Droplet's rules is waited for, and then in force.
func TestFirewallFollowsEveryChange(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		web, peer := c.addDroplet("web"), c.addDroplet("peer")
		ctx := c.Context()
		must := func(err error) {
			c.Helper()
			if err != nil {
				c.Fatal(err)
			}
		}
		addresses := func(d cloud.Droplet) string {
			all := []string{d.PrivateIPv4, d.PublicIPv4}
			slices.Sort(all)
			return fmt.Sprint("tcp/22", all)
		}
		n := newFirewall("edge", anywhere)
		n.Droplets = []int64{web.ID}
		f := c.addFirewall(n)
		c.becomes(f, web.ID, "tcp/22[0.0.0.0/0]")

		must(c.plane.UnassignFirewall(ctx, c.who, f.ID, []int64{web.ID}, nil))
		c.becomes(f, web.ID, "all")

		c.tag("edge", true, peer.ID)
		must(c.plane.AssignFirewall(ctx, c.who, f.ID, nil, []string{"EDGE"}))
		c.becomes(f, peer.ID, "tcp/22[0.0.0.0/0]")
		c.tag("edge", true, web.ID)
		c.becomes(f, web.ID, "tcp/22[0.0.0.0/0]")
		c.tag("edge", false, peer.ID)
		c.becomes(f, peer.ID, "all")

		c.tag("friends", true) // nobody has it yet
		n = newFirewall("edge", cloud.FirewallTargets{Tags: []string{"Friends"}})
		n.Tags = []string{"edge"}
		_, err := c.plane.ReplaceFirewall(ctx, c.who, f.ID, n)
		must(err)
		c.becomes(f, web.ID, "tcp/22[]")
		c.tag("friends", true, peer.ID)
		c.becomes(f, web.ID, addresses(peer))

		must(c.store.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.RenameTag(c.who.Account, "friends", "pals")
			return err
		}))
		if tags := c.firewall(f.ID).Inbound[0].Peers.Tags; !slices.Equal(tags, []string{"pals"}) {
			c.Errorf("after the tag was renamed the rule names %v", tags)
		}
		must(c.plane.DeleteDroplet(ctx, c.who, peer.ID))
		c.settle()
		if got := c.filter(web.ID); got != "tcp/22[]" {
			c.Errorf("a Droplet that is gone may still come in: %s", got)
		}
		must(c.store.Write(ctx, func(tx *store.Tx) error { return tx.DeleteTag(c.who.Account, "edge") }))
		c.becomes(f, web.ID, "all")
	})
}

// Rules add up: what any firewall of a Droplet allows passes.
func TestFirewallsAddUp(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addDroplet("web")
		for name, from := range map[string]string{"one": "192.0.2.1", "two": "0.0.0.0/0"} {
			n := newFirewall(name, cloud.FirewallTargets{Addresses: []string{from}})
			n.Droplets = []int64{d.ID}
			c.addFirewall(n)
		}
		denied := cloud.Firewall{Name: "three", Droplets: []int64{d.ID}, Inbound: []cloud.FirewallRule{
			{Protocol: "udp", Ports: "53", Action: "deny", Peers: anywhere}, {Protocol: "icmp", Peers: anywhere},
		}}
		f := c.addFirewall(denied)
		c.settle()
		if got := c.filter(d.ID); got != "icmp/0[0.0.0.0/0]tcp/22[0.0.0.0/0 192.0.2.1]" {
			c.Errorf("the machine has %s", got)
		}
		c.checkWorld()
		if err := c.plane.DeleteFirewall(c.Context(), c.who, f.ID); err != nil {
			c.Fatal(err)
		}
		c.settle()
		if got := c.filter(d.ID); got != "tcp/22[0.0.0.0/0 192.0.2.1]" {
			c.Errorf("the machine has %s when one is deleted", got)
		}
		c.checkWorld()
	})
}

// A Droplet that a tag puts under a firewall never runs without its rules, and
// what is changed while it is created comes after.
func TestNewDropletHasItsFirewall(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.tag("edge", true)
		n := newFirewall("edge", anywhere)
		n.Tags = []string{"edge"}
		f := c.addFirewall(n)
		if status := f.Status(); status != cloud.FirewallSucceeded {
			c.Errorf("a firewall of no Droplet is %s", status)
		}
		request := newDroplet("web")
		request.Tags = []string{"edge"}
		d := c.create(request)
		for len(c.world().Machines) == 0 {
			if _, err := c.plane.Runner().RunDue(c.Context()); err != nil {
				c.Fatal(err)
			}
			at, _, _ := c.plane.Runner().NextDue(c.Context())
			c.clock.advanceTo(at)
		}
		if got := c.filter(d.ID); got != "tcp/22[0.0.0.0/0]" {
			c.Errorf("the new machine has %s", got)
		}
		if err := c.plane.applyFirewalls(c.Context()); err != nil {
			c.Fatal(err)
		}
		n.Inbound[0].Ports = "80"
		if _, err := c.plane.ReplaceFirewall(c.Context(), c.who, f.ID, n); err != nil {
			c.Fatal(err)
		}
		c.becomes(f, d.ID, "tcp/80[0.0.0.0/0]")
	})
}

// With nothing to do, the reconciler asks the engine for nothing, writes
// nothing, and waits for its next look.
func TestIdleFirewallsDoNothing(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		n := newFirewall("edge", anywhere)
		n.Droplets = []int64{c.addDroplet("web").ID}
		c.addFirewall(n)
		c.settle()
		before, work := c.world(), c.query(`SELECT COUNT(*) FROM sim_work`)
		for range 3 {
			if wait, err := c.plane.firewalls.step(c.Context()); err != nil || wait != firewallEvery {
				c.Errorf("with nothing to do: %s, %v", wait, err)
			}
		}
		if after := c.query(`SELECT COUNT(*) FROM sim_work`); after != work || !reflect.DeepEqual(c.world(), before) {
			c.Errorf("%d pieces of work, and before %d", after, work)
		}
	})
}

// An engine that fails is tried again, later each time, and the firewall says
// that it is failed as long as it does. Nothing is lost when it works again.
func TestFirewallTriesAgain(t *testing.T) {
	for name, transient := range map[string]bool{"final": false, "transient": true} {
		t.Run(name, func(t *testing.T) {
			eachCloud(t, func(c *testCloud) {
				d := c.addDroplet("web")
				n := newFirewall("edge", anywhere)
				n.Droplets = []int64{d.ID}
				f := c.addFirewall(n)
				c.addFault(engine.Fault{Operation: "firewall.apply", Resource: "web", Error: "no", Times: 7, Transient: transient})
				waits := []string{}
				for range 9 {
					if err := c.plane.firewalls.passOnce(c.Context()); err != nil {
						c.Fatal(err)
					}
					at, any := c.nextDue()
					if !any {
						break
					}
					waits = append(waits, string(c.firewall(f.ID).Status())+" "+at.Sub(c.clock.Now()).String())
					c.clock.advanceTo(at)
				}
				want := []string{
					"waiting 1.5s", "failed 2s", "failed 4s", "failed 8s", "failed 16s", "failed 32s", "failed 1m4s", "failed 2m8s",
				}
				if transient {
					want[1], want[2], want[3], want[4] = "waiting 2s", "waiting 4s", "waiting 8s", "waiting 16s"
				}
				if !slices.Equal(waits, want) {
					c.Errorf("it waits %q, want %q", waits, want)
				}
				if got := c.filter(d.ID); got != "tcp/22[0.0.0.0/0]" || c.firewall(f.ID).Status() != cloud.FirewallSucceeded {
					c.Errorf("in the end the machine has %s and the firewall is %s", got, c.firewall(f.ID).Status())
				}
				c.checkWorld()
			})
		})
	}
}

// A process that dies before or after the engine is asked, or while rules are
// on their way, leaves them to the next.
func TestFirewallSurvivesCrashes(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addDroplet("web")
		n := newFirewall("edge", anywhere)
		n.Droplets = []int64{d.ID}
		f := c.addFirewall(n)
		c.restart() // before
		if err := c.plane.firewalls.passOnce(c.Context()); err != nil {
			c.Fatal(err)
		}
		n.Inbound[0].Ports = "80"
		if _, err := c.plane.ReplaceFirewall(c.Context(), c.who, f.ID, n); err != nil {
			c.Fatal(err)
		}
		c.restart() // on their way, and others on theirs
		c.becomes(f, d.ID, "tcp/80[0.0.0.0/0]")

		// After: the engine has the rules and the cloud has not heard of it.
		n.Inbound[0].Ports = "443"
		if _, err := c.plane.ReplaceFirewall(c.Context(), c.who, f.ID, n); err != nil {
			c.Fatal(err)
		}
		wanted, w := c.wantedFirewall(d), engine.Work{Key: fmt.Sprintf("firewall/%d/%d", d.ID, c.wantedFirewall(d).Version)}
		for done := false; !done; {
			p, err := c.engine.ApplyFirewall(c.Context(), w, machineRef(d), wanted)
			if err != nil {
				c.Fatal(err)
			}
			done = p.Done
			c.clock.advance(p.After)
		}
		c.restart()
		c.settle()
		c.checkWorld()
	})
}

// A destroyed Droplet leaves its firewalls, however its destroy goes.
func TestDestroyedDropletLeavesItsFirewalls(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		keep, go1, go2 := c.addDroplet("keep"), c.addDroplet("go-1"), c.addDroplet("go-2")
		n := newFirewall("edge", cloud.FirewallTargets{Droplets: []int64{go1.ID, keep.ID}})
		n.Droplets = []int64{keep.ID, go1.ID, go2.ID}
		f := c.addFirewall(n)
		c.must(func(ctx context.Context) error { return c.plane.DeleteDroplet(ctx, c.who, go1.ID) })
		c.must(func(ctx context.Context) error { return c.plane.DestroyEverything(ctx, c.who, go2.ID) })
		c.checkWorld()
		got := c.firewall(f.ID)
		if !slices.Equal(got.Droplets, []int64{keep.ID}) || !slices.Equal(got.Inbound[0].Peers.Droplets, []int64{keep.ID}) {
			c.Errorf("the firewall has %v and its rule names %v", got.Droplets, got.Inbound[0].Peers.Droplets)
		}
	})
}

// Droplets whose tag a rule names are destroyed at once, beside creates with that
// tag, and no transaction is given up for another.
func TestTaggedDropletsGoAtOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, config database.Config) {
		c := newCloud(t, config, "0")
		names := make([]string, 10)
		for i := range names {
			names[i] = fmt.Sprint("web-", i)
		}
		n := newDroplet(names...)
		n.Tags = []string{"web"}
		c.create(n)
		c.create(n)
		f := newFirewall("edge", cloud.FirewallTargets{Tags: []string{"web"}})
		f.Tags = []string{"web"}
		c.addFirewall(f)
		c.settle()
		ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
		var removals atomic.Int64
		c.db.ObserveStatements(func(_ context.Context, statement string) {
			if strings.HasPrefix(statement, "DELETE FROM droplets ") {
				removals.Add(1)
			}
		})
		if err := c.plane.DeleteTaggedDroplets(ctx, c.who, "web"); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() { c.plane.Runner().Run(ctx) })
		n.Names = names[:1]
		for range 5 {
			if _, _, err := c.plane.CreateDroplets(ctx, c.who, n); err != nil {
				t.Error(err)
			}
		}
		if err := c.plane.Runner().Settle(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		all.Wait()
		if got := removals.Load(); got != 2*20 { // each is rehearsed
			t.Errorf("20 Droplets were removed in %d tries", got/2)
		}
		c.settle()
		if left := c.query(`SELECT COUNT(*) FROM droplets`); left != 5 {
			t.Errorf("%d Droplets are left", left)
		}
		c.checkWorld()
	})
}

// A Droplet that is being destroyed gets no rules any more, and the latest ones
// if it stays after all.
func TestDestroyedDropletGetsNoRules(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addDroplet("web")
		n := newFirewall("edge", anywhere)
		n.Droplets = []int64{d.ID}
		f := c.addFirewall(n)
		c.settle()
		c.addFault(engine.Fault{Operation: "machine.destroy", Error: "no", Times: 1})
		if err := c.plane.DeleteDroplet(c.Context(), c.who, d.ID); err != nil {
			c.Fatal(err)
		}
		n.Inbound[0].Ports = "80"
		if _, err := c.plane.ReplaceFirewall(c.Context(), c.who, f.ID, n); err != nil {
			c.Fatal(err)
		}
		if at, err := c.plane.nextFirewall(c.Context()); err != nil || !at.IsZero() {
			c.Errorf("rules are due at %s, %v", at, err)
		}
		c.settle()
		if got := c.filter(d.ID); got != "tcp/80[0.0.0.0/0]" {
			c.Errorf("a Droplet that stays has %s", got)
		}
		c.checkWorld()
	})
}

// Rules that name a Droplet have the addresses that it gets later.
func TestFirewallLearnsNewAddresses(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		web, peer := c.addDroplet("web"), c.addDroplet("peer")
		n := newFirewall("edge", cloud.FirewallTargets{Droplets: []int64{peer.ID}})
		n.Droplets = []int64{web.ID}
		c.addFirewall(n)
		c.settle()
		c.act(peer.ID, DropletAction{Type: cloud.ActionEnableIPv6})
		c.checkWorld()
		ip := c.droplet(peer.ID).PublicIPv6
		if got := c.filter(web.ID); ip == "" || !strings.Contains(got, ip) {
			c.Errorf("the machine has %s, without %s", got, ip)
		}
	})
}
