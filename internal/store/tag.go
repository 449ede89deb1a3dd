package store

import (
	"slices"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// AddTag makes a tag if there is none of that name, whatever its case, and
// returns the name as it was first written. Who deletes the tag meanwhile waits
// for the transaction's end, and then finds what was tagged in it.
func (tx *Tx) AddTag(account int64, name string) (string, error) {
	return database.One(tx.t, database.Value[string], `INSERT INTO tags (account_id, folded, name, created_at)
		VALUES ($1, $2, $3, $4) ON CONFLICT (account_id, folded) DO UPDATE SET created_at = tags.created_at
		RETURNING name`, account, strings.ToLower(name), name, micros(tx.Now))
}

// Tag puts tags on a resource, making those that are not there, and returns
// their names as they are kept.
func (tx *Tx) Tag(account int64, r cloud.Ref, names []string) ([]string, error) {
	names = slices.Clone(names)
	// In one order, so that no two transactions wait for each other's tags.
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	kept := []string{}
	for _, name := range names {
		name, err := tx.AddTag(account, name)
		if err != nil {
			return nil, err
		}
		n, err := tx.t.Exec(`INSERT INTO tagged (kind, resource_id, name, account_id, tagged_at)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, resource_id, name) DO NOTHING`,
			string(r.Kind), r.ID, name, account, micros(tx.Now))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		kept = append(kept, name)
		if err := tx.tagged(account, name, r.Kind, []string{r.ID}); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// untagAll takes all tags off a resource whose row the transaction has removed
// already: who tags it locks the row, so nothing comes after.
func (tx *Tx) untagAll(kind cloud.Kind, id string) error {
	_, err := tx.t.Exec(`DELETE FROM tagged WHERE kind = $1 AND resource_id = $2`, string(kind), id)
	return err
}

const tagColumns = `t.name, t.created_at`

func scanTag(row database.Scanner) (t cloud.Tag, err error) {
	return t, row.Scan(&t.Name, moment{&t.CreatedAt})
}

// FindTag reads a tag by its name, in the case that it has.
func (tx *Tx) FindTag(account int64, name string) (cloud.Tag, error) {
	return tx.withUses(account, `SELECT `+tagColumns+` FROM tags t
		WHERE t.account_id = $1 AND t.folded = $2 AND t.name = $3`, account, strings.ToLower(name), name)
}

// LockTag reads a tag that the transaction is about to change, or to put on
// something.
func (tx *Tx) LockTag(account int64, name string) error {
	_, err := found(database.One(tx.t, database.Value[string], `SELECT t.name FROM tags t
		WHERE t.account_id = $1 AND t.folded = $2 AND t.name = $3`+tx.t.ForUpdate(), account, strings.ToLower(name), name))
	return err
}

func (tx *Tx) withUses(account int64, query string, args ...any) (cloud.Tag, error) {
	tag, err := found(database.One(tx.t, scanTag, query, args...))
	if err != nil {
		return tag, err
	}
	tags := []cloud.Tag{tag}
	err = tx.addUses(account, tags)
	return tags[0], err
}

// Tags lists tags, oldest first.
func (tx *Tx) Tags(account int64, p cloud.Page) ([]cloud.Tag, int64, error) {
	var w filter
	w.add(`t.account_id = ?`, account)
	tags, total, err := page(tx, scanTag, w, `SELECT `+tagColumns, ` FROM tags t`, ` ORDER BY t.created_at, t.folded`, p)
	if err != nil {
		return nil, 0, err
	}
	return tags, total, tx.addUses(account, tags)
}

// use is what of one kind bears one tag.
type use struct {
	tag  string
	kind cloud.Kind
	cloud.TagUse
}

func scanUse(row database.Scanner) (u use, err error) {
	return u, row.Scan(&u.tag, &u.kind, &u.Count, moment{&u.LastAt}, &u.LastID)
}

// addUses adds to tags what bears them. It counts along an index, which also
// leads to the last of each kind.
func (tx *Tx) addUses(account int64, tags []cloud.Tag) error {
	if len(tags) == 0 {
		return nil
	}
	names := make([]string, len(tags))
	byName := make(map[string]map[cloud.Kind]cloud.TagUse, len(tags))
	for i := range tags {
		tags[i].Uses = map[cloud.Kind]cloud.TagUse{}
		names[i], byName[tags[i].Name] = tags[i].Name, tags[i].Uses
	}
	var w filter
	w.add(`tg.account_id = ?`, account)
	addIn(&w, `tg.name IN`, names)
	uses, err := database.All(tx.t, scanUse, `SELECT c.name, c.kind, c.bearers, c.last_at,
		(SELECT l.resource_id FROM tagged l WHERE l.account_id = $1 AND l.name = c.name AND l.kind = c.kind
			ORDER BY l.tagged_at DESC, l.resource_id DESC LIMIT 1)
		FROM (SELECT tg.name AS name, tg.kind AS kind, COUNT(*) AS bearers, MAX(tg.tagged_at) AS last_at
			FROM tagged tg`+w.where()+` GROUP BY tg.name, tg.kind) c`, w.args...)
	for _, u := range uses {
		byName[u.tag][u.kind] = u.TagUse
	}
	return err
}

// taggable says for each kind which rows can bear tags, and what their ID is.
var taggable = map[cloud.Kind]struct{ table, id, where string }{
	cloud.KindDroplet:        {`droplets i`, `CAST(i.id AS TEXT)`, `1 = 1`},
	cloud.KindImage:          {`images i`, `CAST(i.id AS TEXT)`, shownImage},
	cloud.KindVolume:         {`volumes i`, `i.id`, `i.ready`},
	cloud.KindVolumeSnapshot: {`volume_snapshots i`, `i.id`, `i.ready`},
}

// TagResources puts a tag on those of the resources that there are.
func (tx *Tx) TagResources(account int64, name string, kind cloud.Kind, ids []string) error {
	of := taggable[kind]
	keys := keysOf(kind, ids)
	if len(keys) == 0 {
		return nil
	}
	var w filter
	w.add(`i.account_id = ?`, account)
	addIn(&w, `i.id IN`, keys)
	w.add(of.where)
	// What is being deleted is waited for, and what is tagged is not deleted
	// before the tag is there to be taken off.
	there, err := database.All(tx.t, database.Value[string],
		`SELECT `+of.id+` FROM `+of.table+w.where()+` ORDER BY i.id`+tx.t.ForUpdate(), w.args...)
	if err != nil || len(there) == 0 {
		return err
	}
	fresh := []string{}
	for _, id := range there {
		n, err := tx.t.Exec(`INSERT INTO tagged (kind, resource_id, name, account_id, tagged_at)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, resource_id, name) DO NOTHING`,
			string(kind), id, name, account, micros(tx.Now))
		if err != nil {
			return err
		}
		if n > 0 {
			fresh = append(fresh, id)
		}
	}
	return tx.tagged(account, name, kind, fresh)
}

// tagged tells the firewalls which Droplets have got a tag.
func (tx *Tx) tagged(account int64, name string, kind cloud.Kind, ids []string) error {
	if kind != cloud.KindDroplet || len(ids) == 0 {
		return nil
	}
	return tx.tagFirewalls(account, name, droplets(ids))
}

func droplets(ids []string) []int64 {
	numbers := make([]int64, len(ids))
	for i, id := range ids {
		numbers[i], _ = cloud.ParseID(id)
	}
	return numbers
}

// keysOf turns IDs into what the kind's table has as its key; what cannot be an
// ID is left out.
func keysOf(kind cloud.Kind, ids []string) (keys []any) {
	for _, id := range ids {
		number, ok := cloud.ParseID(id)
		switch {
		case kind != cloud.KindDroplet && kind != cloud.KindImage:
			keys = append(keys, strings.ToLower(id))
		case ok:
			keys = append(keys, number)
		}
	}
	return keys
}

// UntagResources takes a tag off resources.
func (tx *Tx) UntagResources(account int64, name string, kind cloud.Kind, ids []string) error {
	var w filter
	w.add(`account_id = ?`, account)
	w.add(`name = ?`, name)
	w.add(`kind = ?`, string(kind))
	addIn(&w, `resource_id IN`, ids)
	gone, err := database.All(tx.t, database.Value[string], `DELETE FROM tagged`+w.where()+` RETURNING resource_id`, w.args...)
	if err != nil || kind != cloud.KindDroplet || len(gone) == 0 {
		return err
	}
	return tx.untagFirewalls(account, name, droplets(gone))
}

// RenameTag gives a tag another name, and reports whether no other tag has it.
func (tx *Tx) RenameTag(account int64, from, to string) (bool, error) {
	n, err := tx.t.Exec(`UPDATE tags SET folded = $1, name = $2 WHERE account_id = $3 AND folded = $4
		AND NOT EXISTS (SELECT 1 FROM tags o WHERE o.account_id = $3 AND o.folded = $1 AND o.folded <> $4)`,
		strings.ToLower(to), to, account, strings.ToLower(from))
	if err != nil || n == 0 {
		return false, err
	}
	if _, err = tx.t.Exec(`UPDATE tagged SET name = $1 WHERE account_id = $2 AND name = $3`, to, account, from); err != nil {
		return false, err
	}
	return true, tx.renameFirewallTags(account, from, to)
}

// DeleteTag removes a tag from the account and from all that bears it.
func (tx *Tx) DeleteTag(account int64, name string) error {
	if _, err := tx.t.Exec(`DELETE FROM tags WHERE account_id = $1 AND folded = $2`,
		account, strings.ToLower(name)); err != nil {
		return err
	}
	if err := tx.dropFirewallTag(account, name); err != nil {
		return err
	}
	_, err := tx.t.Exec(`DELETE FROM tagged WHERE account_id = $1 AND name = $2`, account, name)
	return err
}

// tagsOf is a column: the tags of a resource, joined by commas.
func tagsOf(kind cloud.Kind, id string) string {
	return `COALESCE((SELECT string_agg(tg.name, ',') FROM tagged tg
		WHERE tg.kind = '` + string(kind) + `' AND tg.resource_id = ` + id + `), '')`
}

// taggedBy is a condition on an account and a tag's name.
func taggedBy(kind cloud.Kind, id string) string {
	return `EXISTS (SELECT 1 FROM tagged tg WHERE tg.account_id = ? AND tg.name = ?
		AND tg.kind = '` + string(kind) + `' AND tg.resource_id = ` + id + `)`
}
