package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// World is all that exists in the simulation, each list by ID. Two worlds can
// be compared field by field, to show that nothing was left behind.
type World struct {
	Machines        []Machine
	Volumes         []Volume
	Images          []Image
	VolumeSnapshots []VolumeSnapshot
	Peerings        []Peering
}

// Peering is two private networks that are joined.
type Peering struct {
	ID      string
	Account int64
	Name    string
	VPCs    [2]string
}

// Machine is a simulated machine.
type Machine struct {
	ID      string
	Account int64
	Name    string
	Region  string
	Host    string
	Running bool
	VCPUs   int64
	Memory  int64
	Disk    int64
	// Image is a base image's slug, or another image's ID.
	Image         string
	UsedGigabytes float64
	Network       engine.Network
	Firewall      engine.Firewall
	// Passwords is how often its guest was given a new one.
	Passwords int64
}

func (m Machine) shape() engine.Shape {
	return engine.Shape{VCPUs: m.VCPUs, Memory: m.Memory, Disk: m.Disk}
}

// Volume is a simulated volume.
type Volume struct {
	ID              string
	Account         int64
	Name            string
	Region          string
	SizeGigabytes   int64
	UsedGigabytes   float64
	FilesystemType  string
	FilesystemLabel string
	// Machine is the ID of the machine that it is attached to, or empty.
	Machine string
}

// Image is an image that was copied from a simulated machine, or imported.
type Image struct {
	ID            string
	Account       int64
	Name          string
	Disk          int64
	SizeGigabytes float64
	Regions       []string // sorted
}

// VolumeSnapshot is a copy of a simulated volume.
type VolumeSnapshot struct {
	ID              string
	Account         int64
	Name            string
	VolumeGigabytes int64
	SizeGigabytes   float64
}

// World returns all that exists, of every account, at one instant.
func (e *Engine) World(ctx context.Context) (World, error) {
	var w World
	err := e.db.Read(ctx, func(t *database.Tx) (err error) {
		w, err = readWorld(t)
		return err
	})
	return w, err
}

func readWorld(t *database.Tx) (w World, err error) {
	if w.Machines, err = database.All(t, scanMachine, selectMachines); err != nil {
		return w, err
	}
	if w.Volumes, err = database.All(t, scanVolume, selectVolumes); err != nil {
		return w, err
	}
	if w.Images, err = database.All(t, scanImage, selectImages); err != nil {
		return w, err
	}
	if w.VolumeSnapshots, err = database.All(t, scanVolumeSnapshot, selectVolumeSnapshots); err != nil {
		return w, err
	}
	w.Peerings, err = database.All(t, scanPeering, selectPeerings)
	w.sort()
	return w, err
}

// sort orders by ID here, as the order of text differs between databases.
func (w World) sort() {
	slices.SortFunc(w.Machines, func(a, b Machine) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(w.Volumes, func(a, b Volume) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(w.Images, func(a, b Image) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(w.Peerings, func(a, b Peering) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(w.VolumeSnapshots, func(a, b VolumeSnapshot) int { return cmp.Compare(a.ID, b.ID) })
}

// The queries below leave out tombstones, and so does whatever is added to
// them with AND.

const selectMachines = `SELECT id, account, name, region, host, running, vcpus, memory, disk,
	image, used_gigabytes, network, firewall, passwords FROM sim_machines WHERE NOT destroyed`

func scanMachine(row database.Scanner) (m Machine, err error) {
	var network, firewall string
	err = row.Scan(&m.ID, &m.Account, &m.Name, &m.Region, &m.Host, &m.Running, &m.VCPUs, &m.Memory, &m.Disk,
		&m.Image, &m.UsedGigabytes, &network, &firewall, &m.Passwords)
	if err == nil {
		err = json.Unmarshal([]byte(network), &m.Network)
	}
	if err == nil {
		err = json.Unmarshal([]byte(firewall), &m.Firewall)
	}
	return m, err
}

const selectVolumes = `SELECT id, account, name, region, size_gigabytes, used_gigabytes,
	filesystem_type, filesystem_label, machine FROM sim_volumes WHERE NOT destroyed`

func scanVolume(row database.Scanner) (v Volume, err error) {
	err = row.Scan(&v.ID, &v.Account, &v.Name, &v.Region, &v.SizeGigabytes, &v.UsedGigabytes,
		&v.FilesystemType, &v.FilesystemLabel, &v.Machine)
	return v, err
}

const selectImages = `SELECT id, account, name, disk, size_gigabytes,
	COALESCE((SELECT string_agg(r.region, ',') FROM sim_image_regions r WHERE r.image = sim_images.id), '')
	FROM sim_images WHERE NOT destroyed`

func scanImage(row database.Scanner) (i Image, err error) {
	var regions string
	err = row.Scan(&i.ID, &i.Account, &i.Name, &i.Disk, &i.SizeGigabytes, &regions)
	i.Regions = strings.Split(regions, ",")
	slices.Sort(i.Regions) // here, as the order of text differs between databases
	return i, err
}

const selectVolumeSnapshots = `SELECT id, account, name, volume_gigabytes, size_gigabytes
	FROM sim_volume_snapshots WHERE NOT destroyed`

func scanVolumeSnapshot(row database.Scanner) (s VolumeSnapshot, err error) {
	err = row.Scan(&s.ID, &s.Account, &s.Name, &s.VolumeGigabytes, &s.SizeGigabytes)
	return s, err
}

const selectPeerings = `SELECT id, account, name, vpc, peer FROM sim_peerings WHERE NOT destroyed`

func scanPeering(row database.Scanner) (p Peering, err error) {
	err = row.Scan(&p.ID, &p.Account, &p.Name, &p.VPCs[0], &p.VPCs[1])
	return p, err
}
