//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A start that the records speak against is refused before it touches the host or
// a machine, one that fails later takes back what it has made, and pools may change.
func TestRoutedStartsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRoutedHost(t)
	i := slices.Index(r.flags, "--listen")
	listen := slices.Clone(r.flags[i : i+2])
	r.host.within(t, func() { r.realCloud = newRealCloud(t, listen...) })
	web := r.create(r.request("web"))[0]
	r.boots(web)
	pid, address := r.pid(web.id), web.public()
	r.server.kill()

	was := r.listing(t)
	want := fmt.Sprintf("--network routed: the Droplet web (%d) has the address %s, which is of --network user; start with that, or destroy the Droplet there first", web.id, address)
	r.refusesToServe(want, r.flags...)
	r.isAgain(was)
	if now := r.pid(web.id); now != pid {
		t.Errorf("its process was %d and is %d", pid, now)
	}

	// Another pool, whose addresses would be the same inside.
	_, rest, _ := strings.Cut(r.public, ".")
	_, rest, _ = strings.Cut(rest, ".")
	r.host.within(t, func() { r.serve(append(listen, "--public-pool", "127.99."+rest)...) })
	next := r.create(r.request("next"))[0]
	r.boots(web)
	other := next.public()
	r.boots(next)
	inside := "198.18." + strings.Join(strings.Split(other, ".")[2:], ".")
	if !strings.HasPrefix(other, "127.99.") || strings.HasSuffix(address, strings.TrimPrefix(other, "127.99")) {
		t.Errorf("the Droplet beside %s has %s", address, other)
	}
	r.expects(web, "nc "+inside+" 22 </dev/null | head -c 3", "SSH")
	r.done(r.api.DropletActions.PowerCycle(t.Context(), web.id))
	r.boots(web)
	r.destroy(web)
	r.destroy(next)
	r.server.kill()
	r.isAgain(r.before)

	r.breakOff()

	r.restart()
	base := r.listing(t)
	routed := r.create(r.request("routed"))[0]
	was = r.listing(t)
	public := routed.public()
	r.server.kill()
	want = fmt.Sprintf("--network user: the Droplet routed (%d) has the address %s, which is of --network routed", routed.id, public)
	r.refusesToServe(want, listen...)
	r.isAgain(was)
	r.restart()
	r.cutOff(routed)
	r.destroy(routed)
	r.isAgain(base)
}

// cutOff cleans the network that a Droplet runs on, beside the server: all that
// happens then says that a power cycle gives it one again.
func (r *routedCloud) cutOff(g guest) {
	r.Helper()
	if out, err := r.clean(); err == nil || !strings.Contains(err.Error(), "power_cycle") {
		r.Errorf("while it runs: %s, %v", out, err)
	}
	if out, err := r.clean("--force"); err != nil || !strings.Contains(out, "until each is power-cycled") {
		r.Errorf("by force: %s, %v", out, err)
	}
	r.logs(fmt.Sprintf("power_cycle gives it one\" machine=%d", g.id))
	r.server.kill()
	r.restart()
	r.logs(fmt.Sprintf("power_cycle gives it one\" machine=%d name=%s", g.id, g.name))
	r.done(r.api.DropletActions.PowerCycle(r.Context(), g.id))
	r.boots(g)
}

// logs waits until the server has said something.
func (r *routedCloud) logs(text string) {
	r.Helper()
	r.until("the log to have "+text, func() (bool, error) { return strings.Contains(r.server.stderr.String(), text), nil })
}

// boots waits until a guest can be logged in to, by a connection that ends with no
// former server.
func (r *routedCloud) boots(g guest) {
	r.Helper()
	r.until(g.name+" to let somebody in", func() (bool, error) {
		name, err := r.ssh(place{r.host, ""}, g.public(), "hostname")
		return err == nil && name == g.name, nil
	})
	delete(r.shells, g.id)
}

// breakOff starts a server that fails when it has made its network.
func (r *routedCloud) breakOff() {
	r.Helper()
	records := filepath.Join(r.data, "qemu", "engine.db")
	r.good(os.Rename(records, records+".away"))
	for _, name := range []string{records + "-wal", records + "-shm"} {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			r.Fatal(err)
		}
	}
	r.good(os.Mkdir(records, 0o700))
	r.refusesToServe("unable to open database", r.flags...)
	r.isAgain(r.before)
	r.good(os.Remove(records))
	r.good(os.Rename(records+".away", records))
}

// refusesToServe starts a server that must not start, and say why.
func (r *routedCloud) refusesToServe(why string, flags ...string) {
	r.Helper()
	r.host.within(r, func() {
		s, err := startAs(r.user, r.home, r.environ(), r.serveFlags(flags...)...)
		if err == nil {
			s.kill()
			r.Fatalf("it serves with %v", flags)
		}
		if !strings.Contains(err.Error(), why) {
			r.Errorf("with %v it says %v, want %s", flags, err, why)
		}
	})
}
