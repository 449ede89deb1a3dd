package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/cisterntest"
)

func TestOrphansRefused(t *testing.T) {
	d := newDesk(t)
	for line, complaint := range map[string]string{
		"now":                             "takes flags only",
		"--yes":                           "--with and --yes say what --destroy destroys",
		"--with all":                      "--with and --yes say what --destroy destroys",
		"--destroy":                       "there is no terminal to ask at: say what goes with --with",
		"--destroy --yes":                 "there is no terminal to ask at",
		"--destroy --with all":            "and that it is meant with --yes",
		"--destroy --yes --with snapshot": `there is no kind "snapshot"`,
		"--output yaml":                   "use text or json",
		"--format Size":                   "there is no column",
	} {
		if status, stdout, stderr := d.run("orphans " + line); status != 1 || stdout != "" || !strings.Contains(stderr, complaint) {
			t.Errorf("orphans %s: %d, %q\n%s", line, status, stdout, stderr)
		}
	}
	if status, _, stderr := run(t, "orphans", "--api-url", d.srv.URL, "--token", "nobodys"); status != 1 || !strings.Contains(stderr, "does not know the token") {
		t.Errorf("%d, %s", status, stderr)
	}
}

func TestOrphans(t *testing.T) {
	d := newDesk(t)
	d.want("orphans", 0, "Nothing is left behind on "+d.srv.URL)
	d.droplet("stays", true)
	d.want("orphans", 0, "Nothing is left behind")
	d.droplet("gone", true)
	d.want("droplet destroy gone --with none --yes", 0)
	// The copy of a volume that is there is nobody's orphan.
	d.want("orphans", 0, "volume       gone-data ", "snapshot     gone-monday ", "reserved IP  198.", "\nKeeping all of it costs $14.14 a month on "+d.srv.URL)
	var document orphanDocument
	d.document("orphans", 0, &document)
	if document.Cost != "14.14" || len(document.Orphans) != 3 || document.Server != d.srv.URL || document.Account == "" {
		t.Errorf("%+v", document)
	}
	d.want("orphans --destroy --with volumes --yes", 0, "✓ volume gone-data is gone\n1 resource is gone.\n")
	d.want("orphans", 0, "volume snapshot  gone-copy ")
	if bare := d.want("orphans --format Kind --no-header", 0); bare != "volume snapshot\nsnapshot\nreserved IP\n" {
		t.Errorf("bare: %q", bare)
	}
	d.document("orphans --destroy --with all --yes", 0, &document)
	if document.Cost != "0.00" || len(document.Orphans) != 3 || document.Orphans[0].DestroyedAt == nil {
		t.Errorf("%+v", document)
	}
	d.want("orphans --destroy --with all --yes", 0, "Nothing is left behind")
	d.wantLeft("1 1 2 1")
}

func TestOrphansPartialFailure(t *testing.T) {
	d := newDesk(t)
	for _, name := range []string{"one", "two"} {
		_, _, err := d.api.Storage.CreateVolume(t.Context(), &godo.VolumeCreateRequest{Name: name, Region: "nyc3", SizeGigaBytes: 10})
		d.must(err)
	}
	mend := d.srv.Fail("volume.delete", cisterntest.Fault{Resource: "two", Error: "disk is on fire"})
	d.want("orphans --destroy --with all --yes", 2, "✓ volume one is gone\n", "✗ volume two: disk is on fire\n", "1 of 2 could not be destroyed")
	mend()
	d.want("orphans --destroy --with all --yes", 0, "1 resource is gone.")
	d.wantLeft("0 0 0 0")
}

// A snapshot that came from another account has no Droplet that is known, and
// is nobody's orphan.
func TestOrphansOfUnknownOrigin(t *testing.T) {
	localFolder(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/v2/account":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/v2/snapshots" && r.URL.Query().Get("resource_type") == "droplet":
			fmt.Fprint(w, `{"snapshots":[{"id":"1","resource_id":"0"},{"id":"2","resource_id":""},{"id":"3","resource_id":"7","name":"left"}]}`)
		case r.URL.Path == "/v2/droplets/7":
			w.WriteHeader(http.StatusNotFound)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	defer server.Close()
	status, stdout, stderr := run(t, "orphans", "--format", "ID", "--no-header", "--api-url", server.URL, "--token", "t")
	if status != 0 || stdout != "3\n" {
		t.Errorf("%d\n%s%s", status, stdout, stderr)
	}
}

// A snapshot of a Droplet that only a list leaves out, as lists leave out those
// with a GPU, is not left behind.
func TestOrphansAsksOnceMore(t *testing.T) {
	there := map[string]bool{"1": true}
	found, err := madeFromNothing([]godo.Snapshot{{ID: "a", ResourceID: "1"}, {ID: "b", ResourceID: "2"}, {ID: "c", ResourceID: "2"}},
		"snapshots", there, func(string) error { return nil })
	if err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}
