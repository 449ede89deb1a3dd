package control

import (
	"context"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// rule is a call that is refused.
type rule struct {
	name    string
	call    func(ctx context.Context) error
	code    cloud.Code
	message string
}

// checkRules makes each call and checks that it changes nothing.
func (c *testCloud) checkRules(rules []rule) {
	c.Helper()
	before := c.resources()
	for _, r := range rules {
		c.Run(r.name, func(t *testing.T) { wantError(t, r.call(t.Context()), r.code, r.message) })
	}
	c.settle()
	c.wantUnchanged(before)
}

// Nothing of one account exists for another, whatever is asked.
func TestAnotherAccountsThingsDoNotExist(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		f, stranger := c.addFamily(), c.addAccount("stranger")
		key, err := c.plane.AddSSHKey(c.Context(), c.who, "mine", testKey)
		if err != nil {
			c.Fatal(err)
		}
		if _, err := c.plane.AddTag(c.Context(), c.who, "family"); err != nil {
			c.Fatal(err)
		}
		own := c.who
		c.who = stranger
		theirs, volume := c.addDroplet("theirs"), c.addVolume("theirs")
		c.who = own
		keyID, image := cloud.FormatID(key.ID), cloud.FormatID(f.image.ID)
		calls := map[string]func(ctx context.Context) error{
			"Droplet":      func(ctx context.Context) error { return second(c.plane.Droplet(ctx, stranger, f.droplet.ID)) },
			"neighbors":    func(ctx context.Context) error { return second(c.plane.DropletNeighbors(ctx, stranger, f.droplet.ID)) },
			"volume":       func(ctx context.Context) error { return second(c.plane.Volume(ctx, stranger, f.goes.ID)) },
			"image":        func(ctx context.Context) error { return second(c.plane.Image(ctx, stranger, image)) },
			"snapshot":     func(ctx context.Context) error { return second(c.plane.Snapshot(ctx, stranger, f.copied.ID)) },
			"key":          func(ctx context.Context) error { return second(c.plane.SSHKey(ctx, stranger, keyID)) },
			"key by print": func(ctx context.Context) error { return second(c.plane.SSHKey(ctx, stranger, key.Fingerprint)) },
			"act": func(ctx context.Context) error {
				return second(c.plane.StartDropletAction(ctx, stranger, f.droplet.ID, DropletAction{Type: cloud.ActionReboot}))
			},
			"tag": func(ctx context.Context) error {
				return c.plane.TagResources(ctx, stranger, "family", []cloud.Ref{theirs.Ref()})
			},
			"rename tag":      func(ctx context.Context) error { return second(c.plane.RenameTag(ctx, stranger, "family", "x")) },
			"delete tag":      func(ctx context.Context) error { return c.plane.DeleteTag(ctx, stranger, "family") },
			"rename key":      func(ctx context.Context) error { return second(c.plane.RenameSSHKey(ctx, stranger, keyID, "x")) },
			"delete key":      func(ctx context.Context) error { return c.plane.DeleteSSHKey(ctx, stranger, keyID) },
			"delete volume":   func(ctx context.Context) error { return c.plane.DeleteVolume(ctx, stranger, f.goes.ID) },
			"delete image":    func(ctx context.Context) error { return c.plane.DeleteImage(ctx, stranger, f.image.ID) },
			"delete snapshot": func(ctx context.Context) error { return c.plane.DeleteSnapshot(ctx, stranger, f.copied.ID) },
			"delete IP":       func(ctx context.Context) error { return c.plane.DeleteReservedIP(ctx, stranger, f.ip.IP) },
			"snapshot volume": func(ctx context.Context) error {
				return second(c.plane.SnapshotVolume(ctx, stranger, f.goes.ID, "x", nil))
			},
			"attach their volume to ours": func(ctx context.Context) error {
				return second(c.plane.AttachVolume(ctx, stranger, volume.ID, f.droplet.ID, nil))
			},
			"attach our volume to theirs": func(ctx context.Context) error {
				return second(c.plane.AttachVolume(ctx, stranger, f.goes.ID, theirs.ID, nil))
			},
			"detach": func(ctx context.Context) error {
				return second(c.plane.DetachVolume(ctx, stranger, f.goes.ID, f.droplet.ID))
			},
			"resize": func(ctx context.Context) error { return second(c.plane.ResizeVolume(ctx, stranger, f.goes.ID, 20)) },
			"assign": func(ctx context.Context) error {
				return second(c.plane.AssignReservedIP(ctx, stranger, f.ip.IP, theirs.ID, cloud.KindReservedIP))
			},
			"unassign": func(ctx context.Context) error {
				return second(c.plane.UnassignReservedIP(ctx, stranger, f.ip.IP, cloud.KindReservedIP))
			},
			"reserve for ours": func(ctx context.Context) error {
				_, _, err := c.plane.ReserveIP(ctx, stranger, NewReservedIP{Droplet: f.droplet.ID})
				return err
			},
		}
		var rules []rule
		for name, call := range calls {
			rules = append(rules, rule{name, call, cloud.CodeNotFound, cloud.NotFound().Message})
		}
		c.checkRules(rules)
	})
}

func TestDropletActionRefusals(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		on, off := c.addDroplet("on"), c.addDroplet("off")
		hidden, six := c.createWith("hidden", func(n *NewDroplets) { n.Private = true }), c.createWith("six", func(n *NewDroplets) { n.IPv6 = true })
		snapshot, foreign := c.addSnapshot(off.ID, "snapshot"), c.addBackup(c.addBackedUp("foreign").ID)
		custom := c.addCustomImage()
		c.act(off.ID, DropletAction{Type: cloud.ActionPowerOff})
		act := func(who cloud.Actor, d cloud.Droplet, a DropletAction) func(ctx context.Context) error {
			return func(ctx context.Context) error { return second(c.plane.StartDropletAction(ctx, who, d.ID, a)) }
		}
		const (
			isOff       = "Droplet is currently off. Please power it on to run this event."
			noScope     = "You are not authorized to perform this operation"
			smallerDisk = "Size can not decrease size of Droplet's disk image"
			notBackup   = "The image is not a backup of this Droplet."
		)
		c.checkRules([]rule{
			{"unknown", act(c.who, on, DropletAction{Type: "dance"}), cloud.CodeInvalid, "You specified an invalid action type."},
			{"destroy", act(c.who, on, DropletAction{Type: cloud.ActionDestroy}), cloud.CodeInvalid, "You specified an invalid action type."},
			{"kernel", act(c.who, on, DropletAction{Type: "change_kernel"}), cloud.CodeInvalid, "Droplets run the kernel of their own system; change it from within the Droplet."},
			{"upgrade", act(c.who, on, DropletAction{Type: "upgrade"}), cloud.CodeInvalid, "There is nothing to upgrade this Droplet to."},
			{"resize scope", act(limited(c.who, "droplet:update"), off, DropletAction{Type: cloud.ActionResize}), cloud.CodeForbidden, noScope},
			{"rebuild scope", act(limited(c.who, "droplet:update"), off, DropletAction{Type: cloud.ActionRebuild, Image: testImage}), cloud.CodeForbidden, noScope},
			{"restore scope", act(limited(c.who, "droplet:update"), off, DropletAction{Type: cloud.ActionRestore, Image: "1"}), cloud.CodeForbidden, noScope},
			{"password scope", act(limited(c.who, "droplet:update"), off, DropletAction{Type: cloud.ActionPasswordReset}), cloud.CodeForbidden, noScope},
			{"resize on", act(c.who, on, DropletAction{Type: cloud.ActionResize, Size: "s-2vcpu-2gb"}), cloud.CodeInvalid, "Droplet is currently on. Please power it off to run this event."},
			{"no size", act(c.who, off, DropletAction{Type: cloud.ActionResize}), cloud.CodeInvalid, "You specified an invalid size for the Droplet."},
			{"sold out size", act(c.who, off, DropletAction{Type: cloud.ActionResize, Size: "s-sold-out"}), cloud.CodeInvalid, "You specified an invalid size for the Droplet."},
			{"same size", act(c.who, off, DropletAction{Type: cloud.ActionResize, Size: testSize}), cloud.CodeInvalid, "The droplet is already set to this size."},
			{"same size with disk", act(c.who, off, DropletAction{Type: cloud.ActionResize, Size: testSize, Disk: true}), cloud.CodeInvalid, "The droplet is already set to this size."},
			{"smaller disk", act(c.who, off, DropletAction{Type: cloud.ActionResize, Size: "s-small", Disk: true}), cloud.CodeInvalid, smallerDisk},
			{"smaller disk that stays", act(c.who, off, DropletAction{Type: cloud.ActionResize, Size: "s-small"}), cloud.CodeInvalid, smallerDisk},
			{"size elsewhere", act(c.who, off, DropletAction{Type: cloud.ActionResize, Size: "s-elsewhere"}), cloud.CodeInvalid, "Size is not available in this region."},
			{"to GPUs", act(c.who, off, DropletAction{Type: cloud.ActionResize, Size: "gpu-1"}), cloud.CodeInvalid, "A Droplet cannot be resized between sizes with and without GPUs."},
			{"no image", act(c.who, on, DropletAction{Type: cloud.ActionRebuild}), cloud.CodeInvalid, "Image can't be blank"},
			{"unknown image", act(c.who, on, DropletAction{Type: cloud.ActionRebuild, Image: "beos"}), cloud.CodeInvalid, "You specified an invalid image for the Droplet."},
			{"large image", act(c.who, on, DropletAction{Type: cloud.ActionRebuild, Image: "large-x64"}), cloud.CodeInvalid, "The image you specified requires a larger disk than the Droplet has."},
			{"image elsewhere", act(c.who, on, DropletAction{Type: cloud.ActionRebuild, Image: "amsterdam-x64"}), cloud.CodeInvalid, "The image you specified is not available in the selected region."},
			{"custom image", act(c.who, six, DropletAction{Type: cloud.ActionRebuild, Image: cloud.FormatID(custom.ID)}), cloud.CodeInvalid, "image is not compatible with ipv6"},
			{"restore nothing", act(c.who, on, DropletAction{Type: cloud.ActionRestore}), cloud.CodeInvalid, "Image can't be blank"},
			{"restore unknown", act(c.who, on, DropletAction{Type: cloud.ActionRestore, Image: "7"}), cloud.CodeInvalid, notBackup},
			{"restore base", act(c.who, on, DropletAction{Type: cloud.ActionRestore, Image: testImage}), cloud.CodeInvalid, notBackup},
			{"restore snapshot", act(c.who, off, DropletAction{Type: cloud.ActionRestore, Image: cloud.FormatID(snapshot.ID)}), cloud.CodeInvalid, notBackup},
			{"restore foreign", act(c.who, off, DropletAction{Type: cloud.ActionRestore, Image: cloud.FormatID(foreign.ID)}), cloud.CodeInvalid, notBackup},
			{"IPv6 again", act(c.who, six, DropletAction{Type: cloud.ActionEnableIPv6}), cloud.CodeInvalid, "IPv6 has already been enabled on this Droplet."},
			{"IPv6 without public networking", act(c.who, hidden, DropletAction{Type: cloud.ActionEnableIPv6}), cloud.CodeInvalid, "The droplet has no public networking."},
			{"scope", act(limited(c.who, "droplet:update"), on, DropletAction{Type: cloud.ActionSnapshot}), cloud.CodeForbidden, "You are not authorized to perform this operation"},
			{"bad name", act(c.who, on, DropletAction{Type: cloud.ActionRename, Name: "a_b"}), cloud.CodeInvalid, "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"},
			{"long snapshot", act(c.who, on, DropletAction{Type: cloud.ActionSnapshot, Name: strings.Repeat("a", 256)}), cloud.CodeInvalid, "Name is invalid: it must have 1 to 255 characters"},
			{"off is off", act(c.who, off, DropletAction{Type: cloud.ActionPowerOff}), cloud.CodeInvalid, "Droplet is already powered off"},
			{"reboot", act(c.who, off, DropletAction{Type: cloud.ActionReboot}), cloud.CodeInvalid, isOff},
			{"power cycle", act(c.who, off, DropletAction{Type: cloud.ActionPowerCycle}), cloud.CodeInvalid, isOff},
		})
	})
}

func TestVolumeRefusals(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d, free := c.addDroplet("web"), c.addVolume("free")
		attached := c.addAttached("attached", d.ID)
		copied := c.addVolumeSnapshot(free.ID, "copied")
		create := func(change func(n *NewVolume)) func(ctx context.Context) error {
			n := newVolume("data")
			change(&n)
			return func(ctx context.Context) error { return second(c.plane.CreateVolume(ctx, c.who, n)) }
		}
		c.checkRules([]rule{
			{"name", create(func(n *NewVolume) { n.Name = "Data" }), cloud.CodeInvalid, "name must start with a lower-case letter and have only lower-case letters, digits and hyphens, 64 at most"},
			{"size 0", create(func(n *NewVolume) { n.SizeGigabytes = 0 }), cloud.CodeInvalid, "size_gigabytes must be between 1 and 16384"},
			{"size", create(func(n *NewVolume) { n.SizeGigabytes = 16385 }), cloud.CodeInvalid, "size_gigabytes must be between 1 and 16384"},
			{"no region", create(func(n *NewVolume) { n.Region = "" }), cloud.CodeInvalid, `region "" does not exist`},
			{"region", create(func(n *NewVolume) { n.Region = "moon1" }), cloud.CodeInvalid, `region "moon1" does not exist`},
			{"a closed region", create(func(n *NewVolume) { n.Region = "nyc2" }), cloud.CodeInvalid, "nyc2 is unavailable."},
			{"a region without storage", create(func(n *NewVolume) { n.Region = "ams3" }), cloud.CodeInvalid, "Storage is not supported for this region"},
			{"a name twice", create(func(n *NewVolume) { n.Name = "free" }), cloud.CodeConflict, "failed to create volume: volume free in nyc3 already exists"},
			{"filesystem", create(func(n *NewVolume) { n.FilesystemType = "ntfs" }), cloud.CodeInvalid, "filesystem_type must be ext4 or xfs"},
			{"label", create(func(n *NewVolume) { n.FilesystemLabel = "l" }), cloud.CodeInvalid, "filesystem_label needs a filesystem_type"},
			{"tag", create(func(n *NewVolume) { n.Tags = []string{"a b"} }), cloud.CodeInvalid, `tag "a b": tags have 1 to 255 letters, digits, dashes, underscores and colons`},
			{"snapshot", create(func(n *NewVolume) { n.Snapshot = "nothing" }), cloud.CodeInvalid, "snapshot nothing does not exist"},
			{"smaller than its snapshot", create(func(n *NewVolume) { n.Snapshot, n.SizeGigabytes = copied.ID, 9 }), cloud.CodeInvalid, "size_gigabytes must be at least the snapshot's, 10"},
			{"away from its snapshot", create(func(n *NewVolume) { n.Snapshot, n.Region = copied.ID, "nyc1" }), cloud.CodeInvalid, "the snapshot is in nyc3, not in nyc1"},
			{"delete attached", func(ctx context.Context) error { return c.plane.DeleteVolume(ctx, c.who, attached.ID) }, cloud.CodeConflict, "failed to delete volume: attached volume cannot be deleted"},
			{"attach twice", func(ctx context.Context) error {
				return second(c.plane.AttachVolume(ctx, c.who, attached.ID, d.ID, nil))
			}, cloud.CodeInvalid, "This volume is already attached"},
			{"attach to nothing", func(ctx context.Context) error { return second(c.plane.AttachVolume(ctx, c.who, free.ID, 17, nil)) }, cloud.CodeNotFound, cloud.NotFound().Message},
			{"detach free", func(ctx context.Context) error { return second(c.plane.DetachVolume(ctx, c.who, free.ID, d.ID)) }, cloud.CodeInvalid, "Attachment not found"},
			{"shrink", func(ctx context.Context) error { return second(c.plane.ResizeVolume(ctx, c.who, free.ID, 10)) }, cloud.CodeInvalid, "size_gigabytes must be above the present size, 10"},
			{"grow too far", func(ctx context.Context) error { return second(c.plane.ResizeVolume(ctx, c.who, free.ID, 16385)) }, cloud.CodeInvalid, "size_gigabytes must be between 1 and 16384"},
			{"snapshot's name twice", func(ctx context.Context) error {
				return second(c.plane.SnapshotVolume(ctx, c.who, free.ID, "copied", nil))
			}, cloud.CodeConflict, "a snapshot named copied already exists for this volume"},
		})
		c.exec(`UPDATE accounts SET volume_limit = 2 WHERE id = $1`, c.who.Account)
		c.checkRules([]rule{{"limit", create(func(*NewVolume) {}), cloud.CodeForbidden, "failed to create volume: volume/snapshot capacity limit exceeded"}})
	})
}

func TestReservedIPRefusals(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d, other := c.addDroplet("web"), c.addDroplet("other")
		assigned, free := c.addReservedIP(d.ID), c.addReservedIP(0)
		n := newDroplet("private")
		n.Private = true
		private := c.create(n)
		n = newDroplet("far")
		n.Region = "nyc1"
		far := c.create(n)
		c.settle()
		reserve := func(n NewReservedIP) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				_, _, err := c.plane.ReserveIP(ctx, c.who, n)
				return err
			}
		}
		assign := func(ip string, d cloud.Droplet) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				return second(c.plane.AssignReservedIP(ctx, c.who, ip, d.ID, cloud.KindReservedIP))
			}
		}
		c.checkRules([]rule{
			{"nowhere", reserve(NewReservedIP{}), cloud.CodeInvalid, "Either a droplet_id or a region is required"},
			{"region", reserve(NewReservedIP{Region: "moon1"}), cloud.CodeInvalid, `region "moon1" does not exist`},
			{"a closed region", reserve(NewReservedIP{Region: "nyc2"}), cloud.CodeInvalid, "nyc2 is unavailable."},
			{"for nothing", reserve(NewReservedIP{Droplet: 17}), cloud.CodeNotFound, cloud.NotFound().Message},
			{"a second", reserve(NewReservedIP{Droplet: d.ID}), cloud.CodeInvalid, "The droplet already has a reserved IP."},
			{"assign a second", assign(free.IP, d), cloud.CodeInvalid, "The droplet already has a reserved IP."},
			{"assign again", assign(assigned.IP, d), cloud.CodeInvalid, "The droplet already has a reserved IP."},
			{"assign nothing", assign("198.19.255.1", other), cloud.CodeNotFound, cloud.NotFound().Message},
			{"without a public network", assign(free.IP, private), cloud.CodeInvalid, "The droplet has no public networking."},
			{"elsewhere", assign(free.IP, far), cloud.CodeInvalid, "The reserved IP is in nyc3 and the droplet is in nyc1."},
			{"unassign free", func(ctx context.Context) error {
				return second(c.plane.UnassignReservedIP(ctx, c.who, free.IP, cloud.KindReservedIP))
			}, cloud.CodeInvalid, "The reserved IP is not assigned to a droplet."},
		})
		c.exec(`UPDATE accounts SET reserved_ip_limit = 2 WHERE id = $1`, c.who.Account)
		c.checkRules([]rule{{"limit", reserve(NewReservedIP{Region: testRegion}), cloud.CodeInvalid, "reserving this IP will exceed your reserved IP limit"}})
	})
}

// Whatever holds one side of a move keeps the other side from being moved too.
func TestHoldsSpanBothSides(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		from, to := c.addDroplet("from"), c.addDroplet("to")
		r := c.addReservedIP(from.ID)
		if _, err := c.plane.AssignReservedIP(c.Context(), c.who, r.IP, to.ID, cloud.KindReservedIP); err != nil {
			c.Fatal(err)
		}
		reboot := DropletAction{Type: cloud.ActionReboot}
		wantPending(c, second(c.plane.StartDropletAction(c.Context(), c.who, from.ID, reboot)))
		wantPending(c, second(c.plane.StartDropletAction(c.Context(), c.who, to.ID, reboot)))
		wantPending(c, c.plane.DeleteReservedIP(c.Context(), c.who, r.IP))
		wantPending(c, second(c.plane.UnassignReservedIP(c.Context(), c.who, r.IP, cloud.KindReservedIP)))
		c.settle()
		c.checkWorld()
		if c.droplet(to.ID).ReservedIP != r.IP || c.droplet(from.ID).ReservedIP != "" {
			c.Error("the address has not moved")
		}
	})
}

func TestImageRefusals(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.checkRules([]rule{
			{"public", func(ctx context.Context) error { return c.plane.DeleteImage(ctx, c.who, 1001) }, cloud.CodeForbidden, "You do not have access for the attempted action."},
			{"unknown", func(ctx context.Context) error { return c.plane.DeleteImage(ctx, c.who, 17) }, cloud.CodeNotFound, cloud.NotFound().Message},
			{"no snapshot", func(ctx context.Context) error { return c.plane.DeleteSnapshot(ctx, c.who, "1001") }, cloud.CodeBadRequest, "the resource is not a snapshot"},
			{"nothing", func(ctx context.Context) error { return c.plane.DeleteSnapshot(ctx, c.who, "17") }, cloud.CodeNotFound, cloud.NotFound().Message},
		})
	})
}

func TestSSHKeys(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		key, err := c.plane.AddSSHKey(c.Context(), c.who, "mine", testKey)
		if err != nil {
			c.Fatal(err)
		}
		add := func(name, public string) func(ctx context.Context) error {
			return func(ctx context.Context) error { return second(c.plane.AddSSHKey(ctx, c.who, name, public)) }
		}
		c.checkRules([]rule{
			{"no name", add("", testKey), cloud.CodeInvalid, "Both name and public_key are required"},
			{"no key", add("x", ""), cloud.CodeInvalid, "Both name and public_key are required"},
			{"twice", add("x", testKey), cloud.CodeInvalid, "SSH Key is already in use on your account"},
			{"twice, with another comment", add("x", testKey+" again"), cloud.CodeInvalid, "SSH Key is already in use on your account"},
			{"no new name", func(ctx context.Context) error {
				return second(c.plane.RenameSSHKey(ctx, c.who, key.Fingerprint, ""))
			}, cloud.CodeInvalid, "name is required"},
		})
		if _, err := c.plane.AddSSHKey(c.Context(), c.addAccount("stranger"), "theirs", testKey); err != nil {
			c.Errorf("two accounts may have one key: %v", err)
		}
		if renamed, err := c.plane.RenameSSHKey(c.Context(), c.who, key.Fingerprint, "new"); err != nil || renamed.Name != "new" || renamed.ID != key.ID {
			c.Errorf("got %+v, %v", renamed, err)
		}
		if err := c.plane.DeleteSSHKey(c.Context(), c.who, cloud.FormatID(key.ID)); err != nil {
			c.Error(err)
		}
	})
}
