package store

import (
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

func scanTransfer(row database.Scanner) (t cloud.ImageTransfer, err error) {
	return t, row.Scan(&t.ID, &t.Image, &t.Sender, &t.Recipient, moment{&t.CreatedAt})
}

// AddImageTransfer offers an image, and reports whether it was not offered yet.
func (tx *Tx) AddImageTransfer(t cloud.ImageTransfer) (bool, error) {
	n, err := tx.t.Exec(`INSERT INTO image_transfers (id, image_id, sender_id, recipient_id, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (image_id) DO NOTHING`,
		t.ID, t.Image, t.Sender, t.Recipient, micros(t.CreatedAt))
	return n > 0, err
}

// TakeImageTransfer reads an offer of an image and removes it. Who takes it at
// the same time finds none.
func (tx *Tx) TakeImageTransfer(image, id int64) (cloud.ImageTransfer, error) {
	return found(database.One(tx.t, scanTransfer, `DELETE FROM image_transfers WHERE id = $1 AND image_id = $2
		RETURNING id, image_id, sender_id, recipient_id, created_at`, id, image))
}

// withdrawTransfer removes whatever offer there is of an image.
func (tx *Tx) withdrawTransfer(image int64) error {
	_, err := tx.t.Exec(`DELETE FROM image_transfers WHERE image_id = $1`, image)
	return err
}

// GiveImage makes an image another account's. Its tags were the former
// owner's, and so is the Droplet that it was made from.
func (tx *Tx) GiveImage(i cloud.Image, account int64) error {
	i.GiveTo(account)
	if _, err := tx.t.Exec(`UPDATE images SET account_id = $1, source_droplet_id = $2, given = $3 WHERE id = $4`,
		i.Account, i.SourceDroplet, jsonText(i.Given), i.ID); err != nil {
		return err
	}
	return tx.untagAll(cloud.KindImage, cloud.FormatID(i.ID))
}

// AccountByEmail finds an account by its email address, in capitals or small
// letters. Where that could be one of several, it has to be written exactly.
func (tx *Tx) AccountByEmail(email string) (cloud.Account, error) {
	accounts, err := database.All(tx.t, scanAccount, `SELECT `+accountColumns+` FROM accounts a WHERE LOWER(a.email) = LOWER($1)`, email)
	if err != nil {
		return cloud.Account{}, err
	}
	for _, account := range accounts {
		if account.Email == email || len(accounts) == 1 {
			return account, nil
		}
	}
	return cloud.Account{}, cloud.NotFound()
}

// AccountByUUID finds an account by its UUID, which is kept in small letters.
func (tx *Tx) AccountByUUID(uuid string) (cloud.Account, error) {
	return found(database.One(tx.t, scanAccount, `SELECT `+accountColumns+` FROM accounts a WHERE a.uuid = $1`, strings.ToLower(uuid)))
}
