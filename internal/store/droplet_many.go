package store

import (
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// taggedBatch is how many Droplets are read at once where all with a tag are
// wanted: a statement takes only so many arguments.
const taggedBatch = 500

// LockTaggedDroplets reads all Droplets with a tag by ID, as LockDroplet does
// one. They are locked in that order, so that no two requests wait for each
// other.
func (tx *Tx) LockTaggedDroplets(account int64, tag string) ([]cloud.Droplet, error) {
	var w filter
	w.add(`d.account_id = ?`, account)
	w.add(taggedBy(cloud.KindDroplet, "CAST(d.id AS TEXT)"), account, tag)
	ids, err := database.All(tx.t, database.Value[int64],
		`SELECT d.id FROM droplets d`+w.where()+` ORDER BY d.id`+tx.t.ForUpdate(), w.args...)
	if err != nil {
		return nil, err
	}
	droplets := make([]cloud.Droplet, 0, len(ids))
	for batch := range slices.Chunk(ids, taggedBatch) {
		byID, err := tx.DropletsByID(account, batch)
		if err != nil {
			return nil, err
		}
		for _, id := range batch {
			if d, ok := byID[id]; ok {
				droplets = append(droplets, d)
			}
		}
	}
	return droplets, nil
}

type hosted struct {
	id   int64
	host string
}

func scanHosted(row database.Scanner) (h hosted, err error) {
	return h, row.Scan(&h.id, &h.host)
}

// NeighborIDs lists the IDs of Droplets that share a physical host with others
// of the account: a set for each host, in the order of the first in each.
func (tx *Tx) NeighborIDs(account int64) ([][]int64, error) {
	all, err := database.All(tx.t, scanHosted, `SELECT d.id, d.host FROM droplets d
		WHERE d.account_id = $1 AND d.host IN (SELECT h.host FROM droplets h
			WHERE h.account_id = $1 AND h.host <> '' GROUP BY h.host HAVING COUNT(*) > 1)
		ORDER BY d.id`, account)
	sets, place := [][]int64{}, map[string]int{}
	for _, d := range all {
		i, ok := place[d.host]
		if !ok {
			i = len(sets)
			place[d.host], sets = i, append(sets, nil)
		}
		sets[i] = append(sets[i], d.id)
	}
	return sets, err
}
