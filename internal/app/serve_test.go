package app

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/logtest"
)

// A server answers once it says so, and ends in order when it is told to.
func TestServe(t *testing.T) {
	c := good()
	c.Storage = Storage{Data: filepath.Join(t.TempDir(), "data")}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	started, ended := make(chan Started, 1), make(chan error, 1)
	var logs logtest.Buffer
	go func() { ended <- Serve(ctx, c, &logs, func(s Started) { started <- s }) }()
	var s Started
	select {
	case s = <-started:
	case err := <-ended:
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/healthz": 200, "/v2/account": 401, "/v2/nothing": 401} {
		res, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("GET %s without a token answers %d, want %d", path, res.StatusCode, want)
		}
	}
	if kept, err := os.ReadFile(s.TokenFile); err != nil || strings.TrimSpace(string(kept)) != s.Token {
		t.Errorf("%s holds %q, %v; the token is %q", s.TokenFile, kept, err, s.Token)
	}
	if !signal.Ignored(syscall.SIGHUP) { // as it is by nohup, and then stays
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil { // it ends nothing
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); !strings.Contains(logs.String(), "SIGHUP: there is no certificate"); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("SIGHUP is not in the log after a minute:\n%s", logs.String())
			}
		}
	}
	stop()
	select {
	case err := <-ended:
		if err != nil || !strings.Contains(logs.String(), "stopping") || strings.Contains(logs.String(), s.Token) {
			t.Errorf("it ended with %v and logged:\n%s", err, logs.String())
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
}

// A port that is taken is told as such, and leaves no account behind.
func TestServeOnATakenPort(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c := good()
	c.Storage, c.Listen = Storage{Data: t.TempDir()}, other.Addr().String()
	err = Serve(t.Context(), c, t.Output(), func(Started) { t.Error("it started") })
	if err == nil || !strings.Contains(err.Error(), "--listen "+c.Listen+": something listens there already") {
		t.Errorf("a taken port: %v", err)
	}
	err = WithAccounts(t.Context(), c.Storage, func(accounts control.Accounts) error {
		if _, there, err := accounts.First(t.Context()); err != nil || there {
			t.Errorf("it has made an account: %v, %v", there, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
