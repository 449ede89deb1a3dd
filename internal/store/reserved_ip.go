package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const reservedIPColumns = `r.id, r.ip, r.account_id, r.region, r.droplet_id, r.created_at,
	COALESCE((SELECT h.action_id FROM action_holds h WHERE h.kind = 'reserved_ip' AND h.id = r.ip), 0)`

func scanReservedIP(row database.Scanner) (r cloud.ReservedIP, err error) {
	return r, row.Scan(&r.ID, &r.IP, &r.Account, &r.Region, &r.Droplet, moment{&r.CreatedAt}, &r.HeldBy)
}

// AddReservedIP adds the address at a place of the pool, and reports whether it
// was free.
func (tx *Tx) AddReservedIP(r cloud.ReservedIP, host int64) (bool, error) {
	n, err := tx.t.Exec(`INSERT INTO reserved_ips (ip, host, id, account_id, region, droplet_id, created_at)
		VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT DO NOTHING`,
		r.IP, host, r.ID, r.Account, r.Region, micros(r.CreatedAt))
	return n > 0, err
}

// ReservedIP reads an address of the account.
func (tx *Tx) ReservedIP(account int64, ip string) (cloud.ReservedIP, error) {
	return found(database.One(tx.t, scanReservedIP,
		`SELECT `+reservedIPColumns+` FROM reserved_ips r WHERE r.ip = $1 AND r.account_id = $2`, ip, account))
}

// LockReservedIP reads an address that the transaction is about to begin
// something with.
func (tx *Tx) LockReservedIP(account int64, ip string) (cloud.ReservedIP, error) {
	if _, err := database.All(tx.t, database.Value[string],
		`SELECT ip FROM reserved_ips WHERE ip = $1 AND account_id = $2`+tx.t.ForUpdate(), ip, account); err != nil {
		return cloud.ReservedIP{}, err
	}
	return tx.ReservedIP(account, ip)
}

// ReservedIPs lists the account's addresses in the order they were reserved.
func (tx *Tx) ReservedIPs(account int64, p cloud.Page) ([]cloud.ReservedIP, int64, error) {
	var w filter
	w.add(`r.account_id = ?`, account)
	return page(tx, scanReservedIP, w, `SELECT `+reservedIPColumns, ` FROM reserved_ips r`, ` ORDER BY r.id`, p)
}

// ReservedIPOf reads the address assigned to a Droplet.
func (tx *Tx) ReservedIPOf(account, droplet int64) (cloud.ReservedIP, error) {
	return found(database.One(tx.t, scanReservedIP, `SELECT `+reservedIPColumns+` FROM reserved_ips r
		WHERE r.droplet_id = $1 AND r.droplet_id <> 0 AND r.account_id = $2`, droplet, account))
}

// AssignReservedIP records the Droplet that an address is routed to; 0 is none.
func (tx *Tx) AssignReservedIP(ip string, droplet int64) error {
	_, err := tx.t.Exec(`UPDATE reserved_ips SET droplet_id = $1 WHERE ip = $2`, droplet, ip)
	return err
}

// DeleteReservedIP gives an address back to the pool.
func (tx *Tx) DeleteReservedIP(ip string) error {
	return tx.remove(countedReservedIPs, `ip = $1`, ip)
}
