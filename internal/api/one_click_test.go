package api_test

import (
	"net/http"
	"slices"
	"testing"
)

func TestOneClicks(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, query := range []string{"", "?type=droplet"} {
			if got := a.get("/v2/1-clicks"+query).is(http.StatusOK).texts("1_clicks", "slug"); !slices.Contains(got, "docker-20-04") {
				t.Errorf("%s: got %v", query, got)
			}
		}
		a.get("/v2/1-clicks?type=kubernetes").shows("", `{"1_clicks": []}`)
		a.get("/v2/1-clicks?type=banana").shows("", `{}`)
		if got := ok(a.godo().OneClick.List(t.Context(), "droplet"))(t); len(got) == 0 || got[0].Type != "droplet" {
			t.Errorf("got %+v", got)
		}
	})
}
