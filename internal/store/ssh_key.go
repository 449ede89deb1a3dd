package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const keyColumns = `k.id, k.account_id, k.name, k.public_key, k.fingerprint`

func scanKey(row database.Scanner) (k cloud.SSHKey, err error) {
	return k, row.Scan(&k.ID, &k.Account, &k.Name, &k.PublicKey, &k.Fingerprint)
}

// AddSSHKey adds a key and reports whether the account did not have it yet.
func (tx *Tx) AddSSHKey(k cloud.SSHKey) (bool, error) {
	n, err := tx.t.Exec(`INSERT INTO ssh_keys (id, account_id, name, public_key, fingerprint)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account_id, fingerprint) DO NOTHING`,
		k.ID, k.Account, k.Name, k.PublicKey, k.Fingerprint)
	return n > 0, err
}

// SSHKey finds a key of the account by its ID or its fingerprint.
func (tx *Tx) SSHKey(account int64, identifier string) (cloud.SSHKey, error) {
	id, _ := cloud.ParseID(identifier) // 0 is no key's
	return found(database.One(tx.t, scanKey, `SELECT `+keyColumns+` FROM ssh_keys k
		WHERE k.account_id = $1 AND (k.id = $2 OR k.fingerprint = $3)`, account, id, identifier))
}

// SSHKeys lists the account's keys by ID.
func (tx *Tx) SSHKeys(account int64, p cloud.Page) ([]cloud.SSHKey, int64, error) {
	var w filter
	w.add(`k.account_id = ?`, account)
	return page(tx, scanKey, w, `SELECT `+keyColumns, ` FROM ssh_keys k`, ` ORDER BY k.id`, p)
}

// RenameSSHKey changes a key's name.
func (tx *Tx) RenameSSHKey(id int64, name string) error {
	return exists(tx.t.Exec(`UPDATE ssh_keys SET name = $1 WHERE id = $2`, name, id))
}

// DeleteSSHKey removes a key. Droplets that were given it keep it.
func (tx *Tx) DeleteSSHKey(id int64) error {
	return exists(tx.t.Exec(`DELETE FROM ssh_keys WHERE id = $1`, id))
}
