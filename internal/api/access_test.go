package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

// realEngine is the simulated engine with machines that people can reach.
type realEngine struct {
	*sim.Engine
	mu       sync.Mutex
	password string
	consoles chan net.Conn // the machine's end of each console that was joined
	silent   error         // why its machines cannot be spoken to
}

func (e *realEngine) Access(context.Context, string) (engine.Access, error) {
	return engine.Access{Address: "127.100.0.2", Port: 2222}, nil
}

func (e *realEngine) TellPassword(context.Context, string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.password
	e.password = ""
	return told, nil
}

func (e *realEngine) Console(context.Context, string) (io.ReadWriteCloser, error) {
	if e.silent != nil {
		return nil, e.silent
	}
	ours, machines := net.Pipe()
	e.consoles <- machines
	return ours, nil
}

func (e *realEngine) Screenshot(context.Context, string) ([]byte, error) {
	return []byte("\x89PNG\r\n\x1a\n..."), e.silent
}

// eachReal runs a test against a server with real machines for each kind of
// database.
func eachReal(t *testing.T, test func(t *testing.T, s *server, e *realEngine)) {
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		e := &realEngine{consoles: make(chan net.Conn, 1)}
		s := startWith(t, c, func(sim *sim.Engine, config *control.Config) {
			e.Engine = sim
			config.Engine = e
		})
		test(t, s, e)
	})
}

var accessPaths = []string{"access", "console", "screenshot"}

func accessPath(droplet any, what string) string {
	return fmt.Sprintf("/_cistern/droplets/%v/%s", droplet, what)
}

// Simulated machines cannot be reached, and another's Droplet is not there.
func TestAccessRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		d := a.droplet("web")
		for _, what := range accessPaths {
			path := accessPath(d, what)
			newClient(t, s, "").get(path).refused(http.StatusUnauthorized, cloud.CodeUnauthorized, "Unable to authenticate you.")
			scope := cloud.Scope("droplet:admin")
			if what == "access" {
				scope = "droplet:read"
			}
			a.mayAllBut(scope).get(path).forbidden()
			s.newAccount(t).get(path).notFound()
			a.get(accessPath("web", what)).notFound()
			a.get(accessPath(d+1_000_000, what)).notFound()
			if what != "console" {
				a.get(path).refused(http.StatusNotImplemented, cloud.CodeNotImplemented, "This server runs the engine sim, whose machines cannot be reached.")
			}
		}
		a.do(http.MethodGet, accessPath(d, "console"), nil, "Connection", "Upgrade", "Upgrade", "cistern-console").
			refused(http.StatusNotImplemented, cloud.CodeNotImplemented, "This server runs the engine sim, whose machines cannot be reached.")
	})
}

// The password is told once, to those who may reset it, and never to a request
// that shows nothing.
func TestAccess(t *testing.T) {
	eachReal(t, func(t *testing.T, s *server, e *realEngine) {
		a := s.newAccount(t)
		d := a.droplet("web")
		e.password = "correct-horse"
		path := accessPath(d, "access")
		const without = `{"access":{"address":"127.100.0.2","port":2222,"user":"root","password":null,"console":true,"screenshot":true}}`
		a.mayAllBut("droplet:admin").get(path).is(http.StatusOK).shows("", without)
		a.do(http.MethodHead, path, nil).is(http.StatusOK)
		a.get(path+"?password=false").is(http.StatusOK).shows("", without)
		told := a.get(path).is(http.StatusOK)
		told.shows("access.password", `"correct-horse"`)
		if got := told.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q", got)
		}
		a.get(path).is(http.StatusOK).shows("", without)

		a.settle(a.post(fmt.Sprintf("/v2/droplets/%d/actions", d), map[string]any{"type": "power_off"}).is(http.StatusCreated))
		a.get(path).is(http.StatusOK).shows("access.console", `false`)
		const off = "Droplet is currently off. Please power it on to run this event."
		a.get(accessPath(d, "screenshot")).invalid(off)
		a.do(http.MethodGet, accessPath(d, "console"), nil, "Connection", "Upgrade", "Upgrade", "cistern-console").invalid(off)
	})
}

func TestScreenshot(t *testing.T) {
	eachReal(t, func(t *testing.T, s *server, e *realEngine) {
		a := s.newAccount(t)
		shot := a.get(accessPath(a.droplet("web"), "screenshot")).is(http.StatusOK)
		if got := shot.header.Get("Content-Type"); got != "image/png" || !strings.HasPrefix(string(shot.body), "\x89PNG") {
			t.Errorf("got %s %q", got, shot.body)
		}
	})
}

// A machine that runs and does not answer is no error of the server's.
func TestSilentMachine(t *testing.T) {
	eachReal(t, func(t *testing.T, s *server, e *realEngine) {
		a := s.newAccount(t)
		d := a.droplet("web")
		e.silent = &engine.Error{Transient: true, Message: "It does not answer."}
		for _, r := range []*answer{
			a.get(accessPath(d, "screenshot")),
			a.do(http.MethodGet, accessPath(d, "console"), nil, "Connection", "Upgrade", "Upgrade", "cistern-console"),
		} {
			r.refused(http.StatusServiceUnavailable, cloud.CodeUnavailable, "It does not answer.")
		}
	})
}

// terminal is a client's end of a console.
type terminal struct {
	net.Conn
	from *bufio.Reader
}

// console joins a Droplet's console, and returns both ends.
func (a *account) console(e *realEngine, droplet int64) (*terminal, net.Conn) {
	a.t.Helper()
	conn, err := net.Dial("tcp", a.s.Listener.Addr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { conn.Close() })
	req := a.request(http.MethodGet, accessPath(droplet, "console"), nil, "Connection", "Upgrade", "Upgrade", "cistern-console")
	if err := req.Write(conn); err != nil {
		a.t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	res, err := http.ReadResponse(from, req)
	if err != nil {
		a.t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "cistern-console" {
		a.t.Fatalf("got %s %v", res.Status, res.Header)
	}
	return &terminal{conn, from}, <-e.consoles
}

// passes checks that what is written at one end is read at the other.
func passes(t *testing.T, to io.Writer, from io.Reader, text string) {
	t.Helper()
	wrote := make(chan error, 1)
	go func() { _, err := io.WriteString(to, text); wrote <- err }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != text {
		t.Errorf("got %q, %v; want %q", got, err, text)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// ends checks that an end of a console is closed.
func ends(t *testing.T, from io.Reader) {
	t.Helper()
	if n, err := from.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes more", n)
	}
}

// A console is bytes in both directions, until either side ends or the server
// stops.
func TestConsole(t *testing.T) {
	eachReal(t, func(t *testing.T, s *server, e *realEngine) {
		a := s.newAccount(t)
		d := a.droplet("web")
		const how = "a console takes a connection of its own: send a GET over HTTP/1.1 with the headers Connection: Upgrade and Upgrade: cistern-console"
		plain := a.get(accessPath(d, "console"))
		plain.refused(http.StatusBadRequest, cloud.CodeBadRequest, how)
		if got := plain.header.Get("Upgrade"); got != "cistern-console" {
			t.Errorf("Upgrade is %q", got)
		}
		a.do(http.MethodGet, accessPath(d, "console"), nil, "Connection", "Upgrade", "Upgrade", "websocket").
			refused(http.StatusBadRequest, cloud.CodeBadRequest, how)

		person, machine := a.console(e, d)
		passes(t, machine, person.from, "login: \x00\xff")
		passes(t, person, machine, "root\r")
		machine.Close()
		ends(t, person.from)

		person, machine = a.console(e, d)
		person.Close()
		ends(t, machine)

		person, machine = a.console(e, d)
		s.handler.Stop()
		ends(t, person.from)
		ends(t, machine)
	})
}
