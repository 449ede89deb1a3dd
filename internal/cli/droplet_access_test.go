package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// machines is a Cistern with one real machine, as far as commands ask for it.
type machines struct {
	*testing.T
	url string

	mu       sync.Mutex
	status   string
	address  string // empty for nowhere
	port     int
	password string
	asked    []string
	console  func(conn net.Conn)
}

func newMachines(t *testing.T) *machines {
	t.Helper()
	localFolder(t)
	m := &machines{T: t, status: "active", address: "127.0.0.1", port: 1}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/droplets", func(w http.ResponseWriter, r *http.Request) {
		found := []any{}
		switch r.URL.Query().Get("name") {
		case "web":
			found = append(found, m.droplet(7, "web"))
		case "two":
			found = append(found, m.droplet(8, "two"), m.droplet(9, "two"))
		}
		m.answer(w, map[string]any{"droplets": found})
	})
	mux.HandleFunc("POST /v2/droplets", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		m.answer(w, map[string]any{"droplets": []any{m.droplet(7, "new-1"), m.droplet(8, "new-2")}})
	})
	mux.HandleFunc("GET /v2/droplets/7", func(w http.ResponseWriter, _ *http.Request) {
		m.answer(w, map[string]any{"droplet": m.droplet(7, "web")})
	})
	mux.HandleFunc("GET /v2/droplets/7/actions", func(w http.ResponseWriter, _ *http.Request) {
		m.answer(w, map[string]any{"actions": []any{
			map[string]any{"id": 31, "type": "reboot"}, map[string]any{"id": 30, "type": "rebuild"}, map[string]any{"id": 21, "type": "restore"},
		}})
	})
	mux.HandleFunc("GET /_cistern/droplets/7/access", m.access)
	mux.HandleFunc("GET /_cistern/droplets/7/console", m.join)
	mux.HandleFunc("GET /_cistern/droplets/7/screenshot", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = io.WriteString(w, "\x89PNG...")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	m.url = server.URL
	return m
}

func (m *machines) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (m *machines) droplet(id int, name string) map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[string]any{"id": id, "name": name, "status": m.status, "created_at": "2026-11-21T17:10:57Z"}
}

func (m *machines) access(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, r.URL.RequestURI())
	a := access{User: "root", Console: m.status == "active"}
	if m.address != "" {
		a.Address, a.Port = &m.address, &m.port
	}
	if m.password != "" && r.URL.Query().Get("password") != "false" {
		told := m.password
		a.Password, m.password = &told, ""
	}
	m.answer(w, map[string]any{"access": a})
}

func (m *machines) join(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "cistern-console" || m.console == nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		m.answer(w, map[string]any{"id": "unprocessable_entity", "message": "Droplet is currently off."})
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		m.Error(err)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cistern-console\r\n\r\n")
	m.console(conn)
}

func (m *machines) run(arguments ...string) (status int, stdout, stderr string) {
	m.Helper()
	return m.runWith(nil, arguments...)
}

// runWith runs a command with something to read.
func (m *machines) runWith(stdin io.Reader, arguments ...string) (status int, stdout, stderr string) {
	m.Helper()
	at := len(arguments)
	for i, word := range arguments {
		if word == "--" {
			at = i
			break
		}
	}
	all := append(append([]string{}, arguments[:at]...), "--api-url", m.url, "--token", "t")
	all = append(all, arguments[at:]...)
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	var out, errs strings.Builder
	status = execute(m.Context(), all, stdin, &out, &errs)
	return status, out.String(), errs.String()
}

// want runs a command and expects a status, and texts in what it prints.
func (m *machines) want(line string, status int, texts ...string) string {
	m.Helper()
	got, stdout, stderr := m.run(strings.Fields(line)...)
	if got != status {
		m.Fatalf("cistern %s: %d, want %d\n%s%s", line, got, status, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			m.Errorf("cistern %s: no %q in\n%s%s", line, text, stdout, stderr)
		}
	}
	return stdout + stderr
}

// listens answers as an SSH server does on a port of this machine.
func (m *machines) listens(greeting string) {
	m.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, greeting)
			conn.Close()
		}
	}()
	m.port = listener.Addr().(*net.TCPAddr).Port
}

// fakeSSH puts a script in the place of ssh.
func fakeSSH(t *testing.T, script string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "ssh"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
}

func TestAccessCommandRefusals(t *testing.T) {
	m := newMachines(t)
	m.status, m.address = "off", ""
	for line, want := range map[string]string{
		"droplet access":                             "needs a Droplet's name or ID, such as in: cistern droplet access web-1",
		"droplet access web more":                    `"more" is one word too many`,
		"droplet access none":                        m.url + " has no Droplet with the name or ID none",
		"droplet access two":                         "2 Droplets are named two; say which by its ID:",
		"droplet access web -o yaml":                 "--output yaml: use text or json",
		"droplet ssh":                                "needs a Droplet's name or ID, such as in: cistern droplet ssh web-1 -- uptime",
		"droplet ssh web uptime":                     "takes the command to run after two dashes, such as in: cistern droplet ssh web-1 -- uptime",
		"droplet ssh two":                            "2 Droplets are named two; say which by its ID:",
		"droplet ssh web":                            "web is off; power it on first, with: doctl compute droplet-action power-on 7",
		"droplet console web":                        "Droplet is currently off.",
		"droplet screenshot two":                     "2 Droplets are named two",
		"droplet screenshot web -o /none/there/file": "no such file or directory",
	} {
		m.want(line, 1, want)
	}
	for _, what := range []string{"access", "ssh", "console", "screenshot"} {
		status, _, errs := run(t, "droplet", what, "web", "--token", "t")
		if status != 1 || !strings.Contains(errs, "this is for machines of a Cistern") {
			t.Errorf("%s of DigitalOcean: %d, %q", what, status, errs)
		}
	}
}

// A simulated machine cannot be reached, and the server says so.
func TestAccessCommandsAndSimulatedMachines(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", false)
	for _, what := range []string{"access", "ssh", "console", "screenshot"} {
		d.want("droplet "+what+" web", 1, "This server runs the engine sim, whose machines cannot be reached.")
	}
}

func TestAccessCommand(t *testing.T) {
	m := newMachines(t)
	m.password, m.port = "correct-horse", 2222
	m.want("droplet access web", 0, "web is at 127.0.0.1, port 2222.\n  ssh -p 2222 root@127.0.0.1\n",
		"The password of root is correct-horse (it is shown this once).\n", "cistern droplet console 7 --api-url "+m.url)
	if text := m.want("droplet access 7", 0, "web is at"); strings.Contains(text, "password") {
		t.Errorf("it is told again: %s", text)
	}
	m.port = 22
	m.want("droplet access web", 0, "  ssh root@127.0.0.1\n")
	var a access
	if err := json.Unmarshal([]byte(m.want("droplet access web -o json", 0)), &a); err != nil || *a.Port != 22 || a.Password != nil {
		t.Errorf("%+v, %v", a, err)
	}
	m.address, m.status = "", "off"
	m.want("droplet access web", 0, "Nothing leads to port 22 of web (off).\n")
}

// ssh is given the address, and host keys that no other Droplet's meet; its exit
// status is ours.
func TestSSHCommand(t *testing.T) {
	m := newMachines(t)
	m.listens("SSH-2.0-test\r\n")
	m.password = "correct-horse"
	fakeSSH(t, `printf '%s\n' "$@"; cat; exit 7`)
	status, out, errs := m.runWith(strings.NewReader("from stdin"), "droplet", "ssh", "web", "-i", "my key", "--", "uptime", "-p")
	known := filepath.Join(os.Getenv("XDG_STATE_HOME"), "cistern", "known_hosts-"+strings.ReplaceAll(strings.TrimPrefix(m.url, "http://"), ":", "_"))
	want := strings.Join([]string{
		"-p", strconv.Itoa(m.port), "-o", "ConnectTimeout=5", "-o", `UserKnownHostsFile="` + known + `"`, "-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "HostKeyAlias=droplet-7-2026-11-21T17_10_57Z-30", "-o", "StrictHostKeyChecking=accept-new", "-o", "CheckHostIP=no",
		"-o", "LogLevel=ERROR", "-i", "my key", "-l", "root", "--", "127.0.0.1", "uptime", "-p", "from stdin",
	}, "\n")
	if status != 7 || out != want || errs != "" {
		t.Errorf("%d %q\n%s\nwant\n%s", status, errs, out, want)
	}
	if len(m.asked) != 1 || m.asked[0] != "/_cistern/droplets/7/access?password=false" || m.password == "" {
		t.Errorf("it has asked %q", m.asked)
	}
	fakeSSH(t, "kill -9 $$")
	m.want("droplet ssh web -l admin", 128+9)
}

// A Droplet that does not answer yet is waited for, and then no longer.
func TestSSHCommandWaits(t *testing.T) {
	m := newMachines(t)
	fakeSSH(t, "exit 0")
	m.listens("") // as a port that is open before anything listens behind it
	at := fmt.Sprintf("127.0.0.1:%d", m.port)
	m.want("droplet ssh web --wait 0s", 1, "cistern: ssh does not answer at "+at+"; waited 0s for it")
	m.status = "new"
	m.want("droplet ssh web --wait 0s", 1, "it is still being created; waited 0s for it")
	m.status, m.address = "active", ""
	m.want("droplet ssh web --wait 1ms", 1, "nothing leads to port 22 of web: it has no public network, or its firewall closes it; waited 1ms for it")

	m.status, m.address = "new", "127.0.0.1"
	m.listens("SSH-2.0-test\r\n")
	done := make(chan int)
	go func() {
		status, _, _ := m.run("droplet", "ssh", "web")
		done <- status
	}()
	m.mu.Lock()
	m.status = "active"
	m.mu.Unlock()
	if status := <-done; status != 0 {
		t.Errorf("%d", status)
	}
	m.mu.Lock()
	m.status = "off"
	m.mu.Unlock()
	m.want("droplet ssh web", 1, "web is off")
}

func TestSSHCommandWithoutSSH(t *testing.T) {
	m := newMachines(t)
	t.Setenv("PATH", t.TempDir())
	m.want("droplet ssh web", 1, "there is no ssh on this machine; install it, on Debian with: apt install openssh-client")
}

// An address of another machine's loopback leads somewhere else from here.
func TestAccessFromElsewhere(t *testing.T) {
	r := reach{remote: remote{source: source{url: "https://cloud.example.com"}}}
	r.droplet.Name = "web"
	if err := r.elsewhere("127.100.0.2"); err == nil || !strings.Contains(err.Error(), "web is reached at 127.100.0.2 of the machine that https://cloud.example.com runs on, and from nowhere else; run this command there") {
		t.Errorf("got %v", err)
	}
	for url, address := range map[string]string{
		"https://cloud.example.com": "203.0.113.7", "http://127.0.0.1:7480": "127.100.0.2", "http://localhost:7480": "127.100.0.2", "http://[::1]:7480": "127.100.0.2",
	} {
		r.url = url
		if err := r.elsewhere(address); err != nil {
			t.Errorf("%s of %s: %v", address, url, err)
		}
	}
}

func TestScreenshotCommand(t *testing.T) {
	m := newMachines(t)
	t.Chdir(t.TempDir())
	m.want("droplet screenshot web", 0, "The screen of web is in web.png.\n")
	if text, err := os.ReadFile("web.png"); err != nil || !strings.HasPrefix(string(text), "\x89PNG") {
		t.Errorf("%q, %v", text, err)
	}
	m.want("droplet screenshot web -o other.png", 0, "in other.png.")
	if status, out, errs := m.run("droplet", "screenshot", "web", "-o", "-"); status != 0 || !strings.HasPrefix(out, "\x89PNG") || errs != "" {
		t.Errorf("%d, %q, %q", status, out, errs)
	}
}

// Without a terminal, what is read goes to the console, and what comes from it
// is written until it ends.
func TestConsoleCommandWithPipes(t *testing.T) {
	m := newMachines(t)
	m.console = func(conn net.Conn) {
		got := make([]byte, len("uptime\x1d\n"))
		_, _ = io.ReadFull(conn, got)
		fmt.Fprintf(conn, "got %q", got)
	}
	status, out, errs := m.runWith(strings.NewReader("uptime\x1d\n"), "droplet", "console", "web")
	if status != 0 || out != `got "uptime\x1d\n"` || errs != "" {
		t.Errorf("%d, %q, %q", status, out, errs)
	}
}
