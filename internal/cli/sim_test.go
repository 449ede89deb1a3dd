package cli

import (
	"strings"
	"testing"
)

func TestSimRefused(t *testing.T) {
	d := newDesk(t)
	for line, complaint := range map[string]string{
		"fault add":                               "takes an operation and at most one resource, such as in: cistern sim fault add",
		"fault add volume.delete a b":             "takes an operation and at most one resource",
		"fault add volume.delete":                 "say how the operation fails with --error, or how much longer it takes with --delay",
		"fault add volume.burn --error x":         `unknown operation "volume.burn"`,
		"fault add volume.delete --delay soon":    "delay must be a duration such as 30s or 500ms",
		"fault add volume.delete --error x -o no": "use text or json",
		"fault rm":                       "takes the IDs of faults or --all",
		"fault rm 1 --all":               "takes the IDs of faults or --all",
		"fault rm x":                     `"x" is not a fault's number; see cistern sim fault list`,
		"fault rm 4711":                  "fault 4711: ",
		"fault list --format Colour":     `there is no column "Colour"`,
		"clock advance":                  "needs a duration, such as in: cistern sim clock advance 7d",
		"clock advance soon":             "advance must be a duration such as 8d, 36h or 90m",
		"clock advance 0d --output yaml": "use text or json",
		"clock show now":                 "takes flags only",
	} {
		if status, stdout, stderr := d.run("sim " + line); status != 1 || stdout != "" || !strings.Contains(stderr, complaint) {
			t.Errorf("sim %s: %d, %q\n%s", line, status, stdout, stderr)
		}
	}
	status, _, stderr := run(t, "sim", "clock", "show", "--token", "t")
	if status != 1 || !strings.Contains(stderr, "a token for DigitalOcean, where nothing is simulated") {
		t.Errorf("%d, %s", status, stderr)
	}
}

func TestSimFaults(t *testing.T) {
	d := newDesk(t)
	d.want("sim fault add volume.delete data --error fire --times 2", 0, "Fault 1 is there. Remove it with: cistern sim fault rm 1 --api-url ")
	var one fault
	d.document("sim fault add machine.create --delay 30s --transient", 0, &one)
	if one.ID != 2 || one.Resource != "*" || one.Delay != "30s" || !one.Transient {
		t.Errorf("%+v", one)
	}
	d.want("sim fault list", 0, "1   volume.delete   data      fire   false      -      2       0", "2   machine.create  *         -      true       30s    always  0")
	d.want("sim fault rm 1", 0)
	if bare := d.want("sim fault list --format ID --no-header", 0); bare != "2\n" {
		t.Errorf("after rm: %q", bare)
	}
	d.want("sim fault rm --all", 0)
	var all []fault
	if d.document("sim fault list", 0, &all); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestSimClock(t *testing.T) {
	d := newDesk(t)
	d.want("sim clock show", 0, " at the server, 0s ahead.\n")
	d.want("sim clock advance 1d12h", 0, " ahead.\n")
	var at clockTime
	if d.document("sim clock show", 0, &at); !strings.HasPrefix(at.Ahead, "36h") && !strings.HasPrefix(at.Ahead, "35h59m") {
		t.Errorf("%+v", at)
	}
}
