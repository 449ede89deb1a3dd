package control

import (
	"context"
	"slices"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// NewDroplets is a request to create Droplets that differ in name only.
type NewDroplets struct {
	Names   []string
	Region  string // slug, prefix of one, or empty for any that fits
	Size    string
	Image   string   // ID or slug
	SSHKeys []string // IDs or fingerprints
	Volumes []string // IDs, or names in the region
	Tags    []string
	VPC     string // empty for the region's default
	IPv6    bool
	Private bool  // no public networking
	Agent   *bool // nil installs the agent where it runs

	Monitoring bool
	UserData   string
	Backups    cloud.BackupPolicy // never, unless it says when
}

// dropletCreate makes a machine, gives it its volumes and starts it. Until the
// last step the Droplet is new.
var dropletCreate = op.Define("droplet.create",
	op.Step[*Plane, createArgs]{Name: "create", Do: (*Plane).createMachine, Undo: (*Plane).destroyNewMachine},
	op.Step[*Plane, createArgs]{Name: "volumes", Do: (*Plane).attachNewVolumes, Undo: (*Plane).detachNewVolumes},
	op.Step[*Plane, createArgs]{Name: "start", Do: (*Plane).startNewMachine, Save: (*Plane).saveNewDroplet},
).Failed((*Plane).dropNewDroplet)

type createArgs struct {
	Droplet int64    `json:"droplet"`
	Name    string   `json:"name"`
	Volumes []string `json:"volumes,omitempty"`
}

// machine is how the engine knows the new Droplet's machine. A Droplet that is
// created cannot be renamed.
func (a createArgs) machine(account int64) engine.Ref {
	return engine.Ref{Account: account, ID: cloud.FormatID(a.Droplet), Name: a.Name}
}

// CreateDroplets creates one Droplet for each name, all or none, and returns
// them with their create actions in the same order.
func (p *Plane) CreateDroplets(ctx context.Context, who cloud.Actor, n NewDroplets) ([]cloud.Droplet, []cloud.Action, error) {
	if err := n.check(); err != nil {
		return nil, nil, err
	}
	ids, err := p.store.IDs(ctx, store.DropletIDs, len(n.Names))
	if err != nil {
		return nil, nil, err
	}
	actionIDs, err := p.store.IDs(ctx, store.ActionIDs, len(n.Names))
	if err != nil {
		return nil, nil, err
	}
	places, err := p.store.IDs(ctx, store.PublicAddresses, len(n.Names))
	if err != nil {
		return nil, nil, err
	}
	bounds, err := p.readBounds(ctx)
	if err != nil {
		return nil, nil, err
	}
	var droplets []cloud.Droplet
	var actions []cloud.Action
	err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
		c := creation{Plane: p, tx: tx, who: who, request: n, bounds: bounds}
		droplets, actions, err = c.create(ids, actionIDs, places)
		return err
	})
	return droplets, actions, err
}

// check refuses what can be told without the store.
func (n NewDroplets) check() error {
	switch {
	case len(n.Names) == 0:
		return cloud.Invalid("Name can't be blank")
	case len(n.Names) > cloud.MaxDropletsPerCreate:
		return cloud.Invalid("cannot create more than %d droplets at a time", cloud.MaxDropletsPerCreate)
	case len(n.Names) > 1 && len(n.Volumes) > 0:
		return cloud.Invalid("a volume can be attached to one Droplet only; create several Droplets without volumes")
	case len(n.Volumes) > cloud.MaxVolumesPerDroplet:
		return cloud.Invalid("cannot attach more volumes to the Droplet")
	case len(n.UserData) > cloud.MaxUserData:
		return cloud.Invalid("user_data is too long (maximum is %d bytes)", cloud.MaxUserData)
	case n.Private && n.IPv6:
		return cloud.Invalid("public_networking: false cannot be combined with ipv6: true")
	}
	for _, name := range n.Names {
		if err := cloud.CheckDropletName(name); err != nil {
			return err
		}
	}
	return cloud.CheckTags(n.Tags)
}

// creation is the transaction in which Droplets are created: the request, and
// what it turned out to mean.
type creation struct {
	*Plane
	tx      *store.Tx
	who     cloud.Actor
	request NewDroplets
	bounds  bounds

	size    cloud.Size
	image   cloud.Image
	agent   bool
	region  cloud.Region
	vpc     cloud.VPC
	keys    []string
	volumes []cloud.Volume
}

func (c *creation) create(ids, actionIDs, places []int64) ([]cloud.Droplet, []cloud.Action, error) {
	for _, resolve := range []func() error{
		c.checkLimit, c.findSize, c.findImage, c.findAgent, c.findRegion, c.checkAgent, c.findVPC, c.findKeys, c.findVolumes, c.checkBounds,
	} {
		if err := resolve(); err != nil {
			return nil, nil, err
		}
	}
	var droplets []cloud.Droplet
	var actions []cloud.Action
	for i, name := range c.request.Names {
		droplet, err := c.add(ids[i], name, places[i])
		if err != nil {
			return nil, nil, err
		}
		action, err := c.begin(actionIDs[i], droplet)
		if err != nil {
			return nil, nil, err
		}
		droplet.HeldBy, droplet.HeldFor = action.ID, action.Type
		droplets, actions = append(droplets, droplet), append(actions, action)
	}
	return droplets, actions, nil
}

func (c *creation) checkLimit() error {
	within, err := c.tx.CountDroplets(c.who.Account, len(c.request.Names))
	if err == nil && !within {
		err = cloud.Invalid("creating this/these droplet(s) will exceed your droplet limit")
	}
	return err
}

// checkBounds refuses Droplets that do not all fit.
func (c *creation) checkBounds() error {
	one := engine.Shape{VCPUs: c.size.VCPUs, Memory: c.size.Memory, Disk: c.size.Disk}
	if err := c.bounds.machine(one); err != nil {
		return err
	}
	n := int64(len(c.request.Names))
	return c.bounds.more(c.tx, n*one.Memory, n*one.Disk)
}

func (c *creation) findSize() error {
	size, ok := c.Catalog().Size(c.request.Size)
	if !ok || size.Retired || !size.Available {
		return cloud.Invalid("You specified an invalid size for Droplet creation.")
	}
	c.size = size
	return nil
}

func (c *creation) findImage() (err error) {
	invalid := cloud.Invalid("You specified an invalid image for Droplet creation.")
	c.image, err = findImage(c.tx, c.who.Account, c.request.Image)
	switch {
	case cloud.IsNotFound(err) || err == nil && c.image.Status != cloud.ImageAvailable:
		return invalid
	case err == nil && c.image.Type == cloud.ImageCustom && c.request.IPv6:
		return cloud.Invalid("image is not compatible with ipv6")
	case err == nil && c.image.MinDiskSize > c.size.Disk:
		return cloud.Invalid("The image you specified requires a larger disk than the selected size provides.")
	case err == nil && c.request.IPv6 && !c.image.TakesIPv6():
		return errNoIPv6()
	}
	return err
}

// findAgent decides whether the Droplet agent is installed: where the system
// takes it, unless told otherwise.
func (c *creation) findAgent() error {
	supported := runsAgent(c.image)
	wanted := c.request.Agent
	c.agent = supported && (wanted == nil || *wanted)
	if wanted != nil && *wanted && !supported {
		return cloud.Invalid("The Droplet agent is not supported on %s.", c.image.Distribution)
	}
	return nil
}

// checkAgent leaves the agent out where the region has none to install.
func (c *creation) checkAgent() error {
	if c.region.Has("install_agent") {
		return nil
	}
	c.agent = false
	if wanted := c.request.Agent; wanted != nil && *wanted {
		return cloud.Invalid("The Droplet agent is not available in %s.", c.region.Slug)
	}
	return nil
}

// agentDistributions are the systems that the Droplet agent runs on.
var agentDistributions = []string{"CentOS", "Debian", "Fedora", "Rocky Linux", "Ubuntu"}

func runsAgent(i cloud.Image) bool { return slices.Contains(agentDistributions, i.Distribution) }

// findImage reads an image by its ID or slug.
func findImage(tx *store.Tx, account int64, idOrSlug string) (cloud.Image, error) {
	if id, ok := cloud.ParseID(idOrSlug); ok {
		return tx.Image(account, id)
	}
	return tx.ImageBySlug(idOrSlug)
}

// findRegion takes the region that was named, the first that fits a prefix such
// as "nyc", or the first that fits at all.
func (c *creation) findRegion() error {
	want := strings.ToLower(c.request.Region)
	region, exact := c.Catalog().Region(want)
	if exact && want != "" {
		c.region = region
		return c.checkRegion(region)
	}
	var refusal error
	for _, region := range c.Catalog().Regions {
		if !strings.HasPrefix(region.Slug, want) {
			continue
		}
		if refusal = c.checkRegion(region); refusal == nil {
			c.region = region
			return nil
		}
	}
	if want != "" && refusal == nil {
		return cloud.Invalid("You specified an invalid region for Droplet creation.")
	}
	if want == "" {
		return cloud.Invalid("Size is not available in this region.")
	}
	return refusal
}

func (c *creation) checkRegion(region cloud.Region) error {
	switch {
	case !region.Available:
		return cloud.Invalid("%s is unavailable.", region.Slug)
	case !c.size.In(region.Slug):
		return cloud.Invalid("Size is not available in this region.")
	case !slices.Contains(c.image.Regions, region.Slug):
		return cloud.Invalid("The image you specified is not available in the selected region.")
	}
	return nil
}

func (c *creation) findVPC() (err error) {
	if c.request.VPC == "" {
		c.vpc, err = c.tx.DefaultVPC(c.who.Account, c.region.Slug)
		if cloud.IsNotFound(err) {
			err = cloud.Invalid("There is no default VPC in %s; name a VPC with vpc_uuid.", c.region.Slug)
		}
		return err
	}
	c.vpc, err = c.tx.VPC(c.who.Account, c.request.VPC)
	switch {
	case cloud.IsNotFound(err):
		return cloud.Errorf(cloud.CodeNotFound, "Failed to resolve VPC")
	case err == nil && c.vpc.Region != c.region.Slug:
		return cloud.Invalid("The VPC %s is in %s, not in %s.", c.vpc.ID, c.vpc.Region, c.region.Slug)
	}
	return err
}

func (c *creation) findKeys() error {
	c.keys = []string{}
	var bad []string
	for _, identifier := range c.request.SSHKeys {
		key, err := c.tx.SSHKey(c.who.Account, identifier)
		switch {
		case cloud.IsNotFound(err):
			bad = append(bad, identifier)
		case err != nil:
			return err
		default:
			c.keys = append(c.keys, key.PublicKey)
		}
	}
	if len(bad) > 0 {
		return cloud.Invalid("%s are invalid key identifiers for Droplet creation.", strings.Join(bad, ", "))
	}
	return nil
}

func (c *creation) findVolumes() error {
	c.volumes = nil
	for _, idOrName := range c.request.Volumes {
		volume, err := findVolume(c.tx, c.who.Account, idOrName, c.region.Slug)
		if cloud.IsNotFound(err) {
			return cloud.Invalid("volume %s does not exist", idOrName)
		}
		if err != nil {
			return err
		}
		if slices.ContainsFunc(c.volumes, func(v cloud.Volume) bool { return v.ID == volume.ID }) {
			continue
		}
		if err := attachable(volume, c.region.Slug); err != nil {
			return err
		}
		c.volumes = append(c.volumes, volume)
	}
	return nil
}

// add chooses a Droplet's addresses and adds it.
func (c *creation) add(id int64, name string, place int64) (cloud.Droplet, error) {
	r := c.request
	d := cloud.Droplet{
		ID: id, Account: c.who.Account, Name: name, Region: c.region.Slug, Size: c.size.Slug,
		VCPUs: c.size.VCPUs, Memory: c.size.Memory, Disk: c.size.Disk, Image: c.image,
		Status: cloud.DropletNew, CreatedAt: c.tx.Now,
		IPv6: r.IPv6, Monitoring: r.Monitoring, Agent: c.agent, PublicNetworking: !r.Private,
		VPC: c.vpc.ID, VPCRange: c.vpc.IPRange, UserData: r.UserData, PublicKeys: c.keys,
		VolumeIDs: []string{}, SnapshotIDs: []int64{}, BackupIDs: []int64{}, Tags: []string{},
	}
	if d.IPv6 && !c.addresses.IPv6.Any() {
		return d, errIPv6Unavailable(d.Region)
	}
	if d.IPv6 {
		d.PublicIPv6, d.IPv6Gateway = c.publicIPv6(d)
	}
	err := c.insert(&d, place)
	if err != nil {
		return d, err
	}
	if r.Backups.Enabled() {
		d.Backups = r.Backups
		if err := c.setBackupPolicy(c.tx, d.ID, d.Backups); err != nil {
			return d, err
		}
	}
	d.Tags, err = c.tx.Tag(c.who.Account, d.Ref(), r.Tags)
	slices.Sort(d.Tags)
	return d, err
}

func (c *creation) begin(id int64, d cloud.Droplet) (cloud.Action, error) {
	args := createArgs{Droplet: d.ID, Name: d.Name}
	holds := []cloud.Ref{d.Ref()}
	for _, volume := range c.volumes {
		args.Volumes = append(args.Volumes, volume.ID)
		holds = append(holds, volume.Ref())
	}
	return begin(c.tx, c.Plane, dropletCreate, op.New{
		ID: id, Account: d.Account, Type: cloud.ActionCreate, About: d.Ref(), Region: d.Region, Holds: holds,
	}, args)
}
