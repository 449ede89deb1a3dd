package store

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// SetBackupPolicy records when a Droplet is backed up, with the next window; a
// policy of never ends its backups.
func (tx *Tx) SetBackupPolicy(droplet int64, p cloud.BackupPolicy, window time.Time) error {
	_, err := tx.t.Exec(`UPDATE droplets SET backup_plan = $1, backup_weekday = $2, backup_hour = $3,
		backup_window = $4, backup_due = $4 WHERE id = $5`,
		string(p.Plan), p.Weekday, p.Hour, optional(window), droplet)
	return err
}

// SetBackupWindow records a Droplet's next window, and when in it to try.
func (tx *Tx) SetBackupWindow(droplet int64, window, due time.Time) error {
	_, err := tx.t.Exec(`UPDATE droplets SET backup_window = $1, backup_due = $2 WHERE id = $3 AND backup_plan <> ''`,
		micros(window), micros(due), droplet)
	return err
}

// DueBackups lists Droplets whose backup is due, those that wait longest first.
func (tx *Tx) DueBackups(most int) ([]cloud.Droplet, error) {
	droplets, err := database.All(tx.t, scanDroplet, `SELECT `+dropletColumns+` FROM droplets d
		WHERE d.backup_due <= $1 ORDER BY d.backup_due, d.id LIMIT $2`, micros(tx.Now), int64(most))
	if err != nil {
		return nil, err
	}
	return droplets, tx.complete(droplets)
}

// expiring is a condition on images that are deleted at a time of their own.
const expiring = `i.delete_at IS NOT NULL AND i.type = 'backup' AND i.status = 'available'`

// ExpiredBackups lists backups that are to be deleted, the oldest first.
func (tx *Tx) ExpiredBackups(most int) ([]cloud.Image, error) {
	return database.All(tx.t, scanImage, `SELECT `+imageColumns+` FROM images i
		WHERE i.delete_at <= $1 AND `+expiring+` ORDER BY i.delete_at, i.id LIMIT $2`, micros(tx.Now), int64(most))
}

// KeepBackup records until when a backup is kept.
func (tx *Tx) KeepBackup(image int64, until time.Time) error {
	_, err := tx.t.Exec(`UPDATE images SET delete_at = $1 WHERE id = $2`, micros(until), image)
	return err
}

// NextBackup returns when the next backup is to be taken or deleted; zero when
// there is nothing to do.
func (tx *Tx) NextBackup() (next time.Time, err error) {
	for _, query := range []string{
		`SELECT MIN(backup_due) FROM droplets WHERE backup_due IS NOT NULL`,
		`SELECT MIN(i.delete_at) FROM images i WHERE ` + expiring,
	} {
		at, err := database.One(tx.t, func(row database.Scanner) (at time.Time, err error) {
			return at, row.Scan(moment{&at})
		}, query)
		if err != nil {
			return next, err
		}
		if next.IsZero() || !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next, nil
}
