package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const reservedIPv6Columns = `r.ip, r.account_id, r.region, r.droplet_id, r.created_at,
	COALESCE((SELECT h.action_id FROM action_holds h WHERE h.kind = 'reserved_ipv6' AND h.id = r.ip), 0)`

func scanReservedIPv6(row database.Scanner) (r cloud.ReservedIPv6, err error) {
	return r, row.Scan(&r.IP, &r.Account, &r.Region, &r.Droplet, moment{&r.CreatedAt}, &r.HeldBy)
}

// AddReservedIPv6 adds an address that nobody had before. The number orders the
// account's.
func (tx *Tx) AddReservedIPv6(r cloud.ReservedIPv6, number int64) error {
	_, err := tx.t.Exec(`INSERT INTO reserved_ipv6s (ip, number, account_id, region, droplet_id, created_at)
		VALUES ($1, $2, $3, $4, 0, $5)`, r.IP, number, r.Account, r.Region, micros(r.CreatedAt))
	return err
}

// ReservedIPv6 reads an address of the account.
func (tx *Tx) ReservedIPv6(account int64, ip string) (cloud.ReservedIPv6, error) {
	return found(database.One(tx.t, scanReservedIPv6,
		`SELECT `+reservedIPv6Columns+` FROM reserved_ipv6s r WHERE r.ip = $1 AND r.account_id = $2`, ip, account))
}

// LockReservedIPv6 reads an address that the transaction is about to begin
// something with.
func (tx *Tx) LockReservedIPv6(account int64, ip string) (cloud.ReservedIPv6, error) {
	if _, err := database.All(tx.t, database.Value[string],
		`SELECT ip FROM reserved_ipv6s WHERE ip = $1 AND account_id = $2`+tx.t.ForUpdate(), ip, account); err != nil {
		return cloud.ReservedIPv6{}, err
	}
	return tx.ReservedIPv6(account, ip)
}

// ReservedIPv6s lists the account's addresses in the order they were reserved.
func (tx *Tx) ReservedIPv6s(account int64, p cloud.Page) ([]cloud.ReservedIPv6, int64, error) {
	var w filter
	w.add(`r.account_id = ?`, account)
	return page(tx, scanReservedIPv6, w, `SELECT `+reservedIPv6Columns, ` FROM reserved_ipv6s r`, ` ORDER BY r.number`, p)
}

// AssignReservedIPv6 records the Droplet that an address is routed to; 0 is
// none.
func (tx *Tx) AssignReservedIPv6(ip string, droplet int64) error {
	_, err := tx.t.Exec(`UPDATE reserved_ipv6s SET droplet_id = $1 WHERE ip = $2`, droplet, ip)
	return err
}

// DeleteReservedIPv6 gives an address back.
func (tx *Tx) DeleteReservedIPv6(ip string) error {
	return tx.remove(countedReservedIPv6s, `ip = $1`, ip)
}
