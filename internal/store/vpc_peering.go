package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const peeringColumns = `p.id, p.account_id, p.name, p.vpc_id, p.peer_id, p.status, p.created_at`

func scanPeering(row database.Scanner) (p cloud.VPCPeering, err error) {
	return p, row.Scan(&p.ID, &p.Account, &p.Name, &p.VPCs[0], &p.VPCs[1], &p.Status, moment{&p.CreatedAt})
}

// AddVPCPeering adds a peering and reports whether its name was free.
func (tx *Tx) AddVPCPeering(p cloud.VPCPeering) (bool, error) {
	n, err := tx.t.Exec(`INSERT INTO vpc_peerings (id, account_id, name, vpc_id, peer_id, status, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account_id, name) DO NOTHING`,
		p.ID, p.Account, p.Name, p.VPCs[0], p.VPCs[1], string(p.Status), micros(p.CreatedAt))
	return n > 0, err
}

// VPCPeering reads a peering of the account.
func (tx *Tx) VPCPeering(account int64, id string) (cloud.VPCPeering, error) {
	return found(database.One(tx.t, scanPeering,
		`SELECT `+peeringColumns+` FROM vpc_peerings p WHERE p.id = $1 AND p.account_id = $2`, id, account))
}

// LockVPCPeering reads a peering that the transaction is about to change.
func (tx *Tx) LockVPCPeering(account int64, id string) (cloud.VPCPeering, error) {
	return found(database.One(tx.t, scanPeering,
		`SELECT `+peeringColumns+` FROM vpc_peerings p WHERE p.id = $1 AND p.account_id = $2`+tx.t.ForUpdate(), id, account))
}

// VPCPeerings lists the account's peerings, oldest first; with a VPC, only its
// own.
func (tx *Tx) VPCPeerings(account int64, vpc string, p cloud.Page) ([]cloud.VPCPeering, int64, error) {
	var w filter
	w.add(`p.account_id = ?`, account)
	if vpc != "" {
		w.add(`(p.vpc_id = ? OR p.peer_id = ?)`, vpc, vpc)
	}
	return page(tx, scanPeering, w, `SELECT `+peeringColumns, ` FROM vpc_peerings p`, ` ORDER BY p.created_at, p.id`, p)
}

// VPCsPeered reports whether there is a peering between two VPCs.
func (tx *Tx) VPCsPeered(vpcs [2]string) (bool, error) {
	return database.One(tx.t, database.Value[bool], `SELECT EXISTS (SELECT 1 FROM vpc_peerings
		WHERE vpc_id = $1 AND peer_id = $2 OR vpc_id = $2 AND peer_id = $1)`, vpcs[0], vpcs[1])
}

// PeeringNamed reports whether a peering of the account other than one has a
// name.
func (tx *Tx) PeeringNamed(account int64, name, not string) (bool, error) {
	return database.One(tx.t, database.Value[bool],
		`SELECT EXISTS (SELECT 1 FROM vpc_peerings WHERE account_id = $1 AND name = $2 AND id <> $3)`, account, name, not)
}

// RenameVPCPeering changes a peering's name.
func (tx *Tx) RenameVPCPeering(id, name string) error {
	_, err := tx.t.Exec(`UPDATE vpc_peerings SET name = $1 WHERE id = $2`, name, id)
	return err
}

// SetPeeringStatus records how a peering stands.
func (tx *Tx) SetPeeringStatus(id string, status cloud.PeeringStatus) error {
	_, err := tx.t.Exec(`UPDATE vpc_peerings SET status = $1 WHERE id = $2`, string(status), id)
	return err
}

// DeleteVPCPeering removes a peering.
func (tx *Tx) DeleteVPCPeering(id string) error {
	_, err := tx.t.Exec(`DELETE FROM vpc_peerings WHERE id = $1`, id)
	return err
}
