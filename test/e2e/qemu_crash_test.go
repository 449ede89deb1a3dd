package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
)

const (
	// realRounds is how often the server is killed, and realLongest how many
	// milliseconds it works at most before.
	realRounds  = 4
	realLongest = 2500
)

// realCrash is a Droplet that runs whatever happens to servers.
type realCrash struct {
	*realCloud
	random   *rand.Rand
	survivor guest
	pid      int
	boot     string
}

// Machines run on while no server does, and the next one takes them over. The
// server is killed at random instants in the middle of a create, a snapshot and
// a destroy, and all that it has accepted ends.
func TestRealCrash(t *testing.T) {
	t.Parallel()
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to repeat the instants: -crash.seed %d", seed)
	c := &realCrash{realCloud: newRealCloud(t), random: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // not for secrets
	c.survivor = c.create(c.request("survivor"))[0]
	c.boot = c.survivor.run("echo kept > /root/file; cat /proc/sys/kernel/random/boot_id")
	c.pid = c.realCloud.pid(c.survivor.id)
	c.step("stop", c.stopped)
	c.step("kill", c.killed)
}

// stopped stops the server in order.
func (c *realCrash) stopped() {
	at, err := c.access(c.survivor.id, false)
	c.good(err)
	c.good(c.server.terminate())
	if text, err := ask(c.Context(), fmt.Sprintf("%s:%d", at.Address, at.Port)); err == nil {
		c.Errorf("without a server, the network says %q", text)
	}
	c.serve()
	c.survived()
}

// survived expects the survivor as it was.
func (c *realCrash) survived() {
	c.Helper()
	if pid := c.realCloud.pid(c.survivor.id); pid != c.pid {
		c.Errorf("the survivor's process was %d and is %d", c.pid, pid)
	}
	if status := c.survivor.droplet().Status; status != "active" {
		c.Errorf("the survivor is %s", status)
	}
	c.survivor.expect("cat /proc/sys/kernel/random/boot_id /root/file", c.boot+"\nkept")
}

// killed kills the server while it makes one Droplet, copies another, and
// destroys a third.
func (c *realCrash) killed() {
	var last guest
	for round := 1; round <= realRounds && !c.Failed(); round++ {
		action, _, err := c.api.DropletActions.Snapshot(c.Context(), c.survivor.id, fmt.Sprintf("round-%d", round))
		c.good(err)
		next := c.begin(c.request(fmt.Sprintf("round-%d", round)))
		if last.id != 0 {
			_, err := c.api.Droplets.Delete(c.Context(), last.id)
			c.good(err)
		}
		instant := time.Duration(c.random.IntN(realLongest)) * time.Millisecond
		time.Sleep(instant) // the random instant
		c.server.kill()
		c.Logf("round %d: killed after %s", round, instant)
		c.good(c.server.complaints())
		c.serve()
		c.copied(action.ID, round)
		c.status(next.id, "active")
		next.expect("hostname", next.name)
		c.gone(last)
		c.survived()
		last = next
	}
	c.onlyDroplets(c.survivor, last)
}

// copied expects that a snapshot has ended well.
func (c *realCrash) copied(action, round int) {
	c.Helper()
	if status := c.ended(action); status != godo.ActionCompleted {
		c.Errorf("the snapshot's action is %s", status)
	}
	snapshots, _, err := c.api.Droplets.Snapshots(c.Context(), c.survivor.id, &godo.ListOptions{PerPage: 100})
	c.good(err)
	if len(snapshots) != round {
		c.Errorf("there are %d snapshots after round %d", len(snapshots), round)
	}
}

// gone waits until a Droplet is gone with its process and its folder.
func (c *realCrash) gone(g guest) {
	c.Helper()
	if g.id == 0 {
		return
	}
	c.until(g.name+" to be gone", func() (bool, error) {
		_, response, err := c.api.Droplets.Get(c.Context(), g.id)
		if err != nil && response != nil && response.StatusCode == http.StatusNotFound {
			return true, nil
		}
		return false, err
	})
	if pid := c.realCloud.pid(g.id); pid != 0 {
		c.Errorf("%s is gone, and its process %d runs", g.name, pid)
	}
}

// onlyDroplets expects the processes and folders of some Droplets and no others.
func (c *realCrash) onlyDroplets(guests ...guest) {
	c.Helper()
	var want, folders, processes []string
	for _, g := range guests {
		want = append(want, fmt.Sprint(g.id))
	}
	entries, err := os.ReadDir(filepath.Join(c.data, "qemu", "machines"))
	c.good(err)
	for _, entry := range entries {
		folders = append(folders, entry.Name())
	}
	for _, p := range c.processes() {
		processes = append(processes, strings.TrimPrefix(p.machine, "cistern-"))
	}
	slices.Sort(want)
	slices.Sort(processes)
	if !slices.Equal(folders, want) || !slices.Equal(processes, want) {
		c.Errorf("the folders are %v and the processes %v, want those of %v", folders, processes, want)
	}
	images, err := os.ReadDir(filepath.Join(c.data, "qemu", "images"))
	c.good(err)
	if len(images) != realRounds {
		c.Errorf("there are %d folders of images after %d snapshots", len(images), realRounds)
	}
}
