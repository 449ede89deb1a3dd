package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// watch returns the machines that stop by themselves from now on.
func (l *lab) watch() <-chan string {
	changed := make(chan string, 10)
	watching, stop := context.WithCancel(l.Context())
	l.Cleanup(stop)
	tell := func(id string) { changed <- id }
	l.watcher.Store(&tell)
	go func() { _ = l.Watch(watching, tell) }()
	return changed
}

func (l *lab) record(id string) machine {
	l.Helper()
	m, err := look[machine](l.Context(), l.Engine, machines, id)
	if err != nil {
		l.Fatal(err)
	}
	return m
}

func TestMachineThatDiesIsNoticed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	changed := l.watch()
	l.crash("1")
	if id := <-changed; id != "1" {
		t.Errorf("machine %s has changed, want 1", id)
	}
	l.runs("1", false)
	if l.record("1").Running {
		t.Error("it is still meant to run")
	}
	l.startMachine("1")
	l.runs("1", true)
}

// Machines run on while the engine is closed, and are the same ones when it
// opens again.
func TestMachinesOutliveTheEngine(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	before := lockHolder(l.folder(machines, "1"))
	for range 2 {
		l.reopen()
		l.runs("1", true)
	}
	if after := lockHolder(l.folder(machines, "1")); after != before || after == 0 {
		t.Errorf("process %d runs it, before %d did", after, before)
	}
	if picture, err := l.Screenshot(t.Context(), "1"); err != nil || !strings.HasPrefix(string(picture), "\x89PNG") {
		t.Errorf("its monitor gives a picture of %d bytes, %v", len(picture), err)
	}
	l.must(func(w engine.Work) (engine.Progress, error) {
		return l.StopMachine(t.Context(), w, ref("1"), engine.Stop{Force: true})
	})
	l.runs("1", false)
}

// A machine that died while nobody watched is off; one that ran when the host
// went down is started again.
func TestMachineThatIsGoneAtTheStart(t *testing.T) {
	t.Parallel()
	for _, rebooted := range []bool{false, true} {
		l := newLab(t)
		l.create("1")
		l.startMachine("1")
		if rebooted {
			l.pretendReboot("1")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l.crash("1")
		l.open()
		for l.record("1").Boot != l.boot { // it is started in the background
			unlock, err := l.locks.take(t.Context(), []string{machineLock("1")})
			if err != nil {
				t.Fatal(err)
			}
			unlock()
		}
		l.runs("1", rebooted)
		if l.record("1").Running != rebooted {
			t.Errorf("after a reboot %t: it is meant to run %t", rebooted, !rebooted)
		}
	}
}

// What a machine needs may come up later than this after a start of the host.
func TestMachineIsStartedAgainInTheEnd(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(o *Options) { o.startAgainAfter = time.Millisecond })
	l.create("1")
	l.startMachine("1")
	l.pretendReboot("1")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.crash("1")
	late := &lateNetwork{plugged: make(chan struct{})}
	l.options.Network = late
	l.open()
	<-late.plugged
	for l.record("1").Boot != l.boot {
		unlock, err := l.locks.take(t.Context(), []string{machineLock("1")})
		if err != nil {
			t.Fatal(err)
		}
		unlock()
	}
	l.runs("1", true)
}

// lateNetwork refuses the first two plugs.
type lateNetwork struct {
	quiet
	plugs   int
	plugged chan struct{}
}

func (n *lateNetwork) Plug(ctx context.Context, m vnet.Machine) ([]vnet.NIC, error) {
	if n.plugs++; n.plugs <= 2 {
		return nil, errors.New("there is no uplink yet")
	}
	if n.plugs == 3 {
		close(n.plugged)
	}
	return n.quiet.Plug(ctx, m)
}

// pretendReboot notes that a machine was started before the host was.
func (l *lab) pretendReboot(id string) {
	l.Helper()
	err := l.db.Write(l.Context(), func(t *database.Tx) error {
		m, err := read[machine](t, machines, id)
		m.Boot = "an earlier one"
		if err == nil {
			err = m.save(t)
		}
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
}

// What a destroy left goes away, its process included. What the records do not
// know stays: they may be older than it.
func TestStraysAreRemoved(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	pid := lockHolder(l.folder(machines, "1"))
	if err := l.db.Write(t.Context(), func(t *database.Tx) error { return bury(t, machines, "1") }); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(l.folder(machines, "2"), "disk-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.reopen()
	if left, err := os.ReadDir(l.folder(machines, "")); err != nil || len(left) != 1 || left[0].Name() != "2" {
		t.Errorf("left: %v, %v", left, err)
	}
	l.create("2") // in its place
	if err := unix.Kill(pid, 0); err == nil && lockHolder(l.folder(machines, "1")) != 0 {
		t.Errorf("process %d still runs", pid)
	}
}

// counted is a network that counts what it is told.
type counted struct {
	quiet
	updates, unplugs atomic.Int32
}

func (c *counted) Update(context.Context, vnet.Machine) error {
	c.updates.Add(1)
	return nil
}

func (c *counted) Unplug(context.Context, string) error {
	c.unplugs.Add(1)
	return nil
}

// A machine that does not start is off the network again.
func TestMachineThatDoesNotStart(t *testing.T) {
	t.Parallel()
	network := &counted{}
	l := newLab(t, func(o *Options) { o.Network = network })
	l.create("1")
	if err := os.Truncate(filepath.Join(l.folder(machines, "1"), l.record("1").Disk.path(diskFile)), 0); err != nil {
		t.Fatal(err)
	}
	_, err := l.finish(engine.Work{Key: "start"}, func(w engine.Work) (engine.Progress, error) {
		return l.StartMachine(t.Context(), w, ref("1"))
	})
	if err == nil || !strings.Contains(err.Error(), "qcow2") {
		t.Errorf("%v, want QEMU's own words", err)
	}
	if n := network.unplugs.Load(); n != 1 {
		t.Errorf("it was unplugged %d times", n)
	}
	l.runs("1", false)
}

// A machine whose monitor does not answer when the engine opens is not taken for
// one that is off, and is taken over when it answers.
func TestMachineThatAnswersLate(t *testing.T) {
	t.Parallel()
	network := &counted{}
	l := newLab(t, func(o *Options) { o.Network = network })
	l.create("1")
	l.startMachine("1")
	l.must(func(w engine.Work) (engine.Progress, error) {
		return l.CreateVolume(t.Context(), w, engine.Volume{Ref: ref("v"), Region: "nyc3", SizeGigabytes: 1})
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	monitor := filepath.Join(l.folder(machines, "1"), monitorSocket)
	if err := os.Rename(monitor, monitor+".away"); err != nil {
		t.Fatal(err)
	}
	l.open()
	l.runs("1", true)
	_, err := l.finish(engine.Work{Key: "attach"}, func(w engine.Work) (engine.Progress, error) {
		return l.AttachVolume(t.Context(), w, ref("v"), ref("1"))
	})
	if err == nil || engine.IsFinal(err) {
		t.Errorf("attach a volume: %v, want an error that is worth another try", err)
	}
	l.must(func(w engine.Work) (engine.Progress, error) {
		return l.ApplyFirewall(t.Context(), w, ref("1"), engine.Firewall{Version: 1, On: true})
	})
	if network.updates.Load() != 1 {
		t.Error("the network was not told of the firewall of a machine that runs")
	}
	if err := os.Rename(monitor+".away", monitor); err != nil {
		t.Fatal(err)
	}
	for err != nil { // as an operation does, until the monitor answers
		_, err = l.finish(engine.Work{Key: "attach"}, func(w engine.Work) (engine.Progress, error) {
			return l.AttachVolume(t.Context(), w, ref("v"), ref("1"))
		})
	}
	if has, err := l.vm("1").hasDevice(t.Context(), "vol-v"); err != nil || !has {
		t.Errorf("it has the volume: %t, %v", has, err)
	}
}

// A copy that nobody waits for any more does not go on without end.
func TestFormerCopyIsEnded(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	v := l.vm("1")
	partial := filepath.Join(v.dir, partialFile)
	if _, err := l.img(t.Context(), v.dir, "create", "-q", "-f", "qcow2", partialFile, "2G"); err != nil {
		t.Fatal(err)
	}
	for _, do := range []struct {
		command   string
		arguments map[string]any
	}{
		{"blockdev-add", map[string]any{"driver": "file", "node-name": copyFileNode, "filename": partialFile}},
		{"blockdev-add", map[string]any{"driver": "qcow2", "node-name": copyNode, "file": copyFileNode}},
		{"blockdev-backup", map[string]any{
			"job-id": copyJob, "device": "disk", "target": copyNode, "sync": "full", "auto-dismiss": false, "speed": 1 << 16,
		}},
	} {
		if err := v.execute(t.Context(), do.command, do.arguments, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.reopen()
	for end := time.Now().Add(time.Minute); ; { // it is ended in the background
		if _, err := os.Stat(partial); errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("its file stays")
		}
	}
	if state, err := l.vm("1").copyState(t.Context()); err != nil || state.Status != "" {
		t.Errorf("%+v, %v", state, err)
	}
}

// What a resize leaves that was cut off before it was recorded is taken back
// with it.
func TestResizeThatWasCutOffIsTakenBack(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	if err := l.resizeDisk(t.Context(), l.record("1"), 5); err != nil {
		t.Fatal(err)
	}
	_, err := l.finish(engine.Work{Key: "resize", Undo: true}, func(w engine.Work) (engine.Progress, error) {
		return l.ResizeMachine(t.Context(), w, ref("1"), l.record("1").Shape)
	})
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(l.folder(machines, "1"), l.record("1").Disk.path(""))
	text, err := l.img(t.Context(), disk, "info", "--output=json", diskFile)
	var info struct {
		Size int64 `json:"virtual-size"`
	}
	if err := errors.Join(err, json.Unmarshal(text, &info)); err != nil || info.Size != 2*gibibyte {
		t.Errorf("the disk has %d bytes, %v", info.Size, err)
	}
}

// A firewall that the network cannot keep is said to be so, and takes the place of
// the one before as far as it can be kept.
func TestFirewallThatCannotBeKept(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(o *Options) { o.Network = strict{} })
	l.create("1")
	for i, state := range []string{"off", "on"} {
		impossible := engine.Firewall{Version: int64(2 + i), On: true, Inbound: []engine.FirewallRule{{Protocol: "impossible"}}}
		_, err := l.finish(engine.Work{Key: state}, func(w engine.Work) (engine.Progress, error) {
			return l.ApplyFirewall(t.Context(), w, ref("1"), impossible)
		})
		if !engine.IsFinal(err) || err.Error() != "this network cannot keep the rule" {
			t.Errorf("%s: got %v, want a final error with the reason, once", state, err)
		}
		if kept := l.record("1").Firewall; kept.Version != impossible.Version {
			t.Errorf("%s: it has %+v", state, kept)
		}
		if state == "off" {
			l.startMachine("1")
		}
	}
}

// An address leads to a machine whose firewall cannot be kept in full.
func TestAddressBesideAFirewallThatCannotBeKept(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(o *Options) { o.Network = strict{} })
	m := l.machine("1")
	m.Firewall = engine.Firewall{Version: 1, On: true, Inbound: []engine.FirewallRule{{Protocol: "impossible"}}}
	l.createAs(m)
	l.startMachine("1")
	apply := func(w engine.Work) (engine.Progress, error) {
		return l.ApplyNetwork(t.Context(), w, ref("1"), engine.Network{ReservedIPv4: "127.101.0.2"})
	}
	l.must(apply)
	if got := l.record("1").Network.ReservedIPv4; got != "127.101.0.2" {
		t.Errorf("it has %q", got)
	}
}

// strict is a network that says of each change what it cannot keep.
type strict struct{ quiet }

func (s strict) Update(_ context.Context, m vnet.Machine) error {
	return vnet.KeptPartly(s.Check(m.Firewall))
}

// A process that does nothing is not waited for by those that serve the others,
// and is taken over when it goes on.
func TestWedgedProcessIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	pid := lockHolder(l.folder(machines, "1"))
	if err := errors.Join(l.Close(), unix.Kill(pid, unix.SIGSTOP)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Kill(pid, unix.SIGCONT) }() // before the lab ends it
	l.open()
	if l.vm("1") != nil {
		t.Error("it is taken over already")
	}
	l.runs("1", true)
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for again := time.NewTicker(lookAgainAfter); l.vm("1") == nil && alive(l.folder(machines, "1")); {
		<-again.C
	}
	if _, err := l.Screenshot(t.Context(), "1"); err != nil {
		t.Error(err)
	}
}

// gone is a network whose links somebody removes.
type gone struct {
	quiet
	removed atomic.Bool
}

func (g *gone) Plug(ctx context.Context, m vnet.Machine) ([]vnet.NIC, error) {
	nics, err := g.quiet.Plug(ctx, m)
	if err == nil && g.removed.Load() {
		nics[0].File, err = os.Open(os.DevNull) // it is new, and not the process's
	}
	return nics, err
}

// other is a network of another kind than quiet.
type other struct{ quiet }

func (other) Plug(_ context.Context, m vnet.Machine) ([]vnet.NIC, error) {
	return []vnet.NIC{{MAC: m.PublicMAC, Netdev: "user,restrict=on"}}, nil
}

// A machine whose process does not hold the links that there are is named when the
// engine opens, with what helps; others are not.
func TestMachineWithoutNetworkIsNamed(t *testing.T) {
	t.Parallel()
	network := &gone{}
	var log bytes.Buffer
	l := newLab(t, func(o *Options) {
		o.Network = network
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	l.create("1")
	l.startMachine("1")
	l.reopen()
	if log.Len() > 0 {
		t.Errorf("of a machine that has its network: %s", &log)
	}
	for _, wrong := range []vnet.Network{network, other{}} {
		network.removed.Store(true)
		log.Reset()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l.options.Network = wrong
		l.open()
		if text := log.String(); !strings.Contains(text, "power_cycle gives it one") || !strings.Contains(text, "machine=1 name=name-1") {
			t.Errorf("%T: it says %q", wrong, text)
		}
	}
}

// Work is forgotten when it is old, and not before.
func TestPrune(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	if err := l.takeBack(t.Context(), "new"); err != nil {
		t.Fatal(err)
	}
	err := l.db.Write(t.Context(), func(t *database.Tx) error {
		_, err := t.Exec("INSERT INTO work (key, undone, done, progress, settled_at) VALUES ('old', TRUE, FALSE, '', 1)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{"new": engine.ErrUndone, "old": nil} {
		if _, err := l.settled(t.Context(), key); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
	}
}

// What there is of the disk is what is free, and what was taken of what was
// promised; it can be promised several times.
func TestCapacity(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	once, err := l.Capacity(t.Context())
	if err != nil || once.VCPUs < 1 || once.Memory < 256 || once.Disk < 1 {
		t.Errorf("%+v, %v", once, err)
	}
	v := engine.Volume{Ref: ref("v"), Region: "nyc3", SizeGigabytes: 1, FilesystemType: "ext4"}
	l.must(func(w engine.Work) (engine.Progress, error) { return l.CreateVolume(t.Context(), w, v) })
	if taken, err := l.taken(); err != nil || taken == 0 {
		t.Errorf("a volume with a filesystem has taken %d bytes, %v", taken, err)
	}
	l.DiskOvercommit = 10
	if often, err := l.Capacity(t.Context()); err != nil || often.Disk < 9*once.Disk {
		t.Errorf("ten times %d GiB are %d, %v", once.Disk, often.Disk, err)
	}
}

// withoutSystem has a machine start from its disk, which has nothing to start:
// its BIOS waits for ever, and hears no power button.
func (l *lab) withoutSystem(id string) {
	l.Helper()
	err := l.db.Write(l.Context(), func(t *database.Tx) error {
		m, err := read[machine](t, machines, id)
		m.Disk.Kernel = false
		if err == nil {
			err = m.save(t)
		}
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
}

// A guest that does not obey runs on, unless it is to be stopped in any case.
func TestGuestThatDoesNotShutDown(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.withoutSystem("1")
	l.startMachine("1")
	pid := lockHolder(l.folder(machines, "1"))
	const grace = 300 * time.Millisecond
	stop := func(key string, force bool) error {
		_, err := l.finish(engine.Work{Key: key}, func(w engine.Work) (engine.Progress, error) {
			return l.StopMachine(t.Context(), w, ref("1"), engine.Stop{Grace: grace, Force: force})
		})
		return err
	}
	began := time.Now()
	if err := stop("asked", false); !engine.IsFinal(err) || err.Error() != "machine 1 did not shut down within 300ms; it runs on" {
		t.Errorf("it was asked to stop: %v", err)
	}
	if took := time.Since(began); took < grace {
		t.Errorf("it was given %s, want %s", took, grace)
	}
	l.runs("1", true)
	if now := lockHolder(l.folder(machines, "1")); now != pid || !l.record("1").Running {
		t.Errorf("process %d runs it, %d did; it is meant to run: %t", now, pid, l.record("1").Running)
	}
	if err := stop("forced", true); err != nil {
		t.Errorf("it was stopped in any case: %v", err)
	}
	l.runs("1", false)
	if l.record("1").Running {
		t.Error("it is still meant to run")
	}
}

// A machine whose monitor hangs up runs on, and is spoken to again.
func TestMonitorThatHangsUp(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("1")
	l.startMachine("1")
	changed := l.watch()
	v, pid := l.vm("1"), lockHolder(l.folder(machines, "1"))
	for range 2 {
		before := v.monitor.Load()
		before.Close()
		l.runs("1", true)
		for end := time.Now().Add(time.Minute); v.monitor.Load() == before; time.Sleep(lookAgainAfter) {
			if v.hasEnded() || time.Now().After(end) { // it is connected to again in the background
				t.Fatal("nothing connects to the monitor again")
			}
		}
		if picture, err := l.Screenshot(t.Context(), "1"); err != nil || !strings.HasPrefix(string(picture), "\x89PNG") {
			t.Errorf("its monitor gives a picture of %d bytes, %v", len(picture), err)
		}
	}
	l.runs("1", true)
	if l.vm("1") != v || lockHolder(l.folder(machines, "1")) != pid {
		t.Error("another process runs it")
	}
	select {
	case id := <-changed:
		t.Errorf("machine %s is said to have stopped", id)
	default:
	}
	l.crash("1")
	if id := <-changed; id != "1" {
		t.Errorf("machine %s has changed, want 1", id)
	}
	l.runs("1", false)
}
