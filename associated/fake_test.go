package associated_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/associated"
)

// script is a server that gives one answer after the other, the last of them
// for ever, and notes when it was asked.
type script struct {
	start   time.Time
	answers []answer
	asked   []string
}

type answer struct {
	status int // 0 closes the connection instead
	body   string
	header map[string]string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	s.asked = append(s.asked, fmt.Sprintf("%s %s %s%s", time.Since(s.start).Round(time.Second), r.Method, r.URL.Path, bytes.TrimSpace(body)))
	a := s.answers[min(len(s.asked), len(s.answers))-1]
	if a.status == 0 {
		return nil, errors.New("connection reset by peer")
	}
	header := http.Header{}
	for name, value := range a.header {
		header.Set(name, value)
	}
	return &http.Response{
		StatusCode: a.status, Header: header, Request: r, Body: io.NopCloser(bytes.NewBufferString(a.body)),
		ContentLength: int64(len(a.body)),
	}, nil
}

// newScript returns a client of such a server.
func newScript(t *testing.T, answers ...answer) (*associated.Client, *script) {
	t.Helper()
	s := &script{start: time.Now(), answers: answers}
	client, err := godo.New(&http.Client{Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	return associated.New(client), s
}

const (
	runs  = `{"droplet":{"id":"7","name":"web"},"resources":{"volumes":[{"id":"v","name":"data"}]},"failures":0}`
	ended = `{"droplet":{"id":"7","name":"web","destroyed_at":"2026-01-02T03:04:05Z"},
		"resources":{"volumes":[{"id":"v","name":"data","destroyed_at":"2026-01-02T03:04:04Z","error_message":" "}]},
		"completed_at":"2026-01-02T03:04:05Z","failures":0}`
	failed = `{"droplet":{"id":"7","name":"web","destroyed_at":"2026-01-02T03:04:05Z"},
		"resources":{"volumes":[{"id":"v","name":"data","error_message":"disk on fire"}]},
		"completed_at":"2026-01-02T03:04:05Z","failures":1}`
)

func ok(body string) answer { return answer{status: http.StatusOK, body: body} }
