package store

import (
	"errors"
	"net/netip"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const vpcColumns = `v.id, v.account_id, v.name, v.description, v.region, v.ip_range, v.is_default, v.created_at`

func scanVPC(row database.Scanner) (v cloud.VPC, err error) {
	return v, row.Scan(&v.ID, &v.Account, &v.Name, &v.Description, &v.Region, &v.IPRange, &v.Default, moment{&v.CreatedAt})
}

// AddVPC adds a VPC and reports whether its name was free.
func (tx *Tx) AddVPC(v cloud.VPC) (bool, error) {
	prefix, err := netip.ParsePrefix(v.IPRange)
	if err != nil {
		return false, err
	}
	first, last := cloud.RangeBounds(prefix)
	n, err := tx.t.Exec(`INSERT INTO vpcs (id, account_id, name, description, region, ip_range, first_address,
		last_address, is_default, next_host, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10) ON CONFLICT (account_id, name) DO NOTHING`,
		v.ID, v.Account, v.Name, v.Description, v.Region, v.IPRange, first, last, v.Default, micros(v.CreatedAt))
	return n > 0, err
}

// VPC reads a VPC of the account.
func (tx *Tx) VPC(account int64, id string) (cloud.VPC, error) {
	return found(database.One(tx.t, scanVPC,
		`SELECT `+vpcColumns+` FROM vpcs v WHERE v.id = $1 AND v.account_id = $2`, id, account))
}

// LockVPC reads a VPC that the transaction is about to change, delete or join. A
// Droplet that is added to it waits for the transaction's end.
func (tx *Tx) LockVPC(account int64, id string) (cloud.VPC, error) {
	return found(database.One(tx.t, scanVPC,
		`SELECT `+vpcColumns+` FROM vpcs v WHERE v.id = $1 AND v.account_id = $2`+tx.t.ForUpdate(), id, account))
}

// DefaultVPC reads the VPC that a region's Droplets are in unless told
// otherwise.
func (tx *Tx) DefaultVPC(account int64, region string) (cloud.VPC, error) {
	return found(database.One(tx.t, scanVPC,
		`SELECT `+vpcColumns+` FROM vpcs v WHERE v.account_id = $1 AND v.region = $2 AND v.is_default`, account, region))
}

// RegionsWithoutVPC lists the regions of the catalogue in which the account has no
// default VPC, in its order.
func (tx *Tx) RegionsWithoutVPC(account int64) ([]string, error) {
	return database.All(tx.t, database.Value[string], `SELECT slug FROM regions r WHERE NOT EXISTS
		(SELECT 1 FROM vpcs v WHERE v.account_id = $1 AND v.region = r.slug AND v.is_default)
		ORDER BY retired, place, slug`, account)
}

// VPCs lists the account's VPCs, oldest first.
func (tx *Tx) VPCs(account int64, p cloud.Page) ([]cloud.VPC, int64, error) {
	var w filter
	w.add(`v.account_id = ?`, account)
	return page(tx, scanVPC, w, `SELECT `+vpcColumns, ` FROM vpcs v`, ` ORDER BY v.created_at, v.id`, p)
}

// VPCRanges lists the ranges of the account's VPCs in the order of their first
// address.
func (tx *Tx) VPCRanges(account int64) ([]netip.Prefix, error) {
	return database.All(tx.t, func(row database.Scanner) (netip.Prefix, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return netip.Prefix{}, err
		}
		return netip.ParsePrefix(text)
	}, `SELECT ip_range FROM vpcs WHERE account_id = $1 ORDER BY first_address`, account)
}

// OverlappingVPC finds a VPC of the account that has some of a range's
// addresses, and reports whether there is one.
func (tx *Tx) OverlappingVPC(account int64, prefix netip.Prefix) (cloud.VPC, bool, error) {
	first, last := cloud.RangeBounds(prefix)
	v, err := database.One(tx.t, scanVPC, `SELECT `+vpcColumns+` FROM vpcs v
		WHERE v.account_id = $1 AND v.first_address <= $2 AND v.last_address >= $3
		ORDER BY v.first_address LIMIT 1`, account, last, first)
	if errors.Is(err, database.ErrNoRows) {
		return v, false, nil
	}
	return v, err == nil, err
}

// VPCNamed reports whether a VPC of the account other than one has a name.
func (tx *Tx) VPCNamed(account int64, name, not string) (bool, error) {
	return database.One(tx.t, database.Value[bool],
		`SELECT EXISTS (SELECT 1 FROM vpcs WHERE account_id = $1 AND name = $2 AND id <> $3)`, account, name, not)
}

// DescribeVPC changes a VPC's name and description.
func (tx *Tx) DescribeVPC(v cloud.VPC) error {
	_, err := tx.t.Exec(`UPDATE vpcs SET name = $1, description = $2 WHERE id = $3`, v.Name, v.Description, v.ID)
	return err
}

// SetDefaultVPC makes a VPC its region's default in place of the one that is.
func (tx *Tx) SetDefaultVPC(v cloud.VPC) error {
	if _, err := tx.t.Exec(`UPDATE vpcs SET is_default = $1 WHERE account_id = $2 AND region = $3 AND is_default`,
		false, v.Account, v.Region); err != nil {
		return err
	}
	_, err := tx.t.Exec(`UPDATE vpcs SET is_default = $1 WHERE id = $2`, true, v.ID)
	return err
}

// DeleteVPC removes a VPC that has no members.
func (tx *Tx) DeleteVPC(id string) error {
	_, err := tx.t.Exec(`DELETE FROM vpcs WHERE id = $1`, id)
	return err
}

// VPCMembers lists the Droplets in a VPC by their addresses, which is mostly
// the order in which they came.
func (tx *Tx) VPCMembers(vpc string, p cloud.Page) ([]cloud.VPCMember, int64, error) {
	var w filter
	w.add(`d.vpc_id = ?`, vpc)
	return page(tx, func(row database.Scanner) (m cloud.VPCMember, err error) {
		var id int64
		err = row.Scan(&id, &m.Name, moment{&m.CreatedAt})
		m.Ref = cloud.Ref{Kind: cloud.KindDroplet, ID: cloud.FormatID(id)}
		return m, err
	}, w, `SELECT d.id, d.name, d.created_at`, ` FROM droplets d`, ` ORDER BY d.private_host`, p)
}

// NextHost takes the next place in a VPC's range. Places are counted on, so
// that an address is not used again soon.
func (tx *Tx) NextHost(vpc string) (int64, error) {
	next, err := found(database.One(tx.t, database.Value[int64],
		`UPDATE vpcs SET next_host = next_host + 1 WHERE id = $1 RETURNING next_host`, vpc))
	return next - 1, err
}

// SetNextHost goes on from another place.
func (tx *Tx) SetNextHost(vpc string, next int64) error {
	_, err := tx.t.Exec(`UPDATE vpcs SET next_host = $1 WHERE id = $2`, next, vpc)
	return err
}
