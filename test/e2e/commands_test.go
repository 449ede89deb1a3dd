package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are what scripts may use beside testscript's own (exec, stdout,
// cmp ...). README.md documents them.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"serve":        serve,
	"sigterm":      sigterm,
	"sigkill":      sigkill,
	"api":          api,
	"reply":        reply,
	"get":          get,
	"await":        await,
	"capture":      capture,
	"follows":      follows,
	"exits":        exits,
	"document":     document,
	"newer-schema": newerSchema,
}

// awaitLimit is how long a script waits for what must come true.
const awaitLimit = 60 * time.Second

func sessionOf(ts *testscript.TestScript) *session { return ts.Value(sessionKey{}).(*session) }

// usage ends a script that uses a command wrongly.
func usage(ts *testscript.TestScript, wrong bool, text string) {
	if wrong {
		ts.Fatalf("usage: %s", text)
	}
}

// serve [FLAG...] starts the server and waits until it answers. It sets $URL
// and $TOKEN, and what the server prints is stdout.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, "serve [flag...]; to see it refuse, use: ! exec cistern serve")
	s := sessionOf(ts)
	if s.server != nil {
		ts.Fatalf("a server runs already")
	}
	server, err := start(ts.MkAbs("."), environ(ts), args...)
	ts.Check(err)
	s.server = server
	ts.Setenv("URL", server.url)
	if file := server.tokenFile(); file != "" {
		ts.Setenv("TOKEN", strings.TrimSpace(ts.ReadFile(file)))
	}
	fmt.Fprint(ts.Stdout(), server.stdout.String())
}

// environ is the script's environment, as far as a server looks at it.
func environ(ts *testscript.TestScript) []string {
	env := []string{}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_STATE_HOME"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	for _, flag := range []string{
		"data", "ephemeral", "database", "listen", "insecure-http", "engine", "token", "public-url", "catalog",
		"rate-limit", "sim-latency", "log-format", "log-level",
	} {
		name := "CISTERN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// sigterm stops the server, which must end in order and in time. What it has
// printed and logged is stdout and stderr.
func sigterm(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "sigterm")
	server := running(ts)
	sessionOf(ts).server = nil
	ts.Check(server.terminate())
	fmt.Fprint(ts.Stdout(), server.stdout.String())
	fmt.Fprint(ts.Stderr(), server.stderr.String())
}

// sigkill ends the server at once, as a power failure would.
func sigkill(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "sigkill")
	server := running(ts)
	sessionOf(ts).server = nil
	server.kill()
	ts.Check(server.complaints())
}

func running(ts *testscript.TestScript) *server {
	s := sessionOf(ts).server
	if s == nil {
		ts.Fatalf("no server runs; start one with serve")
	}
	return s
}

// api [-as TOKEN] [-H 'Name: value'] METHOD PATH [JSON] [&] sends a request.
// It must be answered with 2xx, or after ! with anything else. The answer is
// stdout: its status, then its body. With & the answer is left to reply.
func api(ts *testscript.TestScript, neg bool, args []string) {
	const how = "api [-as TOKEN] [-H 'Name: value'] METHOD PATH [JSON] [&]"
	s := sessionOf(ts)
	token, header := ts.Getenv("TOKEN"), http.Header{}
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-as":
			token = args[1]
		case "-H":
			name, value, ok := strings.Cut(args[1], ":")
			usage(ts, !ok, how)
			header.Set(name, strings.TrimSpace(value))
		default:
			usage(ts, true, how)
		}
		args = args[2:]
	}
	later := len(args) > 0 && args[len(args)-1] == "&"
	if later {
		args = args[:len(args)-1]
	}
	usage(ts, len(args) < 2 || len(args) > 3 || later && neg, how)
	body := strings.Join(args[2:], "")
	send := func() answer { return request(args[0], running(ts).url+args[1], token, body, header) }
	if later {
		s.coming = make(chan answer, 1)
		go func() { s.coming <- send() }()
		return
	}
	report(ts, neg, send())
}

// reply waits for the answer to the request that was sent with &.
func reply(ts *testscript.TestScript, neg bool, args []string) {
	s := sessionOf(ts)
	usage(ts, len(args) > 0 || s.coming == nil, "[!] reply, after api ... &")
	a := <-s.coming
	s.coming = nil
	report(ts, neg, a)
}

// report makes an answer the last one and judges its status.
func report(ts *testscript.TestScript, refused bool, a answer) {
	ts.Check(a.err)
	sessionOf(ts).last = a
	fmt.Fprint(ts.Stdout(), a.text())
	if a.ok() == refused {
		ts.Fatalf("the answer is %s", a.text())
	}
}

// get NAME FIELD puts a field of the last answer into the environment.
func get(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "get NAME FIELD, such as: get DROPLET droplet.id")
	value, ok := sessionOf(ts).last.field(args[1])
	if !ok {
		ts.Fatalf("the last answer has no %s:\n%s", args[1], sessionOf(ts).last.text())
	}
	ts.Setenv(args[0], value)
}

// await PATH gone waits until PATH answers 404; await PATH FIELD [VALUE] until
// the field is there, and has the value. The answer is stdout.
func await(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3, "await PATH gone | await PATH FIELD [VALUE]")
	url, token := running(ts).url+args[0], ts.Getenv("TOKEN")
	var a answer
	err := poll(awaitLimit, strings.Join(args, " "), func() (bool, error) {
		a = request(http.MethodGet, url, token, "", nil)
		if a.err != nil {
			return false, a.err
		}
		if args[1] == "gone" {
			return strings.HasPrefix(a.status, "404"), nil
		}
		value, ok := a.field(args[1])
		return ok && (len(args) == 2 || value == args[2]), nil
	})
	if err != nil {
		ts.Fatalf("%v; the last answer was %s", err, a.text())
	}
	report(ts, args[1] == "gone", a)
}

// capture NAME PATTERN puts what the pattern's group matches in stdout into the
// environment.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "capture NAME 'PATTERN with a (group)'")
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("stdout has no %s", args[1])
	}
	ts.Setenv(args[0], found[1])
	fmt.Fprint(ts.Stdout(), ts.ReadFile("stdout"))
}

// follows A B expects that the number B comes right after A.
func follows(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "follows A B")
	a, errA := strconv.ParseInt(args[0], 10, 64)
	b, errB := strconv.ParseInt(args[1], 10, 64)
	ts.Check(errors.Join(errA, errB))
	if b != a+1 {
		ts.Fatalf("%d does not follow %d", b, a)
	}
}

// exits STATUS COMMAND [ARG...] runs a command, as exec does, that must end with
// the status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2, "exits STATUS COMMAND [ARG...]")
	err := ts.Exec(args[1], args[2:]...)
	status := "0"
	if ended, is := errors.AsType[*exec.ExitError](err); is {
		status = strconv.Itoa(ended.ExitCode())
	} else {
		ts.Check(err)
	}
	if status != args[0] {
		ts.Fatalf("it ended with %s\n%s%s", status, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// document expects that stdout is one JSON document, and makes it the last
// answer.
func document(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "document")
	text := []byte(ts.ReadFile("stdout"))
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		ts.Fatalf("stdout is not one JSON document: %v\n%s", err, text)
	}
	sessionOf(ts).last = answer{status: "200 OK", body: text}
}

// newer-schema makes the script's database look like one that a later version
// of cistern has made.
func newerSchema(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "newer-schema")
	driver, dsn := "pgx", ts.Getenv("CISTERN_DATABASE")
	if dsn == "" {
		driver, dsn = "sqlite", filepath.Join(ts.Getenv("XDG_STATE_HOME"), "cistern", "cistern.db")
		_, err := os.Stat(dsn)
		ts.Check(err)
	}
	db, err := sql.Open(driver, dsn)
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(`INSERT INTO cistern_schema (version_id, is_applied) VALUES (9999, true)`)
	ts.Check(err)
}
