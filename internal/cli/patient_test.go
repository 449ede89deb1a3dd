package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script answers requests with statuses, one after the other.
type script struct {
	statuses []int
	after    string
	bodies   []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.bodies = append(s.bodies, string(text))
	status := s.statuses[min(len(s.bodies), len(s.statuses))-1]
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {s.after}}, Body: http.NoBody, Request: r}, nil
}

func TestPatience(t *testing.T) {
	for name, test := range map[string]struct {
		script
		want, requests int
		took           time.Duration
	}{
		"taken":               {script{statuses: []int{202}}, 202, 1, 0},
		"taken later":         {script{statuses: []int{429, 429, 202}, after: "30"}, 202, 3, time.Minute},
		"never taken":         {script{statuses: []int{429}, after: "50"}, 429, 3, 100 * time.Second},
		"not told when":       {script{statuses: []int{429, 202}}, 429, 1, 0},
		"too long":            {script{statuses: []int{429, 202}, after: "3600"}, 429, 1, 0},
		"another's trouble":   {script{statuses: []int{503, 202}, after: "1"}, 503, 1, 0},
		"at once is a second": {script{statuses: []int{429, 202}, after: "0"}, 202, 2, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://x.example", strings.NewReader("all of it"))
				if err != nil {
					t.Fatal(err)
				}
				response, err := (&patient{&test.script}).RoundTrip(r)
				if err != nil || response.StatusCode != test.want || len(test.bodies) != test.requests || time.Since(began) != test.took {
					t.Errorf("%v, %v after %d requests in %s", response, err, len(test.bodies), time.Since(began))
				}
				for _, body := range test.bodies {
					if body != "all of it" {
						t.Errorf("sent %q", body)
					}
				}
			})
		})
	}
}

func TestPatienceIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		r, err := http.NewRequestWithContext(ctx, http.MethodDelete, "http://x.example", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&patient{&script{statuses: []int{429}, after: "60"}}).RoundTrip(r)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", response, err)
		}
	})
}
