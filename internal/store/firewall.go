package store

import (
	"slices"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

const firewallColumns = `f.id, f.account_id, f.name, f.inbound, f.outbound, f.created_at`

func scanFirewall(row database.Scanner) (f cloud.Firewall, err error) {
	return f, row.Scan(&f.ID, &f.Account, &f.Name, list[cloud.FirewallRule]{&f.Inbound},
		list[cloud.FirewallRule]{&f.Outbound}, moment{&f.CreatedAt})
}

// AddFirewall adds a firewall with what it is assigned to, and reports whether
// its name was free.
func (tx *Tx) AddFirewall(f cloud.Firewall) (bool, error) {
	n, err := tx.t.Exec(`INSERT INTO firewalls (id, account_id, name, inbound, outbound, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account_id, name) DO NOTHING`,
		f.ID, f.Account, f.Name, jsonText(f.Inbound), jsonText(f.Outbound), micros(f.CreatedAt))
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.addFirewallParts(f)
}

// SaveFirewall makes a firewall's name, rules and assignments what is given.
func (tx *Tx) SaveFirewall(f cloud.Firewall) error {
	if _, err := tx.t.Exec(`UPDATE firewalls SET name = $1, inbound = $2, outbound = $3 WHERE id = $4`,
		f.Name, jsonText(f.Inbound), jsonText(f.Outbound), f.ID); err != nil {
		return err
	}
	if err := tx.deleteFirewallParts(f.ID); err != nil {
		return err
	}
	return tx.addFirewallParts(f)
}

// DeleteFirewall removes a firewall. What Droplets have yet to learn of that is
// kept, under no firewall that anybody sees.
func (tx *Tx) DeleteFirewall(id string) error {
	if err := tx.deleteFirewallParts(id); err != nil {
		return err
	}
	_, err := tx.t.Exec(`DELETE FROM firewalls WHERE id = $1`, id)
	return err
}

func (tx *Tx) deleteFirewallParts(id string) error {
	for _, table := range []string{`firewall_droplets`, `firewall_tags`, `firewall_mentions`} {
		if _, err := tx.t.Exec(`DELETE FROM `+table+` WHERE firewall_id = $1`, id); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) addFirewallParts(f cloud.Firewall) error {
	for _, droplet := range f.Droplets {
		if _, err := tx.t.Exec(`INSERT INTO firewall_droplets (firewall_id, droplet_id) VALUES ($1, $2)
			ON CONFLICT DO NOTHING`, f.ID, droplet); err != nil {
			return err
		}
	}
	for _, tag := range f.Tags {
		if _, err := tx.t.Exec(`INSERT INTO firewall_tags (firewall_id, name, account_id) VALUES ($1, $2, $3)
			ON CONFLICT DO NOTHING`, f.ID, tag, f.Account); err != nil {
			return err
		}
	}
	droplets, tags := f.Mentions()
	for _, droplet := range droplets {
		if err := tx.addMention(f, cloud.KindDroplet, cloud.FormatID(droplet)); err != nil {
			return err
		}
	}
	for _, tag := range tags {
		if err := tx.addMention(f, cloud.KindTag, tag); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) addMention(f cloud.Firewall, kind cloud.Kind, name string) error {
	_, err := tx.t.Exec(`INSERT INTO firewall_mentions (firewall_id, kind, name, account_id) VALUES ($1, $2, $3, $4)`,
		f.ID, string(kind), name, f.Account)
	return err
}

// Firewall reads a firewall of the account.
func (tx *Tx) Firewall(account int64, id string) (cloud.Firewall, error) {
	return tx.firewall(account, id, "")
}

// LockFirewall reads a firewall that the transaction is about to change.
func (tx *Tx) LockFirewall(account int64, id string) (cloud.Firewall, error) {
	return tx.firewall(account, id, tx.t.ForUpdate())
}

func (tx *Tx) firewall(account int64, id, lock string) (cloud.Firewall, error) {
	f, err := found(database.One(tx.t, scanFirewall,
		`SELECT `+firewallColumns+` FROM firewalls f WHERE f.id = $1 AND f.account_id = $2`+lock, id, account))
	if err != nil {
		return f, err
	}
	one := []cloud.Firewall{f}
	err = tx.completeFirewalls(one)
	return one[0], err
}

// FirewallNamed reports whether a firewall of the account other than one has a
// name.
func (tx *Tx) FirewallNamed(account int64, name, not string) (bool, error) {
	return database.One(tx.t, database.Value[bool],
		`SELECT EXISTS (SELECT 1 FROM firewalls WHERE account_id = $1 AND name = $2 AND id <> $3)`, account, name, not)
}

// Firewalls lists the account's firewalls, oldest first. With a Droplet, only
// those are listed that it is assigned to, by itself or through a tag.
func (tx *Tx) Firewalls(account, droplet int64, p cloud.Page) ([]cloud.Firewall, int64, error) {
	var w filter
	w.add(`f.account_id = ?`, account)
	if droplet != 0 {
		w.add(`f.id IN (`+firewallsOn+`)`, droplet, account, cloud.FormatID(droplet))
	}
	firewalls, total, err := page(tx, scanFirewall, w, `SELECT `+firewallColumns, ` FROM firewalls f`,
		` ORDER BY f.created_at, f.id`, p)
	if err != nil {
		return nil, 0, err
	}
	return firewalls, total, tx.completeFirewalls(firewalls)
}

// firewallsOn are the firewalls that a Droplet is assigned to: its ID, its
// account and its ID as text are what it takes.
const firewallsOn = `SELECT fd.firewall_id FROM firewall_droplets fd WHERE fd.droplet_id = ?
	UNION SELECT ft.firewall_id FROM firewall_tags ft
	JOIN tagged tg ON tg.account_id = ft.account_id AND tg.name = ft.name AND tg.kind = 'droplet'
	WHERE ft.account_id = ? AND tg.resource_id = ?`

// completeFirewalls adds to firewalls what other tables know of them, with one
// query for each table.
func (tx *Tx) completeFirewalls(firewalls []cloud.Firewall) error {
	if len(firewalls) == 0 {
		return nil
	}
	ids := make([]string, len(firewalls))
	byID := make(map[string]*cloud.Firewall, len(firewalls))
	for i := range firewalls {
		f := &firewalls[i]
		f.Droplets, f.Tags, f.Pending = []int64{}, []string{}, []cloud.FirewallChange{}
		ids[i], byID[f.ID] = f.ID, f
	}
	for _, part := range []func([]string, map[string]*cloud.Firewall) error{
		tx.addFirewallDroplets, tx.addFirewallTags, tx.addFirewallChanges,
	} {
		if err := part(ids, byID); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) addFirewallDroplets(ids []string, byID map[string]*cloud.Firewall) error {
	var w filter
	addIn(&w, `firewall_id IN`, ids)
	_, err := database.All(tx.t, func(row database.Scanner) (droplet int64, err error) {
		var id string
		err = row.Scan(&id, &droplet)
		if f := byID[id]; f != nil {
			f.Droplets = append(f.Droplets, droplet)
		}
		return droplet, err
	}, `SELECT firewall_id, droplet_id FROM firewall_droplets`+w.where()+` ORDER BY droplet_id`, w.args...)
	return err
}

func (tx *Tx) addFirewallTags(ids []string, byID map[string]*cloud.Firewall) error {
	var w filter
	addIn(&w, `firewall_id IN`, ids)
	_, err := database.All(tx.t, func(row database.Scanner) (tag string, err error) {
		var id string
		err = row.Scan(&id, &tag)
		if f := byID[id]; f != nil {
			f.Tags = append(f.Tags, tag)
		}
		return tag, err
	}, `SELECT firewall_id, name FROM firewall_tags`+w.where(), w.args...)
	for _, f := range byID {
		slices.Sort(f.Tags) // here, as the order of text differs between databases
	}
	return err
}

func (tx *Tx) addFirewallChanges(ids []string, byID map[string]*cloud.Firewall) error {
	var w filter
	addIn(&w, `c.firewall_id IN`, ids)
	_, err := database.All(tx.t, func(row database.Scanner) (c cloud.FirewallChange, err error) {
		var id string
		err = row.Scan(&id, &c.Droplet, &c.Removing, &c.Failed)
		if f := byID[id]; f != nil {
			f.Pending = append(f.Pending, c)
		}
		return c, err
	}, `SELECT c.firewall_id, c.droplet_id, c.removing, m.failed FROM firewall_changes c
		JOIN firewall_machines m ON m.droplet_id = c.droplet_id`+w.where()+` ORDER BY c.droplet_id`, w.args...)
	return err
}

// LockDroplets reads which of the Droplets there are. Whoever deletes one of
// them waits for the transaction's end.
func (tx *Tx) LockDroplets(account int64, ids []int64) ([]int64, error) {
	if len(ids) == 0 {
		return []int64{}, nil
	}
	var w filter
	w.add(`account_id = ?`, account)
	addIn(&w, `id IN`, ids)
	return database.All(tx.t, database.Value[int64],
		`SELECT id FROM droplets`+w.where()+` ORDER BY id`+tx.t.ForUpdate(), w.args...)
}

// LockTags reads the names of tags as they are kept, by their names in small
// letters. Whoever deletes one of them waits for the transaction's end.
func (tx *Tx) LockTags(account int64, names []string) (map[string]string, error) {
	kept := map[string]string{}
	if len(names) == 0 {
		return kept, nil
	}
	folded := make([]string, len(names))
	for i, name := range names {
		folded[i] = strings.ToLower(name)
	}
	var w filter
	w.add(`account_id = ?`, account)
	addIn(&w, `folded IN`, folded)
	there, err := database.All(tx.t, database.Value[string],
		`SELECT name FROM tags`+w.where()+` ORDER BY folded`+tx.t.ForUpdate(), w.args...)
	for _, name := range there {
		kept[strings.ToLower(name)] = name
	}
	return kept, err
}
