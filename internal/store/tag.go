package store

import (
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// AddTag makes a tag if there is none of that name, whatever its case, and
// returns the name as it was first written.
func (tx *Tx) AddTag(account int64, name string) (string, error) {
	folded := strings.ToLower(name)
	_, err := tx.t.Exec(`INSERT INTO tags (account_id, folded, name, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id, folded) DO NOTHING`, account, folded, name, micros(tx.Now))
	if err != nil {
		return "", err
	}
	return database.One(tx.t, database.Value[string],
		`SELECT name FROM tags WHERE account_id = $1 AND folded = $2`, account, folded)
}

// Tag puts tags on a resource, making those that are not there, and returns
// their names as they are kept.
func (tx *Tx) Tag(account int64, r cloud.Ref, names []string) ([]string, error) {
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
		if n > 0 {
			kept = append(kept, name)
		}
	}
	return kept, nil
}

func (tx *Tx) untagAll(kind cloud.Kind, id string) error {
	_, err := tx.t.Exec(`DELETE FROM tagged WHERE kind = $1 AND resource_id = $2`, string(kind), id)
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
