package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const accountColumns = `a.id, a.uuid, a.name, a.email, a.project_id,
	a.droplet_limit, a.volume_limit, a.reserved_ip_limit, a.created_at`

func scanAccount(row database.Scanner) (a cloud.Account, err error) {
	return a, row.Scan(&a.ID, &a.UUID, &a.Name, &a.Email, &a.ProjectID,
		&a.DropletLimit, &a.VolumeLimit, &a.ReservedIPLimit, moment{&a.CreatedAt})
}

// AddAccount adds an account. Its email must be new; else database.ErrUnique.
func (tx *Tx) AddAccount(a cloud.Account) error {
	_, err := tx.t.Exec(`INSERT INTO accounts (id, uuid, name, email, project_id,
		droplet_limit, volume_limit, reserved_ip_limit, droplets, volumes, reserved_ips, reserved_ipv6s, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, 0, $9)`,
		a.ID, a.UUID, a.Name, a.Email, a.ProjectID,
		a.DropletLimit, a.VolumeLimit, a.ReservedIPLimit, micros(a.CreatedAt))
	return err
}

// Account reads an account.
func (tx *Tx) Account(id int64) (cloud.Account, error) {
	return found(database.One(tx.t, scanAccount, `SELECT `+accountColumns+` FROM accounts a WHERE a.id = $1`, id))
}

// LockAccount makes others that lock the account wait for the transaction's end.
// It is for rules across rows, which no constraint keeps, and it is what keeps
// transactions from waiting for each other: who changes tags, or deletes or
// readdresses a Droplet, or changes a firewall, changes rows of many Droplets,
// and locks the account before any other row but that of its own operation. So
// does whoever makes or renames a VPC, a peering or a tag, as no range and no name
// is to be taken twice. To count something new for the account locks it too.
func (tx *Tx) LockAccount(id int64) error {
	_, err := found(database.One(tx.t, database.Value[int64], `SELECT id FROM accounts WHERE id = $1`+tx.t.ForTurn(), id))
	return err
}

// SetLimits records how much an account may have.
func (tx *Tx) SetLimits(id, droplets, volumes, reservedIPs int64) error {
	return exists(tx.t.Exec(`UPDATE accounts SET droplet_limit = $1, volume_limit = $2, reserved_ip_limit = $3
		WHERE id = $4`, droplets, volumes, reservedIPs, id))
}

// counted are the columns that count what an account has.
type counted string

const (
	countedDroplets    counted = "droplets"
	countedVolumes     counted = "volumes"
	countedReservedIPs counted = "reserved_ips"

	countedReservedIPv6s counted = "reserved_ipv6s"
)

// limits are the columns of how many of each an account may have.
var limits = map[counted]string{
	countedDroplets: "droplet_limit", countedVolumes: "volume_limit", countedReservedIPs: "reserved_ip_limit",
	countedReservedIPv6s: "reserved_ip_limit",
}

// count adds to what an account has and reports whether that is within its
// limit. Others that count for the account wait for the transaction's end.
func (tx *Tx) count(account int64, what counted, n int) (bool, error) {
	column := string(what)
	return found(database.One(tx.t, database.Value[bool], `UPDATE accounts SET `+column+` = `+column+` + $1
		WHERE id = $2 RETURNING `+column+` <= `+limits[what], int64(n), account))
}

// CountDroplets counts new Droplets and reports whether the account may have
// them.
func (tx *Tx) CountDroplets(account int64, n int) (bool, error) {
	return tx.count(account, countedDroplets, n)
}

// CountVolume counts a new volume and reports whether the account may have it.
func (tx *Tx) CountVolume(account int64) (bool, error) {
	return tx.count(account, countedVolumes, 1)
}

// CountReservedIP counts a new address and reports whether the account may
// have it.
func (tx *Tx) CountReservedIP(account int64) (bool, error) {
	return tx.count(account, countedReservedIPs, 1)
}

// CountReservedIPv6 counts a new IPv6 address and reports whether the account
// may have it. There may be as many of them as of IPv4 addresses.
func (tx *Tx) CountReservedIPv6(account int64) (bool, error) {
	return tx.count(account, countedReservedIPv6s, 1)
}

// remove deletes one row and counts it off its account.
func (tx *Tx) remove(what counted, where string, id any) error {
	accounts, err := database.All(tx.t, database.Value[int64],
		`DELETE FROM `+string(what)+` WHERE `+where+` RETURNING account_id`, id)
	if err != nil || len(accounts) == 0 {
		return err
	}
	_, err = tx.count(accounts[0], what, -1)
	return err
}

// Accounts lists all accounts by ID.
func (tx *Tx) Accounts() ([]cloud.Account, error) {
	return database.All(tx.t, scanAccount, `SELECT `+accountColumns+` FROM accounts a ORDER BY a.id`)
}

const tokenColumns = `t.id, t.account_id, t.name, t.scopes, t.created_at, t.expires_at`

func scanToken(row database.Scanner) (t cloud.Token, err error) {
	var scopes string
	if err := row.Scan(&t.ID, &t.Account, &t.Name, &scopes, moment{&t.CreatedAt}, moment{&t.ExpiresAt}); err != nil {
		return t, err
	}
	for _, scope := range words(scopes) {
		t.Scopes = append(t.Scopes, cloud.Scope(scope))
	}
	return t, nil
}

// AddToken adds a token under the hash of its secret.
func (tx *Tx) AddToken(t cloud.Token, hash string) error {
	_, err := tx.t.Exec(`INSERT INTO tokens (id, account_id, name, hash, scopes, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		t.ID, t.Account, t.Name, hash, t.Scopes.String(), micros(t.CreatedAt), optional(t.ExpiresAt))
	return err
}

// TokenByHash finds the token that a secret belongs to.
func (tx *Tx) TokenByHash(hash string) (cloud.Token, error) {
	return found(database.One(tx.t, scanToken, `SELECT `+tokenColumns+` FROM tokens t WHERE t.hash = $1`, hash))
}

// Tokens lists the tokens of all accounts by ID.
func (tx *Tx) Tokens() ([]cloud.Token, error) {
	return database.All(tx.t, scanToken, `SELECT `+tokenColumns+` FROM tokens t ORDER BY t.id`)
}

// DeleteToken ends a token at once.
func (tx *Tx) DeleteToken(id int64) error {
	return exists(tx.t.Exec(`DELETE FROM tokens WHERE id = $1`, id))
}

// FirstAccount reads the oldest account, whose token `serve --token` sets.
func (tx *Tx) FirstAccount() (cloud.Account, error) {
	return found(database.One(tx.t, scanAccount, `SELECT `+accountColumns+` FROM accounts a ORDER BY a.id LIMIT 1`))
}
