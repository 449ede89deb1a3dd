package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/logtest"
)

const token = "dop_v1_test"

// server is a process of the binary, with simulated machines that take a
// moment, so that clients have something to wait for.
type server struct {
	t      *testing.T
	url    string
	output logtest.Buffer
}

var servesOn = regexp.MustCompile(`(?m)^Cistern serves on (\S+) `)

// serve starts a server that ends with the test.
func serve(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{t: t}
	cmd := exec.Command(binary, append([]string{
		"serve", "--ephemeral", "--token", token, "--listen", "127.0.0.1:0", "--sim-latency", "20ms",
	}, flags...)...)
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended: %v\n%s", err, s.output.String())
		}
		for _, bad := range []string{"panic", "level=ERROR"} {
			if strings.Contains(s.output.String(), bad) {
				t.Errorf("the server logged %q:\n%s", bad, s.output.String())
			}
		}
	})
	s.until("the server to be ready", func() bool {
		found := servesOn.FindStringSubmatch(s.output.String())
		if found != nil {
			s.url = found[1]
		}
		return found != nil
	})
	return s
}

// environment tells a client where the server is, and keeps Python from
// writing beside the scripts.
func (s *server) environment() []string {
	return []string{"DIGITALOCEAN_API_URL=" + s.url, "DIGITALOCEAN_TOKEN=" + token, "PYTHONDONTWRITEBYTECODE=1"}
}

// until asks until the answer is yes.
func (s *server) until(what string, yes func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if yes() {
			return
		}
	}
	s.t.Fatalf("waited too long for %s\n%s", what, s.output.String())
}

// ask sends a request, and returns the status and the decoded body.
func (s *server) ask(method, path, body string) (int, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := unverified.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var answer map[string]any
	if len(text) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&answer); err != nil {
			s.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return res.StatusCode, answer
}

// make sends a request that must succeed and waits for the actions that it
// starts. It returns a field of the answer.
func (s *server) make(path, body, field string) string {
	s.t.Helper()
	status, answer := s.ask(http.MethodPost, path, body)
	if status >= 300 {
		s.t.Fatalf("POST %s %s: %d %v", path, body, status, answer)
	}
	if action, ok := find(answer, "action.id"); ok {
		s.completed(action)
	}
	if action, ok := find(answer, "links.actions.0.id"); ok {
		s.completed(action)
	}
	value, _ := find(answer, field)
	return value
}

func (s *server) completed(action string) {
	s.t.Helper()
	s.until("action "+action, func() bool {
		_, answer := s.ask(http.MethodGet, "/v2/actions/"+action, "")
		status, _ := find(answer, "action.status")
		return status == "completed"
	})
}

// find reads a value by a path such as links.actions.0.id.
func find(v any, path string) (string, bool) {
	for word := range strings.SplitSeq(path, ".") {
		switch inner := v.(type) {
		case map[string]any:
			v = inner[word]
		case []any:
			if len(inner) == 0 || word != "0" {
				return "", false
			}
			v = inner[0]
		default:
			return "", false
		}
	}
	return fmt.Sprint(v), v != nil
}

// contract is a file of the reference that lies beside the contract, or
// outside of the repository by default.
func reference(path string) string {
	if contract := os.Getenv("CISTERN_CONTRACT"); contract != "" {
		return contract[:strings.LastIndexByte(contract, '/')+1] + path
	}
	return "../../../shared/reference/" + path
}
