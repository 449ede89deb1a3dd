package cli

import (
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/cisterntest"
)

const ensured = " --size s-1vcpu-1gb --image debian-12-x64 --region nyc3"

func TestDropletEnsureRefused(t *testing.T) {
	d := newDesk(t)
	d.droplet("twin", false)
	d.droplet("twin", false)
	for line, complaint := range map[string]string{
		"":                       "cistern droplet ensure needs the names of Droplets, such as in: cistern droplet ensure web-1",
		"web":                    "say with --size, --image, --region what to create",
		"web --size s --image i": "say with --region what to create",
		"web WEB" + ensured:      "WEB is there twice; name each Droplet once",
		"twin" + ensured:         "2 Droplets are named twin; nobody can tell which is meant:\nID",
		"web --size s --image debian-12-x64 --region nyc3": "size",
		"web --format Colour" + ensured:                    `there is no column "Colour"`,
		"web --ssh-keys 4711" + ensured:                    "4711",
	} {
		if status, stdout, stderr := d.run("droplet ensure " + line); status != 1 || stdout != "" || !strings.Contains(stderr, complaint) {
			t.Errorf("droplet ensure %s: %d, %q\n%s", line, status, stdout, stderr)
		}
	}
	d.wantLeft("2 0 0 0")
}

func TestDropletEnsure(t *testing.T) {
	d := newDesk(t)
	d.want("droplet ensure web-1 --wait"+ensured, 0, "✓ web-1 is active\n", "  nyc3    s-1vcpu-1gb  debian-12-x64  ", "  created\n")
	var lines []ensuredLine
	d.document("droplet ensure web-2 web-1 --wait"+ensured, 0, &lines)
	if len(lines) != 2 || lines[0].Name != "web-2" || !lines[0].Created || lines[1].Created || lines[1].Status != "active" || lines[0].PublicIPv4 == "" {
		t.Errorf("%+v", lines)
	}
	if bare := d.want("droplet ensure web-1 web-2 --format Name,Result --no-header"+ensured, 0); bare != "web-1  found\nweb-2  found\n" {
		t.Errorf("again: %q", bare)
	}
	d.want("droplet ensure web-1 --tag blue --tag green"+ensured, 0, "created")
	d.want("droplet ensure web-1 --tag Blue"+ensured, 0, "found")
	d.wantLeft("3 0 0 0")
}

// Who creates machines without SSH keys is told where their passwords are, and the
// passwords stay there.
func TestDropletEnsureTellsOfPasswords(t *testing.T) {
	m := newMachines(t)
	m.password = "correct-horse"
	line := "droplet ensure new-1 new-2 web" + ensured
	text := m.want(line, 0, "new-1 has no SSH key. Its root password is shown once, with: cistern droplet access new-1 --api-url "+m.url+" --token TOKEN\n",
		"new-2 has no SSH key.")
	if strings.Contains(text, "web has") || m.password == "" {
		t.Errorf("%s", text)
	}
	for _, more := range []string{" --ssh-keys 7", " -o json", " --no-header"} {
		if text := m.want(line+more, 0); strings.Contains(text, "password") {
			t.Errorf("%s: %s", more, text)
		}
	}
	d := newDesk(t)
	if text := d.want("droplet ensure web-1"+ensured, 0, "created"); strings.Contains(text, "password") {
		t.Errorf("simulated: %s", text)
	}
}

// A creation that fails takes its Droplet with it.
func TestDropletEnsureFailure(t *testing.T) {
	d := newDesk(t)
	mend := d.srv.Fail("machine.create", cisterntest.Fault{Resource: "web-2", Error: "no space"})
	d.want("droplet ensure web-1 web-2 --wait"+ensured, 2, "✓ web-1 is active", "✗ web-2 could not be created", "  gone  ", "the creation of Droplet web-2 (")
	mend()
	d.want("droplet ensure web-1 web-2 --wait"+ensured, 0, "found", "created")
	d.wantLeft("2 0 0 0")
}
