package sim_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

var update = flag.Bool("update", false, "write the dump of the newest schema")

// addSample puts a few rows into every table: a running machine with a volume,
// copies of both, and a fault.
func (l *lab) addSample() {
	l.Helper()
	l.must(l.create(engine.Work{Key: "create"}, "1"))
	l.must(l.start(l.work(), "1"))
	l.must(l.volume(l.work(), "v", ""))
	l.must(l.AttachVolume(l.Context(), l.work(), ref("v"), ref("1")))
	l.must(l.SnapshotVolume(l.Context(), l.work(), ref("v"), ref("vs")))
	l.must(l.CreatePeering(l.Context(), l.work(), engine.Peering{Ref: ref("p"), VPCs: [2]string{"vpc-1", "vpc-2"}}))
	l.must(l.CopyImage(l.Context(), l.work(), ref("1"), ref("i")))
	l.must(l.TransferImage(l.Context(), l.work(), ref("i"), "ams3"))
	l.must(l.create(l.work(), "2"))
	l.must(l.DestroyMachine(l.Context(), l.work(), ref("2")))
	l.addFault(engine.Fault{Account: 1, Operation: "machine.stop", Resource: "*", Error: "it's stuck"})
	clock := l.movableClock()
	l.must(engine.Progress{Done: true}, clock.MoveTo(l.Context(), clock.Now().Add(time.Hour)))
}

// movableClock is a clock that runs with the lab's and is kept in its database.
func (l *lab) movableClock() *sim.MovableClock {
	l.Helper()
	clock := sim.NewMovableClock(l.clock.Now)
	if err := clock.Restore(l.Context(), l.db); err != nil {
		l.Fatal(err)
	}
	return clock
}

// TestDump keeps a dump of the sample in the newest schema. After a new
// migration, or a change of the newest one before its release, write it:
// go test ./internal/engine/sim -run TestDump -update
func TestDump(t *testing.T) {
	c := databasetest.Config(t, "sqlite")
	newLab(t, c, "0").addSample()
	file, dump := dumpFile(t), databasetest.Dump(t, c)
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

// dumpFile is the dump of the newest schema.
func dumpFile(t *testing.T) string {
	t.Helper()
	names, err := fs.Glob(sim.Migrations().Files, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("migrations %v, %v", names, err)
	}
	number, _, _ := strings.Cut(names[len(names)-1], "_")
	return filepath.Join("testdata", "schema-"+number+".sql")
}

// A world that any released version has left goes on in this one.
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
			var version int64
			if _, err := fmt.Sscanf(filepath.Base(file), "schema-%d.sql", &version); err != nil {
				t.Fatal(err)
			}
			databasetest.Each(t, func(t *testing.T, c database.Config) {
				databasetest.Restore(t, c, sim.Migrations(), version, string(dump))
				newLab(t, c, "0").checkSample()
			})
		})
	}
}

func (l *lab) checkSample() {
	l.Helper()
	w := l.world()
	if len(w.Machines) != 1 || !w.Machines[0].Running || len(w.Volumes) != 1 || w.Volumes[0].Machine != "1" ||
		len(w.Images) != 1 || len(w.VolumeSnapshots) != 1 || len(w.Peerings) != 1 {
		l.Errorf("the world is %+v", w)
	}
	if faults := l.faults(); len(faults) != 1 || faults[0].Error != "it's stuck" {
		l.Errorf("faults %+v", faults)
	}
	if ahead := l.movableClock().Ahead(); ahead != time.Hour {
		l.Errorf("the clock is %s ahead", ahead)
	}
	if p, err := l.create(engine.Work{Key: "again"}, "2"); err == nil {
		l.Errorf("what was destroyed came back: %+v", p)
	}
	l.must(l.volume(engine.Work{Key: "filled"}, "v2", "vs"))
}
