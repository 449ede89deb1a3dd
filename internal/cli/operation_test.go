package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/app"
)

// serve serves a data folder until the test ends.
func serve(t *testing.T, folder string) app.Started {
	t.Helper()
	return serveWith(t, folder, func(*app.Config) {})
}

func serveWith(t *testing.T, folder string, change func(*app.Config)) app.Started {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	started, ended := make(chan app.Started, 1), make(chan error, 1)
	c := app.Config{
		Storage: app.Storage{Data: folder}, Listen: "127.0.0.1:0", Engine: "sim", RateLimit: "off",
		SimLatency: "1h", LogFormat: "text", LogLevel: "error",
	}
	change(&c)
	go func() { ended <- app.Serve(ctx, c, t.Output(), func(s app.Started) { started <- s }) }()
	select {
	case s := <-started:
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return s
	case err := <-ended:
		stop()
		t.Fatal(err)
		return app.Started{}
	}
}

func createDroplet(t *testing.T, s app.Started, token string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v2/droplets",
		strings.NewReader(`{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

func TestOperationsCommand(t *testing.T) {
	s := serve(t, localFolder(t))
	asked := func(arguments ...string) []string {
		return append([]string{"operations", "--api-url", s.URL, "--token", s.Token}, arguments...)
	}
	for arguments, want := range map[string]string{
		"--state asleep":          "state must be one of unfinished, running",
		"--output yaml":           "use text or json",
		"--token not-known-there": "does not know the token",
	} {
		status, out, errs := cistern(asked(strings.Fields(arguments)...)...)
		if status != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %q, %q", arguments, status, out, errs)
		}
	}
	if status, out, errs := cistern(asked()...); status != 0 || out != "There are none.\n" {
		t.Errorf("without any: %d, %q, %q", status, out, errs)
	}
	createDroplet(t, s, s.Token)
	if status, out, errs := cistern(asked()...); status != 0 || !strings.Contains(out, "droplet.create") || !strings.HasPrefix(out, "ID ") {
		t.Errorf("with one: %d, %q, %q", status, out, errs)
	}
	if status, out, errs := cistern(asked("--format", "kind,State", "--no-header")...); status != 0 || !strings.HasPrefix(out, "droplet.create  ") || strings.Count(out, "\n") != 1 {
		t.Errorf("two columns: %d, %q, %q", status, out, errs)
	}
	_, out, _ := cistern(asked("-o", "json")...)
	var all []operation
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 || all[0].Kind != "droplet.create" || all[0].ResourceID == "" {
		t.Errorf("as JSON: %v, %s", err, out)
	}
}

func TestAuditCommand(t *testing.T) {
	folder := localFolder(t)
	s := serve(t, folder)
	createDroplet(t, s, s.Token)
	createDroplet(t, s, "not-known-there")
	for arguments, want := range map[string]string{
		"--since 0s":                 "use a duration above 0",
		"--output yaml":              "use text or json",
		"--ephemeral":                "keeps its state to itself",
		"--data " + folder + "/none": "there is no Cistern in",
	} {
		status, out, errs := cistern(append([]string{"audit"}, strings.Fields(arguments)...)...)
		if status != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %q, %q", arguments, status, out, errs)
		}
	}
	status, out, errs := cistern("audit")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || len(lines) != 3 || !strings.Contains(lines[1], "accepted") || !strings.Contains(lines[2], "refused 401") {
		t.Fatalf("%d, %q, %q", status, out, errs)
	}
	_, out, _ = cistern("audit", "-o", "json", "--account", "1000000")
	var line auditLine
	if err := json.Unmarshal([]byte(out), &line); err != nil || line.Outcome != "accepted" || line.Action == 0 || line.Path != "/v2/droplets" {
		t.Errorf("as JSON: %v, %s", err, out)
	}
}
