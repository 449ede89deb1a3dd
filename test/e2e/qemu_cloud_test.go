package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/image/imagetest"
)

const (
	qemuToken = "dop_v1_qemu"
	qemuSize  = "s-1vcpu-512mb-10gb"
	// guestLimit is how long a guest may take for what takes seconds where
	// nothing else runs.
	guestLimit = 3 * time.Minute
)

// realCloud is a cloud with real machines, which outlive its servers. They end
// with its test.
type realCloud struct {
	*testing.T
	home, data string
	// public and reserved are where its addresses come from.
	public, reserved string
	user             *syscall.Credential // of the server; nil for this process's
	server           *server
	api              *godo.Client
	signer           ssh.Signer
	keyFile          string // of the same key
	keyID            int
}

// clouds counts those of this process.
var clouds atomic.Int32

// newRealCloud starts a server with the tiny image and an SSH key. Its addresses
// are its own: tests of other processes run beside.
func newRealCloud(t *testing.T, flags ...string) *realCloud {
	t.Helper()
	return newRealCloudAs(t, nil, flags...)
}

// newRealCloudAs is newRealCloud with a server that somebody else runs, unless that
// is nil.
func newRealCloudAs(t *testing.T, user *syscall.Credential, flags ...string) *realCloud {
	t.Helper()
	home := t.TempDir()
	data := filepath.Join(home, "data")
	imagetest.TinyIn(t, filepath.Join(data, "images"))
	// Where the server is root, the machines' user has to get at what is theirs.
	for dir := home; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	n, part := clouds.Add(1), 130+os.Getpid()%120
	c := &realCloud{
		T: t, home: home, data: data, user: user,
		public: fmt.Sprintf("127.%d.%d.0/24", part, n), reserved: fmt.Sprintf("127.%d.%d.0/24", part, 100+n),
	}
	t.Cleanup(c.end)
	if deadline, has := t.Deadline(); has { // at which nothing is cleaned up any more
		late := time.AfterFunc(time.Until(deadline)-10*time.Second, c.endAll)
		t.Cleanup(func() { late.Stop() })
	}
	c.handOver()
	c.serve(flags...)
	c.addKey()
	return c
}

// serve starts a server.
func (c *realCloud) serve(flags ...string) {
	c.Helper()
	s, err := startAs(c.user, c.home, c.environ(), c.serveFlags(flags...)...)
	if err != nil {
		c.Fatal(err)
	}
	c.server = s
	c.api, err = godo.New(nil, godo.SetBaseURL(s.url+"/"), godo.SetRequestHeaders(map[string]string{"Authorization": "Bearer " + qemuToken}))
	if err != nil {
		c.Fatal(err)
	}
}

// serveFlags are a server's, with more that win over them.
func (c *realCloud) serveFlags(flags ...string) []string {
	return append([]string{
		"--engine", "qemu", "--accel", "tcg", "--disk-overcommit", "100", "--data", c.data, "--listen", "127.0.0.1:0", "--token", qemuToken, "--rate-limit", "off",
		"--public-pool", c.public, "--reserved-pool", c.reserved,
	}, flags...)
}

// environ is this process's without what would change a cistern.
func (c *realCloud) environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "CISTERN_") || strings.HasPrefix(v, "DIGITALOCEAN_") || strings.HasPrefix(v, "XDG_")
	})
	return append(env, "HOME="+c.home, "XDG_STATE_HOME="+filepath.Join(c.home, "state"))
}

// end leaves nothing behind that runs.
func (c *realCloud) end() {
	if c.Failed() && c.server != nil {
		c.Log("the server says:\n" + c.server.stderr.String())
	}
	c.endAll()
	if c.server != nil {
		c.logIsLog()
	}
	if c.Failed() {
		c.logMachines()
	}
}

// endAll ends every process of the cloud.
func (c *realCloud) endAll() {
	if c.server != nil {
		c.server.kill()
	}
	for _, p := range c.processes() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended by itself
		if err := poll(startLimit, "a machine to end", func() (bool, error) { return !c.runs(p.pid), nil }); err != nil {
			c.Error(err)
		}
	}
}

// logIsLog expects that nothing writes among the lines of the server's log.
func (c *realCloud) logIsLog() {
	for line := range strings.Lines(c.server.stderr.String()) {
		if !strings.HasPrefix(line, "time=") {
			c.Errorf("the server has written: %s", line)
		}
	}
}

// logMachines shows how the machines of a failed test got on.
func (c *realCloud) logMachines() {
	logs, err := filepath.Glob(filepath.Join(c.data, "qemu", "machines", "*", "*.log"))
	if err != nil {
		c.Error(err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		c.Logf("%s (%v):\n%s", log, err, text[max(0, len(text)-1000):])
	}
}

// process is a machine's.
type process struct {
	pid     int
	dir     string // that it runs in
	machine string // by its name, such as cistern-1
}

// processes are those of the cloud's machines.
func (c *realCloud) processes() (found []process) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		c.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || c.server != nil && pid == c.server.cmd.Process.Pid {
			continue
		}
		dir, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if err != nil || !strings.HasPrefix(dir, c.data+"/") {
			continue
		}
		words, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline")) // it may have ended meanwhile
		p := process{pid: pid, dir: strings.TrimSuffix(dir, " (deleted)")}
		if _, name, is := strings.Cut(string(words), "-name\x00"); is {
			p.machine, _, _ = strings.Cut(name, "\x00")
		}
		found = append(found, p)
	}
	return found
}

func (c *realCloud) runs(pid int) bool {
	return slices.ContainsFunc(c.processes(), func(p process) bool { return p.pid == pid })
}

// pid is a Droplet's process, or 0.
func (c *realCloud) pid(droplet int) int {
	for _, p := range c.processes() {
		if p.machine == fmt.Sprintf("cistern-%d", droplet) {
			return p.pid
		}
	}
	return 0
}

// runsAs is who a Droplet's process runs as.
func (c *realCloud) runsAs(droplet int) uint32 {
	info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(c.pid(droplet))))
	c.good(err)
	return info.Sys().(*syscall.Stat_t).Uid
}

// addKey makes an SSH key and tells the cloud its public part.
func (c *realCloud) addKey() {
	c.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		c.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		c.Fatal(err)
	}
	if c.signer, err = ssh.NewSignerFromKey(private); err != nil {
		c.Fatal(err)
	}
	c.keyFile = filepath.Join(c.home, "key")
	if err := os.WriteFile(c.keyFile, pem.EncodeToMemory(block), 0o600); err != nil {
		c.Fatal(err)
	}
	key, _, err := c.api.Keys.Create(c.Context(), &godo.KeyCreateRequest{
		Name: "test", PublicKey: string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(c.signer.PublicKey()))),
	})
	if err != nil {
		c.Fatal(err)
	}
	c.keyID = key.ID
}

// cistern runs the binary as a person would, and returns what it prints.
func (c *realCloud) cistern(args ...string) (string, error) {
	cmd := exec.CommandContext(c.Context(), binary, args...)
	cmd.Dir, cmd.Env = c.home, c.asClient()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("cistern %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), err
}

// asClient is environ with the way to the server.
func (c *realCloud) asClient() []string {
	return append(c.environ(), "DIGITALOCEAN_API_URL="+c.server.url, "DIGITALOCEAN_TOKEN="+qemuToken)
}

// cisternAccess is what the server tells of the way to a Droplet.
type cisternAccess struct {
	Address  string
	Port     int
	Password string
}

// access asks for the way to a Droplet, and for its password if that is not
// told yet.
func (c *realCloud) access(droplet int, password bool) (cisternAccess, error) {
	var answer struct{ Access cisternAccess }
	_, err := c.get(fmt.Sprintf("/_cistern/droplets/%d/access?password=%t", droplet, password), &answer)
	return answer.Access, err
}

// get asks for what godo has no name for.
func (c *realCloud) get(path string, into any) (*godo.Response, error) {
	request, err := c.api.NewRequest(c.Context(), http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return c.api.Do(c.Context(), request, into)
}

// step runs a part of the test as one of its own.
func (c *realCloud) step(name string, run func()) {
	whole := c.T
	whole.Run(name, func(t *testing.T) {
		c.T = t
		defer func() { c.T = whole }()
		run()
	})
}

// good ends the test where something has gone wrong.
func (c *realCloud) good(err error) {
	if err != nil {
		c.Helper()
		c.Fatal(err)
	}
}

// done waits until an action has ended well.
func (c *realCloud) done(a *godo.Action, _ *godo.Response, err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
	if status := c.ended(a.ID); status != godo.ActionCompleted {
		c.Fatalf("the action %s of %s %d is %s\n%s", a.Type, a.ResourceType, a.ResourceID, status, c.server.stderr.String())
	}
}

// ended waits until an action has ended, and returns how.
func (c *realCloud) ended(action int) (status string) {
	c.Helper()
	c.until("an action to end", func() (bool, error) {
		a, _, err := c.api.Actions.Get(c.Context(), action)
		if err != nil {
			return false, err
		}
		status = a.Status
		return status != godo.ActionInProgress, nil
	})
	return status
}

// until asks until the answer is yes.
func (c *realCloud) until(what string, is func() (bool, error)) {
	c.Helper()
	if err := poll(guestLimit, what, is); err != nil {
		c.Fatal(err)
	}
}

// status waits until a Droplet has a status, and returns how long that took.
func (c *realCloud) status(droplet int, want string) time.Duration {
	c.Helper()
	began := time.Now()
	c.until(fmt.Sprintf("Droplet %d to be %s", droplet, want), func() (bool, error) {
		d, _, err := c.api.Droplets.Get(c.Context(), droplet)
		return err == nil && d.Status == want, err
	})
	return time.Since(began)
}

// request is what a small Droplet with the test's key is made from.
func (c *realCloud) request(name string) *godo.DropletCreateRequest {
	return &godo.DropletCreateRequest{
		Name: name, Region: "local1", Size: qemuSize, Image: godo.DropletCreateImage{Slug: "tiny"},
		SSHKeys: []godo.DropletCreateSSHKey{{ID: c.keyID}},
	}
}

// guest is a Droplet that can be logged in to.
type guest struct {
	*realCloud
	id   int
	name string
	auth ssh.AuthMethod
}

// begin starts making a Droplet.
func (c *realCloud) begin(request *godo.DropletCreateRequest) guest {
	c.Helper()
	d, _, err := c.api.Droplets.Create(c.Context(), request)
	if err != nil {
		c.Fatal(err)
	}
	return guest{c, d.ID, d.Name, ssh.PublicKeys(c.signer)}
}

// create makes Droplets, all at once, and returns when they are active.
func (c *realCloud) create(requests ...*godo.DropletCreateRequest) (guests []guest) {
	c.Helper()
	for _, request := range requests {
		guests = append(guests, c.begin(request))
	}
	for _, g := range guests {
		g.status(g.id, "active")
	}
	return guests
}

// droplet is how the API shows it.
func (g guest) droplet() *godo.Droplet {
	g.Helper()
	d, _, err := g.api.Droplets.Get(g.Context(), g.id)
	if err != nil {
		g.Fatal(err)
	}
	return d
}

// run runs a command in the guest as soon as it can be logged in to, which must
// succeed.
func (g guest) run(command string) (out string) {
	g.Helper()
	var last error
	err := poll(guestLimit, "ssh to "+g.name, func() (bool, error) {
		var err error
		out, err = g.try(command)
		if _, ran := errors.AsType[*ssh.ExitError](err); ran {
			return false, fmt.Errorf("%s: %s: %w: %s", g.name, command, err, out)
		}
		last = err
		return err == nil, nil
	})
	if err != nil {
		g.Fatalf("%v; %v", err, last)
	}
	return strings.TrimSpace(out)
}

// expect runs a command in the guest that must print a text.
func (g guest) expect(command, want string) {
	g.Helper()
	if got := g.run(command); got != want {
		g.Errorf("%s: %s: %q, want %q", g.name, command, got, want)
	}
}

// can runs a command in the guest until it prints a text. What runs out of time
// in a slow guest is tried again: this is for what comes before refuses.
func (g guest) can(command, want string) {
	g.Helper()
	var out string
	err := poll(guestLimit, command, func() (bool, error) {
		out, _ = g.try(command)
		return strings.TrimSpace(out) == want, nil
	})
	if err != nil {
		g.Fatalf("%s: %v; it prints %q, want %q", g.name, err, out, want)
	}
}

// refuses runs a command in the guest that must not succeed. As one that takes
// too long does not either, the guest has shown before that it can run such a one
// in the time for it.
func (g guest) refuses(command string) {
	g.Helper()
	g.can("timeout 3 "+metadata("id"), fmt.Sprint(g.id))
	if out := g.run("if " + command + "; then echo it succeeds; fi 2>&1"); strings.Contains(out, "it succeeds") {
		g.Errorf("%s: %s: %s", g.name, command, out)
	}
}

// try runs a command in the guest if it can be logged in to.
func (g guest) try(command string) (string, error) {
	client, err := g.login(g.auth)
	if err != nil {
		return "", err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	out, err := session.CombinedOutput(command)
	return string(out), err
}

// login connects to the guest's ssh.
func (g guest) login(auth ssh.AuthMethod) (*ssh.Client, error) {
	at, err := g.access(g.id, false)
	if err != nil {
		return nil, err
	}
	if at.Address == "" {
		return nil, fmt.Errorf("nothing leads to %s", g.name)
	}
	ctx, done := context.WithTimeout(g.Context(), 5*time.Second)
	defer done()
	address := fmt.Sprintf("%s:%d", at.Address, at.Port)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // fails on closed connections only
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{auth}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // keys are new with each guest
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// files are those of the cloud's engine, as far as they are of something.
func (c *realCloud) files() (names []string) {
	c.Helper()
	root := filepath.Join(c.data, "qemu")
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !strings.HasPrefix(entry.Name(), "engine.db") {
			names = append(names, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		c.Fatal(err)
	}
	return names
}

// screenshot is a Droplet's screen.
func (c *realCloud) screenshot(droplet int) []byte {
	c.Helper()
	var picture bytes.Buffer
	if _, err := c.get(fmt.Sprintf("/_cistern/droplets/%d/screenshot", droplet), io.Writer(&picture)); err != nil {
		c.Fatal(err)
	}
	return picture.Bytes()
}
