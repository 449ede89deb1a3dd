package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/cisterntest"
)

// What is refused is refused before anything is destroyed.
func TestDropletDestroyRefused(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", true, "staging")
	first, second := d.droplet("twin", false), d.droplet("twin", false)
	number := d.droplet(fmt.Sprint(first), false)
	for line, complaint := range map[string]string{
		"":                                "cistern droplet destroy needs the IDs or names of Droplets, or --tag",
		"web --tag staging":               `name Droplets or their --tag, not both: "web" is one word too many`,
		"--tag=":                          "--tag needs the name of a tag",
		"web":                             "say what goes with --with all, none, or some of volumes,snapshots,volume_snapshots,reserved_ips, and that it is meant with --yes",
		"web --with all":                  "and that it is meant with --yes",
		"web --yes":                       "say what goes with --with",
		"web --yes --with disks":          `--with disks: there is no kind "disks"; use all, none, or some of`,
		"web --yes --with volumes,":       `there is no kind ""`,
		"web --yes --with all -o yaml":    "use text or json",
		"web --dry-run --format Size":     `--format: there is no column "Size"; use Droplet,Kind,Name,ID,Cost,Plan`,
		"nope --yes --with all":           "has no Droplet with the name or ID nope",
		"4711 --yes --with all":           "has no Droplet with the name or ID 4711",
		"web nope --yes --with all":       "has no Droplet with the name or ID nope",
		"--tag nope --yes --with all":     "has no Droplet with the tag nope",
		"twin --yes --with all":           "2 Droplets are named twin; say which by its ID:\nID",
		fmt.Sprint(first, " --dry-run"):   "is the ID of one Droplet and the name of another",
		"web --yes --with all --data /no": "use --api-url and --token, or --data",
	} {
		status, stdout, stderr := d.run("droplet destroy " + line)
		if status != 1 || stdout != "" || !strings.Contains(stderr, complaint) {
			t.Errorf("droplet destroy %s: %d, %q\n%s", line, status, stdout, stderr)
		}
	}
	_, _, stderr := d.run("droplet destroy twin --yes --with all")
	for _, text := range []string{fmt.Sprint(first), fmt.Sprint(second), "nyc3", "second"} {
		if !strings.Contains(stderr, text) {
			t.Errorf("no %s in %s", text, stderr)
		}
	}
	if status, _, stderr := run(t, "droplet", "destroy", "web", "--yes", "--with", "all", "--api-url", d.srv.URL, "--token", "nobodys"); status != 1 || !strings.Contains(stderr, "does not know the token") {
		t.Errorf("%d, %s", status, stderr)
	}
	d.wantLeft("4 1 2 1")
	d.want(fmt.Sprintf("droplet destroy %d --yes --with none", number), 0)
}

func TestDropletDestroyDryRun(t *testing.T) {
	d := newDesk(t)
	id := d.droplet("web", true)
	d.want("droplet destroy web --dry-run", 0, "On "+d.srv.URL+", account ", fmt.Sprintf("Droplet web (%d), nyc3, s-1vcpu-1gb, ", id),
		"web      volume           web-data ", "Keeping all of it costs $14.14 a month.\n")
	d.want("droplet destroy web --dry-run --with reserved_ips", 0, "goes", "kept", "what is kept costs $10.14.")
	bare := d.want("droplet destroy web --dry-run --with volumes --format name,plan --no-header", 0)
	if !strings.HasPrefix(bare, "web-copy ") || !strings.Contains(bare, "\nweb-data      goes\nweb-monday    kept\n") {
		t.Errorf("bare: %s", bare)
	}
	var document destroyDocument
	d.document("droplet destroy web --dry-run --with all", 0, &document)
	if one := document.Droplets; !document.DryRun || document.Server != d.srv.URL || document.Account == "" || len(one) != 1 ||
		one[0].ID != fmt.Sprint(id) || len(one[0].Resources) != 4 || !one[0].Resources[0].Destroy || one[0].DestroyedAt != nil {
		t.Errorf("as JSON: %+v", document)
	}
	d.wantLeft("1 1 2 1")
}

func TestDropletDestroy(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", true)
	id := d.droplet("db", true)
	d.want("droplet destroy WEB --with all --yes", 0, "✓ volume web-data is gone\n", "✓ Droplet web is gone\nDroplet web and 4 resources are gone.\n")
	d.wantLeft("1 1 2 1")
	d.want(fmt.Sprintf("droplet destroy %d db --with volumes,reserved_ips --yes", id), 0, "Droplet db and 2 resources are gone.\n")
	d.wantLeft("0 0 2 0")
	d.droplet("bare", false)
	d.want("droplet destroy bare --with all --yes", 0, "Nothing else belongs to Droplet bare.", "Droplet bare is gone.")
}

// Scripts go through the resources, also where there are none.
func TestDropletDestroyBareInJSON(t *testing.T) {
	d := newDesk(t)
	d.droplet("bare", false)
	stdout := d.want("droplet destroy bare --with all --yes -o json", 0, `"resources": []`)
	if strings.Contains(stdout, `"resources": null`) {
		t.Error(stdout)
	}
}

func TestDropletDestroyByTag(t *testing.T) {
	d := newDesk(t)
	d.droplet("web-1", true, "staging")
	d.droplet("web-2", true, "staging")
	d.droplet("db", false)
	var document destroyDocument
	d.document("droplet destroy --tag staging --with volumes --yes", 0, &document)
	if len(document.Droplets) != 2 || document.Droplets[1].DestroyedAt == nil || document.Droplets[1].Failures != 0 {
		t.Errorf("%+v", document)
	}
	d.wantLeft("1 0 4 2")
}

// A part that fails is told with its reason, and a retry does only what is
// left.
func TestDropletDestroyPartialFailure(t *testing.T) {
	d := newDesk(t)
	id := d.droplet("web", true)
	mend := d.srv.Fail("volume.delete", cisterntest.Fault{Error: "disk is on fire"})
	d.want("droplet destroy web --with all --yes", 2, "✗ volume web-data: disk is on fire\n", "✓ Droplet web is gone",
		"1 of 5 could not be destroyed\n  volume web-data: disk is on fire\n",
		fmt.Sprintf("cistern droplet destroy-retry %d --wait --api-url %s --token TOKEN\n", id, d.srv.URL))
	d.wantLeft("0 1 0 0")
	var one destroy
	d.document(fmt.Sprint("droplet destroy-status ", id), 2, &one)
	if one.Failures != 1 || one.CompletedAt == nil || one.DestroyedAt == nil || one.Name != "web" || len(one.Resources) != 4 {
		t.Errorf("%+v", one)
	}
	d.want(fmt.Sprint("droplet destroy-status --format State,Error ", id), 2, "STATE   ERROR", "failed  disk is on fire", "gone    -")
	d.want(fmt.Sprint("droplet destroy-retry --wait ", id), 2, "disk is on fire")
	mend()
	d.want(fmt.Sprint("droplet destroy-retry ", id), 0, "It is tried again; follow it with: ")
	d.document(fmt.Sprint("droplet destroy-status --wait ", id), 0, &one)
	if one.Failures != 0 || one.CompletedAt == nil {
		t.Errorf("%+v", one)
	}
	d.want(fmt.Sprint("droplet destroy-retry ", id), 1, "There is nothing to retry.")
	d.wantLeft("0 0 0 0")
}

func TestDestroyStatusRefused(t *testing.T) {
	d := newDesk(t)
	id := d.droplet("web", false)
	for _, command := range []string{"destroy-status", "destroy-retry"} {
		for arguments, complaint := range map[string]string{
			"":                   "cistern droplet " + command + " needs a Droplet's ID, such as in: cistern droplet " + command + " 1000000",
			"web":                `"web" is not the ID of a Droplet: use its number`,
			"0":                  `"0" is not the ID`,
			"1 2":                `"2" is one word too many`,
			fmt.Sprint(id):       fmt.Sprintf("%s knows of no destroy of a Droplet %d", d.srv.URL, id),
			"1 --format ID,Cost": `there is no column "Cost"`,
		} {
			if status, stdout, stderr := d.run("droplet " + command + " " + arguments); status != 1 || stdout != "" || !strings.Contains(stderr, complaint) {
				t.Errorf("%s %s: %d, %q\n%s", command, arguments, status, stdout, stderr)
			}
		}
	}
}

// A destroy that runs already is not begun again, and is told how to follow.
func TestDropletDestroyTwice(t *testing.T) {
	d := newDesk(t)
	id := d.droplet("web", true)
	mend := d.srv.Fail("volume.delete", cisterntest.Fault{Error: "busy", Transient: true})
	_, err := d.client.DestroyDangerous(t.Context(), id)
	d.must(err)
	d.want("droplet destroy web --with all --yes", 1, fmt.Sprintf("; follow it with: cistern droplet destroy-status %d --wait", id), "nothing was destroyed")
	d.want(fmt.Sprint("droplet destroy-status ", id), 3, "waiting", "the destroy runs; follow it with: ")
	mend()
	d.want(fmt.Sprint("droplet destroy-status --wait ", id), 0, "Droplet web and 4 resources are gone.")
}

// A server that ends a destroy without a word about a resource has not
// destroyed it.
func TestDropletDestroyWithAServerThatSaysLittle(t *testing.T) {
	localFolder(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/v2/account":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/v2/droplets":
			fmt.Fprint(w, `{"droplets":[{"id":7,"name":"web"}]}`)
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusAccepted)
		case strings.HasSuffix(r.URL.Path, "/status"):
			fmt.Fprint(w, `{"droplet":{"id":"7","name":"web","destroyed_at":"2026-01-01T00:00:00Z"},"completed_at":"2026-01-01T00:00:00Z"}`)
		default:
			fmt.Fprint(w, `{"volumes":[{"id":"v","name":"data","cost":"1.005"}]}`)
		}
	}))
	defer server.Close()
	status, stdout, stderr := run(t, "droplet", "destroy", "web", "--with", "all", "--yes", "--api-url", server.URL, "--token", "t")
	if status != 2 || !strings.Contains(stdout, "account unknown (the token may not read it)") ||
		!strings.Contains(stderr, "1 of 2 could not be destroyed\n  volume data: the server has ended the destroy without saying that it is gone") {
		t.Errorf("%d\n%s%s", status, stdout, stderr)
	}
}

// A request that got lost may have been accepted or not; the server knows.
func TestDropletDestroyWithARequestThatGetsLost(t *testing.T) {
	for name, accepted := range map[string]bool{"accepted": true, "not accepted": false} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			id := d.droplet("web", false)
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete {
					if accepted {
						_, err := d.client.DestroySelective(t.Context(), id, nil)
						d.must(err)
					}
					panic(http.ErrAbortHandler)
				}
				to, err := url.Parse(d.srv.URL)
				d.must(err)
				httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, r)
			}))
			defer proxy.Close()
			status, stdout, stderr := run(t, "droplet", "destroy", "web", "--with", "all", "--yes", "--api-url", proxy.URL, "--token", d.srv.Token)
			switch {
			case accepted && (status != 0 || !strings.Contains(stdout, "Droplet web is gone.")):
				t.Errorf("%d\n%s%s", status, stdout, stderr)
			case !accepted && (status != 2 || !strings.Contains(stderr, "Droplet web: the server did not answer, and knows of no destroy")):
				t.Errorf("%d\n%s%s", status, stdout, stderr)
			}
		})
	}
}
