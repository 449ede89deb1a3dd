package store

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// projected says for each kind of a project's resources which rows they are,
// and in which order they came.
var projected = map[cloud.Kind]struct{ table, key, id, where, order string }{
	cloud.KindDroplet:      {`droplets r`, `r.id`, `CAST(r.id AS TEXT)`, `1 = 1`, `r.id`},
	cloud.KindVolume:       {`volumes r`, `r.id`, `r.id`, `r.ready`, `r.created_at, r.id`},
	cloud.KindReservedIP:   {`reserved_ips r`, `r.ip`, `r.ip`, `1 = 1`, `r.id`},
	cloud.KindReservedIPv6: {`reserved_ipv6s r`, `r.ip`, `r.ip`, `1 = 1`, `r.number`},
}

func scanProjectResource(kind cloud.Kind) func(database.Scanner) (cloud.ProjectResource, error) {
	return func(row database.Scanner) (r cloud.ProjectResource, err error) {
		r.Kind = kind
		return r, row.Scan(&r.ID, moment{&r.AssignedAt})
	}
}

// ProjectResources lists what an account has of some kinds, one kind after
// another. Each kind is counted and read by itself: joined, they would all be
// read and sorted for every page.
func (tx *Tx) ProjectResources(account int64, kinds []cloud.Kind, p cloud.Page) ([]cloud.ProjectResource, int64, error) {
	all, total := []cloud.ProjectResource{}, int64(0)
	for _, kind := range kinds {
		of := projected[kind]
		var w filter
		w.add(`r.account_id = ?`, account)
		w.add(of.where)
		n, err := database.One(tx.t, database.Value[int64], `SELECT COUNT(*) FROM `+of.table+w.where(), w.args...)
		if err != nil {
			return nil, 0, err
		}
		skip, room := max(0, p.Offset-total), limit(p)-int64(len(all))
		total += n
		if skip >= n || room == 0 {
			continue
		}
		w.args = append(w.args, room, skip)
		rows, err := database.All(tx.t, scanProjectResource(kind), `SELECT `+of.id+`, r.created_at FROM `+of.table+w.where()+
			` ORDER BY `+of.order+` LIMIT $2 OFFSET $3`, w.args...)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, rows...)
	}
	return all, total, nil
}

// FindProjectResources finds which of some resources of a kind the account has.
func (tx *Tx) FindProjectResources(account int64, kind cloud.Kind, ids []string) ([]cloud.ProjectResource, error) {
	of, keys := projected[kind], keysOf(kind, ids)
	if len(keys) == 0 {
		return nil, nil
	}
	var w filter
	w.add(`r.account_id = ?`, account)
	addIn(&w, of.key+` IN`, keys)
	w.add(of.where)
	return database.All(tx.t, scanProjectResource(kind), `SELECT `+of.id+`, r.created_at FROM `+of.table+w.where(), w.args...)
}
