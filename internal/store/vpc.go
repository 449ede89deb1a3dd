package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const vpcColumns = `v.id, v.account_id, v.name, v.region, v.ip_range, v.is_default, v.created_at`

func scanVPC(row database.Scanner) (v cloud.VPC, err error) {
	return v, row.Scan(&v.ID, &v.Account, &v.Name, &v.Region, &v.IPRange, &v.Default, moment{&v.CreatedAt})
}

// AddVPC adds a VPC, unless the account has one of that name already.
func (tx *Tx) AddVPC(v cloud.VPC) error {
	_, err := tx.t.Exec(`INSERT INTO vpcs (id, account_id, name, region, ip_range, is_default, next_host, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT (account_id, name) DO NOTHING`,
		v.ID, v.Account, v.Name, v.Region, v.IPRange, v.Default, micros(v.CreatedAt))
	return err
}

// VPC reads a VPC of the account.
func (tx *Tx) VPC(account int64, id string) (cloud.VPC, error) {
	return found(database.One(tx.t, scanVPC,
		`SELECT `+vpcColumns+` FROM vpcs v WHERE v.id = $1 AND v.account_id = $2`, id, account))
}

// DefaultVPC reads the VPC that a region's Droplets are in unless told
// otherwise.
func (tx *Tx) DefaultVPC(account int64, region string) (cloud.VPC, error) {
	return found(database.One(tx.t, scanVPC,
		`SELECT `+vpcColumns+` FROM vpcs v WHERE v.account_id = $1 AND v.region = $2 AND v.is_default`, account, region))
}

// VPCs lists the account's VPCs, oldest first.
func (tx *Tx) VPCs(account int64) ([]cloud.VPC, error) {
	return database.All(tx.t, scanVPC,
		`SELECT `+vpcColumns+` FROM vpcs v WHERE v.account_id = $1 ORDER BY v.created_at, v.name`, account)
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
