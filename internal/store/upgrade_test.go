package store_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/store"
)

var update = flag.Bool("update", false, "write the dump of the newest schema")

// TestDump keeps a dump of the sample in the newest schema, from which later
// versions are upgraded. After a new migration, or a change of the newest one
// before its release, write it: go test ./internal/store -run TestDump -update
func TestDump(t *testing.T) {
	c := database.Config{Path: filepath.Join(t.TempDir(), "test.db"), Unsafe: true, Now: func() time.Time { return sampleTime }}
	db := databasetest.Open(t, c)
	if _, err := db.Migrate(t.Context(), store.Migrations()); err != nil {
		t.Fatal(err)
	}
	addSample(t, store.New(db))
	file, dump := filepath.Join("testdata", fmt.Sprintf("schema-%04d.sql", newestSchema(t))), databasetest.Dump(t, c)
	if *update {
		if err := os.WriteFile(file, []byte(dump), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	was, _, _ := strings.Cut(string(committed), "INSERT")
	is, _, _ := strings.Cut(dump, "INSERT")
	if was != is {
		t.Errorf("%s has another schema than the migrations make. If that schema is released, add a migration in place of changing one; if not, see above.", file)
	}
}

func newestSchema(t *testing.T) int64 {
	t.Helper()
	names, err := fs.Glob(store.Migrations().Files, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("migrations %v, %v", names, err)
	}
	return schemaNumber(t, names[len(names)-1])
}

// schemaNumber reads the version from the name of a migration or a dump.
func schemaNumber(t *testing.T, name string) (n int64) {
	t.Helper()
	if _, err := fmt.Sscanf(strings.TrimPrefix(path.Base(name), "schema-"), "%d", &n); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// What any released version has left is readable after the upgrade, on both
// databases, and what it had under way can be gone on with.
func TestUpgrade(t *testing.T) {
	dumps, err := filepath.Glob("testdata/schema-*.sql")
	if err != nil || len(dumps) == 0 {
		t.Fatalf("dumps %v, %v", dumps, err)
	}
	for _, file := range dumps {
		t.Run(filepath.Base(file), func(t *testing.T) {
			dump, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			databasetest.Each(t, func(t *testing.T, c database.Config) {
				version := schemaNumber(t, file)
				databasetest.Restore(t, c, store.Migrations(), version, string(dump))
				db := databasetest.Open(t, c)
				n, err := db.Migrate(t.Context(), store.Migrations())
				if want := newestSchema(t) - version; err != nil || int64(n) != want {
					t.Fatalf("%d migrations ran, %v; want %d", n, err, want)
				}
				checkSample(t, store.New(db))
				checkSampleGoesOn(t, store.New(db))
			})
		})
	}
}

// checkSample reads the sample back.
func checkSample(t *testing.T, db *store.DB) {
	t.Helper()
	account, droplet := sampleAccount.ID, sampleDroplet.ID
	want := map[string]any{
		"account": sampleAccount, "token": sampleToken, "key": sampleKey, "VPC": sampleVPC, "image": sampleImage,
		"Droplet": sampleDroplet, "volume": sampleVolume, "volume snapshot": sampleVolumeSnapshot,
		"VPC peering": sampleVPCPeering, "reserved IPv6": sampleReservedIPv6, "firewall": sampleFirewall, "reserved IP": sampleReservedIP, "action": sampleEnded, "operation": sampleOperation, "destroy": sampleDestroy,
		"snapshots": int64(2), "regions and sizes": [2]int{1, 1}, "base image": sampleCatalog.Images[0].Slug,
	}
	got := map[string]any{}
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		var errs []error
		read := func(name string, v any, err error) { got[name] = v; errs = append(errs, err) }
		reads := []func(){
			func() { v, err := tx.Account(account); read("account", v, err) },
			func() { v, err := tx.TokenByHash("a hash"); read("token", v, err) },
			func() { v, err := tx.SSHKey(account, sampleKey.Fingerprint); read("key", v, err) },
			func() { v, err := tx.DefaultVPC(account, "nyc3"); read("VPC", v, err) },
			func() { v, err := tx.Image(account, sampleImage.ID); read("image", v, err) },
			func() {
				v, err := tx.Droplet(account, droplet)
				if err == nil {
					var made cloud.Droplet
					made, err = tx.DropletToMake(account, droplet)
					v.PublicKeys, v.UserData = made.PublicKeys, made.UserData
				}
				read("Droplet", v, err)
			},
			func() { v, err := tx.Volume(account, sampleVolume.ID); read("volume", v, err) },
			func() { v, err := tx.VolumeSnapshot(account, sampleVolumeSnapshot.ID); read("volume snapshot", v, err) },
			func() { v, err := tx.ReservedIPOf(account, droplet); read("reserved IP", v, err) },
			func() { v, err := tx.ReservedIPv6(account, sampleReservedIPv6.IP); read("reserved IPv6", v, err) },
			func() { v, err := tx.VPCPeering(account, sampleVPCPeering.ID); read("VPC peering", v, err) },
			func() { v, err := tx.Firewall(account, sampleFirewall.ID); read("firewall", v, err) },
			func() { v, err := tx.Action(account, sampleEnded.ID); read("action", v, err) },
			func() { v, err := tx.Operation(sampleOperation.ID); read("operation", v, err) },
			func() { v, err := tx.LastDestroy(account, sampleDestroy.Droplet); read("destroy", v, err) },
			func() { _, n, err := tx.Snapshots(account, "", "", cloud.Page{}); read("snapshots", n, err) },
			func() {
				v, err := tx.Catalog()
				read("regions and sizes", [2]int{len(v.Regions), len(v.Sizes)}, err)
			},
			func() { v, err := tx.ImageBySlug(sampleCatalog.Images[0].Slug); read("base image", v.Slug, err) },
		}
		for _, f := range reads {
			f()
		}
		return firstError(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s:\n%+v\nwant:\n%+v", name, got[name], want[name])
		}
	}
}

// checkSampleGoesOn claims the operation that was under way, and takes numbers
// where they ended.
func checkSampleGoesOn(t *testing.T, db *store.DB) {
	t.Helper()
	var claimed []store.Operation
	err := db.Write(t.Context(), func(tx *store.Tx) (err error) {
		now := time.Now()
		claimed, err = tx.ClaimOperations(store.Claim{
			Owner: "test", Now: now, Until: now.Add(time.Minute), Names: []string{sampleOperation.Name}, Most: 10,
		})
		return err
	})
	if err != nil || len(claimed) != 1 || claimed[0].Args != sampleOperation.Args {
		t.Errorf("claimed %+v, %v; want the operation under way", claimed, err)
	}
	if id, err := db.ID(t.Context(), store.ActionIDs); err != nil || id != cloud.FirstID+256 {
		t.Errorf("the next action's number is %d, %v; want %d", id, err, cloud.FirstID+256)
	}
}
