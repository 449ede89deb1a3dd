package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// Pages are counted from a list's beginning, as the API has it. So while rows
// come and go, what a reader sees depends on where they do: these tests hold
// what can be relied on, and say where nothing can.

// moving is a list to which rows come at its end, and from which they go.
type moving struct {
	path, rows, id string
	add            func(a *account, i int)
	remove         func(a *account, id string)
}

var movingLists = []moving{
	{
		"/v2/droplets?", "droplets", "id",
		func(a *account, i int) { a.droplet(fmt.Sprintf("web-%d", i)) },
		func(a *account, id string) {
			a.del("/v2/droplets/" + id).empty(http.StatusNoContent)
			droplet, _ := cloud.ParseID(id)
			a.gone(droplet)
		},
	},
	{
		"/v2/droplets?tag_name=moving&", "droplets", "id",
		func(a *account, i int) { a.droplet(fmt.Sprintf("web-%d", i), "tags", []string{"moving"}) },
		func(a *account, id string) {
			a.do(http.MethodDelete, "/v2/tags/moving/resources", map[string]any{"resources": []any{
				map[string]any{"resource_id": id, "resource_type": "droplet"},
			}}).empty(http.StatusNoContent)
		},
	},
	{
		"/v2/volumes?", "volumes", "id",
		func(a *account, i int) { a.volume(fmt.Sprintf("data-%d", i)) },
		func(a *account, id string) { a.del("/v2/volumes/" + id).empty(http.StatusNoContent) },
	},
	{
		"/v2/tags?", "tags", "name",
		func(a *account, i int) { a.tag(fmt.Sprintf("tag-%d", 100-i)) }, // the order is not that of names
		func(a *account, id string) { a.del("/v2/tags/" + id).empty(http.StatusNoContent) },
	},
}

// filled is an account with nine rows in a list, and these in their order.
func (m moving) filled(t *testing.T, s *server) (*account, []string) {
	a := s.newAccount(t)
	for i := range 9 {
		m.add(a, i)
	}
	return a, a.get(m.path+"per_page=200").is(http.StatusOK).texts(m.rows, m.id)
}

// read reads a list by its links, from a path on. Between two pages it calls
// change with how many it has read.
func (m moving) read(a *account, path, link string, change func(pages int)) (seen []string) {
	a.t.Helper()
	for pages := 1; pages < 100; pages++ {
		got := a.get(path).is(http.StatusOK)
		seen = append(seen, got.texts(m.rows, m.id)...)
		if !got.has("links.pages." + link) {
			return seen
		}
		path = got.text("links.pages." + link)
		change(pages)
	}
	a.t.Fatal("the pages do not end")
	return nil
}

func eachMoving(t *testing.T, test func(t *testing.T, s *server, m moving)) {
	each(t, func(t *testing.T, s *server) {
		for _, m := range movingLists {
			t.Run(m.path, func(t *testing.T) {
				t.Parallel()
				test(t, s, m)
			})
		}
	})
}

// Rows that come are at the end, and rows that go before they are read move
// none that was read: whoever reads on sees each row once, the new ones too.
func TestPagesWhileRowsComeAndGoAhead(t *testing.T) {
	eachMoving(t, func(t *testing.T, s *server, m moving) {
		a, rows := m.filled(t, s)
		seen := m.read(a, m.path+"per_page=2", "next", func(pages int) {
			if pages <= 3 {
				m.add(a, 9+pages)
				m.remove(a, rows[len(rows)-pages])
			}
		})
		want := a.get(m.path+"per_page=200").texts(m.rows, m.id)
		if diff := cmp.Diff(want, seen); diff != "" || len(want) != 9 {
			t.Errorf("%d rows (-there +seen)\n%s", len(want), diff)
		}
	})
}

// A row that goes after it was read moves all that follow up by one place, so
// that the first row of the next page is on the page before it: no offset can
// tell. No row is seen twice, and no more are missed than went.
func TestPagesWhileRowsGoBehind(t *testing.T) {
	eachMoving(t, func(t *testing.T, s *server, m moving) {
		a, rows := m.filled(t, s)
		seen := m.read(a, m.path+"per_page=2", "next", func(pages int) {
			if pages <= 2 {
				m.remove(a, rows[pages-1])
			}
		})
		if distinct := slices.Compact(slices.Sorted(slices.Values(seen))); len(distinct) != len(seen) || len(seen) != 9-2 {
			t.Errorf("saw %v of %v, of which two went", seen, rows)
		}
	})
}

// Who has to see every row while others go reads from the last page to the
// first: a row is at most seen twice.
func TestPagesBackwardsMissNothing(t *testing.T) {
	eachMoving(t, func(t *testing.T, s *server, m moving) {
		a, rows := m.filled(t, s)
		last := a.get(m.path + "per_page=2").text("links.pages.last")
		seen := m.read(a, last, "prev", func(pages int) {
			if pages <= 2 {
				m.remove(a, rows[pages-1])
				m.remove(a, rows[len(rows)-pages])
			}
		})
		for _, row := range rows[2 : len(rows)-2] {
			if !slices.Contains(seen, row) {
				t.Errorf("%s is missing in %v of %v", row, seen, rows)
			}
		}
	})
}

// Actions are listed from the newest to the oldest, so that new ones move the
// others down: each is seen, in order, some of them on two pages.
func TestPagesOfActionsWhileTheyComeMissNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web")
		for range 6 {
			a.act(droplet, "reboot")
		}
		for _, path := range []string{"/v2/actions?", dropletPath(droplet, "/actions?")} {
			m := moving{path: path, rows: "actions", id: "id"}
			there := a.get(path+"per_page=200").texts("actions", "id")
			came := 0
			seen := m.read(a, path+"per_page=2", "next", func(int) {
				a.act(droplet, "reboot")
				came++
			})
			if repeated := len(seen) - len(there); repeated > came {
				t.Errorf("%s: %d rows are repeated after %d came", path, repeated, came)
			}
			if diff := cmp.Diff(there, slices.Compact(seen)); diff != "" {
				t.Errorf("%s (-there +seen)\n%s", path, diff)
			}
		}
	})
}
