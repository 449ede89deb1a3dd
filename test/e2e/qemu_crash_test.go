package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digitalocean/godo"
)

var realRounds = flag.Int("crash.real", 6, "how often to kill the server with real machines")

// realLongest is how many milliseconds it works at most before.
const realLongest = 1500

// realCrash is a Droplet that runs whatever happens to servers.
type realCrash struct {
	*realCloud
	random   *rand.Rand
	survivor guest
	pid      int
	boot     string
	worker   guest
	volume   string
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
	c.importBootDisk()
	c.worker = c.create(c.small("worker"))[0]
	c.step("stop", c.stopped)
	c.step("end while nobody watches", c.endedUnwatched)
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

// endedUnwatched has a process end while no server runs: by itself, and with the
// host.
func (c *realCrash) endedUnwatched() {
	c.good(c.server.terminate())
	c.endProcess(c.worker)
	c.serve()
	c.status(c.worker.id, "off")
	c.done(c.api.DropletActions.PowerOn(c.Context(), c.worker.id))

	c.good(c.server.terminate())
	c.endProcess(c.worker)
	db := c.open("qemu/engine.db")
	_, err := db.Exec(`UPDATE things SET data = json_set(data, '$.boot', 'an earlier start of the host')
		WHERE kind = 'machine' AND id = $1`, fmt.Sprint(c.worker.id))
	c.good(errors.Join(err, db.Close()))
	c.serve()
	// It may still be shown as active from before, and is off until it is started.
	c.until("the worker to be started again", func() (bool, error) {
		_, err := c.get(fmt.Sprintf("/_cistern/droplets/%d/screenshot", c.worker.id), io.Discard)
		return err == nil, nil
	})
	c.status(c.worker.id, "active")
	c.consoleShows("worker", imported)
	c.survived()
}

// endProcess ends a Droplet's process and waits until it has ended.
func (c *realCrash) endProcess(g guest) {
	c.Helper()
	pid := c.realCloud.pid(g.id)
	if pid == 0 {
		c.Fatalf("%s has no process", g.name)
	}
	pidfile, err := os.OpenFile(filepath.Join(c.data, "qemu", "machines", fmt.Sprint(g.id), "qemu.pid"), os.O_RDWR, 0)
	c.good(err)
	defer pidfile.Close()
	c.good(syscall.Kill(pid, syscall.SIGKILL))
	// Some of its threads may take longer than others; the last lets go of this.
	c.until("a process to end", func() (bool, error) {
		lock := syscall.Flock_t{Type: syscall.F_WRLCK}
		err := syscall.FcntlFlock(pidfile.Fd(), syscall.F_GETLK, &lock)
		return lock.Type == syscall.F_UNLCK, err
	})
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

// killed kills the server while it makes one Droplet, copies another, destroys a
// third, and does something else to a fourth.
func (c *realCrash) killed() {
	volume, _, err := c.api.Storage.CreateVolume(c.Context(), &godo.VolumeCreateRequest{Region: "local1", Name: "moved", SizeGigaBytes: 1})
	c.good(err)
	c.volume = volume.ID
	var last guest
	for round := 1; round <= *realRounds && !c.Failed(); round++ {
		snapshot, _, err := c.api.DropletActions.Snapshot(c.Context(), c.survivor.id, fmt.Sprintf("round-%d", round))
		c.good(err)
		next := c.begin(c.small(fmt.Sprintf("round-%d", round)))
		if last.id != 0 {
			_, err := c.api.Droplets.Delete(c.Context(), last.id)
			c.good(err)
		}
		change := c.change(round)
		// Most happens soon after the requests.
		instant := time.Duration(math.Pow(c.random.Float64(), 2)*realLongest) * time.Millisecond
		time.Sleep(instant) // the random instant
		c.server.kill()
		c.Logf("round %d: killed after %s", round, instant)
		c.good(c.server.complaints())
		c.serve()
		c.completed(snapshot, change)
		c.status(next.id, "active")
		c.consoleShows(next.name, imported)
		c.gone(last)
		c.survived()
		c.agree(round, c.survivor, c.worker, next)
		last = next
		if c.worker.droplet().Status == "off" {
			c.done(c.api.DropletActions.PowerOn(c.Context(), c.worker.id))
		}
	}
}

// small is a request for a Droplet that starts at once, and does nothing else.
func (c *realCrash) small(name string) *godo.DropletCreateRequest {
	request := c.request(name)
	request.Image.Slug = bootSlug
	return request
}

// change does one thing to the worker, another in each round.
func (c *realCrash) change(round int) (a *godo.Action) {
	c.Helper()
	var err error
	actions, id := c.api.DropletActions, c.worker.id
	switch round % 6 {
	case 0:
		a, _, err = actions.PowerOff(c.Context(), id)
	case 1:
		a, _, err = c.api.StorageActions.Attach(c.Context(), c.volume, id)
	case 2:
		a, _, err = actions.RebuildByImageSlug(c.Context(), id, bootSlug)
	case 3:
		a, _, err = actions.PowerCycle(c.Context(), id)
	case 4:
		a, _, err = c.api.StorageActions.DetachByDropletID(c.Context(), c.volume, id)
	case 5:
		a, _, err = actions.Snapshot(c.Context(), id, "worker")
	}
	c.good(err)
	return a
}

// completed expects that actions end well.
func (c *realCrash) completed(actions ...*godo.Action) {
	c.Helper()
	for _, a := range actions {
		if status := c.ended(a.ID); status != godo.ActionCompleted {
			c.Errorf("the action %s is %s", a.Type, status)
		}
	}
}

// gone waits until a Droplet is gone with its process and its folder.
func (c *realCloud) gone(g guest) {
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
	if pid := c.pid(g.id); pid != 0 {
		c.Errorf("%s is gone, and its process %d runs", g.name, pid)
	}
}

// agree expects that the engine has what the API shows: the folders and processes
// of some Droplets, a volume where it is attached, and the images.
func (c *realCrash) agree(round int, guests ...guest) {
	c.Helper()
	var want, running, processes []string
	for _, g := range guests {
		id := fmt.Sprint(g.id)
		want = append(want, id)
		if g.droplet().Status == "active" {
			running = append(running, id)
		}
		links, err := filepath.Glob(filepath.Join(c.data, "qemu", "machines", id, "volume-*"))
		if err != nil || len(links) != len(g.droplet().VolumeIDs) {
			c.Errorf("%s has the volumes %v and the links %v (%v)", g.name, g.droplet().VolumeIDs, links, err)
		}
	}
	for _, p := range c.processes() {
		processes = append(processes, strings.TrimPrefix(p.machine, "cistern-"))
	}
	slices.Sort(want)
	slices.Sort(running)
	slices.Sort(processes)
	if !slices.Equal(processes, running) {
		c.Errorf("after round %d there are processes of %v, want those of %v", round, processes, running)
	}
	if folders := c.folders("machines"); !slices.Equal(folders, want) {
		c.Errorf("after round %d there are folders of %v, want those of %v", round, folders, want)
	}
	images, _, err := c.api.Images.ListUser(c.Context(), &godo.ListOptions{PerPage: 200})
	c.good(err)
	if folders := c.folders("images"); len(images) < round || len(folders) != len(images) {
		c.Errorf("after round %d there are folders of the images %v, and the API has %d", round, folders, len(images))
	}
}

// folders are what the engine keeps of a kind.
func (c *realCrash) folders(kind string) (names []string) {
	c.Helper()
	entries, err := os.ReadDir(filepath.Join(c.data, "qemu", kind))
	c.good(err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
