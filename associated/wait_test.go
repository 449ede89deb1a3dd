package associated_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cistern-cloud/cistern/associated"
)

// What a server in trouble, or one that asks for patience, does to a wait. The
// times are those of the requests, rounded to seconds; jitter moves them by a
// tenth.
func TestWaitWithABadServer(t *testing.T) {
	trouble := func(status int, header ...string) answer {
		a := answer{status: status, body: `{"id":"x","message":"trouble"}`, header: map[string]string{}}
		for i := 0; i < len(header); i += 2 {
			a.header[header[i]] = header[i+1]
		}
		return a
	}
	many := func(a answer, n int) (list []answer) {
		for range n {
			list = append(list, a)
		}
		return list
	}
	tests := []struct {
		name     string
		answers  []answer
		err      string // part of the error; empty for none
		requests int
		least    time.Duration // how long it takes at least
		most     time.Duration
	}{
		{"not found", []answer{trouble(404)}, "404", 1, 0, 0},
		{"forbidden", []answer{trouble(403)}, "403", 1, 0, 0},
		{"refused", []answer{ok(runs), trouble(422)}, "422", 2, 0, 2 * time.Second},
		{"at once", []answer{ok(ended)}, "", 1, 0, 0},
		{"server errors, then the end", append(many(trouble(500), 4), ok(ended)), "", 5, 6 * time.Second, 10 * time.Second},
		{"server errors for ever", many(trouble(503), 1), "503", 10, 30 * time.Second, 90 * time.Second},
		{"closed connections, then the end", append(many(answer{}, 3), ok(ended)), "", 4, 4 * time.Second, 6 * time.Second},
		{"closed connections for ever", many(answer{}, 1), "connection reset", 10, 30 * time.Second, 90 * time.Second},
		{"garbage, then the end", []answer{ok("<html>"), ok(""), ok(ended)}, "", 3, 2 * time.Second, 3 * time.Second},
		{"garbage for ever", []answer{ok("<html>")}, "invalid character", 10, 30 * time.Second, 90 * time.Second},
		{"too many requests, with seconds", []answer{trouble(429, "Retry-After", "40"), ok(ended)}, "", 2, 40 * time.Second, 41 * time.Second},
		{"too many requests, without", append(many(trouble(429), 2), ok(ended)), "", 3, 2 * time.Second, 3 * time.Second},
		{"too many requests, told again and again", append(many(trouble(429, "Retry-After", "2"), 30), ok(ended)), "", 31, 60 * time.Second, 400 * time.Second},
		{"busy, with seconds", []answer{trouble(503, "Retry-After", "20"), ok(ended)}, "", 2, 20 * time.Second, 21 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, s := newScript(t, test.answers...)
				_, err := client.Wait(t.Context(), 7, nil)
				took := time.Since(s.start)
				if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want %q", err, test.err)
				}
				if len(s.asked) != test.requests || took < test.least || took > test.most {
					t.Errorf("%d requests in %s, want %d in %s to %s:\n%s", len(s.asked), took, test.requests,
						test.least, test.most, strings.Join(s.asked, "\n"))
				}
			})
		})
	}
}

// A few requests that are left are spread over the time until the reset.
func TestWaitSpreadsWhatIsLeftOfTheRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		little := ok(runs)
		little.header = map[string]string{
			"Ratelimit-Limit": "5000", "Ratelimit-Remaining": "9",
			"Ratelimit-Reset": fmt.Sprint(time.Now().Add(1000 * time.Second).Unix()),
		}
		client, s := newScript(t, little, ok(ended))
		if _, err := client.Wait(t.Context(), 7, nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(s.start); took < 99*time.Second || took > 101*time.Second {
			t.Errorf("the second request came after %s, want 100 s", took)
		}
	})
}

func TestWaitReportsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newScript(t, ok(runs), ok(failed))
		var told []string
		status, err := client.Wait(t.Context(), 7, &associated.WaitOptions{Progress: func(r associated.Resource) {
			told = append(told, fmt.Sprintf("%s %s %t", r.Kind, r.Name, r.Failed()))
		}})
		wrong, is := errors.AsType[*associated.FailedError](err)
		if !is || wrong.DropletID != 7 || len(wrong.Failed) != 1 || wrong.Failed[0].ID != "v" || status.Failures != 1 {
			t.Fatalf("%+v, %v", status, err)
		}
		if want := "Droplet 7: could not destroy 1 of what was to go: volume data (disk on fire)"; err.Error() != want {
			t.Errorf("the error is %q, want %q", err, want)
		}
		if got := strings.Join(told, ", "); got != "volumes data true,  web false" {
			t.Errorf("told: %s", got)
		}
	})
}

// What ends a wait does not end the destroy, and the error says what it was.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newScript(t, ok(runs))
		status, err := client.Wait(t.Context(), 7, &associated.WaitOptions{Timeout: time.Minute})
		if !errors.Is(err, context.DeadlineExceeded) || status == nil || status.Droplet.Name != "web" {
			t.Errorf("after the time: %+v, %v", status, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Second, cancel)
		if _, err := client.Wait(ctx, 7, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestBadArguments(t *testing.T) {
	client, s := newScript(t, ok(runs))
	for name, call := range map[string]func() error{
		"selective": func() error { _, err := client.DestroySelective(t.Context(), 0, nil); return err },
		"dangerous": func() error { _, err := client.DestroyDangerous(t.Context(), -1); return err },
		"status":    func() error { _, _, err := client.Status(t.Context(), 0); return err },
		"retry":     func() error { _, err := client.Retry(t.Context(), 0); return err },
		"wait":      func() error { _, err := client.Wait(t.Context(), 0, nil); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "dropletID") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(s.asked) > 0 {
		t.Errorf("asked: %s", s.asked)
	}
}

// What goes over the wire, for servers that are not ours.
func TestRequests(t *testing.T) {
	const path = "/v2/droplets/7/destroy_with_associated_resources"
	tests := []struct {
		name string
		call func(*associated.Client) error
		want string
	}{
		{"selective", func(c *associated.Client) error {
			_, err := c.DestroySelective(t.Context(), 7, &associated.Selection{Volumes: []string{"v"}, ReservedIPs: []string{"1"}})
			return err
		}, "DELETE " + path + `/selective{"reserved_ips":["1"],"volumes":["v"]}`},
		{"none selected", func(c *associated.Client) error {
			_, err := c.DestroySelective(t.Context(), 7, nil)
			return err
		}, "DELETE " + path + "/selective{}"},
		{"dangerous", func(c *associated.Client) error {
			_, err := c.DestroyDangerous(t.Context(), 7)
			return err
		}, "DELETE " + path + "/dangerous"},
		{"retry", func(c *associated.Client) error {
			_, err := c.Retry(t.Context(), 7)
			return err
		}, "POST " + path + "/retry"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, s := newScript(t, answer{status: http.StatusAccepted})
			if err := test.call(client); err != nil {
				t.Fatal(err)
			}
			if _, got, _ := strings.Cut(s.asked[0], " "); got != test.want {
				t.Errorf("asked %s, want %s", got, test.want)
			}
		})
	}
}
