package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Firewalls are kept in force by a reconciler. Whatever changes a Droplet's
// rules raises their version, in the transaction of the change; the reconciler
// gives the machine its rules as they are then, and notes which version that
// was. What has changed meanwhile is a newer version, and due again.

const (
	// firewallEvery is how often to look for changes that another process made.
	firewallEvery = 10 * time.Second
	// firewallsAtOnce is how many Droplets a pass reads at a time.
	firewallsAtOnce = 100
	// A Droplet whose rules cannot be applied is tried again after the first of
	// these, then after longer, up to the second.
	firewallRetry     = 2 * time.Second
	firewallLastRetry = time.Hour
	// firewallPatience is how many failures in a row a firewall waits for before
	// it is shown as failed. It is tried again all the same.
	firewallPatience = 5
)

// applyFirewalls gives every Droplet that is due its rules.
func (p *Plane) applyFirewalls(ctx context.Context) error {
	for {
		var due []store.FirewallMachine
		err := p.store.Read(ctx, func(tx *store.Tx) (err error) {
			due, err = tx.DueFirewalls(firewallsAtOnce)
			return err
		})
		if err != nil {
			return err
		}
		if len(due) == 0 {
			return nil
		}
		for _, m := range due {
			if err := p.applyFirewall(ctx, m); err != nil {
				return err
			}
		}
	}
}

// nextFirewall is when the next Droplet is due that has to wait.
func (p *Plane) nextFirewall(ctx context.Context) (at time.Time, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		at, _, err = tx.NextFirewall()
		return err
	})
	return at, err
}

// applyFirewall gives one Droplet its rules and records how that went.
func (p *Plane) applyFirewall(ctx context.Context, m store.FirewallMachine) error {
	var machine engine.Ref
	var firewall engine.Firewall
	err := p.store.Read(ctx, func(tx *store.Tx) error {
		d, err := tx.Droplet(m.Account, m.Droplet)
		if err != nil {
			return err
		}
		machine = machineRef(d)
		firewall, err = firewallOf(tx, m.Account, m.Droplet)
		return err
	})
	if cloud.IsNotFound(err) {
		return nil // its row has gone with it
	}
	if err != nil {
		return err
	}
	m.Version = firewall.Version
	key := fmt.Sprintf("firewall/%d/%d", m.Droplet, m.Version)
	progress, err := p.engine.ApplyFirewall(ctx, engine.Work{Key: key}, machine, firewall)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return p.store.Write(ctx, func(tx *store.Tx) error { return p.recordFirewall(tx, m, progress, err) })
}

func (p *Plane) recordFirewall(tx *store.Tx, m store.FirewallMachine, progress engine.Progress, err error) error {
	if err := tx.LockAccount(m.Account); err != nil {
		return err
	}
	switch {
	case err == nil && progress.Done:
		return tx.FirewallApplied(m)
	case err == nil:
		return tx.PutOffFirewall(m, tx.Now.Add(progress.After), false)
	}
	m.Attempt++
	failed := engine.IsFinal(err) || m.Attempt >= firewallPatience
	wait := min(firewallRetry<<min(m.Attempt-1, 11), firewallLastRetry)
	if m.Attempt&(m.Attempt-1) == 0 { // the first time, and then ever more rarely
		p.log.Warn("a Droplet's firewall rules could not be applied; will try again",
			"droplet", m.Droplet, "attempt", m.Attempt, "after", wait, "error", err)
	}
	return tx.PutOffFirewall(m, tx.Now.Add(wait), failed)
}

// firewallOf puts together what may pass to and from a Droplet: all that any of
// its firewalls allows.
func firewallOf(tx *store.Tx, account, droplet int64) (f engine.Firewall, err error) {
	if f.Version, err = tx.FirewallVersion(droplet); err != nil || f.Version == 0 {
		return f, err
	}
	firewalls, _, err := tx.Firewalls(account, droplet, cloud.Page{})
	if err != nil || len(firewalls) == 0 {
		return f, err
	}
	all := cloud.Firewall{}
	for _, one := range firewalls {
		all.Inbound, all.Outbound = append(all.Inbound, one.Inbound...), append(all.Outbound, one.Outbound...)
	}
	droplets, tags := all.Mentions()
	peers, err := tx.FirewallPeers(account, droplets, tags)
	f.On, f.Inbound, f.Outbound = true, mergeRules(all.Inbound, peers), mergeRules(all.Outbound, peers)
	return f, err
}

// mergeRules joins rules about the same protocol and ports, with every address
// that any of them names, in an order that is always the same.
func mergeRules(rules []cloud.FirewallRule, peers store.FirewallPeers) (merged []engine.FirewallRule) {
	places := map[[2]string]int{}
	for _, rule := range rules {
		if rule.Action != cloud.FirewallAllow {
			continue // what no rule allows does not pass anyway
		}
		key := [2]string{rule.Protocol, rule.Ports}
		place, known := places[key]
		if !known {
			place = len(merged)
			places[key] = place
			merged = append(merged, engine.FirewallRule{Protocol: rule.Protocol, Ports: rule.Ports})
		}
		merged[place].Addresses = append(merged[place].Addresses, addressesOf(rule.Peers, peers)...)
	}
	for i := range merged {
		slices.Sort(merged[i].Addresses)
		merged[i].Addresses = slices.Compact(merged[i].Addresses)
	}
	slices.SortFunc(merged, func(a, b engine.FirewallRule) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Ports, b.Ports))
	})
	return merged
}

func addressesOf(t cloud.FirewallTargets, peers store.FirewallPeers) []string {
	all := slices.Clone(t.Addresses)
	for _, id := range t.Droplets {
		all = append(all, peers.Droplets[id]...)
	}
	for _, tag := range t.Tags {
		for _, id := range peers.Tags[tag] {
			all = append(all, peers.Droplets[id]...)
		}
	}
	return all
}
