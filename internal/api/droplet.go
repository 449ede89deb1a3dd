package api

import (
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

var dropletRoutes = []route{
	get("/v2/droplets", (*Server).listDroplets, "droplet:read"),
	post("/v2/droplets", (*Server).createDroplets, "droplet:create"),
	del("/v2/droplets", (*Server).deleteTaggedDroplets, "droplet:delete"),
	get("/v2/droplets/{droplet_id}", (*Server).getDroplet, "droplet:read"),
	del("/v2/droplets/{droplet_id}", (*Server).deleteDroplet, "droplet:delete"),
	get("/v2/droplets/{droplet_id}/snapshots", (*Server).listDropletSnapshots, "droplet:read"),
	get("/v2/droplets/{droplet_id}/kernels", (*Server).listKernels, "droplet:read"),
	get("/v2/droplets/{droplet_id}/neighbors", (*Server).listNeighbors, "droplet:read"),
	get("/v2/reports/droplet_neighbors_ids", (*Server).reportNeighborIDs, "droplet:read"),
	get("/v2/reports/droplet_neighbors", (*Server).reportNeighbors, "droplet:read"),
}

type wireDroplet struct {
	ID               int64            `json:"id"`
	Name             string           `json:"name"`
	Memory           int64            `json:"memory"`
	VCPUs            int64            `json:"vcpus"`
	Disk             int64            `json:"disk"`
	DiskInfo         []cloud.DiskInfo `json:"disk_info"`
	Locked           bool             `json:"locked"`
	Status           string           `json:"status"`
	Kernel           *struct{}        `json:"kernel"`
	CreatedAt        string           `json:"created_at"`
	Features         []string         `json:"features"`
	BackupIDs        []int64          `json:"backup_ids"`
	NextBackupWindow *wireWindow      `json:"next_backup_window"`
	SnapshotIDs      []int64          `json:"snapshot_ids"`
	Image            *wireImage       `json:"image,omitempty"`
	VolumeIDs        []string         `json:"volume_ids"`
	Size             *wireSize        `json:"size"`
	SizeSlug         string           `json:"size_slug"`
	Networks         wireNetworks     `json:"networks"`
	Region           *wireRegion      `json:"region"`
	Tags             []string         `json:"tags"`
	VPC              string           `json:"vpc_uuid,omitempty"`
	GPUInfo          *cloud.GPUInfo   `json:"gpu_info,omitempty"`
}

type wireNetworks struct {
	V4 []wireNetwork `json:"v4"`
	V6 []wireNetwork `json:"v6"`
}

// wireNetwork is one address; its netmask is text in IPv4 and a number in IPv6.
type wireNetwork struct {
	IPAddress string `json:"ip_address"`
	Netmask   any    `json:"netmask"`
	Gateway   string `json:"gateway"`
	Type      string `json:"type"`
}

type dropletBody struct {
	Droplet *wireDroplet  `json:"droplet"`
	Links   *wireOneLinks `json:"links,omitempty"`
}

type dropletsBody struct {
	Droplets []*wireDroplet `json:"droplets"`
	Links    *wireOneLinks  `json:"links,omitempty"`
}

type dropletListBody struct {
	Droplets []*wireDroplet `json:"droplets"`
	Links    wireLinks      `json:"links"`
	Meta     wireMeta       `json:"meta"`
}

// wireOneLinks points from what a request makes to what goes on with it.
type wireOneLinks struct {
	Droplets []wireLink `json:"droplets,omitempty"`
	Actions  []wireLink `json:"actions,omitempty"`
}

func (v view) droplet(d cloud.Droplet) *wireDroplet {
	size := v.catalog.sizes[d.Size]
	w := &wireDroplet{
		ID: d.ID, Name: d.Name, Memory: d.Memory, VCPUs: d.VCPUs, Disk: d.Disk, DiskInfo: diskInfo(size, d.Disk),
		Locked: d.Locked(), Status: string(d.Status), CreatedAt: stamp(d.CreatedAt), Features: features(d),
		NextBackupWindow: backupWindow(d),
		BackupIDs:        list(v.sees("image:read"), d.BackupIDs), SnapshotIDs: list(v.sees("image:read"), d.SnapshotIDs),
		VolumeIDs: list(v.sees("block_storage:read"), d.VolumeIDs), Size: size, SizeSlug: d.Size,
		Networks: wireNetworks{[]wireNetwork{}, []wireNetwork{}}, Region: v.region(d.Region),
		Tags: list(v.sees("tag:read"), d.Tags), GPUInfo: size.GPUInfo,
	}
	if v.sees("image:read") {
		w.Image = v.dropletImage(d.Image)
	}
	if d.Status != cloud.DropletNew { // until then it is not placed
		w.Networks = networks(d)
		if v.sees("vpc:read") {
			w.VPC = d.VPC
		}
	}
	return w
}

// dropletImage shows an image that many Droplets of an answer may share.
func (v view) dropletImage(i cloud.Image) *wireImage {
	w, ok := v.images[i.ID]
	if !ok {
		w = v.image(i)
		v.images[i.ID] = w
	}
	return w
}

// diskInfo is the size's, with the Droplet's own disk.
func diskInfo(size *wireSize, disk int64) []cloud.DiskInfo {
	info := slices.Clone(size.DiskInfo)
	for i := range info {
		if info[i].Type == "local" {
			info[i].Size.Amount = disk
		}
	}
	return info
}

func features(d cloud.Droplet) []string {
	f := []string{}
	for _, feature := range []struct {
		name string
		has  bool
	}{
		{"backups", d.Backups.Enabled()},
		{"monitoring", d.Monitoring},
		{"droplet_agent", d.Agent},
		{"ipv6", d.IPv6},
		{"private_networking", d.Status != cloud.DropletNew},
	} {
		if feature.has {
			f = append(f, feature.name)
		}
	}
	return f
}

// networks lists public addresses before private ones: clients take the first
// of each type.
func networks(d cloud.Droplet) wireNetworks {
	w := wireNetworks{[]wireNetwork{}, []wireNetwork{}}
	if d.PublicIPv4 != "" {
		gateway, bits := d.PublicGateway()
		w.V4 = append(w.V4, wireNetwork{d.PublicIPv4, cloud.Netmask(bits), gateway, "public"})
	}
	gateway, bits := cloud.Gateway(d.VPCRange)
	w.V4 = append(w.V4, wireNetwork{d.PrivateIPv4, cloud.Netmask(bits), gateway, "private"})
	if d.PublicIPv6 != "" {
		w.V6 = append(w.V6, wireNetwork{d.PublicIPv6, cloud.IPv6Prefix, d.IPv6Gateway, "public"})
	}
	return w
}

func (s *Server) listDroplets(c *call) (*reply, error) {
	f := cloud.DropletFilter{Name: c.query("name"), Tag: c.query("tag_name")}
	kind := c.query("type")
	gpus := kind == "gpus"
	switch {
	case kind != "" && kind != "droplets" && !gpus:
		return nil, cloud.Invalid("type must be droplets or gpus")
	case f.Tag != "" && (f.Name != "" || kind != ""):
		return nil, cloud.Invalid("tag_name cannot be combined with name or type")
	case kind != "" || f.Tag == "" && f.Name == "":
		f.GPU = &gpus
	}
	if f.Tag != "" {
		if err := c.Actor.Require("tag:read"); err != nil {
			return nil, err
		}
	}
	p := c.paging()
	droplets, total, err := s.plane.Droplets(c.Context(), c.Actor, f, p.page())
	if err != nil {
		return nil, err
	}
	return ok(dropletListBody{each(droplets, c.view().droplet), c.linksWithPages(p, total), wireMeta{total}}), nil
}

func (s *Server) getDroplet(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	droplet, err := s.plane.Droplet(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(dropletBody{Droplet: c.view().droplet(droplet)}), nil
}

func (s *Server) deleteDroplet(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteDroplet(c.Context(), c.Actor, id)
}

// wantTag returns the tag that a request is about, which has to be given.
func (c *call) wantTag() (string, error) {
	tag := c.query("tag_name")
	if tag == "" {
		return "", cloud.Invalid("tag_name is required: the tag of the Droplets that this is about")
	}
	return tag, nil
}

func (s *Server) deleteTaggedDroplets(c *call) (*reply, error) {
	if err := c.Actor.Require("tag:read"); err != nil {
		return nil, err
	}
	tag, err := c.wantTag()
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteTaggedDroplets(c.Context(), c.Actor, tag)
}

// listKernels lists none: Droplets run the kernel of their own system.
func (s *Server) listKernels(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	if _, err := s.plane.Droplet(c.Context(), c.Actor, id); err != nil {
		return nil, err
	}
	return ok(struct {
		Kernels []struct{} `json:"kernels"`
		Links   wireLinks  `json:"links"`
		Meta    wireMeta   `json:"meta"`
	}{[]struct{}{}, c.links(c.paging(), 0), wireMeta{0}}), nil
}

func (s *Server) reportNeighborIDs(c *call) (*reply, error) {
	sets, err := s.plane.NeighborIDs(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	return ok(map[string][][]int64{"neighbor_ids": sets}), nil
}

// reportNeighbors is what older clients ask for: the Droplets themselves, and
// page by page.
func (s *Server) reportNeighbors(c *call) (*reply, error) {
	p := c.paging()
	sets, total, err := s.plane.Neighbors(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	v := c.view()
	return ok(struct {
		Neighbors [][]*wireDroplet `json:"neighbors"`
		Links     wireLinks        `json:"links"`
		Meta      wireMeta         `json:"meta"`
	}{each(sets, func(set []cloud.Droplet) []*wireDroplet { return each(set, v.droplet) }), c.links(p, total), wireMeta{total}}), nil
}

func (s *Server) listNeighbors(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	neighbors, err := s.plane.DropletNeighbors(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(dropletsBody{Droplets: each(neighbors, c.view().droplet)}), nil
}

// wireDropletImage is a snapshot or backup in a Droplet's own list: an image
// that says what it is.
type wireDropletImage struct {
	*wireImage
	Type string `json:"type"`
}

func (s *Server) listDropletSnapshots(c *call) (*reply, error) {
	return s.listImagesOf(c, cloud.ImageSnapshot)
}

// listImagesOf lists a Droplet's snapshots or backups.
func (s *Server) listImagesOf(c *call, kind cloud.ImageType) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	p := c.paging()
	images, total, err := s.plane.DropletImages(c.Context(), c.Actor, id, kind, p.page())
	if err != nil {
		return nil, err
	}
	v := c.view()
	return ok(map[string]any{
		string(kind) + "s": each(images, func(i cloud.Image) wireDropletImage { return wireDropletImage{v.image(i), string(i.Type)} }),
		"links":            c.links(p, total),
		"meta":             wireMeta{total},
	}), nil
}

type dropletRequest struct {
	Name             *string       `json:"name"`
	Names            []string      `json:"names"`
	Region           string        `json:"region"`
	Size             identifier    `json:"size"`
	Image            identifier    `json:"image"`
	SSHKeys          []identifier  `json:"ssh_keys"`
	Backups          boolean       `json:"backups"`
	BackupPolicy     *backupPolicy `json:"backup_policy"`
	IPv6             boolean       `json:"ipv6"`
	Monitoring       boolean       `json:"monitoring"`
	PublicNetworking *boolean      `json:"public_networking"`
	Tags             []string      `json:"tags"`
	UserData         string        `json:"user_data"`
	Volumes          []volumeName  `json:"volumes"`
	VPC              uuid          `json:"vpc_uuid"`
	WithAgent        *boolean      `json:"with_droplet_agent"`
	GPUPartitionMode string        `json:"gpu_partition_mode"`
}

// check refuses what the fields themselves make plain.
func (in dropletRequest) check() error {
	switch {
	case in.Name != nil && len(in.Names) > 0:
		return cloud.Invalid("give either name or names, not both")
	case in.GPUPartitionMode != "":
		return cloud.Invalid("the size %s has no gpu_partition_mode", in.Size)
	case in.BackupPolicy != nil && !bool(in.Backups):
		return cloud.Invalid("backup_policy needs backups: true")
	}
	if err := checkListed("ssh_keys", len(in.SSHKeys)); err != nil {
		return err
	}
	if err := checkListed("tags", len(in.Tags)); err != nil {
		return err
	}
	return nil
}

// scopes is what the request's own fields take.
func (in dropletRequest) scopes() []cloud.Scope {
	scopes := []cloud.Scope{"image:read"}
	for _, field := range []struct {
		given bool
		scope cloud.Scope
	}{
		{len(in.SSHKeys) > 0, "ssh_key:read"},
		{len(in.Tags) > 0, "tag:create"},
		{len(in.Volumes) > 0, "block_storage:read"},
		{in.VPC != "", "vpc:read"},
	} {
		if field.given {
			scopes = append(scopes, field.scope)
		}
	}
	return scopes
}

// backups is when the Droplets are backed up, daily unless it is said.
func (in dropletRequest) backups() (policy cloud.BackupPolicy, err error) {
	if !in.Backups {
		return policy, nil
	}
	if given := in.BackupPolicy.policy(); given != nil {
		policy = *given
	}
	return policy.Check()
}

func (in dropletRequest) request() (n control.NewDroplets, err error) {
	n = control.NewDroplets{
		Names: in.Names, Region: in.Region, Size: string(in.Size), Image: string(in.Image),
		SSHKeys: strs(in.SSHKeys), Volumes: strs(in.Volumes), Tags: in.Tags, VPC: string(in.VPC),
		IPv6: bool(in.IPv6), Monitoring: bool(in.Monitoring), UserData: in.UserData,
		Private: in.PublicNetworking != nil && !bool(*in.PublicNetworking), Agent: (*bool)(in.WithAgent),
	}
	if in.Name != nil {
		n.Names = []string{*in.Name}
	}
	n.Backups, err = in.backups()
	return n, err
}

func (s *Server) createDroplets(c *call) (*reply, error) {
	var in dropletRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := c.Actor.Require(in.scopes()...); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	request, err := in.request()
	if err != nil {
		return nil, err
	}
	droplets, actions, err := s.plane.CreateDroplets(c.Context(), c.Actor, request)
	if err != nil {
		return nil, err
	}
	v := c.view()
	links := &wireOneLinks{Actions: each(actions, v.actionLink)}
	if in.Name != nil {
		return accepted(dropletBody{v.droplet(droplets[0]), links}), nil
	}
	return accepted(dropletsBody{each(droplets, v.droplet), links}), nil
}
