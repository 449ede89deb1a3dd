package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/api"
)

// keys adds so many SSH keys, the cheapest of what is listed in pages.
func (a *account) keys(n int) {
	a.t.Helper()
	for i := range n {
		a.key(fmt.Sprintf("key-%d", i))
	}
}

// What page and per_page ask for, whatever they are.
func TestPages(t *testing.T) {
	tests := []struct {
		query string
		rows  int
		links string // with ~ for the path
	}{
		{"", 20, `{"pages": {"next": "~?page=2&per_page=20", "last": "~?page=2&per_page=20"}}`},
		{"page=1", 20, `{"pages": {"next": "~?page=2&per_page=20", "last": "~?page=2&per_page=20"}}`},
		{"page=2", 3, `{"pages": {"first": "~?page=1&per_page=20", "prev": "~?page=1&per_page=20"}}`},
		{"per_page=1", 1, `{"pages": {"next": "~?page=2&per_page=1", "last": "~?page=23&per_page=1"}}`},
		{"per_page=1&page=23", 1, `{"pages": {"first": "~?page=1&per_page=1", "prev": "~?page=22&per_page=1"}}`},
		{
			"per_page=10&page=2", 10,
			`{"pages": {"first": "~?page=1&per_page=10", "prev": "~?page=1&per_page=10", "next": "~?page=3&per_page=10", "last": "~?page=3&per_page=10"}}`,
		},
		{"per_page=23", 23, `{}`},
		{"per_page=200", 23, `{}`},
		{"per_page=201", 23, `{}`},
		{"per_page=666", 23, `{}`},
		{"per_page=99999999999999999999", 20, `{"pages": {"next": "~?page=2&per_page=20", "last": "~?page=2&per_page=20"}}`},
		{"per_page=0", 20, `{"pages": {"next": "~?page=2&per_page=20", "last": "~?page=2&per_page=20"}}`},
		{"per_page=-5&page=-1", 20, `{"pages": {"next": "~?page=2&per_page=20", "last": "~?page=2&per_page=20"}}`},
		{"per_page=ten&page=one", 20, `{"pages": {"next": "~?page=2&per_page=20", "last": "~?page=2&per_page=20"}}`},
		{"per_page=1.5&page=", 20, `{"pages": {"next": "~?page=2&per_page=20", "last": "~?page=2&per_page=20"}}`},
		{"page=3", 0, `{"pages": {"first": "~?page=1&per_page=20", "prev": "~?page=2&per_page=20"}}`},
		{"page=9223372036854775807", 0, `{"pages": {"first": "~?page=1&per_page=20", "prev": "~?page=2&per_page=20"}}`},
		{"page=2&per_page=200", 0, `{"pages": {"first": "~?page=1&per_page=200", "prev": "~?page=1&per_page=200"}}`},
	}
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.keys(23)
		for _, test := range tests {
			got := a.get("/v2/account/keys?" + test.query).is(http.StatusOK)
			if rows := len(got.texts("ssh_keys", "id")); rows != test.rows {
				t.Errorf("%q: %d rows, want %d", test.query, rows, test.rows)
			}
			got.shows("links", strings.ReplaceAll(test.links, "~", s.URL+"/v2/account/keys"))
			got.shows("meta", `{"total": 23}`)
		}
	})
}

// The most that a page has is 200, and the next page goes on after that.
func TestLargestPage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.keys(201)
		got := a.get("/v2/account/keys?per_page=500").is(http.StatusOK)
		if rows := len(got.texts("ssh_keys", "id")); rows != 200 {
			t.Errorf("%d rows", rows)
		}
		if rest := a.get(got.text("links.pages.next")).texts("ssh_keys", "id"); len(rest) != 1 {
			t.Errorf("%d rows on the next page", len(rest))
		}
	})
}

// follow reads a list from its first page to its last as DOBOTO does: by the
// next link, word for word.
func (a *account) follow(path, list string) (ids []string) {
	a.t.Helper()
	for range 100 {
		got := a.get(path).is(http.StatusOK)
		ids = append(ids, got.texts(list, "id")...)
		if !got.has("links.pages.next") {
			return ids
		}
		path = got.text("links.pages.next")
	}
	a.t.Fatal("the pages do not end")
	return nil
}

// Who follows the links of a filtered list sees every row of it once, and no
// other.
func TestLinksKeepFilters(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web", "tags", []string{"a:b"})
		a.droplet("WEB", "tags", []string{"a:b"})
		a.droplet("db", "tags", []string{"a:b"})
		a.droplet("other")
		for i, region := range []string{"nyc3", "ams3", "nyc3", "nyc3"} {
			volume := a.volume(fmt.Sprintf("data-%d", i), "region", region)
			a.volumeSnapshot(volume, "copy")
		}
		a.volume("same")
		a.volume("same", "region", "ams3")
		for range 3 {
			a.snapshot(droplet, "snap")
		}
		for range 2 {
			a.act(droplet, "reboot")
		}
		for _, test := range []struct {
			path, list string
			rows       int
		}{
			{"/v2/droplets?", "droplets", 4},
			{"/v2/droplets?tag_name=a%3Ab", "droplets", 3},
			{"/v2/droplets?tag_name=a:b", "droplets", 3},
			{"/v2/droplets?name=wEb", "droplets", 2},
			{"/v2/droplets?type=droplets", "droplets", 4},
			{"/v2//droplets/?type=droplets", "droplets", 4},
			{"/v2/volumes?region=NYC3", "volumes", 4},
			{"/v2/volumes?name=same", "volumes", 2},
			{"/v2/snapshots?", "snapshots", 7},
			{"/v2/snapshots?resource_type=volume", "snapshots", 4},
			{"/v2/snapshots?resource_type=volume&region=nyc3", "snapshots", 3},
			{"/v2/snapshots?resource_type=droplet", "snapshots", 3},
			{"/v2/images?private=true", "images", 3},
			{"/v2/images?private=True", "images", 3},
			{fmt.Sprintf("/v2/droplets/%d/actions?", droplet), "actions", 6},
			{fmt.Sprintf("/v2/droplets/%d/snapshots?", droplet), "snapshots", 3},
			{"/v2/actions?", "actions", 9},
		} {
			whole := a.get(test.path+"&per_page=200").texts(test.list, "id")
			if len(whole) != test.rows {
				t.Errorf("%s: %d rows, want %d", test.path, len(whole), test.rows)
			}
			for _, size := range []string{"1", "2"} {
				if diff := cmp.Diff(whole, a.follow(test.path+"&per_page="+size, test.list)); diff != "" {
					t.Errorf("%s by %s (-whole +followed)\n%s", test.path, size, diff)
				}
			}
		}
		catalog := a.follow("/v2/images?type=application&per_page=1", "images")
		if diff := cmp.Diff(a.get("/v2/images?type=application").texts("images", "id"), catalog); diff != "" {
			t.Error(diff)
		}
	})
}

// Links hold every parameter of the query, also those that mean nothing here
// and those that need escaping, and page and per_page once.
func TestLinksKeepTheQuery(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.keys(2)
		got := a.get("/v2/account/keys?x=a%26b&per_page=1&page=1&y=%C3%A9&x=2").is(http.StatusOK)
		got.shows("links.pages.next", `"`+s.URL+`/v2/account/keys?page=2&per_page=1&x=a%26b&x=2&y=%C3%A9"`)
	})
}

// Which lists have an object of pages where one page holds all, as the
// reference's examples have it.
func TestLinksOfOnePage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet, volume, ip := a.droplet("web"), a.volume("data"), a.reservedIP(0)
		for path, want := range map[string]string{
			"/v2/droplets":                         `{"pages": {}}`,
			"/v2/images?private=true":              `{"pages": {}}`,
			"/v2/actions":                          `{}`,
			"/v2/account/keys":                     `{}`,
			"/v2/snapshots":                        `{}`,
			"/v2/volumes":                          `{}`,
			"/v2/reserved_ips":                     `{}`,
			"/v2/floating_ips":                     `{}`,
			"/v2/regions":                          `{}`,
			"/v2/sizes?per_page=200":               `{}`,
			dropletPath(droplet, "/actions"):       `{}`,
			dropletPath(droplet, "/snapshots"):     `{}`,
			"/v2/volumes/" + volume + "/actions":   `{}`,
			"/v2/volumes/" + volume + "/snapshots": `{}`,
			"/v2/reserved_ips/" + ip + "/actions":  `{}`,
		} {
			a.get(path).is(http.StatusOK).shows("links", want)
		}
	})
}

// Catalogues are paged like the rest.
func TestCatalogPages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, list := range []string{"regions", "sizes"} {
			whole := a.get("/v2/"+list+"?per_page=200").texts(list, "slug")
			path, got := "/v2/"+list+"?per_page=7", []string{}
			for path != "" {
				page := a.get(path).is(http.StatusOK)
				got = append(got, page.texts(list, "slug")...)
				path = ""
				if page.has("links.pages.next") {
					path = page.text("links.pages.next")
				}
			}
			if diff := cmp.Diff(whole, got); diff != "" {
				t.Error(diff)
			}
			a.get("/v2/"+list+"?page=99").shows(list, `[]`)
		}
	})
}

// Links point to where the client can reach the server: what it is told to be,
// what a proxy says, or what was asked.
func TestLinksPointToTheServer(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.keys(2)
		told := api.New(api.Config{Plane: s.plane, PublicURL: "https://cloud.example.com/"})
		asked := api.New(api.Config{Plane: s.plane})
		for _, test := range []struct {
			name    string
			server  http.Handler
			headers []string
			want    string
		}{
			{"told", told, nil, "https://cloud.example.com"},
			{"told, behind a proxy", told, []string{"X-Forwarded-Host", "x", "X-Forwarded-Proto", "http"}, "https://cloud.example.com"},
			{"asked", asked, nil, "http://10.1.2.3:7480"},
			{"a proxy's host", asked, []string{"X-Forwarded-Host", "api.example.com"}, "http://api.example.com"},
			{"a proxy's scheme", asked, []string{"X-Forwarded-Proto", "https"}, "https://10.1.2.3:7480"},
			{"both", asked, []string{"X-Forwarded-Host", "api.example.com:444", "X-Forwarded-Proto", "https"}, "https://api.example.com:444"},
			{"no scheme", asked, []string{"X-Forwarded-Proto", "javascript"}, "http://10.1.2.3:7480"},
			{
				"two proxies", asked, []string{"X-Forwarded-Host", "api.example.com, inner", "X-Forwarded-Proto", "https, http"},
				"https://api.example.com",
			},
		} {
			t.Run(test.name, func(t *testing.T) {
				req := httptest.NewRequest(http.MethodGet, "http://10.1.2.3:7480/v2/account/keys?per_page=1", nil)
				req.Header.Set("Authorization", "Bearer "+a.token)
				for i := 0; i < len(test.headers); i += 2 {
					req.Header.Set(test.headers[i], test.headers[i+1])
				}
				w := httptest.NewRecorder()
				test.server.ServeHTTP(w, req)
				got := &answer{t: t, request: test.name, status: w.Code, header: w.Header(), body: w.Body.Bytes()}
				got.is(http.StatusOK).shows("links.pages.next", `"`+test.want+`/v2/account/keys?page=2&per_page=1"`)
			})
		}
	})
}
