package control

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
	"github.com/cistern-cloud/cistern/internal/store"
)

// resources is everything that users see, of all accounts.
type resources struct {
	Droplets        []cloud.Droplet
	Volumes         []cloud.Volume
	Images          []cloud.Image // private ones
	VolumeSnapshots []cloud.VolumeSnapshot
	ReservedIPs     []cloud.ReservedIP
	ReservedIPv6s   []cloud.ReservedIPv6
	Peerings        []cloud.VPCPeering
}

// resources reads what users see.
func (c *testCloud) resources() (all resources) {
	c.Helper()
	err := c.store.Read(c.Context(), func(tx *store.Tx) error {
		all = resources{}
		accounts, err := tx.Accounts()
		if err != nil {
			return err
		}
		for _, account := range accounts {
			if err := all.add(tx, account.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	return all
}

func (all *resources) add(tx *store.Tx, account int64) error {
	droplets, _, err := tx.Droplets(account, cloud.DropletFilter{}, cloud.Page{})
	if err != nil {
		return err
	}
	volumes, _, err := tx.Volumes(account, cloud.VolumeFilter{}, cloud.Page{})
	if err != nil {
		return err
	}
	images, _, err := tx.Images(account, cloud.ImageFilter{Private: true}, cloud.Page{})
	if err != nil {
		return err
	}
	ips, _, err := tx.ReservedIPs(account, cloud.Page{})
	if err != nil {
		return err
	}
	ipv6s, _, err := tx.ReservedIPv6s(account, cloud.Page{})
	if err != nil {
		return err
	}
	all.ReservedIPv6s = append(all.ReservedIPv6s, ipv6s...)
	peerings, _, err := tx.VPCPeerings(account, "", cloud.Page{})
	if err != nil {
		return err
	}
	all.Peerings = append(all.Peerings, peerings...)
	copies, _, err := tx.Snapshots(account, cloud.KindVolume, "", cloud.Page{})
	if err != nil {
		return err
	}
	for _, s := range copies {
		whole, err := tx.VolumeSnapshot(account, s.ID)
		if err != nil {
			return err
		}
		all.VolumeSnapshots = append(all.VolumeSnapshots, whole)
	}
	all.Droplets = append(all.Droplets, droplets...)
	all.Volumes = append(all.Volumes, volumes...)
	all.Images = append(all.Images, images...)
	all.ReservedIPs = append(all.ReservedIPs, ips...)
	return nil
}

// world reads what the hypervisor has.
func (c *testCloud) world() sim.World {
	c.Helper()
	w, err := c.engine.World(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	return w
}

// checkWorld compares what users see with what the hypervisor has, and checks
// that no operation and nothing of one is left.
func (c *testCloud) checkWorld() {
	c.Helper()
	all, world := c.resources(), c.world()
	c.checkMachines(all.Droplets, world.Machines)
	c.checkVolumes(all.Volumes, world.Volumes)
	c.checkCopies(all, world)
	c.checkPeerings(all.Peerings, world.Peerings)
	c.checkNothingPending()
}

func (c *testCloud) checkPeerings(peerings []cloud.VPCPeering, real []sim.Peering) {
	c.Helper()
	byID := map[string]sim.Peering{}
	for _, p := range real {
		byID[p.ID] = p
	}
	for _, p := range peerings {
		if got := byID[p.ID]; got.VPCs != p.VPCs || p.Status != cloud.PeeringActive {
			c.Errorf("the peering %s (%s) of %v joins %v", p.Name, p.Status, p.VPCs, got.VPCs)
		}
		delete(byID, p.ID)
	}
	for id, p := range byID {
		c.Errorf("the networks %v are joined by %s, which has no peering", p.VPCs, id)
	}
}

func (c *testCloud) checkMachines(droplets []cloud.Droplet, machines []sim.Machine) {
	c.Helper()
	byID := map[string]sim.Machine{}
	for _, m := range machines {
		byID[m.ID] = m
	}
	for _, d := range droplets {
		m, ok := byID[cloud.FormatID(d.ID)]
		if !ok {
			c.Errorf("Droplet %d (%s, %s) has no machine", d.ID, d.Name, d.Status)
			continue
		}
		delete(byID, m.ID)
		image := d.Image.Slug
		if d.Image.Account != 0 {
			image = cloud.FormatID(d.Image.ID)
		}
		want := sim.Machine{
			ID: m.ID, Account: d.Account, Name: m.Name, Region: d.Region, Host: d.Host,
			Running: d.Status == cloud.DropletActive, VCPUs: d.VCPUs, Memory: d.Memory, Disk: d.Disk,
			Image: image, UsedGigabytes: m.UsedGigabytes, Network: network(d, d.ReservedIP), Passwords: m.Passwords, Firewall: c.wantedFirewall(d),
		}
		if !reflect.DeepEqual(m, want) {
			c.Errorf("Droplet %d (%s, %s) has the machine\n%+v\nwant\n%+v", d.ID, d.Name, d.Status, m, want)
		}
	}
	for id, m := range byID {
		c.Errorf("the machine %s (%s) has no Droplet", id, m.Name)
	}
}

// wantedFirewall is what a Droplet's machine is to have.
func (c *testCloud) wantedFirewall(d cloud.Droplet) (f engine.Firewall) {
	c.Helper()
	err := c.store.Read(c.Context(), func(tx *store.Tx) (err error) {
		f, err = firewallOf(tx, d.Account, d.ID)
		return err
	})
	if err != nil {
		c.Fatal(err)
	}
	return f
}

func (c *testCloud) checkVolumes(volumes []cloud.Volume, real []sim.Volume) {
	c.Helper()
	byID := map[string]sim.Volume{}
	for _, v := range real {
		byID[v.ID] = v
	}
	for _, v := range volumes {
		got := byID[v.ID]
		delete(byID, v.ID)
		want := sim.Volume{
			ID: v.ID, Account: v.Account, Name: v.Name, Region: v.Region, SizeGigabytes: v.SizeGigabytes,
			UsedGigabytes: got.UsedGigabytes, FilesystemType: v.FilesystemType, FilesystemLabel: v.FilesystemLabel,
		}
		if v.Droplet != 0 {
			want.Machine = cloud.FormatID(v.Droplet)
		}
		if got != want {
			c.Errorf("volume %s is\n%+v\nwant\n%+v", v.Name, got, want)
		}
	}
	for id, v := range byID {
		c.Errorf("the disk %s (%s) has no volume", id, v.Name)
	}
}

// checkCopies compares images and volume snapshots.
func (c *testCloud) checkCopies(all resources, world sim.World) {
	c.Helper()
	left := map[string]string{}
	for _, i := range world.Images {
		left["image "+i.ID] = fmt.Sprint(i.SizeGigabytes, i.Regions)
	}
	for _, s := range world.VolumeSnapshots {
		left["volume snapshot "+s.ID] = fmt.Sprint(s.SizeGigabytes)
	}
	take := func(name, what string) {
		c.Helper()
		if real, ok := left[name]; !ok || real != what {
			c.Errorf("%s is %s; the hypervisor has it: %t, with %s", name, what, ok, real)
		}
		delete(left, name)
	}
	for _, i := range all.Images {
		take("image "+cloud.FormatID(i.ID), fmt.Sprint(i.SizeGigabytes, slices.Sorted(slices.Values(i.Regions))))
	}
	for _, s := range all.VolumeSnapshots {
		take("volume snapshot "+s.ID, fmt.Sprint(s.SizeGigabytes))
	}
	for name := range left {
		c.Errorf("the hypervisor has %s and nobody knows of it", name)
	}
}

// leftovers are rows that no settled cloud has.
var leftovers = map[string]string{
	"operations in progress":              `SELECT COUNT(*) FROM actions WHERE status = 'in-progress'`,
	"ended operations without a time":     `SELECT COUNT(*) FROM actions WHERE completed_at IS NULL`,
	"holds":                               `SELECT COUNT(*) FROM action_holds`,
	"marks of a destroy":                  `SELECT COUNT(*) FROM droplets WHERE destroyed_by <> 0`,
	"new Droplets":                        `SELECT COUNT(*) FROM droplets WHERE status = 'new'`,
	"volumes not shown":                   `SELECT COUNT(*) FROM volumes WHERE NOT ready`,
	"volume snapshots not shown":          `SELECT COUNT(*) FROM volume_snapshots WHERE NOT ready`,
	"images not shown":                    `SELECT COUNT(*) FROM images WHERE status IN ('creating', 'NEW', 'pending')`,
	"destroys that run":                   `SELECT COUNT(*) FROM destroys WHERE completed_at IS NULL`,
	"volumes of Droplets that are gone":   `SELECT COUNT(*) FROM volumes WHERE droplet_id <> 0 AND droplet_id NOT IN (SELECT id FROM droplets)`,
	"addresses of Droplets that are gone": `SELECT COUNT(*) FROM reserved_ips WHERE droplet_id <> 0 AND droplet_id NOT IN (SELECT id FROM droplets)`,
	"IPv6 addresses of Droplets gone":     `SELECT COUNT(*) FROM reserved_ipv6s WHERE droplet_id <> 0 AND droplet_id NOT IN (SELECT id FROM droplets)`,
	"rules not in force":                  `SELECT COUNT(*) FROM firewall_machines WHERE pending`,
	"changes not in force":                `SELECT COUNT(*) FROM firewall_changes`,
	"rules of Droplets that are gone":     `SELECT COUNT(*) FROM firewall_machines WHERE droplet_id NOT IN (SELECT id FROM droplets)`,
	"Droplets in firewalls and gone":      `SELECT COUNT(*) FROM firewall_droplets WHERE droplet_id NOT IN (SELECT id FROM droplets)`,
	"Droplets in rules and gone": `SELECT COUNT(*) FROM firewall_mentions WHERE kind = 'droplet'
		AND name NOT IN (SELECT CAST(id AS TEXT) FROM droplets)`,
	"tags on what is gone": `SELECT COUNT(*) FROM tagged WHERE resource_id NOT IN (
		SELECT CAST(id AS TEXT) FROM droplets UNION SELECT id FROM volumes
		UNION SELECT id FROM volume_snapshots UNION SELECT CAST(id AS TEXT) FROM images WHERE status <> 'deleted')`,
}

func (c *testCloud) checkNothingPending() {
	c.Helper()
	err := c.db.Read(c.Context(), func(t *database.Tx) error {
		for what, query := range leftovers {
			n, err := database.One(t, database.Value[int64], query)
			if err != nil {
				return err
			}
			if n > 0 {
				c.Errorf("left behind: %d %s", n, what)
			}
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
}

// wantUnchanged checks that users see what they saw, and that it is true.
func (c *testCloud) wantUnchanged(before resources) {
	c.Helper()
	if after := c.resources(); !reflect.DeepEqual(after, before) {
		c.Errorf("got\n%+v\nwant\n%+v", after, before)
	}
	c.checkWorld()
}
