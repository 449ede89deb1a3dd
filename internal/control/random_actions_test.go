package control

import (
	"cmp"
	"context"
	"slices"

	"pgregory.net/rapid"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// actions is all that a user does at random, and what happens to the cloud
// meanwhile.
func (u *user) actions() map[string]func(*rapid.T) {
	actions := map[string]func(){
		"create": u.createSome, "create with a volume": u.createWithVolume, "act": u.actOnSome,
		"delete": u.deleteSome, "destroy": u.destroySome, "destroy everything": u.destroyAll, "retry": u.retrySome,
		"create volume": u.addSomeVolume, "delete volume": u.deleteSomeVolume, "attach": u.attachSome,
		"detach": u.detachSome, "resize": u.resizeSome, "snapshot volume": u.snapshotSome,
		"delete snapshot": u.deleteSomeSnapshot, "delete image": u.deleteSomeImage,
		"reserve": u.reserveSome, "assign": u.assignSome, "unassign": u.unassignSome, "delete IP": u.deleteSomeIP,
		"reserve IPv6": u.reserveIPv6, "assign IPv6": u.assignSomeIPv6, "unassign IPv6": u.unassignSomeIPv6,
		"firewall": u.firewallSome, "change firewall": u.changeSomeFirewall, "delete firewall": u.deleteSomeFirewall,
		"fault": u.fault, "crash": u.restartAtRandom, "go on": u.goOn, "go on further": u.goOn,
	}
	random := map[string]func(*rapid.T){}
	for name, action := range actions {
		random[name] = func(*rapid.T) { action() }
	}
	return random
}

func (u *user) createSome() {
	u.ask(func(ctx context.Context) error {
		_, _, err := u.plane.CreateDroplets(ctx, u.who, newDroplet(u.name("web")))
		return err
	})
}

func (u *user) createWithVolume() {
	n := newDroplet(u.name("web"))
	n.Volumes = []string{u.someVolume().ID}
	u.ask(func(ctx context.Context) error {
		_, _, err := u.plane.CreateDroplets(ctx, u.who, n)
		return err
	})
}

var someActions = []cloud.ActionType{
	cloud.ActionPowerOn, cloud.ActionPowerOff, cloud.ActionShutdown, cloud.ActionReboot,
	cloud.ActionPowerCycle, cloud.ActionRename, cloud.ActionSnapshot, cloud.ActionResize, cloud.ActionRebuild,
	cloud.ActionPasswordReset, cloud.ActionEnableIPv6, cloud.ActionEnablePrivateNetworking,
}

// someAction is a request for any of them. Whatever else it says counts for
// some only.
func (u *user) someAction() DropletAction {
	return DropletAction{
		Type: rapid.SampledFrom(someActions).Draw(u.r, "action"), Name: u.name("name"),
		Size: rapid.SampledFrom([]string{testSize, "s-2vcpu-2gb"}).Draw(u.r, "size"), Disk: rapid.Bool().Draw(u.r, "disk"),
		Image: rapid.SampledFrom([]string{testImage, "freebsd-x64", "large-x64"}).Draw(u.r, "image"),
	}
}

func (u *user) actOnSome() {
	d, a := u.someDroplet(), u.someAction()
	u.ask(func(ctx context.Context) error { return second(u.plane.StartDropletAction(ctx, u.who, d.ID, a)) })
}

func (u *user) deleteSome() {
	d := u.someDroplet()
	u.ask(func(ctx context.Context) error { return u.plane.DeleteDroplet(ctx, u.who, d.ID) })
}

// destroySome selects some of what belongs to a Droplet, by turns so that the
// choice does not depend on IDs.
func (u *user) destroySome() {
	d := u.someDroplet()
	among, err := u.plane.Associated(u.Context(), u.who, d.ID)
	u.allowed(err)
	selection, kinds := Selection{}, rapid.SliceOfDistinct(rapid.SampledFrom(cloud.AssociatedKinds), rapid.ID).Draw(u.r, "kinds")
	for _, kind := range kinds {
		for _, a := range among {
			if a.Kind == kind {
				selection[kind] = append(selection[kind], a.ID)
			}
		}
	}
	u.ask(func(ctx context.Context) error { return u.plane.DestroySelected(ctx, u.who, d.ID, selection) })
}

func (u *user) destroyAll() {
	d := u.someDroplet()
	u.ask(func(ctx context.Context) error { return u.plane.DestroyEverything(ctx, u.who, d.ID) })
}

// retrySome retries the destroy of a Droplet, which may be gone.
func (u *user) retrySome() {
	newest := u.query("SELECT COALESCE(MAX(droplet_id), 0) FROM destroys")
	u.ask(func(ctx context.Context) error { return u.plane.RetryDestroy(ctx, u.who, newest) })
}

func (u *user) addSomeVolume() {
	n := newVolume(u.name("vol"))
	u.ask(func(ctx context.Context) error { return second(u.plane.CreateVolume(ctx, u.who, n)) })
}

func (u *user) deleteSomeVolume() {
	v := u.someVolume()
	u.ask(func(ctx context.Context) error { return u.plane.DeleteVolume(ctx, u.who, v.ID) })
}

func (u *user) attachSome() {
	v, d := u.someVolume(), u.someDroplet()
	u.ask(func(ctx context.Context) error { return second(u.plane.AttachVolume(ctx, u.who, v.ID, d.ID, nil)) })
}

func (u *user) detachSome() {
	v := u.someVolume()
	u.ask(func(ctx context.Context) error { return second(u.plane.DetachVolume(ctx, u.who, v.ID, v.Droplet)) })
}

func (u *user) resizeSome() {
	v := u.someVolume()
	u.ask(func(ctx context.Context) error {
		return second(u.plane.ResizeVolume(ctx, u.who, v.ID, v.SizeGigabytes+1))
	})
}

func (u *user) snapshotSome() {
	v, name := u.someVolume(), u.name("copy")
	u.ask(func(ctx context.Context) error { return second(u.plane.SnapshotVolume(ctx, u.who, v.ID, name, nil)) })
}

func (u *user) deleteSomeSnapshot() {
	s := pick(u, "volume snapshot", u.resources().VolumeSnapshots)
	u.ask(func(ctx context.Context) error { return u.plane.DeleteSnapshot(ctx, u.who, s.ID) })
}

func (u *user) deleteSomeImage() {
	i := pick(u, "image", u.resources().Images)
	u.ask(func(ctx context.Context) error { return u.plane.DeleteImage(ctx, u.who, i.ID) })
}

// firewallSome makes a firewall for a Droplet that lets another in.
func (u *user) firewallSome() {
	n := newFirewall(u.name("wall"), cloud.FirewallTargets{Droplets: []int64{u.someDroplet().ID}})
	n.Droplets = []int64{u.someDroplet().ID}
	u.ask(func(ctx context.Context) error { return second(u.plane.CreateFirewall(ctx, u.who, n)) })
}

func (u *user) someFirewall() cloud.Firewall {
	all, _, err := u.plane.Firewalls(u.Context(), u.who, cloud.Page{})
	u.allowed(err)
	slices.SortFunc(all, func(a, b cloud.Firewall) int { return cmp.Compare(a.Name, b.Name) })
	return pick(u, "firewall", all)
}

// changeSomeFirewall gives a firewall to one more Droplet or takes it from one.
func (u *user) changeSomeFirewall() {
	f, droplet := u.someFirewall(), u.someDroplet().ID
	change := rapid.SampledFrom([]func(context.Context, cloud.Actor, string, []int64, []string) error{
		u.plane.AssignFirewall, u.plane.UnassignFirewall,
	}).Draw(u.r, "change")
	u.ask(func(ctx context.Context) error { return change(ctx, u.who, f.ID, []int64{droplet}, nil) })
}

func (u *user) deleteSomeFirewall() {
	f := u.someFirewall()
	u.ask(func(ctx context.Context) error { return u.plane.DeleteFirewall(ctx, u.who, f.ID) })
}

func (u *user) reserveSome() {
	n := NewReservedIP{Region: testRegion, As: cloud.KindReservedIP}
	if rapid.Bool().Draw(u.r, "for a Droplet") {
		n = NewReservedIP{Droplet: u.someDroplet().ID, As: cloud.KindReservedIP}
	}
	u.ask(func(ctx context.Context) error {
		_, _, err := u.plane.ReserveIP(ctx, u.who, n)
		return err
	})
}

func (u *user) reserveIPv6() {
	u.ask(func(ctx context.Context) error { return second(u.plane.ReserveIPv6(ctx, u.who, testRegion)) })
}

func (u *user) assignSomeIPv6() {
	r, d := pick(u, "reserved IPv6", u.resources().ReservedIPv6s), u.someDroplet()
	u.ask(func(ctx context.Context) error { return second(u.plane.AssignReservedIPv6(ctx, u.who, r.IP, d.ID)) })
}

func (u *user) unassignSomeIPv6() {
	r := pick(u, "reserved IPv6", u.resources().ReservedIPv6s)
	u.ask(func(ctx context.Context) error { return second(u.plane.UnassignReservedIPv6(ctx, u.who, r.IP)) })
}

func (u *user) assignSome() {
	r, d := u.someReservedIP(), u.someDroplet()
	u.ask(func(ctx context.Context) error {
		return second(u.plane.AssignReservedIP(ctx, u.who, r.IP, d.ID, cloud.KindReservedIP))
	})
}

func (u *user) unassignSome() {
	r := u.someReservedIP()
	u.ask(func(ctx context.Context) error {
		return second(u.plane.UnassignReservedIP(ctx, u.who, r.IP, cloud.KindReservedIP))
	})
}

func (u *user) deleteSomeIP() {
	r := u.someReservedIP()
	u.ask(func(ctx context.Context) error { return u.plane.DeleteReservedIP(ctx, u.who, r.IP) })
}
