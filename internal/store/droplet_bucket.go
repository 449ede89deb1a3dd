package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// bucketBits says how many IDs share a bucket: 1,024, which an index walks in
// well under a millisecond, and 100,000 Droplets are 98 buckets.
const bucketBits = 10

func (tx *Tx) countBucket(account int64, gpu bool, id int64, n int) error {
	_, err := tx.t.Exec(`INSERT INTO droplet_buckets (account_id, gpu, bucket, droplets) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id, gpu, bucket) DO UPDATE SET droplets = droplet_buckets.droplets + $4`,
		account, gpu, id>>bucketBits, int64(n))
	return err
}

// uncountBucket counts off a Droplet that is about to be deleted.
func (tx *Tx) uncountBucket(id int64) error {
	if _, err := tx.t.Exec(`UPDATE droplet_buckets SET droplets = droplets - 1
		WHERE bucket = $1 AND (account_id, gpu) IN (SELECT account_id, gpu FROM droplets WHERE id = $2)`,
		id>>bucketBits, id); err != nil {
		return err
	}
	_, err := tx.t.Exec(`DELETE FROM droplet_buckets WHERE bucket = $1 AND droplets = 0
		AND (account_id, gpu) IN (SELECT account_id, gpu FROM droplets WHERE id = $2)`, id>>bucketBits, id)
	return err
}

type bucket struct{ number, droplets int64 }

func scanBucket(row database.Scanner) (b bucket, err error) {
	return b, row.Scan(&b.number, &b.droplets)
}

// countedDroplets lists all of an account's Droplets with or without GPUs. It
// skips whole buckets, so that the last page costs what the first does.
func (tx *Tx) countedDroplets(account int64, gpu bool, w filter, p cloud.Page) ([]cloud.Droplet, int64, error) {
	buckets, err := database.All(tx.t, scanBucket, `SELECT b.bucket, b.droplets FROM droplet_buckets b
		WHERE b.account_id = $1 AND b.gpu = $2 ORDER BY b.bucket`, account, gpu)
	if err != nil {
		return nil, 0, err
	}
	var total, skipped, first int64
	for _, b := range buckets {
		if total += b.droplets; total <= p.Offset {
			skipped, first = total, (b.number+1)<<bucketBits
		}
	}
	if p.Offset >= total {
		return []cloud.Droplet{}, total, nil
	}
	w.add(`d.id >= ?`, first)
	w.args = append(w.args, limit(p), p.Offset-skipped)
	droplets, err := database.AllOf(tx.t, min(limit(p), total-p.Offset), scanDroplet, `SELECT `+dropletColumns+` FROM droplets d`+w.where()+
		` ORDER BY d.id LIMIT $4 OFFSET $5`, w.args...)
	if err != nil {
		return nil, 0, err
	}
	return droplets, total, tx.complete(droplets)
}
