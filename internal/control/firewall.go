package control

import (
	"context"
	"slices"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// errNoFirewall is the live API's text, which differs from that of the other
// families.
func errNoFirewall() error { return cloud.Errorf(cloud.CodeNotFound, "Firewall not found") }

func foundFirewall(f cloud.Firewall, err error) (cloud.Firewall, error) {
	if cloud.IsNotFound(err) {
		err = errNoFirewall()
	}
	return f, err
}

// CreateFirewall makes a firewall with its rules and what it is assigned to.
func (p *Plane) CreateFirewall(ctx context.Context, who cloud.Actor, n cloud.Firewall) (f cloud.Firewall, err error) {
	if err := n.Check(); err != nil {
		return f, err
	}
	n.ID, n.Account = cloud.NewUUID(), who.Account
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		n.CreatedAt = tx.Now
		fresh, err := resolveFirewall(tx, n)
		if err != nil {
			return err
		}
		err = tx.ChangeFirewall(fresh.ID, true, func() error {
			added, err := tx.AddFirewall(fresh)
			if err == nil && !added {
				err = cloud.Conflict("duplicate name")
			}
			return err
		})
		if err != nil {
			return err
		}
		f, err = tx.Firewall(who.Account, fresh.ID)
		return err
	})
	return f, err
}

// resolveFirewall makes sure that there is all that a firewall names, and writes
// tags as they are kept.
func resolveFirewall(tx *store.Tx, f cloud.Firewall) (cloud.Firewall, error) {
	droplets, tags := f.Mentions()
	if err := dropletsExist(tx, f.Account, append(droplets, f.Droplets...)); err != nil {
		return f, err
	}
	kept, err := tagsExist(tx, f.Account, append(tags, f.Tags...))
	if err != nil {
		return f, err
	}
	f.Tags = keptNames(f.Tags, kept)
	f.Inbound, f.Outbound = keptRules(f.Inbound, kept), keptRules(f.Outbound, kept)
	return f, nil
}

func dropletsExist(tx *store.Tx, account int64, ids []int64) error {
	there, err := tx.LockDroplets(account, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.Contains(there, id) {
			return cloud.Invalid("droplet does not exist")
		}
	}
	return nil
}

// tagsExist returns tags' names as they are kept, by their names in small
// letters. Unlike Droplets, firewalls make no tags.
func tagsExist(tx *store.Tx, account int64, names []string) (map[string]string, error) {
	kept, err := tx.LockTags(account, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if kept[strings.ToLower(name)] == "" {
			return nil, cloud.Invalid("tag %s does not exist", name)
		}
	}
	return kept, nil
}

func keptNames(names []string, kept map[string]string) []string {
	if names == nil {
		return nil
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = kept[strings.ToLower(name)]
	}
	return out
}

func keptRules(rules []cloud.FirewallRule, kept map[string]string) []cloud.FirewallRule {
	rules = append([]cloud.FirewallRule{}, rules...)
	for i := range rules {
		rules[i].Peers.Tags = keptNames(rules[i].Peers.Tags, kept)
	}
	return rules
}

// Firewall reads a firewall.
func (p *Plane) Firewall(ctx context.Context, who cloud.Actor, id string) (f cloud.Firewall, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		f, err = foundFirewall(tx.Firewall(who.Account, id))
		return err
	})
	return f, err
}

// Firewalls lists the account's firewalls, oldest first.
func (p *Plane) Firewalls(ctx context.Context, who cloud.Actor, page cloud.Page) (firewalls []cloud.Firewall, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		firewalls, total, err = tx.Firewalls(who.Account, 0, page)
		return err
	})
	return firewalls, total, err
}

// DropletFirewalls lists the firewalls that a Droplet is assigned to, by itself
// or through a tag.
func (p *Plane) DropletFirewalls(ctx context.Context, who cloud.Actor, droplet int64, page cloud.Page) (firewalls []cloud.Firewall, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if _, err := tx.Droplet(who.Account, droplet); err != nil {
			return err
		}
		firewalls, total, err = tx.Firewalls(who.Account, droplet, page)
		return err
	})
	return firewalls, total, err
}

// editFirewall changes a firewall that is there. Rules says that its rules may
// have changed, so that all its Droplets have to learn them.
func (p *Plane) editFirewall(ctx context.Context, who cloud.Actor, id string, rules bool, edit func(*store.Tx, *cloud.Firewall) error) (f cloud.Firewall, err error) {
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		next, err := foundFirewall(tx.LockFirewall(who.Account, id))
		if err != nil {
			return err
		}
		if err := edit(tx, &next); err != nil {
			return err
		}
		taken, err := tx.FirewallNamed(who.Account, next.Name, id)
		if err == nil && taken {
			err = cloud.Conflict("duplicate name")
		}
		if err != nil {
			return err
		}
		if err := tx.ChangeFirewall(id, rules, func() error { return tx.SaveFirewall(next) }); err != nil {
			return err
		}
		f, err = tx.Firewall(who.Account, id)
		return err
	})
	return f, err
}

// ReplaceFirewall makes a firewall what is given: what is left out is empty.
func (p *Plane) ReplaceFirewall(ctx context.Context, who cloud.Actor, id string, n cloud.Firewall) (cloud.Firewall, error) {
	invalid := n.Check()
	return p.editFirewall(ctx, who, id, true, func(tx *store.Tx, f *cloud.Firewall) error {
		if invalid != nil {
			return invalid
		}
		next := n
		next.ID, next.Account, next.CreatedAt = f.ID, f.Account, f.CreatedAt
		next, err := resolveFirewall(tx, next)
		*f = next
		return err
	})
}

// DeleteFirewall deletes a firewall. Its Droplets lose its rules soon after.
func (p *Plane) DeleteFirewall(ctx context.Context, who cloud.Actor, id string) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		if _, err := foundFirewall(tx.LockFirewall(who.Account, id)); err != nil {
			return err
		}
		return tx.ChangeFirewall(id, false, func() error { return tx.DeleteFirewall(id) })
	})
}

// AssignFirewall assigns a firewall to more Droplets and tags.
func (p *Plane) AssignFirewall(ctx context.Context, who cloud.Actor, id string, droplets []int64, tags []string) error {
	_, err := p.editFirewall(ctx, who, id, false, func(tx *store.Tx, f *cloud.Firewall) error {
		if err := dropletsExist(tx, who.Account, droplets); err != nil {
			return err
		}
		kept, err := tagsExist(tx, who.Account, tags)
		f.Droplets = append(f.Droplets, droplets...)
		f.Tags = append(f.Tags, keptNames(tags, kept)...)
		return err
	})
	return err
}

// UnassignFirewall takes a firewall from Droplets and tags. What it is not
// assigned to is passed over.
func (p *Plane) UnassignFirewall(ctx context.Context, who cloud.Actor, id string, droplets []int64, tags []string) error {
	_, err := p.editFirewall(ctx, who, id, false, func(_ *store.Tx, f *cloud.Firewall) error {
		f.Droplets = slices.DeleteFunc(f.Droplets, func(id int64) bool { return slices.Contains(droplets, id) })
		f.Tags = slices.DeleteFunc(f.Tags, func(tag string) bool {
			return slices.ContainsFunc(tags, func(name string) bool { return strings.EqualFold(name, tag) })
		})
		return nil
	})
	return err
}

// AddFirewallRules adds rules to a firewall that does not have them yet.
func (p *Plane) AddFirewallRules(ctx context.Context, who cloud.Actor, id string, inbound, outbound []cloud.FirewallRule) error {
	return p.editRules(ctx, who, id, inbound, outbound, func(tx *store.Tx, f *cloud.Firewall, more cloud.Firewall) error {
		more, err := resolveFirewall(tx, more)
		f.Inbound = cloud.AddFirewallRules(f.Inbound, more.Inbound)
		f.Outbound = cloud.AddFirewallRules(f.Outbound, more.Outbound)
		if n := f.Listed(); err == nil && n > cloud.MaxFirewallListed {
			err = cloud.Invalid("the firewall's rules would list %d items together; at most %d can be there", n, cloud.MaxFirewallListed)
		}
		return err
	})
}

// RemoveFirewallRules takes rules from a firewall, be they the last. Those that
// it does not have are passed over.
func (p *Plane) RemoveFirewallRules(ctx context.Context, who cloud.Actor, id string, inbound, outbound []cloud.FirewallRule) error {
	return p.editRules(ctx, who, id, inbound, outbound, func(_ *store.Tx, f *cloud.Firewall, gone cloud.Firewall) error {
		f.Inbound = cloud.RemoveFirewallRules(f.Inbound, gone.Inbound)
		f.Outbound = cloud.RemoveFirewallRules(f.Outbound, gone.Outbound)
		return nil
	})
}

func (p *Plane) editRules(ctx context.Context, who cloud.Actor, id string, inbound, outbound []cloud.FirewallRule,
	edit func(tx *store.Tx, f *cloud.Firewall, with cloud.Firewall) error,
) error {
	invalid := cloud.CheckFirewallRules(inbound, outbound)
	if len(inbound)+len(outbound) == 0 {
		invalid = cloud.Invalid("must have at least one rule")
	}
	_, err := p.editFirewall(ctx, who, id, true, func(tx *store.Tx, f *cloud.Firewall) error {
		if invalid != nil {
			return invalid
		}
		return edit(tx, f, cloud.Firewall{Account: who.Account, Inbound: inbound, Outbound: outbound})
	})
	return err
}
