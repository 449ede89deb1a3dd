package store

import (
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// What changes the rules of a Droplet is noted here, in the transaction of the
// change, whoever makes it. The rules themselves are put together when they are
// applied.

// WhenFirewallsChange sets what is called after a commit that leaves a Droplet
// without the rules it is to have.
func (db *DB) WhenFirewallsChange(wake func()) { db.firewalls.Store(&wake) }

func (tx *Tx) wakeFirewalls() {
	if wake := tx.firewalls; wake != nil {
		tx.OnCommit(*wake)
	}
}

// ChangeFirewall makes a change of one firewall and notes the Droplets that have
// to learn of it: those that it applies to from then on or no longer, and with
// its rules changed, all.
func (tx *Tx) ChangeFirewall(id string, rules bool, change func() error) error {
	before, err := tx.firewallDroplets(id)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after, err := tx.firewallDroplets(id)
	if err != nil {
		return err
	}
	learn := after
	if !rules {
		learn = without(after, before)
	}
	if err := tx.noteFirewall(id, learn, false); err != nil {
		return err
	}
	return tx.noteFirewall(id, without(before, after), true)
}

// without returns the numbers of a list that another does not have. Both are in
// order.
func without(from, others []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(from), func(id int64) bool {
		_, is := slices.BinarySearch(others, id)
		return is
	})
}

// firewallDroplets lists the Droplets that a firewall applies to, in order.
func (tx *Tx) firewallDroplets(id string) ([]int64, error) {
	droplets, err := database.All(tx.t, database.Value[int64], `SELECT droplet_id FROM firewall_droplets WHERE firewall_id = $1`, id)
	if err != nil {
		return nil, err
	}
	tagged, err := database.All(tx.t, scanTextID, `SELECT tg.resource_id FROM firewall_tags ft
		JOIN tagged tg ON tg.account_id = ft.account_id AND tg.name = ft.name AND tg.kind = 'droplet'
		WHERE ft.firewall_id = $1`, id)
	droplets = append(droplets, tagged...)
	slices.Sort(droplets)
	return slices.Compact(droplets), err
}

// scanTextID reads a number that is kept as text.
func scanTextID(row database.Scanner) (int64, error) {
	var text string
	err := row.Scan(&text)
	id, _ := cloud.ParseID(text)
	return id, err
}

// noteAtOnce is how many Droplets one statement takes.
const noteAtOnce = 400

// noteFirewall notes that Droplets have to learn of a firewall's change.
func (tx *Tx) noteFirewall(id string, droplets []int64, removing bool) error {
	for some := range slices.Chunk(droplets, noteAtOnce) {
		raised, err := tx.raiseFirewalls(some)
		if err != nil {
			return err
		}
		if len(raised) == 0 {
			continue
		}
		w := filter{args: []any{id, removing}}
		addIn(&w, `m.droplet_id IN`, raised)
		if _, err := tx.t.Exec(`INSERT INTO firewall_changes (firewall_id, droplet_id, removing, version)
			SELECT CAST($1 AS TEXT), m.droplet_id, CAST($2 AS BOOLEAN), m.version FROM firewall_machines m`+w.where()+`
			ON CONFLICT (firewall_id, droplet_id) DO UPDATE SET removing = excluded.removing, version = excluded.version`,
			w.args...); err != nil {
			return err
		}
	}
	if len(droplets) > 0 {
		tx.wakeFirewalls()
	}
	return nil
}

// raiseFirewalls gives Droplets' rules a new version, which is due at once, and
// returns which Droplets those are: not those that are being destroyed. The
// transaction has locked the account.
func (tx *Tx) raiseFirewalls(droplets []int64) ([]int64, error) {
	w := filter{args: []any{micros(tx.Now)}}
	addIn(&w, `d.id IN`, droplets)
	w.add(`d.destroyed_by = 0`)
	return database.All(tx.t, database.Value[int64], `INSERT INTO firewall_machines (droplet_id, account_id, version, pending, due_at, attempt, failed)
		SELECT d.id, d.account_id, 1, TRUE, CAST($1 AS BIGINT), 0, FALSE FROM droplets d`+w.where()+` ORDER BY d.id
		ON CONFLICT (droplet_id) DO UPDATE SET version = firewall_machines.version + 1, pending = excluded.pending,
		due_at = excluded.due_at, attempt = excluded.attempt, failed = excluded.failed RETURNING droplet_id`, w.args...)
}

// catchUpFirewalls raises the rules of a Droplet that may have missed changes,
// if any firewall ever concerned it.
func (tx *Tx) catchUpFirewalls(account, droplet int64) error {
	version, err := tx.FirewallVersion(droplet)
	if err != nil {
		return err
	}
	_, firewalls, err := tx.Firewalls(account, droplet, cloud.Page{Limit: 1})
	if err != nil || version == 0 && firewalls == 0 {
		return err
	}
	tx.wakeFirewalls()
	_, err = tx.raiseFirewalls([]int64{droplet})
	return err
}

// tagFirewalls notes that Droplets have got a tag: its firewalls apply to them,
// and rules that name it have their addresses.
func (tx *Tx) tagFirewalls(account int64, tag string, droplets []int64) error {
	ids, err := tx.firewallsTagged(account, tag)
	if err != nil {
		return err
	}
	slices.Sort(droplets)
	for _, id := range ids {
		if err := tx.noteFirewall(id, droplets, false); err != nil {
			return err
		}
	}
	return tx.noteMentions(account, cloud.KindTag, tag)
}

// untagFirewalls notes that Droplets have lost a tag. A firewall may still
// apply to them for another reason.
func (tx *Tx) untagFirewalls(account int64, tag string, droplets []int64) error {
	ids, err := tx.firewallsTagged(account, tag)
	if err != nil {
		return err
	}
	slices.Sort(droplets)
	for _, id := range ids {
		left, err := tx.firewallDroplets(id)
		if err != nil {
			return err
		}
		if err := tx.noteFirewall(id, without(droplets, left), true); err != nil {
			return err
		}
	}
	return tx.noteMentions(account, cloud.KindTag, tag)
}

func (tx *Tx) firewallsTagged(account int64, tag string) ([]string, error) {
	return database.All(tx.t, database.Value[string],
		`SELECT firewall_id FROM firewall_tags WHERE account_id = $1 AND name = $2`, account, tag)
}

// mentioning lists the firewalls whose rules name something.
func (tx *Tx) mentioning(account int64, kind cloud.Kind, name string) ([]string, error) {
	return database.All(tx.t, database.Value[string],
		`SELECT firewall_id FROM firewall_mentions WHERE account_id = $1 AND kind = $2 AND name = $3`,
		account, string(kind), name)
}

// noteMentions notes that what rules name by a name has other addresses.
func (tx *Tx) noteMentions(account int64, kind cloud.Kind, name string) error {
	ids, err := tx.mentioning(account, kind, name)
	if err != nil {
		return err
	}
	return tx.noteFirewalls(ids)
}

func (tx *Tx) noteFirewalls(ids []string) error {
	for _, id := range ids {
		droplets, err := tx.firewallDroplets(id)
		if err != nil {
			return err
		}
		if err := tx.noteFirewall(id, droplets, false); err != nil {
			return err
		}
	}
	return nil
}

// editMentions rewrites the rules of the firewalls that name something.
func (tx *Tx) editMentions(account int64, kind cloud.Kind, name string, edit func(*cloud.FirewallTargets)) error {
	ids, err := tx.mentioning(account, kind, name)
	if err != nil {
		return err
	}
	for _, id := range ids {
		f, err := tx.LockFirewall(account, id)
		if err != nil {
			return err
		}
		for _, rules := range [][]cloud.FirewallRule{f.Inbound, f.Outbound} {
			for i := range rules {
				edit(&rules[i].Peers)
			}
		}
		if err := tx.SaveFirewall(f); err != nil {
			return err
		}
	}
	return nil
}

// renameFirewallTags gives a tag its new name wherever firewalls have it.
func (tx *Tx) renameFirewallTags(account int64, from, to string) error {
	if _, err := tx.t.Exec(`UPDATE firewall_tags SET name = $1 WHERE account_id = $2 AND name = $3`, to, account, from); err != nil {
		return err
	}
	return tx.editMentions(account, cloud.KindTag, from, func(t *cloud.FirewallTargets) {
		for i := range t.Tags {
			if t.Tags[i] == from {
				t.Tags[i] = to
			}
		}
	})
}

// dropFirewallTag takes a tag that is deleted from firewalls and their rules.
func (tx *Tx) dropFirewallTag(account int64, tag string) error {
	tagged, err := tx.firewallsTagged(account, tag)
	if err != nil {
		return err
	}
	for _, id := range tagged {
		err := tx.ChangeFirewall(id, false, func() error {
			_, err := tx.t.Exec(`DELETE FROM firewall_tags WHERE firewall_id = $1 AND name = $2`, id, tag)
			return err
		})
		if err != nil {
			return err
		}
	}
	mentioning, err := tx.mentioning(account, cloud.KindTag, tag)
	if err != nil {
		return err
	}
	err = tx.editMentions(account, cloud.KindTag, tag, func(t *cloud.FirewallTargets) {
		t.Tags = slices.DeleteFunc(t.Tags, func(name string) bool { return name == tag })
	})
	if err != nil {
		return err
	}
	return tx.noteFirewalls(mentioning)
}

// admitting lists the firewalls whose rules name a Droplet or a tag that it
// bears, and so have its addresses.
func (tx *Tx) admitting(account, droplet int64) ([]string, error) {
	return database.All(tx.t, database.Value[string], `SELECT firewall_id FROM firewall_mentions
		WHERE account_id = $1 AND kind = 'droplet' AND name = $2
		UNION SELECT fm.firewall_id FROM tagged tg
		JOIN firewall_mentions fm ON fm.account_id = $1 AND fm.kind = 'tag' AND fm.name = tg.name
		WHERE tg.kind = 'droplet' AND tg.resource_id = $2`, account, cloud.FormatID(droplet))
}

// readdressed notes that a Droplet has other addresses than before.
func (tx *Tx) readdressed(droplet int64) error {
	accounts, err := database.All(tx.t, database.Value[int64], `SELECT account_id FROM droplets WHERE id = $1`, droplet)
	if err != nil || len(accounts) == 0 {
		return err
	}
	ids, err := tx.admitting(accounts[0], droplet)
	if err != nil {
		return err
	}
	return tx.noteFirewalls(ids)
}

// leaveFirewalls takes a Droplet that is about to go from all firewalls, and its
// addresses, which others may get, from the rules that name it or its tags.
// What it returns is called when the Droplet and its tags are gone.
func (tx *Tx) leaveFirewalls(account, droplet int64) (after func() error, err error) {
	if there, err := tx.LockDroplets(account, []int64{droplet}); err != nil || len(there) == 0 {
		return func() error { return nil }, err
	}
	mentioning, err := tx.admitting(account, droplet)
	if err != nil {
		return nil, err
	}
	for _, table := range []string{`firewall_machines`, `firewall_changes`, `firewall_droplets`} {
		if _, err := tx.t.Exec(`DELETE FROM `+table+` WHERE droplet_id = $1`, droplet); err != nil {
			return nil, err
		}
	}
	err = tx.editMentions(account, cloud.KindDroplet, cloud.FormatID(droplet), func(t *cloud.FirewallTargets) {
		t.Droplets = slices.DeleteFunc(t.Droplets, func(other int64) bool { return other == droplet })
	})
	return func() error { return tx.noteFirewalls(mentioning) }, err
}
