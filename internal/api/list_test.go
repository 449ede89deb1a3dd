package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// listed is one list that is answered in pages, as it is asked for.
type listed struct {
	pattern string
	query   string // the filters
	rows    string // the key of the rows
	id      string // the field that tells them apart; "" where a row is its own name
	// as says how many rows there are of n things; nil is n.
	as func(n int) int
}

func none(int) int             { return 0 }
func some(int) int             { return -1 } // however many there are
func plus(m int) func(int) int { return func(n int) int { return n + m } }

// listings has every list in pages, with its filters. The world of a test has n
// rows in each.
var listings = []listed{
	{"/_cistern/operations", "", "operations", "id", nil},
	{"/_cistern/operations", "state=unfinished", "operations", "id", nil},
	{"/v2/account/keys", "", "ssh_keys", "id", nil},
	{"/v2/actions", "", "actions", "id", some},
	{"/v2/regions", "", "regions", "slug", some},
	{"/v2/sizes", "", "sizes", "slug", some},
	{"/v2/images", "", "images", "id", some},
	{"/v2/images", "type=distribution", "images", "id", some},
	{"/v2/images", "type=application", "images", "id", some},
	{"/v2/images", "private=true", "images", "id", some},
	{"/v2/images", "tag_name=copies", "images", "id", nil},
	{"/v2/images/{image_id}/actions", "", "actions", "id", nil},
	{"/v2/snapshots", "", "snapshots", "id", some},
	{"/v2/snapshots", "resource_type=droplet", "snapshots", "id", nil},
	{"/v2/snapshots", "region=nyc3&resource_type=volume", "snapshots", "id", nil},
	{"/v2/tags", "", "tags", "name", some},
	{"/v2/vpcs", "", "vpcs", "id", some},
	{"/v2/vpcs/{vpc_id}/members", "", "members", "urn", nil},
	{"/v2/vpcs/{vpc_id}/members", "resource_type=droplet", "members", "urn", nil},
	{"/v2/vpcs/{vpc_id}/peerings", "", "peerings", "id", nil},
	{"/v2/vpc_peerings", "", "vpc_peerings", "id", nil},
	{"/v2/reserved_ips", "", "reserved_ips", "ip", nil},
	{"/v2/floating_ips", "", "floating_ips", "ip", nil},
	{"/v2/reserved_ips/{reserved_ip}/actions", "", "actions", "id", plus(1)},
	{"/v2/floating_ips/{reserved_ip}/actions", "", "actions", "id", plus(1)},
	{"/v2/reserved_ipv6", "", "reserved_ipv6s", "ip", nil},
	{"/v2/firewalls", "", "firewalls", "id", nil},
	{"/v2/droplets/{droplet_id}/firewalls", "", "firewalls", "id", nil},
	{"/v2/droplets/backups/policies", "", "policies", "", nil},
	{"/v2/droplets/{backed_up}/backups", "", "backups", "id", nil},
	{"/v2/droplets/{droplet_id}/snapshots", "", "snapshots", "id", nil},
	{"/v2/droplets/{droplet_id}/actions", "", "actions", "id", some},
	{"/v2/droplets/{droplet_id}/kernels", "", "kernels", "id", none},
	{"/v2/volumes", "", "volumes", "id", nil},
	{"/v2/volumes", "region=nyc3", "volumes", "id", nil},
	{"/v2/volumes/{volume_id}/actions", "", "actions", "id", plus(1)},
	{"/v2/volumes/{volume_id}/snapshots", "", "snapshots", "id", nil},
	{"/v2/droplets", "", "droplets", "id", nil},
	{"/v2/droplets", "tag_name=all%3Aof", "droplets", "id", nil},
	{"/v2/droplets", "name=web", "droplets", "id", nil},
	{"/v2/droplets", "type=droplets", "droplets", "id", nil},
	{"/v2/droplets", "type=gpus", "droplets", "id", none},
	{"/v2/projects", "", "projects", "id", some},
	{"/v2/projects/{project_id}/resources", "", "resources", "urn", some},
	{"/v2/projects/default/resources", "", "resources", "urn", some},
	{"/v2/reports/droplet_neighbors", "", "neighbors", "0.id", some},
}

// unpaged are the lists that are answered whole.
var unpaged = []string{
	"/_sim/faults", "/v2/1-clicks", "/v2/droplets/{droplet_id}/neighbors", "/v2/reports/droplet_neighbors_ids",
	"/v2/droplets/{droplet_id}/destroy_with_associated_resources",
}

func TestEveryPagedListIsTried(t *testing.T) {
	for _, r := range api.Routes() {
		tried := slices.ContainsFunc(listings, func(l listed) bool {
			return strings.ReplaceAll(l.pattern, "{backed_up}", "{droplet_id}") == r.Pattern
		})
		if api.IsPaged(r) && !tried {
			t.Errorf("add %s to listings", r.Pattern)
		}
	}
}

// lists is an account that has n rows in every list.
type lists struct {
	*account
	n        int
	droplets []int64
	names    *strings.Replacer // of the parameters of paths
}

func newLists(t *testing.T, s *server, n int) *lists {
	t.Helper()
	w := &lists{account: s.newAccount(t), n: n}
	vpc := w.vpc("all")
	w.createDroplets(vpc)
	droplet, backedUp := w.droplets[0], w.droplets[1]
	w.tag("copies")
	image := int64(0)
	for i := range n {
		image = w.snapshot(droplet, fmt.Sprintf("copy-%d", i))
		w.tagImage("copies", image)
		w.snapshot(backedUp, fmt.Sprintf("backup-%d", i))
	}
	w.makeBackups(backedUp)
	w.fillStorage(droplet)
	ip := w.fillNetwork(droplet, vpc)
	w.fault("image.transfer", "*", "error", "no room")
	for range n {
		w.settle(w.post(imagePath(image, "/actions"), map[string]any{"type": "transfer", "region": "ams3"}).is(http.StatusCreated))
	}
	w.leaveBusy()
	w.names = strings.NewReplacer("{droplet_id}", fmt.Sprint(droplet), "{backed_up}", fmt.Sprint(backedUp), "{vpc_id}", vpc,
		"{project_id}", w.get("/v2/projects/default").text("project.id"), "{image_id}", fmt.Sprint(image), "{reserved_ip}", ip, "{volume_id}", w.get("/v2/volumes").text("volumes.0.id"))
	return w
}

// createDroplets creates n Droplets in a VPC, ten at a time.
func (w *lists) createDroplets(vpc string) {
	w.t.Helper()
	for from := 0; from < w.n; from += 10 {
		body := dropletBody("", "names", slices.Repeat([]string{"web"}, min(10, w.n-from)), "vpc_uuid", vpc,
			"tags", []string{"all:of"}, "backups", true)
		delete(body, "name")
		made := w.post("/v2/droplets", body).is(http.StatusAccepted)
		for i, id := range made.texts("droplets", "id") {
			droplet, _ := cloud.ParseID(id)
			w.droplets = append(w.droplets, droplet)
			w.wait(made.number(fmt.Sprintf("links.actions.%d.id", i)))
		}
	}
}

func (w *lists) tagImage(tag string, image int64) {
	w.t.Helper()
	w.post("/v2/tags/"+tag+"/resources", map[string]any{"resources": []any{
		map[string]any{"resource_id": fmt.Sprint(image), "resource_type": "image"},
	}}).empty(http.StatusNoContent)
}

// makeBackups makes the snapshots of a Droplet backups: no policy keeps as many
// as a list is tried with.
func (w *lists) makeBackups(droplet int64) {
	w.t.Helper()
	err := w.s.db.Write(w.t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(`UPDATE images SET type = 'backup' WHERE source_droplet_id = $1`, droplet)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// fillStorage adds volumes, of which the last is attached, and the snapshots
// and actions of the first.
func (w *lists) fillStorage(droplet int64) {
	w.t.Helper()
	for i := range w.n {
		w.volume(fmt.Sprintf("data-%d", i), "tags", []string{"kept", fmt.Sprintf("kept-%d", i)})
	}
	volumes := w.get("/v2/volumes?per_page=200").texts("volumes", "id")
	for i := range w.n {
		w.volumeSnapshot(volumes[0], fmt.Sprintf("copy-%d", i))
		resize := map[string]any{"type": "resize", "size_gigabytes": 11 + i}
		w.settle(w.post("/v2/volumes/"+volumes[0]+"/actions", resize).is(http.StatusAccepted))
	}
	w.attach(volumes[0], droplet)
	w.attach(volumes[w.n-1], w.droplets[w.n-1])
}

// fillNetwork adds addresses of either kind for every Droplet, firewalls, and
// peerings of a VPC. It returns the first address, which has n+1 actions.
func (w *lists) fillNetwork(droplet int64, vpc string) string {
	w.t.Helper()
	first := ""
	for i, id := range w.droplets {
		ip := w.reservedIP(id)
		w.reservedIPv6(id)
		w.firewall(fmt.Sprintf("edge-%d", i), "tags", []string{"all:of"}, "droplet_ids", []int64{id, droplet})
		w.peering(fmt.Sprintf("pair-%d", i), vpc, w.vpc(fmt.Sprintf("peer-%d", i)))
		w.key(fmt.Sprintf("key-%d", i))
		if i == 0 {
			first = ip
		}
	}
	for i := range w.n {
		change := map[string]any{"type": "unassign"}
		if i%2 == 1 {
			change = map[string]any{"type": "assign", "droplet_id": droplet}
		}
		w.settle(w.post("/v2/reserved_ips/"+first+"/actions", change).is(http.StatusCreated))
	}
	return first
}

// leaveBusy leaves every Droplet with an operation that does not end.
func (w *lists) leaveBusy() {
	w.t.Helper()
	w.fault("machine.reset", "*", "delay", "10h")
	for _, id := range w.droplets {
		w.post(dropletPath(id, "/actions"), map[string]any{"type": "reboot"}).is(http.StatusCreated)
	}
}

// path is where a list is, with its filters, ready for more parameters.
func (w *lists) path(l listed) string {
	path := w.names.Replace(l.pattern) + "?"
	if l.query != "" {
		path += l.query + "&"
	}
	return path
}

// names lists the rows of an answer by what tells them apart.
func (l listed) names(a *answer) []string {
	a.t.Helper()
	if rows, isMap := a.at(l.rows).(map[string]any); isMap {
		names := []string{}
		for id := range rows {
			names = append(names, id)
		}
		slices.Sort(names)
		return names
	}
	names := []string{}
	for i := range a.at(l.rows).([]any) {
		names = append(names, a.text(fmt.Sprintf("%s.%d.%s", l.rows, i, l.id)))
	}
	return names
}

// counted marks the contexts whose statements a test counts.
type counted struct{}

// statements lists what the database is asked for one request.
func (a *account) statements(path string) (asked []string) {
	a.t.Helper()
	var mu sync.Mutex
	a.s.db.ObserveStatements(func(ctx context.Context, statement string) {
		if ctx.Value(counted{}) == a {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, statement)
		}
	})
	for range 2 { // what is kept in memory is there the second time
		mu.Lock()
		asked = nil
		mu.Unlock()
		ctx := context.WithValue(a.t.Context(), counted{}, a)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+a.token)
		out := httptest.NewRecorder()
		if a.s.Config.Handler.ServeHTTP(out, r); out.Code != http.StatusOK {
			a.t.Fatalf("%s: %d %s", path, out.Code, out.Body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	return asked
}

// A list asks the database for no more when it has more rows.
func TestListsCostAConstantNumberOfStatements(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		few, many := newLists(t, s, 2), newLists(t, s, 12)
		all := listings
		for _, pattern := range unpaged {
			all = append(slices.Clip(all), listed{pattern: pattern})
		}
		for _, l := range all {
			two, twelve := few.statements(few.path(l)+"per_page=200"), many.statements(many.path(l)+"per_page=200")
			if len(two) != len(twelve) {
				t.Errorf("%s?%s: %d statements for 2 rows and %d for 12:\n%s", l.pattern, l.query, len(two), len(twelve),
					cmp.Diff(two, twelve))
			}
			if len(two) == 0 && !slices.Contains([]string{"/v2/regions", "/v2/sizes"}, l.pattern) {
				t.Errorf("%s: no statement was counted", l.pattern)
			}
		}
	})
}

// Whatever the size of its pages, a list has each row once, in one order, with
// its filters in every link; and beyond its end it is empty.
func TestEveryListInPages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		w := newLists(t, s, 23)
		for _, l := range listings {
			t.Run(l.pattern+"?"+l.query, func(t *testing.T) {
				within := &lists{w.within(t), w.n, w.droplets, w.names}
				within.walk(l)
			})
		}
	})
}

// walk reads a list in pages of every size.
func (w *lists) walk(l listed) {
	w.t.Helper()
	path := w.path(l)
	total := int(w.get(path).is(http.StatusOK).number("meta.total"))
	whole := w.pages(l, path, 20, total)
	want := w.n
	if l.as != nil {
		want = l.as(w.n)
	}
	if want >= 0 && total != want {
		w.t.Errorf("%d rows, want %d", total, want)
	}
	if distinct := slices.Compact(slices.Sorted(slices.Values(whole))); len(distinct) != total || len(whole) != total {
		w.t.Errorf("%d rows, of which %d differ, and a total of %d", len(whole), len(distinct), total)
	}
	for _, size := range []int{1, 20, 200} {
		got := w.pages(l, path, size, total)
		if l.id == "" { // a map has no order on its page
			slices.Sort(got)
			slices.Sort(whole)
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			w.t.Errorf("in pages of %d (-of 20 +got)\n%s", size, diff)
		}
		w.beyond(l, path, size, total)
	}
}

// pages follows the links from the first page to the last.
func (w *lists) pages(l listed, path string, size, total int) (names []string) {
	w.t.Helper()
	names = []string{}
	next := fmt.Sprintf("%sper_page=%d", path, size)
	last := max(1, (total+size-1)/size)
	for number := 1; number <= last; number++ {
		got := w.get(next).is(http.StatusOK)
		names = append(names, l.names(got)...)
		w.links(l, got, number, size, last)
		if got.number("meta.total") != int64(total) {
			w.t.Errorf("page %d: a total of %d, want %d", number, got.number("meta.total"), total)
		}
		if number < last {
			next = got.text("links.pages.next")
		}
	}
	return names
}

// beyond asks for what comes after the last page.
func (w *lists) beyond(l listed, path string, size, total int) {
	w.t.Helper()
	last := max(1, (total+size-1)/size)
	for _, number := range []int{last + 1, last + 7} {
		got := w.get(fmt.Sprintf("%sper_page=%d&page=%d", path, size, number)).is(http.StatusOK)
		if rows := l.names(got); len(rows) != 0 || got.number("meta.total") != int64(total) {
			w.t.Errorf("page %d of %d: %d rows of %s", number, last, len(rows), got.text("meta.total"))
		}
		w.links(l, got, number, size, last)
	}
}

// links checks which pages an answer leads to, and how.
func (w *lists) links(l listed, got *answer, number, size, last int) {
	w.t.Helper()
	want := map[string]int{}
	if number > 1 {
		want["first"], want["prev"] = 1, min(number-1, last)
	}
	if number < last {
		want["next"], want["last"] = number+1, last
	}
	for _, name := range []string{"first", "prev", "next", "last"} {
		page, wanted := want[name]
		if has := got.has("links.pages." + name); has != wanted {
			w.t.Errorf("page %d of %d: has a link %s: %t", number, last, name, has)
		} else if has {
			w.link(l, got.text("links.pages."+name), page, size)
		}
	}
}

func (w *lists) link(l listed, link string, page, size int) {
	w.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		w.t.Fatal(err)
	}
	want, _ := url.ParseQuery(l.query)
	want.Set("page", fmt.Sprint(page))
	want.Set("per_page", fmt.Sprint(size))
	if u.Path != w.names.Replace(l.pattern) || cmp.Diff(want, u.Query()) != "" {
		w.t.Errorf("the link %s, want page %d of %d rows of %s?%s", link, page, size, l.pattern, l.query)
	}
}
