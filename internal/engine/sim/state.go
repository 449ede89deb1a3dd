package sim

import (
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// StateTables are the tables with what the world has of an account's: what to
// carry into another world. The work that was done is left out, with its keys
// and tombstones: nothing that is still to come asks for it. An image may belong
// to an account though another copied it, so whose those are is for the caller
// to say, in a condition on an image's ID with the account as $1.
func StateTables(images string) []database.Table {
	mine := "account = $1 AND NOT destroyed"
	there := map[string]any{"destroyed": false}
	return []database.Table{
		{
			Name: "sim_machines", Owned: mine, Owner: "account", Key: []string{"id"}, Fixed: there,
			JSON: map[string]any{"network": engine.Network{}, "firewall": engine.Firewall{}},
		},
		{Name: "sim_images", Owned: "NOT destroyed AND id " + images, Owner: "account", Key: []string{"id"}, Fixed: there},
		{
			Name: "sim_image_regions", Owned: "image IN (SELECT id FROM sim_images WHERE NOT destroyed AND id " + images + ")",
			Key:  []string{"image", "region"},
			Refs: []database.Ref{{Column: "image", Table: "sim_images", To: "id"}},
		},
		{
			Name: "sim_volumes", Owned: mine, Owner: "account", Key: []string{"id"}, Fixed: there,
			Refs: []database.Ref{{Column: "machine", Table: "sim_machines", To: "id"}},
		},
		{Name: "sim_volume_snapshots", Owned: mine, Owner: "account", Key: []string{"id"}, Fixed: there},
		{Name: "sim_peerings", Owned: mine, Owner: "account", Key: []string{"id"}, Fixed: there},
		{Name: "sim_faults", Owned: "account = $1", Owner: "account", Key: []string{"id"}},
	}
}

// ContinueNumbers makes the numbers of faults go on after those that there are.
func ContinueNumbers(t *database.Tx) error {
	_, err := t.Exec(`INSERT INTO sim_counters (name, next) SELECT 'fault', COALESCE(MAX(id), 0) + 1 FROM sim_faults WHERE true
		ON CONFLICT (name) DO UPDATE SET next = excluded.next WHERE sim_counters.next < excluded.next`)
	return err
}
