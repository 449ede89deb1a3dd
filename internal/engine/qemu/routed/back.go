//go:build linux

package routed

import (
	"slices"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// TakeBack removes what this network has made new on the host, where a start
// fails after all: what was there when it began stays, and so does all that
// machines run on.
func (n *Network) TakeBack() error {
	_ = n.Close() // nor does anybody write the tables anew
	n.mu.Lock()
	defer n.mu.Unlock()
	now, err := Find(int(n.place))
	if err != nil {
		return err
	}
	held := now.Running()
	for id := range n.machines {
		if n.isNew(id, held) {
			if err := n.place.do(func() error { return n.unplug(id) }); err != nil {
				return err
			}
		}
	}
	if now, err = Find(int(n.place)); err != nil {
		return err
	}
	now = now.without(n.before)
	if len(held) > 0 {
		idle := slices.DeleteFunc(now.links, func(l netlink.Link) bool { return slices.Contains(held, l.Attrs().Name) })
		now = Found{place: now.place, links: idle}
	}
	return now.Remove()
}

// isNew reports whether a machine's links were not there before, and no process
// holds them now.
func (n *Network) isNew(id string, held []string) bool {
	public, private := linkNames(id)
	for _, name := range []string{public, private} {
		if slices.Contains(held, name) || slices.ContainsFunc(n.before.links, func(l netlink.Link) bool { return l.Attrs().Name == name }) {
			return false
		}
	}
	return true
}

// without is what was found less what had been found before.
func (f Found) without(before Found) Found {
	less := Found{place: f.place, opened: map[forwarding][]string{}}
	less.links = lacking(f.links, before.links, func(l netlink.Link) string { return l.Attrs().Name })
	less.rules = lacking(f.rules, before.rules, ruleKey)
	less.routes = lacking(f.routes, before.routes, linkRouteKey)
	less.proxies = lacking(f.proxies, before.proxies, func(p netlink.Neigh) string { return p.IP.String() })
	less.tables = lacking(f.tables, before.tables, func(t *nftables.Table) *nftables.Table { return t })
	for of, names := range f.opened {
		less.opened[of] = lacking(names, before.opened[of], func(name string) string { return name })
	}
	return less
}

// lacking are those of a list that another has not, by their keys.
func lacking[T any, K comparable](list, other []T, key func(T) K) (left []T) {
	there := map[K]bool{}
	for _, one := range other {
		there[key(one)] = true
	}
	for _, one := range list {
		if !there[key(one)] {
			left = append(left, one)
		}
	}
	return left
}
