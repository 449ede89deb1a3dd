package control

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// On PostgreSQL writers work side by side: between two statements of one,
// another may come to its end. These tests put it there.

// sideBySide is a cloud whose writers work side by side, and whose work takes no
// time.
func sideBySide(t *testing.T) *testCloud {
	t.Parallel()
	config := databasetest.Config(t, "postgres")
	config.Twice = false // what comes between comes once
	return newCloud(t, config, "0")
}

// beside makes one call, and another in the middle of it: just before the first
// of its statements that has some words. The other goes on until it has ended,
// or waits for what the one has locked.
func (c *testCloud) beside(words string, one, other func(ctx context.Context) error) (oneErr, otherErr error) {
	c.Helper()
	type mark struct{}
	ended, met := make(chan error, 1), false
	c.db.ObserveStatements(func(ctx context.Context, statement string) {
		if ctx.Value(mark{}) == nil || met || !strings.Contains(statement, words) {
			return
		}
		met = true
		go func() { ended <- other(c.Context()) }()
		for len(ended) == 0 && !c.blocked() {
			runtime.Gosched()
		}
	})
	oneErr = one(context.WithValue(c.Context(), mark{}, true))
	c.db.ObserveStatements(func(context.Context, string) {})
	if !met {
		c.Fatalf("no statement has %q: %v", words, oneErr)
	}
	return oneErr, <-ended
}

// blocked reports whether a transaction of this cloud waits for another.
func (c *testCloud) blocked() (is bool) {
	err := c.db.Peek(c.Context(), func(t *database.Tx) (err error) {
		is, err = database.One(t, database.Value[bool], `SELECT EXISTS (SELECT 1 FROM pg_locks w
			JOIN pg_locks r ON r.pid = w.pid JOIN pg_class c ON c.oid = r.relation
			WHERE NOT w.granted AND c.relnamespace = current_schema()::regnamespace)`)
		return err
	})
	if err != nil {
		c.Error(err)
	}
	return is || err != nil
}

// runDue carries out what is due.
func (c *testCloud) runDue(ctx context.Context) error {
	_, err := c.plane.Runner().RunDue(ctx)
	return err
}

// addExpired makes a backup that is not kept any longer.
func (c *testCloud) addExpired() cloud.Image {
	c.Helper()
	backup := c.addBackup(c.addBackedUp("web").ID)
	c.exec(`UPDATE images SET delete_at = $1 WHERE id = $2`, c.clock.Now().UnixMicro(), backup.ID)
	return backup
}

// A name given to an image while an operation on it ends is kept.
func TestImageRenamedBesideTheEndOfItsOperation(t *testing.T) {
	c := sideBySide(t)
	backup := c.addExpired()
	if _, err := c.plane.ConvertImage(c.Context(), c.who, backup.ID); err != nil {
		t.Fatal(err)
	}
	name := "kept"
	one, other := c.beside(`UPDATE images SET account_id`, c.runDue, func(ctx context.Context) error {
		_, err := c.plane.UpdateImage(ctx, c.who, backup.ID, ImageUpdate{Name: &name})
		return err
	})
	if one != nil || other != nil {
		t.Fatal(one, other)
	}
	if i := c.image(backup.ID); i.Name != name || i.Type != cloud.ImageSnapshot {
		t.Errorf("it is the %s %s", i.Type, i.Name)
	}
}

// A backup that becomes a snapshot while it expires stays.
func TestBackupConvertedBesideItsExpiry(t *testing.T) {
	c := sideBySide(t)
	backup := c.addExpired()
	if _, err := c.plane.ConvertImage(c.Context(), c.who, backup.ID); err != nil {
		t.Fatal(err)
	}
	one, other := c.beside(`SELECT action_id FROM action_holds`, c.plane.reconcileBackups, c.runDue)
	if one != nil || other != nil {
		t.Fatal(one, other)
	}
	c.settle()
	if i := c.image(backup.ID); i.Type != cloud.ImageSnapshot {
		t.Errorf("it is a %s", i.Type)
	}
}

// A VPC that is deleted does not become the default of its region, which is left
// with the one that it has.
func TestVPCDeletedBesideBecomingTheDefault(t *testing.T) {
	c := sideBySide(t)
	v, err := c.plane.CreateVPC(c.Context(), c.who, NewVPC{Name: "mine", Region: testRegion})
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	one, other := c.beside(`UPDATE vpcs`,
		func(ctx context.Context) error {
			_, err := c.plane.ChangeVPC(ctx, c.who, v.ID, VPCChange{Default: &yes})
			return err
		},
		func(ctx context.Context) error { return c.plane.DeleteVPC(ctx, c.who, v.ID) })
	if one != nil {
		t.Error(one)
	}
	wantError(t, other, cloud.CodeForbidden, "Can not delete default VPC")
	if n := c.query(`SELECT COUNT(*) FROM vpcs WHERE is_default AND region = $1`, testRegion); n != 1 {
		t.Errorf("%s has %d default VPCs", testRegion, n)
	}
}

// The default VPC of a region that a catalogue brings and one that a user makes
// have no addresses in common.
func TestVPCMadeBesideADefaultOne(t *testing.T) {
	c := sideBySide(t)
	vpcs, _, err := c.plane.VPCs(t.Context(), c.who, cloud.Page{})
	if err != nil {
		t.Fatal(err)
	}
	last := vpcs[len(vpcs)-1] // whose range is the next to be chosen
	c.exec(`DELETE FROM vpcs WHERE id = $1`, last.ID)
	one, other := c.beside(`INSERT INTO vpcs`, c.plane.addMissingVPCs, func(ctx context.Context) error {
		_, err := c.plane.CreateVPC(ctx, c.who, NewVPC{Name: "mine", Region: testRegion, IPRange: last.IPRange})
		return err
	})
	if one != nil || other != nil && cloud.CodeOf(other) != cloud.CodeInvalid {
		t.Error(one, other)
	}
	if n := c.query(`SELECT COUNT(*) FROM vpcs a JOIN vpcs b ON b.account_id = a.account_id AND b.id <> a.id
		AND b.first_address <= a.last_address AND b.last_address >= a.first_address`); n != 0 {
		t.Error("two VPCs overlap")
	}
}

// An account that is made while another catalogue is set has a default VPC in
// every region of that.
func TestAccountMadeBesideACatalogue(t *testing.T) {
	c := sideBySide(t)
	next := testCatalog()
	more := next.Regions[0]
	more.Slug = "new1"
	next.Regions = append(slices.Clone(next.Regions), more)
	var account cloud.Account
	made, set := c.beside(`FROM vpcs`,
		func(ctx context.Context) (err error) {
			account, err = Accounts{Store: c.store}.Add(ctx, "second", "second@example.com")
			return err
		},
		func(ctx context.Context) error { return c.plane.SetCatalog(ctx, next) })
	if made != nil || set != nil {
		t.Fatal(made, set)
	}
	if n := c.query(`SELECT COUNT(*) FROM vpcs WHERE account_id = $1 AND region = $2`, account.ID, more.Slug); n != 1 {
		t.Errorf("it has %d VPCs there", n)
	}
}

// A snapshot is given away or destroyed with its Droplet, and not both.
func TestImageAcceptedBesideItsDestroy(t *testing.T) {
	c := sideBySide(t)
	d := c.addDroplet("web")
	snapshot := c.addSnapshot(d.ID, "web")
	to := c.addAccount("to")
	account, err := c.plane.Account(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := c.plane.OfferImage(t.Context(), c.who, snapshot.ID, Recipient{UUID: account.UUID})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.plane.DestroyEverything(t.Context(), c.who, d.ID); err != nil {
		t.Fatal(err)
	}
	accepted, other := c.beside(`UPDATE images SET account_id = $1, source_droplet_id`,
		func(ctx context.Context) error {
			return c.plane.AcceptImage(ctx, to, snapshot.ID, offer, account.UUID)
		}, c.runDue)
	if accepted != nil || other != nil {
		t.Fatal(accepted, other)
	}
	c.settle()
	if i := c.by(to).image(snapshot.ID); i.Status != cloud.ImageAvailable {
		t.Errorf("it is %s", i.Status)
	}
	c.checkWorld()
}

// A name that two peerings are given at once is refused to one of them.
func TestPeeringRenamedBesideACreate(t *testing.T) {
	c := sideBySide(t)
	var ids []string
	for _, name := range []string{"a", "b", "c"} {
		v, err := c.plane.CreateVPC(t.Context(), c.who, NewVPC{Name: name, Region: testRegion})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, v.ID)
	}
	peering, err := c.plane.CreateVPCPeering(t.Context(), c.who, "old", ids[:2])
	if err != nil {
		t.Fatal(err)
	}
	created, renamed := c.beside(`INSERT INTO actions`,
		func(ctx context.Context) error {
			_, err := c.plane.CreateVPCPeering(ctx, c.who, "new", ids[1:])
			return err
		},
		func(ctx context.Context) error {
			_, err := c.plane.RenameVPCPeering(ctx, c.who, "", peering.ID, "new")
			return err
		})
	if created != nil {
		t.Error(created)
	}
	wantError(t, renamed, cloud.CodeInvalid, peeringNameTaken("new").Error())
}

// A name that two tags are given at once is refused to one of them.
func TestTagRenamedBesideAnother(t *testing.T) {
	c := sideBySide(t)
	if _, err := c.plane.AddTag(t.Context(), c.who, "old"); err != nil {
		t.Fatal(err)
	}
	added, renamed := c.beside(`SELECT t.name, t.created_at`,
		func(ctx context.Context) error {
			_, err := c.plane.AddTag(ctx, c.who, "new")
			return err
		},
		func(ctx context.Context) error {
			_, err := c.plane.RenameTag(ctx, c.who, "old", "new")
			return err
		})
	if added != nil {
		t.Error(added)
	}
	wantError(t, renamed, cloud.CodeInvalid, "there is a tag named new already")
}

// What a resize takes is counted whenever it ends.
func TestDiskPromisedBesideTheEndOfAResize(t *testing.T) {
	c := sideBySide(t)
	c.useRealEngine(engine.Capacity{VCPUs: 2, Memory: 65536, Disk: 100})
	v := c.addVolume("data")
	if _, err := c.plane.ResizeVolume(t.Context(), c.who, v.ID, 80); err != nil {
		t.Fatal(err)
	}
	d := newDroplet("web")
	create, ended := c.beside(`operation IN`, func(ctx context.Context) error {
		_, _, err := c.plane.CreateDroplets(ctx, c.who, d)
		return err
	}, c.runDue)
	if ended != nil {
		t.Fatal(ended)
	}
	if cloud.CodeOf(create) != cloud.CodeInvalid || !strings.Contains(create.Error(), "more do not fit") {
		t.Errorf("80 of 100 GiB are promised, and a Droplet of 25: %v", create)
	}
}

// What is destroyed with a Droplet is a volume and its snapshots, or neither.
func TestVolumeAttachedBesideADestroy(t *testing.T) {
	c := sideBySide(t)
	d, v := c.addDroplet("web"), c.addVolume("data")
	c.addVolumeSnapshot(v.ID, "data")
	c.addAttached("before", d.ID)
	if _, err := c.plane.AttachVolume(t.Context(), c.who, v.ID, d.ID, nil); err != nil {
		t.Fatal(err)
	}
	one, other := c.beside(`FROM volume_snapshots`, func(ctx context.Context) error {
		return c.plane.DestroyEverything(ctx, c.who, d.ID)
	}, c.runDue)
	if one != nil || other != nil {
		t.Fatal(one, other)
	}
	destroy, err := c.plane.DestroyStatus(t.Context(), c.who, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(destroy.Resources) == 2 {
		t.Errorf("of a volume and its snapshot only one is destroyed: %v", destroy.Resources)
	}
}

// Who asks for something whose operation ends just now is told so at once. The
// two do not wait for each other.
func TestBegunBesideTheEndOfAnOperation(t *testing.T) {
	c := sideBySide(t)
	d, v := c.addDroplet("web"), c.addVolume("data")
	if _, err := c.plane.AttachVolume(t.Context(), c.who, v.ID, d.ID, nil); err != nil {
		t.Fatal(err)
	}
	ended, begun := c.beside(`FROM accounts`, c.runDue, func(ctx context.Context) error {
		_, err := c.plane.SnapshotVolume(ctx, c.who, v.ID, "data", nil)
		return err
	})
	if ended != nil {
		t.Error(ended)
	}
	wantPending(t, begun)
}
