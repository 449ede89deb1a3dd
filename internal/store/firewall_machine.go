package store

import (
	"slices"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// FirewallMachine is a Droplet that has to get its rules.
type FirewallMachine struct {
	Account, Droplet int64
	Version          int64 // of the rules that it has to get
	Attempt          int64 // how often in a row that failed
}

// pendingFirewalls are the Droplets that have to get their rules. One that is
// created gets them with its machine; what changes in the meantime waits until
// the machine is there. One that is being destroyed gets none any more, unless
// that fails.
const pendingFirewalls = ` FROM firewall_machines m JOIN droplets d ON d.id = m.droplet_id
	WHERE m.pending AND d.destroyed_by = 0`

// DueFirewalls lists some of the Droplets that are due to get their rules.
func (tx *Tx) DueFirewalls(most int) ([]FirewallMachine, error) {
	return database.All(tx.t, func(row database.Scanner) (m FirewallMachine, err error) {
		return m, row.Scan(&m.Account, &m.Droplet, &m.Version, &m.Attempt)
	}, `SELECT m.account_id, m.droplet_id, m.version, m.attempt`+pendingFirewalls+`
		AND m.due_at <= $1 AND d.status <> 'new' ORDER BY m.due_at, m.droplet_id LIMIT $2`, micros(tx.Now), int64(most))
}

// nextNewFirewall is how long after a look the next is, while all that is due
// are Droplets that are created. Nothing tells when they are there: that would
// cost every create.
const nextNewFirewall = time.Second

// NextFirewall returns when the next Droplet is due to get its rules, and
// whether there is one.
func (tx *Tx) NextFirewall() (time.Time, bool, error) {
	at, err := database.One(tx.t, func(row database.Scanner) (at time.Time, err error) {
		return at, row.Scan(moment{&at})
	}, `SELECT MIN(CASE WHEN d.status = 'new' THEN CAST($1 AS BIGINT) ELSE m.due_at END)`+pendingFirewalls,
		micros(tx.Now.Add(nextNewFirewall)))
	return at, !at.IsZero(), err
}

// FirewallVersion is the version of the rules that a Droplet is to have; 0 as
// long as none ever concerned it.
func (tx *Tx) FirewallVersion(droplet int64) (int64, error) {
	versions, err := database.All(tx.t, database.Value[int64],
		`SELECT version FROM firewall_machines WHERE droplet_id = $1`, droplet)
	if err != nil || len(versions) == 0 {
		return 0, err
	}
	return versions[0], nil
}

// FirewallApplied records that a version of a Droplet's rules is in force. A
// newer one is still to come.
func (tx *Tx) FirewallApplied(m FirewallMachine) error {
	if _, err := tx.t.Exec(`DELETE FROM firewall_changes WHERE droplet_id = $1 AND version <= $2`, m.Droplet, m.Version); err != nil {
		return err
	}
	_, err := tx.t.Exec(`UPDATE firewall_machines SET pending = FALSE, attempt = 0, failed = FALSE
		WHERE droplet_id = $1 AND version = $2`, m.Droplet, m.Version)
	return err
}

// PutOffFirewall records when a Droplet's rules are tried again.
func (tx *Tx) PutOffFirewall(m FirewallMachine, until time.Time, failed bool) error {
	_, err := tx.t.Exec(`UPDATE firewall_machines SET due_at = $1, attempt = $2, failed = $3
		WHERE droplet_id = $4 AND version = $5`, micros(until), m.Attempt, failed, m.Droplet, m.Version)
	return err
}

// FirewallPeers are the addresses of what rules name.
type FirewallPeers struct {
	Droplets map[int64][]string
	Tags     map[string][]int64 // the Droplets that bear it
}

// FirewallPeers finds the addresses of Droplets that are named, or bear a tag
// that is.
func (tx *Tx) FirewallPeers(account int64, droplets []int64, tags []string) (FirewallPeers, error) {
	p := FirewallPeers{Droplets: map[int64][]string{}, Tags: map[string][]int64{}}
	if len(tags) > 0 {
		var w filter
		w.add(`account_id = ?`, account)
		w.add(`kind = 'droplet'`)
		addIn(&w, `name IN`, tags)
		bearers, err := database.All(tx.t, func(row database.Scanner) (id int64, err error) {
			var text, tag string
			err = row.Scan(&text, &tag)
			id, _ = cloud.ParseID(text)
			p.Tags[tag] = append(p.Tags[tag], id)
			return id, err
		}, `SELECT resource_id, name FROM tagged`+w.where(), w.args...)
		if err != nil {
			return p, err
		}
		droplets = append(slices.Clone(droplets), bearers...)
	}
	for some := range slices.Chunk(droplets, noteAtOnce) {
		if err := tx.addDropletAddresses(account, some, p.Droplets); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (tx *Tx) addDropletAddresses(account int64, droplets []int64, to map[int64][]string) error {
	var w filter
	w.add(`account_id = ?`, account)
	addIn(&w, `id IN`, droplets)
	_, err := database.All(tx.t, func(row database.Scanner) (id int64, err error) {
		var private, public, public6 string
		err = row.Scan(&id, &private, &public, &public6)
		to[id] = slices.DeleteFunc([]string{private, public, public6}, func(ip string) bool { return ip == "" })
		return id, err
	}, `SELECT id, private_ipv4, public_ipv4, public_ipv6 FROM droplets`+w.where(), w.args...)
	return err
}
