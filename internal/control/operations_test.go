package control

import (
	"context"
	"reflect"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/op/optest"
)

// scenario is one way to ask for an operation. Its functions are closures over
// what prepare made, and remember nothing: each fault begins with the same rows.
type scenario struct {
	// ask makes the request; it may wait for the operation's end.
	ask func(ctx context.Context) error
	// done checks that what was asked for is there.
	done func() bool
	// failed checks what is left when the operation failed, where that is not
	// everything as it was before.
	failed func()
}

// way is a named scenario, with what prepares it.
type way struct {
	name    string
	prepare func(c *testCloud) scenario
}

// ways says how each plan is put to the test.
var ways = map[string][]way{
	"droplet.create":                    {{"plain", createPlain}, {"with-volumes", createWithVolumes}, {"from-snapshot", createFromSnapshot}},
	"droplet.power_on":                  {{"off", powerOn}},
	"droplet.power_off":                 {{"on", powerOff}},
	"droplet.shutdown":                  {{"on", shutDown}},
	"droplet.reboot":                    {{"on", reboot}},
	"droplet.power_cycle":               {{"on", powerCycle}},
	"droplet.rename":                    {{"on", rename}},
	"droplet.snapshot":                  {{"on", snapshotDroplet}},
	"droplet.backup":                    {{"on", backUpDroplet}},
	"droplet.backup_policy":             {{"enable", enableBackups}, {"disable", disableBackups}},
	"droplet.resize":                    {{"disk", resizeWithDisk}, {"no-disk", resizeWithoutDisk}},
	"droplet.rebuild":                   {{"on", rebuildOn}, {"off", rebuildOff}},
	"droplet.restore":                   {{"on", restoreOn}},
	"droplet.password_reset":            {{"on", resetPasswordOn}, {"off", resetPasswordOff}},
	"droplet.enable_ipv6":               {{"with-address", enableIPv6}},
	"droplet.enable_private_networking": {{"on", enablePrivateNetworking}},
	"droplet.destroy":                   {{"plain", deletePlain}, {"selected", destroySelected}, {"everything", destroyEverything}, {"with-backups", destroyWithBackups}},
	"volume.create":                     {{"empty", createVolume}, {"from-snapshot", createVolumeFromSnapshot}},
	"volume.delete":                     {{"free", deleteVolume}},
	"volume.attach":                     {{"free", attachVolume}},
	"volume.detach":                     {{"attached", detachVolume}},
	"volume.resize":                     {{"attached", resizeAttached}},
	"volume.snapshot":                   {{"attached", snapshotVolume}},
	"volume_snapshot.delete":            {{"complete", deleteVolumeSnapshot}},
	"reserved_ip.assign":                {{"free", assignFree}, {"away", assignAway}, {"new", reserveForDroplet}},
	"reserved_ip.unassign":              {{"assigned", unassign}},
	"reserved_ip.delete":                {{"assigned", deleteAssigned}},
	"image.import":                      {{"url", importImage}},
	"image.transfer":                    {{"snapshot", transferImage}},
	"image.convert":                     {{"backup", convertBackup}},
	"image.delete":                      {{"snapshot", deleteImage}, {"custom", deleteCustomImage}},
	"reserved_ipv6.assign":              {{"free", assignFreeIPv6}, {"away", assignIPv6Away}},
	"reserved_ipv6.unassign":            {{"assigned", unassignIPv6}},
	"vpc_peering.create":                {{"plain", createPeering}},
	"vpc_peering.delete":                {{"active", deletePeering}},
}

// An operation must end completed, with what was asked for, or errored with
// nothing left behind, whichever step fails, repeats, or is cut off by a crash;
// and after a failure the same request must succeed.
func TestEveryOperationSurvivesEveryFault(t *testing.T) {
	for _, plan := range plans {
		outline := plan.Outline()
		if len(ways[outline.Name]) == 0 {
			t.Errorf("%s has no fault test: add how it is asked for to ways", outline.Name)
		}
		for _, w := range ways[outline.Name] {
			t.Run(outline.Name+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				for _, kind := range databasetest.Kinds {
					t.Run(kind, func(t *testing.T) {
						t.Parallel()
						c := newCloud(t, databasetest.Config(t, kind), "0")
						s := w.prepare(c)
						c.checkWorld()
						c.keepRows()
						optest.EachFault(t, outline, func(t *testing.T, fault *optest.Fault) {
							c.TB = t
							c.putRowsBack()
							c.survive(fault, s)
						})
					})
				}
			})
		}
	}
}

// noWayBack lists the steps that take nothing back, and why they need not. The
// faults that strike late pass them over.
var noWayBack = map[string]string{
	"droplet.create/start":                     "the machine is destroyed by the undo of create",
	"droplet.power_on/start":                   "the power state is whatever the engine reports",
	"droplet.power_off/stop":                   "the power state is whatever the engine reports",
	"droplet.shutdown/stop":                    "the power state is whatever the engine reports",
	"droplet.reboot/reset":                     "the power state is whatever the engine reports",
	"droplet.power_cycle/reset":                "the power state is whatever the engine reports",
	"droplet.rename/rename":                    "nothing but the row changes",
	"droplet.backup_policy/set":                "nothing but the row changes",
	"droplet.destroy/wait":                     "what was destroyed is gone",
	"droplet.destroy/hold":                     "what was destroyed is gone",
	"droplet.destroy/stop":                     "what was destroyed is gone",
	"droplet.destroy/release":                  "what was destroyed is gone",
	"droplet.destroy/resources":                "what was destroyed is gone",
	"droplet.destroy/machine":                  "what was destroyed is gone",
	"image.delete/delete":                      "what was destroyed is gone",
	"volume.delete/delete":                     "what was destroyed is gone",
	"volume_snapshot.delete/delete":            "what was destroyed is gone",
	"volume.detach/detach":                     "a detach is its own way back: it may be asked for again",
	"volume.resize/resize":                     "a volume only grows",
	"droplet.password_reset/password":          "the new password is the one that holds, from the next start on",
	"droplet.password_reset/restart":           "the password counts from whichever start comes next",
	"droplet.enable_private_networking/enable": "nothing changes",
	"image.import/begin":                       "an image that is not imported is shown as deleted",
	"image.convert/convert":                    "nothing but the row changes",
	"vpc_peering.delete/delete":                "what was destroyed is gone",
}

// A step that leaves something behind has an undo beside it.
func TestEveryStepHasAWayBack(t *testing.T) {
	for _, plan := range plans {
		outline := plan.Outline()
		for _, step := range outline.Steps {
			name := outline.Name + "/" + step.Name
			if why := noWayBack[name]; (why == "") != step.Undo {
				t.Errorf("%s has an undo: %t; noWayBack says %q", name, step.Undo, why)
			}
		}
	}
}

// survive carries a scenario out in a process in which something goes wrong.
func (c *testCloud) survive(fault *optest.Fault, s scenario) {
	c.Helper()
	before, world := c.resources(), c.world()
	c.fault = fault
	c.setLatency(testLatency)

	asked := c.do(s.ask)
	c.settle()
	fault.Check(c)
	c.checkWorld()
	status := c.lastOperation(fault.Operation)
	if failed := status == cloud.Errored; failed != fault.Final() {
		c.Fatalf("the operation is %s; the call returned %v", status, asked)
	}
	if status == cloud.Completed {
		if !s.done() {
			c.Error("the operation is completed and what was asked for is not there")
		}
		return
	}
	if s.failed != nil {
		s.failed()
	} else if after := c.resources(); !reflect.DeepEqual(after, before) || !reflect.DeepEqual(c.world(), world) {
		c.Errorf("left behind: the cloud has\n%+v\nand had\n%+v\nthe hypervisor has\n%+v\nand had\n%+v", after, before, c.world(), world)
	}
	fault.Lift()
	if err := c.do(s.ask); err != nil {
		c.Fatalf("after a failure the same again: %v", err)
	}
	c.checkWorld()
	if !s.done() {
		c.Error("after a failure the same again has no effect")
	}
}

// lastOperation is how the newest operation of a plan stands.
func (c *testCloud) lastOperation(plan string) cloud.ActionStatus {
	c.Helper()
	var status string
	err := c.db.Read(c.Context(), func(t *database.Tx) (err error) {
		status, err = database.One(t, database.Value[string],
			`SELECT status FROM actions WHERE operation = $1 ORDER BY id DESC LIMIT 1`, plan)
		return err
	})
	if err != nil {
		c.Fatalf("%s never began: %v", plan, err)
	}
	return cloud.ActionStatus(status)
}
