package control

import (
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// addFault makes an engine call fail or wait.
func (c *testCloud) addFault(f engine.Fault) {
	c.Helper()
	if f.Resource == "" {
		f.Resource = "*"
	}
	if _, err := c.plane.AddFault(c.Context(), c.who, f); err != nil {
		c.Fatal(err)
	}
}

func (c *testCloud) removeFaults() {
	c.Helper()
	if err := c.plane.RemoveFaults(c.Context(), c.who, 0); err != nil {
		c.Fatal(err)
	}
}

// checkFaultsStruck fails a test whose faults proved nothing.
func (c *testCloud) checkFaultsStruck() {
	c.Helper()
	faults, err := c.plane.Faults(c.Context(), c.who)
	if err != nil {
		c.Fatal(err)
	}
	for _, f := range faults {
		if f.Hits == 0 {
			c.Errorf("the fault on %s never struck", f.Operation)
		}
	}
}

// destroyCase is one verb of the engine that fails while a Droplet with all
// that belongs to it is destroyed.
type destroyCase struct {
	verb string
	// fails lists the kinds that then have failed, in the order of
	// cloud.AssociatedKinds; "droplet" is the Droplet itself.
	fails string
}

// destroyVerbs is every verb that a destroy uses. A volume that cannot be
// detached cannot be deleted while the machine is there.
var destroyVerbs = []destroyCase{
	{"machine.stop", ""},
	{"volume.detach", "volumes"},
	{"network.apply", "reserved_ips"},
	{"volume_snapshot.delete", "volume_snapshots"},
	{"volume.delete", "volumes"},
	{"image.delete", "snapshots"},
	{"machine.destroy", "droplet"},
}

// failed names what a destroy could not do.
func failed(d cloud.Destroy) string {
	var names []string
	for _, kind := range cloud.AssociatedKinds {
		for _, r := range d.Resources {
			if r.Kind == kind && r.Error != "" {
				names = append(names, string(kind))
			}
		}
	}
	if d.Error != "" {
		names = append(names, "droplet")
	}
	return strings.Join(names, " ")
}

// eachVerb runs a test for each verb and each kind of database.
func eachVerb(t *testing.T, test func(c *testCloud, verb destroyCase)) {
	for _, verb := range destroyVerbs {
		t.Run(verb.verb, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, config database.Config) { test(newTestCloud(t, config), verb) })
		})
	}
}

func (c *testCloud) destroyFamily(f family) {
	c.Helper()
	if err := c.plane.DestroySelected(c.Context(), c.who, f.droplet.ID, f.selection()); err != nil {
		c.Fatal(err)
	}
	c.settle()
}

func (c *testCloud) retry(droplet int64) {
	c.Helper()
	if err := c.plane.RetryDestroy(c.Context(), c.who, droplet); err != nil {
		c.Fatal(err)
	}
	c.settle()
}

// wantDestroyed checks that a family is gone but for the volume that is kept.
func (c *testCloud) wantDestroyed(f family) {
	c.Helper()
	status := c.destroyStatus(f.droplet.ID)
	if n := status.Failures(); n != 0 || status.Running() || status.DestroyedAt.IsZero() || len(status.Resources) != 4 {
		c.Errorf("%d failures: %+v", n, status)
	}
	for _, r := range status.Resources {
		if r.DestroyedAt.IsZero() {
			c.Errorf("not destroyed: %+v", r)
		}
	}
	all := c.resources()
	if !c.gone(f.droplet.ID) || len(all.Volumes) != 1 || all.Volumes[0].ID != f.kept.ID || all.Volumes[0].Droplet != 0 ||
		len(all.Images)+len(all.VolumeSnapshots)+len(all.ReservedIPs) != 0 {
		c.Errorf("left behind: %+v", all)
	}
	c.checkWorld()
}

// A passing failure of the engine must not be seen in the end.
func TestDestroyBearsPassingFaults(t *testing.T) {
	eachVerb(t, func(c *testCloud, verb destroyCase) {
		f := c.addFamily()
		c.addFault(engine.Fault{Operation: verb.verb, Error: "busy", Transient: true, Times: 3})
		c.addFault(engine.Fault{Operation: verb.verb, Delay: 1e9, Times: 1})
		c.destroyFamily(f)
		c.checkFaultsStruck()
		c.wantDestroyed(f)
	})
}

// What cannot be destroyed is said, once and by name; it stops nothing else,
// and a retry does what is left and nothing more.
func TestDestroySaysWhatFailsForGood(t *testing.T) {
	eachVerb(t, func(c *testCloud, verb destroyCase) {
		for _, fault := range []engine.Fault{
			{Operation: verb.verb, Error: "broken"},
			{Operation: verb.verb, Error: "broken", Transient: true},
		} {
			f := c.addFamily()
			c.addFault(fault)
			c.destroyFamily(f)
			c.checkFaultsStruck()
			c.checkWorld()
			status := c.destroyStatus(f.droplet.ID)
			if failed(status) != verb.fails || status.Failures() != len(strings.Fields(verb.fails)) {
				c.Errorf("failed: %s; want %s: %+v", failed(status), verb.fails, status)
			}
			if gone := c.gone(f.droplet.ID); gone != (verb.fails != "droplet") {
				c.Errorf("the Droplet is gone: %t", gone)
			}
			c.removeFaults()
			if verb.fails == "" {
				c.wantNothingToRetry(f.droplet.ID)
			} else {
				c.wantRetryOfTheRest(f, status)
			}
			c.wantDestroyed(f)
			c.must1(c.plane.DeleteVolume, f.kept.ID)
		}
	})
}

func (c *testCloud) wantNothingToRetry(droplet int64) {
	c.Helper()
	wantError(c, c.plane.RetryDestroy(c.Context(), c.who, droplet), cloud.CodeInvalid, "There is nothing to retry.")
}

// wantRetryOfTheRest retries and checks that what was destroyed before is left
// as it was.
func (c *testCloud) wantRetryOfTheRest(f family, before cloud.Destroy) {
	c.Helper()
	if !c.gone(f.droplet.ID) {
		c.usable(f.droplet.ID)
	}
	c.clock.advance(1e9)
	// Whatever is destroyed already would fail if it were asked for again.
	for kind, verb := range map[cloud.AssociatedKind]string{
		cloud.AssociatedVolumeSnapshot: "volume_snapshot.delete", cloud.AssociatedVolume: "volume.delete",
		cloud.AssociatedSnapshot: "image.delete",
	} {
		if !strings.Contains(failed(before), string(kind)) {
			c.addFault(engine.Fault{Operation: verb, Error: "asked again"})
		}
	}
	c.retry(f.droplet.ID)
	c.removeFaults()
	after := c.destroyStatus(f.droplet.ID)
	for i, r := range before.Resources {
		if !r.DestroyedAt.IsZero() && after.Resources[i] != r {
			c.Errorf("it was destroyed and is done again:\n%+v\n%+v", r, after.Resources[i])
		}
	}
	c.wantNothingToRetry(f.droplet.ID)
}

// A machine that was not destroyed is its owner's again, off, and may be
// deleted another way.
func TestDestroyThatFailsGivesTheDropletBack(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		f := c.addFamily()
		c.addFault(engine.Fault{Operation: "machine.destroy", Error: "the host is on fire"})
		c.destroyFamily(f)
		d := c.droplet(f.droplet.ID)
		if !isOff(d) || d.DestroyedBy != 0 || d.HeldBy != 0 {
			c.Errorf("got %+v, want it off and free", d)
		}
		if status := c.destroyStatus(d.ID); status.Error != "the host is on fire" || !status.DestroyedAt.IsZero() {
			c.Errorf("got %+v", status)
		}
		c.removeFaults()
		c.usable(d.ID)
		if err := c.plane.DeleteDroplet(c.Context(), c.who, d.ID); err != nil {
			c.Fatal(err)
		}
		c.settle()
		c.checkWorld()
		if !c.gone(d.ID) {
			c.Error("it is still there")
		}
	})
}
