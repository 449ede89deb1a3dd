package store

import (
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const dropletColumns = `d.id, d.account_id, d.name, d.region, d.size, d.vcpus, d.memory, d.disk, d.status,
	d.ipv6, d.monitoring, d.agent, d.public_networking, d.vpc_id, d.vpc_range,
	d.private_ipv4, d.public_ipv4, d.public_range, d.public_ipv6, d.ipv6_gateway, d.host, d.destroyed_by, d.created_at, d.image_id,
	d.backup_plan, d.backup_weekday, d.backup_hour, d.backup_window`

// dropletFields are where dropletColumns go.
func dropletFields(d *cloud.Droplet) []any {
	return []any{&d.ID, &d.Account, &d.Name, &d.Region, &d.Size, &d.VCPUs, &d.Memory, &d.Disk, &d.Status,
		&d.IPv6, &d.Monitoring, &d.Agent, &d.PublicNetworking, &d.VPC, &d.VPCRange,
		&d.PrivateIPv4, &d.PublicIPv4, &d.PublicRange, &d.PublicIPv6, &d.IPv6Gateway, &d.Host, &d.DestroyedBy, moment{&d.CreatedAt},
		&d.Image.ID, &d.Backups.Plan, &d.Backups.Weekday, &d.Backups.Hour, moment{&d.BackupWindow}}
}

func scanDroplet(row database.Scanner) (d cloud.Droplet, err error) {
	return d, row.Scan(dropletFields(&d)...)
}

// NewDroplet is a Droplet to add, with the places of its addresses.
type NewDroplet struct {
	cloud.Droplet
	GPU         bool
	PrivateHost int64
	PublicHost  int64 // counts only with public networking
}

// AddDroplet adds a Droplet and reports whether its addresses were free.
func (tx *Tx) AddDroplet(d NewDroplet) (bool, error) {
	var public any // NULL where there is none, as the column is unique
	if d.PublicNetworking {
		public = d.PublicHost
	}
	n, err := tx.t.Exec(`INSERT INTO droplets (id, account_id, name, region, size, vcpus, memory, disk,
		image_id, status, ipv6, monitoring, agent, public_networking, gpu, vpc_id, vpc_range,
		private_host, private_ipv4, public_host, public_ipv4, public_ipv6, ipv6_gateway,
		host, user_data, public_keys, destroyed_by, created_at, public_range)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
		$17, $18, $19, $20, $21, $22, $23, '', $24, $25, 0, $26, $27)
		ON CONFLICT DO NOTHING`,
		d.ID, d.Account, d.Name, d.Region, d.Size, d.VCPUs, d.Memory, d.Disk,
		d.Image.ID, string(d.Status), d.IPv6, d.Monitoring, d.Agent, d.PublicNetworking, d.GPU, d.VPC, d.VPCRange,
		d.PrivateHost, d.PrivateIPv4, public, d.PublicIPv4, d.PublicIPv6, d.IPv6Gateway,
		d.UserData, jsonText(d.PublicKeys), micros(d.CreatedAt), d.PublicRange)
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.countBucket(d.Account, d.GPU, d.ID, 1)
}

// Droplet reads a Droplet of the account.
func (tx *Tx) Droplet(account, id int64) (cloud.Droplet, error) {
	droplets, err := database.All(tx.t, scanDroplet,
		`SELECT `+dropletColumns+` FROM droplets d WHERE d.id = $1 AND d.account_id = $2`, id, account)
	if err == nil && len(droplets) == 0 {
		err = cloud.NotFound()
	}
	if err != nil {
		return cloud.Droplet{}, err
	}
	return droplets[0], tx.complete(droplets)
}

// LockDroplet reads a Droplet that the transaction is about to begin something
// with. Others that want the same wait for its end, so what it reads of holds
// is still true when it commits.
func (tx *Tx) LockDroplet(account, id int64) (cloud.Droplet, error) {
	if _, err := database.All(tx.t, database.Value[int64],
		`SELECT id FROM droplets WHERE id = $1 AND account_id = $2`+tx.t.ForUpdate(), id, account); err != nil {
		return cloud.Droplet{}, err
	}
	return tx.Droplet(account, id)
}

// DropletToMake reads a Droplet for its first start: with the public keys and
// the user data it was given, and without what is only known of one that is
// there, such as snapshots and volumes.
func (tx *Tx) DropletToMake(account, id int64) (cloud.Droplet, error) {
	d, err := found(database.One(tx.t, func(row database.Scanner) (d cloud.Droplet, err error) {
		return d, row.Scan(append(dropletFields(&d), list[string]{&d.PublicKeys}, &d.UserData)...)
	}, `SELECT `+dropletColumns+`, d.public_keys, d.user_data FROM droplets d
		WHERE d.id = $1 AND d.account_id = $2`, id, account))
	if err != nil {
		return d, err
	}
	one := []cloud.Droplet{d}
	err = tx.partsOf(one).addImages()
	return one[0], err
}

// Droplets lists Droplets by ID.
func (tx *Tx) Droplets(account int64, f cloud.DropletFilter, p cloud.Page) (droplets []cloud.Droplet, total int64, err error) {
	var w filter
	w.add(`d.account_id = ?`, account)
	if f.GPU != nil {
		w.add(`d.gpu = ?`, *f.GPU)
	}
	if f.GPU != nil && f.Name == "" && f.Tag == "" && f.Host == "" && f.Not == 0 {
		return tx.countedDroplets(account, *f.GPU, w, p)
	}
	if f.Name != "" {
		w.add(`lower(d.name) = ?`, strings.ToLower(f.Name))
	}
	if f.Tag != "" {
		w.add(taggedBy(cloud.KindDroplet, "CAST(d.id AS TEXT)"), account, f.Tag)
	}
	if f.Host != "" {
		w.add(`d.host = ?`, f.Host)
	}
	if f.Not != 0 {
		w.add(`d.id <> ?`, f.Not)
	}
	droplets, total, err = page(tx, scanDroplet, w, `SELECT `+dropletColumns, ` FROM droplets d`, ` ORDER BY d.id`, p)
	if err != nil {
		return nil, 0, err
	}
	return droplets, total, tx.complete(droplets)
}

// DropletsByID reads several Droplets at once.
func (tx *Tx) DropletsByID(account int64, ids []int64) (map[int64]cloud.Droplet, error) {
	byID := map[int64]cloud.Droplet{}
	if len(ids) == 0 {
		return byID, nil
	}
	var w filter
	w.add(`d.account_id = ?`, account)
	addIn(&w, `d.id IN`, ids)
	droplets, err := database.All(tx.t, scanDroplet, `SELECT `+dropletColumns+` FROM droplets d`+w.where(), w.args...)
	if err == nil {
		err = tx.complete(droplets)
	}
	for _, d := range droplets {
		byID[d.ID] = d
	}
	return byID, err
}

// SetDropletStatus changes a Droplet's power state.
func (tx *Tx) SetDropletStatus(id int64, status cloud.DropletStatus) error {
	_, err := tx.t.Exec(`UPDATE droplets SET status = $1 WHERE id = $2`, string(status), id)
	return err
}

// PlaceDroplet records the host that a Droplet was created on, and its state.
func (tx *Tx) PlaceDroplet(id int64, host string, status cloud.DropletStatus) error {
	_, err := tx.t.Exec(`UPDATE droplets SET host = $1, status = $2 WHERE id = $3`, host, string(status), id)
	return err
}

// ResizeDroplet changes a Droplet's size and shape.
func (tx *Tx) ResizeDroplet(id int64, size string, vcpus, memory, disk int64) error {
	_, err := tx.t.Exec(`UPDATE droplets SET size = $1, vcpus = $2, memory = $3, disk = $4 WHERE id = $5`,
		size, vcpus, memory, disk, id)
	return err
}

// SetDropletImage changes the image that a Droplet's disk is from. The agent is
// gone where the image does not run it.
func (tx *Tx) SetDropletImage(id, image int64, runsAgent bool) error {
	_, err := tx.t.Exec(`UPDATE droplets SET image_id = $1, agent = agent AND $2 WHERE id = $3`, image, runsAgent, id)
	return err
}

// SetDropletIPv6 gives a Droplet its IPv6 address.
func (tx *Tx) SetDropletIPv6(id int64, ip, gateway string) error {
	if _, err := tx.t.Exec(`UPDATE droplets SET ipv6 = $1, public_ipv6 = $2, ipv6_gateway = $3 WHERE id = $4`,
		true, ip, gateway, id); err != nil {
		return err
	}
	return tx.readdressed(id)
}

// RenameDroplet changes a Droplet's name.
func (tx *Tx) RenameDroplet(id int64, name string) error {
	_, err := tx.t.Exec(`UPDATE droplets SET name = $1 WHERE id = $2`, name, id)
	return err
}

// MarkDroplet records the accepted destroy that will end a Droplet.
func (tx *Tx) MarkDroplet(id, action int64) error {
	_, err := tx.t.Exec(`UPDATE droplets SET destroyed_by = $1 WHERE id = $2`, action, id)
	return err
}

// UnmarkDroplet takes the mark of a destroy back that failed. The Droplet gets
// the rules that it has missed meanwhile. The transaction has locked the account.
func (tx *Tx) UnmarkDroplet(account, id int64) error {
	if err := tx.MarkDroplet(id, 0); err != nil {
		return err
	}
	return tx.catchUpFirewalls(account, id)
}

// DeleteDroplet removes a Droplet with its tags. Volumes and reserved IPs that
// are still its become free. The transaction has locked the account.
func (tx *Tx) DeleteDroplet(account, id int64) error {
	left, err := tx.leaveFirewalls(account, id)
	if err != nil {
		return err
	}
	if _, err := tx.t.Exec(`UPDATE volumes SET droplet_id = 0 WHERE droplet_id = $1`, id); err != nil {
		return err
	}
	if _, err := tx.t.Exec(`UPDATE reserved_ips SET droplet_id = 0 WHERE droplet_id = $1`, id); err != nil {
		return err
	}
	if _, err := tx.t.Exec(`UPDATE reserved_ipv6s SET droplet_id = 0 WHERE droplet_id = $1`, id); err != nil {
		return err
	}
	if err := tx.uncountBucket(id); err != nil {
		return err
	}
	if err := tx.remove(countedDroplets, `id = $1`, id); err != nil {
		return err
	}
	if err := tx.untagAll(cloud.KindDroplet, cloud.FormatID(id)); err != nil {
		return err
	}
	return left()
}
