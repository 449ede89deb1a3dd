package store

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// Window is a run of rows by ID.
type Window struct {
	After, Last int64     // it has the IDs above After, up to Last
	Before      time.Time // what counts as old
	Old         int64     // how many of its rows began before that
	Ended       int64     // how many of these ended before that as well
}

// window looks at the next rows of a table by ID. The oldest rows have the
// lowest IDs, so no index on times is needed, which every change would pay for.
func (tx *Tx) window(table, began, ended string, after int64, before time.Time, most int) (Window, error) {
	w := Window{After: after, Before: before}
	return database.One(tx.t, func(row database.Scanner) (Window, error) {
		return w, row.Scan(&w.Last, &w.Old, &w.Ended)
	}, `SELECT COALESCE(MAX(id), 0), COUNT(CASE WHEN began < $1 THEN 1 END), COUNT(CASE WHEN ended < $1 THEN 1 END)
		FROM (SELECT id, `+began+` AS began, `+ended+` AS ended FROM `+table+` WHERE id > $2 ORDER BY id LIMIT $3) w`,
		micros(before), after, int64(most))
}

// LookAtActions looks at the next actions after one.
func (tx *Tx) LookAtActions(after int64, before time.Time, most int) (Window, error) {
	return tx.window(`actions`, `started_at`, `completed_at`, after, before, most)
}

// ForgetActions deletes the old actions of a window that have ended and that no
// record of a destroy names.
func (tx *Tx) ForgetActions(w Window) (int64, error) {
	return tx.t.Exec(`DELETE FROM actions WHERE id > $1 AND id <= $2 AND status <> 'in-progress' AND completed_at < $3
		AND id NOT IN (SELECT action_id FROM destroys)`, w.After, w.Last, micros(w.Before))
}

// LookAtDestroys looks at the next destroys after one.
func (tx *Tx) LookAtDestroys(after int64, before time.Time, most int) (Window, error) {
	return tx.window(`destroys`, `created_at`, `completed_at`, after, before, most)
}

// EndedDestroys reads the old destroys of a window that have ended, each for a
// transaction that may delete it.
func (tx *Tx) EndedDestroys(w Window) ([]cloud.Destroy, error) {
	ended, err := database.All(tx.t, scanDestroy, `SELECT `+destroyColumns+` FROM destroys d
		WHERE d.id > $1 AND d.id <= $2 AND d.completed_at < $3 ORDER BY d.id`+tx.t.ForUpdate(),
		w.After, w.Last, micros(w.Before))
	for i := range ended {
		if ended[i], err = tx.withResources(ended[i], err); err != nil {
			return nil, err
		}
	}
	return ended, err
}

// ForgetDestroy deletes the record of a destroy.
func (tx *Tx) ForgetDestroy(id int64) error {
	if _, err := tx.t.Exec(`DELETE FROM destroy_resources WHERE destroy_id = $1`, id); err != nil {
		return err
	}
	_, err := tx.t.Exec(`DELETE FROM destroys WHERE id = $1`, id)
	return err
}

// maxForgottenImages is how many images go at once: for each the database makes
// sure that no Droplet has it, which reads them all.
const maxForgottenImages = 10

// DeletedImages lists some images that were deleted, were made before a time,
// and are no Droplet's.
func (tx *Tx) DeletedImages(before time.Time) ([]int64, error) {
	return database.All(tx.t, database.Value[int64], `SELECT id FROM images WHERE status = 'deleted' AND created_at < $1
		AND id NOT IN (SELECT image_id FROM droplets) ORDER BY id LIMIT $2`, micros(before), int64(maxForgottenImages))
}

// ForgetDeletedImages deletes images for good, unless they have come into use.
func (tx *Tx) ForgetDeletedImages(ids []int64) (int64, error) {
	var w filter
	w.add(`status = 'deleted'`)
	w.add(`id NOT IN (SELECT image_id FROM droplets)`)
	addIn(&w, `id IN`, ids)
	return tx.t.Exec(`DELETE FROM images`+w.where(), w.args...)
}
