package control

import (
	"context"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBNVVVLZ8kZ3WmO1tGRE7pDpMEuCLe5xrgL9s4zZ8a0s me"

// createCase is a request for Droplets and what is said to it.
type createCase struct {
	name    string
	change  func(n *NewDroplets)
	code    cloud.Code
	message string
}

// createRefusals are refused whoever asks, in a cloud with one of everything.
func createRefusals(c *testCloud) []createCase {
	attached := c.addAttached("attached", c.addDroplet("host").ID)
	elsewhere := newVolume("elsewhere")
	elsewhere.Region = "nyc1"
	var far cloud.Volume
	c.must(func(ctx context.Context) (err error) {
		far, err = c.plane.CreateVolume(ctx, c.who, elsewhere)
		return err
	})
	stranger := c.addAccount("stranger")
	strangers := c.foreign(stranger)
	const (
		badHost   = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"
		badSize   = "You specified an invalid size for Droplet creation."
		badImage  = "You specified an invalid image for Droplet creation."
		badRegion = "You specified an invalid region for Droplet creation."
		noSize    = "Size is not available in this region."
	)
	invalid := func(name, message string, change func(n *NewDroplets)) createCase {
		return createCase{name, change, cloud.CodeInvalid, message}
	}
	return []createCase{
		invalid("no name", "Name can't be blank", func(n *NewDroplets) { n.Names = nil }),
		invalid("an empty name", badHost, func(n *NewDroplets) { n.Names = []string{""} }),
		invalid("an underscore", badHost, func(n *NewDroplets) { n.Names = []string{"a_b"} }),
		invalid("a dash at the end", badHost, func(n *NewDroplets) { n.Names = []string{"a-"} }),
		invalid("a new line", badHost, func(n *NewDroplets) { n.Names = []string{"a\n"} }),
		invalid("a letter that is not ASCII", badHost, func(n *NewDroplets) { n.Names = []string{"é"} }),
		invalid("a long name", "Name is too long (maximum is 255 characters)", func(n *NewDroplets) { n.Names = []string{strings.Repeat("a", 256)} }),
		invalid("one bad name of two", badHost, func(n *NewDroplets) { n.Names = []string{"good", "a_b"} }),
		invalid("eleven", "cannot create more than 10 droplets at a time", func(n *NewDroplets) { n.Names = strings.Split("a.b.c.d.e.f.g.h.i.j.k", ".") }),
		invalid("no size", badSize, func(n *NewDroplets) { n.Size = "" }),
		invalid("an unknown size", badSize, func(n *NewDroplets) { n.Size = "s-huge" }),
		invalid("a size in another case", badSize, func(n *NewDroplets) { n.Size = strings.ToUpper(testSize) }),
		invalid("a size sold out", badSize, func(n *NewDroplets) { n.Size = "s-sold-out" }),
		invalid("no image", badImage, func(n *NewDroplets) { n.Image = "" }),
		invalid("an unknown image", badImage, func(n *NewDroplets) { n.Image = "plan9" }),
		invalid("an unknown image's number", badImage, func(n *NewDroplets) { n.Image = "17" }),
		invalid("another account's image", badImage, func(n *NewDroplets) { n.Image = cloud.FormatID(strangers.image.ID) }),
		invalid("a large image", "The image you specified requires a larger disk than the selected size provides.", func(n *NewDroplets) { n.Image = "large-x64" }),
		invalid("an image elsewhere", "The image you specified is not available in the selected region.", func(n *NewDroplets) { n.Image = "amsterdam-x64" }),
		invalid("an unknown region", badRegion, func(n *NewDroplets) { n.Region = "moon1" }),
		invalid("a closed region", "nyc2 is unavailable.", func(n *NewDroplets) { n.Region = "nyc2" }),
		invalid("a closed region in capitals", "nyc2 is unavailable.", func(n *NewDroplets) { n.Region = "NYC2" }),
		invalid("a size elsewhere", noSize, func(n *NewDroplets) { n.Region, n.Size = "nyc1", "s-2vcpu-2gb" }),
		invalid("a prefix without the size", noSize, func(n *NewDroplets) { n.Region, n.Size = "ams", "s-2vcpu-2gb" }),
		invalid("nowhere both", noSize, func(n *NewDroplets) { n.Region, n.Size, n.Image = "", "s-2vcpu-2gb", "amsterdam-x64" }),
		invalid("unknown keys", "17, aa:bb are invalid key identifiers for Droplet creation.", func(n *NewDroplets) { n.SSHKeys = []string{"17", "aa:bb"} }),
		invalid("another account's key", cloud.FormatID(strangers.key.ID)+" are invalid key identifiers for Droplet creation.",
			func(n *NewDroplets) { n.SSHKeys = []string{cloud.FormatID(strangers.key.ID)} }),
		invalid("an unknown volume", "volume 506f78a4-e098-11e5-ad9f-000f53306ae1 does not exist",
			func(n *NewDroplets) { n.Volumes = []string{"506f78a4-e098-11e5-ad9f-000f53306ae1"} }),
		invalid("an unknown volume's name", "volume nothing does not exist", func(n *NewDroplets) { n.Volumes = []string{"nothing"} }),
		invalid("another account's volume", "volume "+strangers.volume.ID+" does not exist", func(n *NewDroplets) { n.Volumes = []string{strangers.volume.ID} }),
		invalid("a volume in use", "This volume is already attached", func(n *NewDroplets) { n.Volumes = []string{attached.ID} }),
		invalid("a volume elsewhere", "The volume is in nyc1 and the Droplet is in nyc3.", func(n *NewDroplets) { n.Volumes = []string{far.ID} }),
		invalid("a volume's name elsewhere", "volume elsewhere does not exist", func(n *NewDroplets) { n.Volumes = []string{"elsewhere"} }),
		invalid("one volume for two", "a volume can be attached to one Droplet only; create several Droplets without volumes",
			func(n *NewDroplets) { n.Names, n.Volumes = []string{"a", "b"}, []string{attached.ID} }),
		invalid("too many volumes", "cannot attach more volumes to the Droplet", func(n *NewDroplets) { n.Volumes = make([]string, 16) }),
		invalid("a bad tag", `tag "a b": tags have 1 to 255 letters, digits, dashes, underscores and colons`, func(n *NewDroplets) { n.Tags = []string{"good", "a b"} }),
		invalid("long user data", "user_data is too long (maximum is 65536 bytes)", func(n *NewDroplets) { n.UserData = strings.Repeat("a", 65537) }),
		invalid("IPv6 without a public network", "public_networking: false cannot be combined with ipv6: true", func(n *NewDroplets) { n.Private, n.IPv6 = true, true }),
		invalid("an agent where it does not run", "The Droplet agent is not supported on FreeBSD.", func(n *NewDroplets) { n.Image, n.Agent = "freebsd-x64", new(true) }),
		{"an unknown VPC", func(n *NewDroplets) { n.VPC = "506f78a4-e098-11e5-ad9f-000f53306ae1" }, cloud.CodeNotFound, "Failed to resolve VPC"},
		{"another account's VPC", func(n *NewDroplets) { n.VPC = strangers.vpc.ID }, cloud.CodeNotFound, "Failed to resolve VPC"},
		invalid("a VPC elsewhere", "The VPC "+c.vpc("ams3").ID+" is in ams3, not in nyc3.", func(n *NewDroplets) { n.VPC = c.vpc("ams3").ID }),
	}
}

// foreigners are another account's things.
type foreigners struct {
	image  cloud.Image
	key    cloud.SSHKey
	volume cloud.Volume
	vpc    cloud.VPC
}

func (c *testCloud) foreign(stranger cloud.Actor) (f foreigners) {
	c.Helper()
	own := c.who
	c.who = stranger
	defer func() { c.who = own }()
	f.image = c.addSnapshot(c.addDroplet("theirs").ID, "theirs")
	f.volume = c.addVolume("theirs")
	f.vpc = c.vpc(testRegion)
	var err error
	if f.key, err = c.plane.AddSSHKey(c.Context(), stranger, "theirs", testKey); err != nil {
		c.Fatal(err)
	}
	return f
}

func (c *testCloud) vpc(region string) (v cloud.VPC) {
	c.Helper()
	err := c.store.Read(c.Context(), func(tx *store.Tx) (err error) {
		v, err = tx.DefaultVPC(c.who.Account, region)
		return err
	})
	if err != nil {
		c.Fatal(err)
	}
	return v
}

func TestCreateRefusals(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		tests := createRefusals(c)
		before := c.resources()
		for _, test := range tests {
			c.Run(test.name, func(t *testing.T) {
				n := newDroplet("web")
				test.change(&n)
				_, _, err := c.plane.CreateDroplets(t.Context(), c.who, n)
				wantError(t, err, test.code, test.message)
			})
		}
		c.settle()
		c.wantUnchanged(before)
	})
}

// A region may be named in any case, by the beginning of its name, or not at
// all: then the first that fits is taken.
func TestCreateChoosesTheRegion(t *testing.T) {
	tests := []struct{ region, size, image, want string }{
		{"nyc3", testSize, testImage, "nyc3"},
		{"NYC3", testSize, testImage, "nyc3"},
		{"nyc", testSize, testImage, "nyc1"},
		{"Nyc", "s-2vcpu-2gb", testImage, "nyc3"},
		{"ams", testSize, testImage, "ams3"},
		{"", testSize, testImage, "nyc1"},
		{"", "s-2vcpu-2gb", testImage, "nyc3"},
		{"", testSize, "amsterdam-x64", "ams3"},
	}
	eachCloud(t, func(c *testCloud) {
		for _, test := range tests {
			d := c.create(NewDroplets{Names: []string{"web"}, Region: test.region, Size: test.size, Image: test.image})
			if d.Region != test.want || d.VPC != c.vpc(test.want).ID {
				c.Errorf("%q with %s and %s is in %s, want %s", test.region, test.size, test.image, d.Region, test.want)
			}
		}
		c.settle()
		c.checkWorld()
	})
}

// Everything may be named in several ways, and the Droplet remembers it.
func TestCreateFindsWhatIsNamed(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		byID, byName := c.addVolume("by-id"), c.addVolume("by-name")
		key, err := c.plane.AddSSHKey(c.Context(), c.who, "mine", testKey)
		if err != nil {
			c.Fatal(err)
		}
		image := c.addSnapshot(c.addDroplet("first").ID, "golden")
		n := newDroplet("web.example.com")
		n.Image = cloud.FormatID(image.ID)
		n.Volumes = []string{byID.ID, "by-name", byID.ID}
		n.SSHKeys = []string{cloud.FormatID(key.ID), key.Fingerprint}
		n.VPC, n.IPv6, n.Monitoring, n.UserData = c.vpc(testRegion).ID, true, true, "#cloud-config"
		d := c.create(n)
		if len(d.PublicKeys) == 0 || d.PublicKeys[0] != testKey || d.Status != cloud.DropletNew || d.HeldFor != cloud.ActionCreate || d.Locked() {
			c.Errorf("got %+v", d)
		}
		wantPending(c, second(c.plane.AttachVolume(c.Context(), c.who, byName.ID, d.ID, nil)))
		c.settle()
		c.checkWorld()
		d = c.droplet(d.ID)
		if len(d.VolumeIDs) != 2 || d.Image.ID != image.ID || !d.IPv6 || d.PublicIPv6 == "" || !d.Monitoring || !d.Agent || d.Host == "" {
			c.Errorf("got %+v", d)
		}
		n = newDroplet("by-number")
		n.Image, n.Private = "1001", true
		c.create(n)
		c.settle()
		c.checkWorld()
	})
}

func second[T any](_ T, err error) error { return err }

// Several Droplets are created all or not at all.
func TestCreateSeveral(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.exec(`UPDATE accounts SET droplet_limit = 3 WHERE id = $1`, c.who.Account)
		four := newDroplet("a", "b", "c", "d")
		_, _, err := c.plane.CreateDroplets(c.Context(), c.who, four)
		wantError(c, err, cloud.CodeInvalid, "creating this/these droplet(s) will exceed your droplet limit")
		c.settle()
		if n := len(c.resources().Droplets); n != 0 {
			c.Errorf("%d Droplets of a request that was refused", n)
		}
		droplets, actions, err := c.plane.CreateDroplets(c.Context(), c.who, newDroplet("a", "b", "a"))
		if err != nil || len(droplets) != 3 || len(actions) != 3 {
			c.Fatalf("got %+v, %+v, %v", droplets, actions, err)
		}
		for i, d := range droplets {
			if d.Name != []string{"a", "b", "a"}[i] || actions[i].ResourceID != cloud.FormatID(d.ID) || d.HeldBy != actions[i].ID {
				c.Errorf("the %d-th is %+v with %+v", i, d, actions[i])
			}
		}
		c.settle()
		c.checkWorld()
		_, _, err = c.plane.CreateDroplets(c.Context(), c.who, newDroplet("e"))
		wantError(c, err, cloud.CodeInvalid, "creating this/these droplet(s) will exceed your droplet limit")
	})
}

// A tag keeps the case in which it was first written.
func TestTagsKeepTheirFirstCase(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		first := newDroplet("first")
		first.Tags = []string{"Web", "zone:B", "alpha"}
		c.create(first)
		again := newDroplet("again")
		again.Tags = []string{"WEB", "web", "ALPHA", "Zone:b"}
		d := c.create(again)
		c.settle()
		for _, got := range [][]string{d.Tags, c.droplet(d.ID).Tags} {
			if strings.Join(got, " ") != "Web alpha zone:B" {
				c.Errorf("got %q", got)
			}
		}
		for tag, want := range map[string]int64{"Web": 2, "web": 0, "alpha": 2, "none": 0} {
			_, total, err := c.plane.Droplets(c.Context(), c.who, cloud.DropletFilter{Tag: tag}, cloud.Page{})
			if err != nil || total != want {
				c.Errorf("%d with the tag %s, want %d: %v", total, tag, want, err)
			}
		}
	})
}
