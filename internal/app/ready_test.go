package app

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serveUntil starts a server and returns what ends it and waits for its end.
func serveUntil(t *testing.T, c Config) (s Started, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan Started, 1), make(chan error, 1)
	go func() { ended <- Serve(ctx, c, t.Output(), func(s Started) { started <- s }) }()
	select {
	case s = <-started:
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	return s, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestReadyFile(t *testing.T) {
	for name, before := range map[string]string{
		"nothing there":          "",
		"left by a killed one":   `{"url":"http://127.0.0.1:1","token":"old","pid":1}`,
		"an empty one of mktemp": "empty",
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			c.ReadyFile = filepath.Join(t.TempDir(), "ready.json")
			if before != "" {
				if err := os.WriteFile(c.ReadyFile, []byte(strings.TrimPrefix(before, "empty")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, stop := serveUntil(t, c)
			ready := readReady(t, c.ReadyFile)
			if ready != (Ready{URL: s.URL, Token: s.Token, PID: os.Getpid()}) || s.Token == "" {
				t.Errorf("the file says %+v, the server %+v", ready, s)
			}
			res, err := http.Get(ready.URL + "/healthz")
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("it does not answer there: %v, %v", res, err)
			}
			stop()
			checkFolder(t, filepath.Dir(c.ReadyFile))
		})
	}
}

func readReady(t *testing.T, path string) (r Ready) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v", info.Mode())
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkFolder expects that only the named files are left.
func checkFolder(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("the folder has %q, want %q", names, want)
	}
}

// With TLS the file says which certificate to trust.
func TestReadyFileWithTLS(t *testing.T) {
	c := good()
	c.ReadyFile, c.TLS = filepath.Join(t.TempDir(), "ready.json"), "auto"
	s, stop := serveUntil(t, c)
	defer stop()
	ready := readReady(t, c.ReadyFile)
	if !strings.HasPrefix(ready.URL, "https://") || ready.Certificate == "" || ready.Certificate != s.Certificate {
		t.Errorf("the file says %+v, the server %+v", ready, s)
	}
	if _, err := os.Stat(ready.Certificate); err != nil {
		t.Error(err)
	}
}

// What another server has put there meanwhile stays.
func TestReadyFileOfAnotherServer(t *testing.T) {
	c := good()
	c.ReadyFile = filepath.Join(t.TempDir(), "ready.json")
	_, stop := serveUntil(t, c)
	other, stopOther := serveUntil(t, c)
	stop()
	if ready := readReady(t, c.ReadyFile); ready.URL != other.URL {
		t.Errorf("the file says %s, and the server that runs is %s", ready.URL, other.URL)
	}
	stopOther()
	checkFolder(t, filepath.Dir(c.ReadyFile))
}

// A start that cannot say that it is ready is refused, and leaves nothing.
func TestReadyFileRefused(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing", "ready.json")
	for path, want := range map[string]string{
		missing: "--ready-file: open " + missing[:len(missing)-len("ready.json")],
		mine:    "--ready-file: " + mine + " is there already, and no server has written it; name another file",
		dir:     "--ready-file: " + dir + " is there already",
	} {
		c := good()
		c.ReadyFile = path
		err := Serve(t.Context(), c, t.Output(), func(Started) { t.Error("it started") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	checkFolder(t, dir, "mine")
	if text, err := os.ReadFile(mine); err != nil || string(text) != "mine" {
		t.Errorf("the file is now %q, %v", text, err)
	}
	if _, err := prepareReadyFile(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is missing: %v", err)
	}
}
