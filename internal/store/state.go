package store

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// StateTable says what of a table an account has. What is carried from one cloud
// into another are rows as the database has them; those above do not know
// databases, so they have the types of that from here.
type StateTable = database.Table

// StateRows are rows of several tables.
type StateRows = database.Rows

// StateRow is one row by its columns.
type StateRow = database.Row

// owned is the condition of tables that say whose a row is.
const owned = `account_id = $1`

// needsCatalog is what to do about something that a catalogue lacks.
const needsCatalog = "start the server here once with a --catalog that has it"

func inRegion() database.Ref {
	return database.Ref{Column: "region", Table: "regions", To: "slug", Else: `TRUE`, Hint: needsCatalog}
}

func toDroplet(column string) database.Ref {
	return database.Ref{Column: column, Table: "droplets", To: "id", None: "0"}
}

func loosely(r database.Ref, where, is string) database.Ref {
	r.Loose, r.Where, r.Is = true, where, is
	return r
}

// ofKind are the references of a column with the ID of something whose kind is
// in another.
func ofKind(column, kindColumn string, tables map[string]string, loose bool) (refs []database.Ref) {
	for _, kind := range slices.Sorted(maps.Keys(tables)) {
		refs = append(refs, database.Ref{
			Column: column, Table: tables[kind], To: "id", Where: kindColumn, Is: kind, Loose: loose,
		})
	}
	return refs
}

var kindTables = map[string]string{
	string(cloud.KindDroplet): "droplets", string(cloud.KindImage): "images",
	string(cloud.KindVolume): "volumes", string(cloud.KindVolumeSnapshot): "volume_snapshots",
}

var associatedTables = map[string]string{
	string(cloud.AssociatedVolume): "volumes", string(cloud.AssociatedVolumeSnapshot): "volume_snapshots",
	string(cloud.AssociatedSnapshot): "images", string(cloud.AssociatedReservedIP): "reserved_ips",
}

// StateTables are the tables with what an account has, each after those that it
// refers to. A test in app knows the others, and why they are left out.
func StateTables() []StateTable {
	settled := []string{"true"}
	return slices.Concat([]StateTable{
		{Name: "ssh_keys", Owned: owned, Owner: "account_id", Key: []string{"id"}},
		{Name: "vpcs", Owned: owned, Owner: "account_id", Key: []string{"id"}, Refs: []database.Ref{inRegion()}},
		{
			Name: "vpc_peerings", Owned: owned, Owner: "account_id", Key: []string{"id"},
			Values: map[string][]string{"status": {string(cloud.PeeringActive)}},
			Refs:   []database.Ref{{Column: "vpc_id", Table: "vpcs", To: "id"}, {Column: "peer_id", Table: "vpcs", To: "id"}},
		},
		{
			// And those that others own by now, but that a Droplet shows.
			Name: "images", Owned: `(account_id = $1 OR account_id <> 0 AND id IN (SELECT image_id FROM droplets WHERE account_id = $1))`,
			Owner: "account_id", Key: []string{"id"}, Fixed: map[string]any{"slug": "", "given": "[]"},
			Values: map[string][]string{"type": {"snapshot", "backup", "custom"}, "status": {"available", "deleted"}},
			JSON:   map[string]any{"regions": []string{}},
			Refs:   []database.Ref{loosely(toDroplet("source_droplet_id"), "", "")},
		},
		{
			Name: "droplets", Owned: owned, Owner: "account_id", Key: []string{"id"}, Fixed: map[string]any{"destroyed_by": int64(0)},
			Values: map[string][]string{"status": {"active", "off", "archive"}}, JSON: map[string]any{"public_keys": []string{}},
			Refs: []database.Ref{
				inRegion(),
				{Column: "size", Table: "sizes", To: "slug", Else: `TRUE`, Hint: needsCatalog},
				{Column: "image_id", Table: "images", To: "id", Else: `account_id = 0`, Hint: needsCatalog},
				{Column: "vpc_id", Table: "vpcs", To: "id"},
			},
		},
		{
			Name: "volumes", Owned: owned, Owner: "account_id", Key: []string{"id"}, Values: map[string][]string{"ready": settled},
			Refs: []database.Ref{inRegion(), toDroplet("droplet_id")},
		},
		{
			Name: "volume_snapshots", Owned: owned, Owner: "account_id", Key: []string{"id"}, Values: map[string][]string{"ready": settled},
			Refs: []database.Ref{inRegion(), {Column: "volume_id", Table: "volumes", To: "id", Loose: true}},
		},
		{
			Name: "reserved_ips", Owned: owned, Owner: "account_id", Key: []string{"ip"},
			Refs: []database.Ref{inRegion(), toDroplet("droplet_id")},
		},
		{
			Name: "reserved_ipv6s", Owned: owned, Owner: "account_id", Key: []string{"ip"},
			Refs: []database.Ref{inRegion(), toDroplet("droplet_id")},
		},
		{Name: "tags", Owned: owned, Owner: "account_id", Key: []string{"folded"}},
		{
			Name: "tagged", Owned: owned, Owner: "account_id", Key: []string{"kind", "resource_id", "name"},
			Values: map[string][]string{"kind": slices.Sorted(maps.Keys(kindTables))},
			Refs:   append(ofKind("resource_id", "kind", kindTables, false), database.Ref{Column: "name", Table: "tags", To: "name"}),
		},
	}, firewallTables(), historyTables())
}

func firewallTables() []StateTable {
	ofFirewall := database.Ref{Column: "firewall_id", Table: "firewalls", To: "id"}
	mine := `firewall_id IN (SELECT id FROM firewalls WHERE account_id = $1)`
	return []StateTable{
		{
			Name: "firewalls", Owned: owned, Owner: "account_id", Key: []string{"id"},
			JSON: map[string]any{"inbound": []cloud.FirewallRule{}, "outbound": []cloud.FirewallRule{}},
		},
		{
			Name: "firewall_droplets", Owned: mine, Key: []string{"firewall_id", "droplet_id"},
			Refs: []database.Ref{ofFirewall, loosely(toDroplet("droplet_id"), "", "")},
		},
		{
			Name: "firewall_tags", Owned: owned, Owner: "account_id", Key: []string{"firewall_id", "name"},
			Refs: []database.Ref{ofFirewall},
		},
		{
			Name: "firewall_mentions", Owned: owned, Owner: "account_id", Key: []string{"firewall_id", "kind", "name"},
			Refs: []database.Ref{ofFirewall},
		},
		{
			Name: "firewall_machines", Owned: owned, Owner: "account_id", Key: []string{"droplet_id"},
			Refs: []database.Ref{toDroplet("droplet_id")},
		},
		{
			Name: "firewall_changes", Owned: `droplet_id IN (SELECT id FROM droplets WHERE account_id = $1)`,
			Key:  []string{"firewall_id", "droplet_id"},
			Refs: []database.Ref{toDroplet("droplet_id"), {Column: "firewall_id", Table: "firewalls", To: "id", Loose: true}},
		},
	}
}

// historyTables are of what has happened.
func historyTables() []StateTable {
	return []StateTable{
		{
			Name: "actions", Owned: owned, Owner: "account_id", Key: []string{"id"},
			Values: map[string][]string{"status": {string(cloud.Completed), string(cloud.Errored)}},
			Refs:   ofKind("resource_id", "resource_type", kindTables, true),
		},
		{
			Name: "destroys", Owned: owned, Owner: "account_id", Key: []string{"id"},
			Refs: []database.Ref{
				loosely(toDroplet("droplet_id"), "", ""), {Column: "action_id", Table: "actions", To: "id", Loose: true},
			},
		},
		{
			Name: "destroy_resources", Owned: `destroy_id IN (SELECT id FROM destroys WHERE account_id = $1)`,
			Key:    []string{"destroy_id", "kind", "id"},
			Values: map[string][]string{"kind": slices.Sorted(maps.Keys(associatedTables))},
			Refs:   append(ofKind("id", "kind", associatedTables, true), database.Ref{Column: "destroy_id", Table: "destroys", To: "id"}),
		},
	}
}

// accountTable is the account itself.
var accountTable = StateTable{
	Name: "accounts", Owned: `id = $1`, Owner: "id", Key: []string{"uuid"},
	Fixed: map[string]any{ // they are counted
		string(countedDroplets): nil, string(countedVolumes): nil, string(countedReservedIPs): nil, string(countedReservedIPv6s): nil,
	},
}

// ExportState reads an account and all that it has in the given tables.
func (tx *Tx) ExportState(account int64, tables []StateTable) (StateRows, error) {
	rows, err := tx.t.Export(append([]StateTable{accountTable}, tables...), account)
	if err != nil {
		return nil, err
	}
	return rows, tx.hideGivenImages(account, rows["images"])
}

// hideGivenImages makes the rows of images that others own by now say what the
// account's Droplets show of them. Where they are imported, nobody has them.
func (tx *Tx) hideGivenImages(account int64, rows []StateRow) error {
	given, err := database.All(tx.t, scanImage, `SELECT `+imageColumns+` FROM images i WHERE i.account_id NOT IN (0, $1)
		AND i.id IN (SELECT image_id FROM droplets WHERE account_id = $1)`, account)
	for _, row := range rows {
		for _, i := range given {
			if row["id"] == i.ID {
				i = i.ShownTo(account)
				row["name"], row["status"], row["source_droplet_id"], row["delete_at"] = i.Name, string(i.Status), i.SourceDroplet, nil
			}
		}
	}
	return err
}

// StateCounts counts what an account has in the given tables. Default VPCs, and
// the account itself, count for nothing.
func (tx *Tx) StateCounts(account int64, tables []StateTable) (map[string]int64, error) {
	counts := map[string]int64{}
	for _, table := range tables {
		condition := table.Owned
		if table.Name == "vpcs" {
			condition += ` AND NOT is_default`
		}
		n, err := database.One(tx.t, database.Value[int64], `SELECT COUNT(*) FROM `+table.Name+` WHERE `+condition, account)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			counts[table.Name] = n
		}
	}
	return counts, nil
}

// ImportState makes an account that has nothing what the rows say, numbers
// included. What they say of the account's own name is taken over as far as
// nobody else has it.
func (tx *Tx) ImportState(account int64, tables []StateTable, rows StateRows) error {
	if len(rows[accountTable.Name]) != 1 {
		return fmt.Errorf("%s: there are %d, and there has to be one", accountTable.Name, len(rows[accountTable.Name]))
	}
	if err := tx.t.CheckRows([]StateTable{accountTable}, StateRows{accountTable.Name: rows[accountTable.Name]}); err != nil {
		return err
	}
	if err := tx.continueNumbers(rows); err != nil {
		return err
	}
	if _, err := tx.t.Exec(`DELETE FROM vpcs WHERE account_id = $1`, account); err != nil { // its default ones
		return err
	}
	resources := maps.Clone(rows)
	delete(resources, accountTable.Name)
	if err := tx.t.Import(tables, account, resources); err != nil {
		return err
	}
	for _, row := range rows["droplets"] {
		if err := tx.countBucket(account, row["gpu"].(bool), row["id"].(int64), 1); err != nil {
			return err
		}
	}
	return tx.importAccount(account, rows)
}

// importAccount takes over what an account is and may, and counts what it has.
func (tx *Tx) importAccount(account int64, rows StateRows) error {
	row := rows[accountTable.Name][0]
	taken, err := database.One(tx.t, database.Value[int64], `SELECT COUNT(*) FROM accounts WHERE id <> $1 AND (uuid = $2 OR email = $3)`,
		account, row["uuid"], row["email"])
	if err != nil {
		return err
	}
	var w filter
	for _, name := range slices.Sorted(maps.Keys(row)) {
		if taken > 0 && (name == "uuid" || name == "email" || name == "name") {
			continue
		}
		w.add(name+` = ?`, row[name])
	}
	for what := range accountTable.Fixed {
		w.add(what+` = ?`, int64(len(rows[what])))
	}
	w.args = append(w.args, account)
	_, err = tx.t.Exec(`UPDATE accounts SET `+strings.Join(w.conditions, ", ")+` WHERE id = `+w.place(), w.args...)
	return err
}

// numbered says which columns hold numbers of a counter: of what is there, or
// only was, where the number must not come again.
type numbered struct {
	counter       Counter
	table, column string
	where, is     string
	former        bool
}

var allNumbered = []numbered{
	{counter: KeyIDs, table: "ssh_keys", column: "id"},
	{counter: DropletIDs, table: "droplets", column: "id"},
	{counter: ImageIDs, table: "images", column: "id"},
	{counter: ActionIDs, table: "actions", column: "id"},
	{counter: ReservedIPIDs, table: "reserved_ips", column: "id"},
	{counter: ReservedIPIDs, table: "reserved_ipv6s", column: "number"},
	{counter: DestroyIDs, table: "destroys", column: "id"},
	{counter: DropletIDs, table: "images", column: "source_droplet_id", former: true},
	{counter: DropletIDs, table: "destroys", column: "droplet_id", former: true},
	{counter: DropletIDs, table: "actions", column: "resource_id", where: "resource_type", is: "droplet", former: true},
	{counter: ImageIDs, table: "actions", column: "resource_id", where: "resource_type", is: "image", former: true},
	{counter: ActionIDs, table: "destroys", column: "action_id", former: true},
	{counter: ImageIDs, table: "destroy_resources", column: "id", where: "kind", is: "snapshots", former: true},
	{counter: ReservedIPIDs, table: "destroy_resources", column: "id", where: "kind", is: "reserved_ips", former: true},
	{counter: PublicAddresses, table: "droplets", column: "public_host", former: true},
	{counter: ReservedAddresses, table: "reserved_ips", column: "host", former: true},
}

// maxNumber leaves room to go on from.
const maxNumber = 1 << 50

// continueNumbers makes the counters go on after all numbers that are imported.
// Numbers that this cloud has given out may be in a server's hands, though
// nothing bears them yet, and are refused.
func (tx *Tx) continueNumbers(rows StateRows) error {
	last := map[Counter]int64{}
	for _, what := range allNumbered {
		reach, there, err := tx.reach(what.counter)
		if err != nil {
			return err
		}
		for i, row := range rows[what.table] {
			if what.where != "" && row[what.where] != what.is || row[what.column] == nil {
				continue
			}
			place := fmt.Sprintf("%s[%d].%s", what.table, i, what.column)
			n, err := strconv.ParseInt(fmt.Sprint(row[what.column]), 10, 64)
			if err != nil || n < 0 || n > maxNumber || !what.former && n < what.counter.first() {
				return fmt.Errorf("%s: %v is not such a number", place, row[what.column])
			}
			if !what.former && there && n < reach.next && n >= reach.imported {
				return fmt.Errorf("%s: number %d was given out by this cloud already; import into one where less was made", place, n)
			}
			last[what.counter] = max(last[what.counter], n)
		}
	}
	for _, counter := range slices.Sorted(maps.Keys(last)) {
		if err := tx.continueFrom(counter, last[counter]+1); err != nil {
			return err
		}
	}
	return nil
}

// reach is how far a counter has come: the next number, and below which no
// process was ever given any.
type reach struct{ next, imported int64 }

func (tx *Tx) reach(c Counter) (reach, bool, error) {
	rows, err := database.All(tx.t, func(row database.Scanner) (r reach, err error) {
		return r, row.Scan(&r.next, &r.imported)
	}, `SELECT next, imported FROM counters WHERE name = $1`+tx.t.ForUpdate(), string(c))
	if err != nil || len(rows) == 0 {
		return reach{}, false, err
	}
	return rows[0], true, nil
}

func (tx *Tx) continueFrom(c Counter, next int64) error {
	_, err := tx.t.Exec(`INSERT INTO counters (name, next, imported) VALUES ($1, $2, $2)
		ON CONFLICT (name) DO UPDATE SET next = excluded.next,
		imported = CASE WHEN counters.imported = counters.next THEN excluded.next ELSE counters.imported END
		WHERE counters.next < excluded.next`, string(c), max(next, c.first()))
	return err
}

// UnfinishedOperations lists what an account has under way, oldest first.
func (tx *Tx) UnfinishedOperations(account int64) ([]Operation, error) {
	return database.All(tx.t, scanOperation, `SELECT `+operationColumns+` FROM actions
		WHERE account_id = $1 AND status = 'in-progress' ORDER BY id`, account)
}
