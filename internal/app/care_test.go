package app

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// careServer is a server of the tests of backups and full disks.
type careServer struct {
	t     *testing.T
	token string
	url   string
	stop  func()
}

const careToken = "dop_v1_care"

// serveCare serves a folder until the test ends or the server is stopped.
func serveCare(t *testing.T, data string) *careServer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan Started, 1), make(chan error, 1)
	c := Config{
		Storage: Storage{Data: data}, Listen: "127.0.0.1:0", Engine: "sim", RateLimit: "off",
		SimLatency: "0", LogFormat: "text", LogLevel: "error", KeepActions: "90d",
	}
	if _, err := os.Stat(filepath.Join(data, databaseFile)); err != nil {
		c.Token = careToken // a restored state has its tokens
	}
	go func() { ended <- Serve(ctx, c, io.Discard, func(s Started) { started <- s }) }()
	s := &careServer{t: t, token: careToken}
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case on := <-started:
		s.url = on.URL
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

// ask sends a request and returns what is answered.
func (s *careServer) ask(method, path, body string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// until asks until an answer has a text.
func (s *careServer) until(path, text string) {
	s.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	answer := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-ticker.C {
		if _, answer = s.ask(http.MethodGet, path, ""); strings.Contains(answer, text) {
			return
		}
	}
	s.t.Fatalf("%s never had %s: %s", path, text, answer)
}

const careDroplet = `{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`

// holdUp makes the engine fail to create machines, in a way worth another try,
// so that a create is under way until letGo.
func (s *careServer) holdUp() {
	s.t.Helper()
	fault := `{"operation":"machine.create","error":"not now","transient":true}`
	if status, answer := s.ask(http.MethodPost, "/_sim/faults", fault); status != http.StatusCreated {
		s.t.Fatalf("%d %s", status, answer)
	}
	if status, answer := s.ask(http.MethodPost, "/v2/droplets", careDroplet); status != http.StatusAccepted {
		s.t.Fatalf("%d %s", status, answer)
	}
}

func (s *careServer) letGo() {
	s.t.Helper()
	if status, answer := s.ask(http.MethodDelete, "/_sim/faults", ""); status != http.StatusNoContent {
		s.t.Fatalf("%d %s", status, answer)
	}
}
