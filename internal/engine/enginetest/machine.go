package enginetest

import "github.com/cistern-cloud/cistern/internal/engine"

var machineTests = map[string]func(*bench){
	"machine/refusals":        testMachineRefusals,
	"machine/lifecycle":       testMachineLifecycle,
	"machine/resize":          testMachineResize,
	"machine/resize undone":   testMachineResizeUndone,
	"machine/password":        testMachinePassword,
	"machine/network":         testMachineNetwork,
	"machine/firewall":        testMachineFirewall,
	"machine/host":            testMachineHost,
	"machine/gone":            testMachineGone,
	"machine/frees volumes":   testMachineFreesVolumes,
	"machine/destroy running": testMachineDestroyRunning,
}

func testMachineRefusals(b *bench) {
	for name, call := range map[string]doer{
		"start": b.start("9"), "stop": b.stop("9"), "reset": b.reset("9"), "resize": b.resize("9", b.Machine.Shape),
		"password": b.password("9"),
		"network":  b.network("9", engine.Network{}), "firewall": b.firewall("9", engine.Firewall{}), "copy": b.copyImage("9", "90"),
		"replace": b.replaceImage("9", b.Machine.Image),
	} {
		b.Log(name, "of a machine that is not there")
		b.refuses(engine.ErrNotFound, b.work(), call)
	}
	unmade := b.machine("9")
	unmade.Image = imageOf("no-image")
	b.refusesFinally(b.create(unmade))
	b.absent("9")
}

func testMachineLifecycle(b *bench) {
	b.absent("1")
	b.must(b.create(b.machine("1")))
	b.state("1", false)
	b.must(b.start("1"))
	b.state("1", true)
	b.must(b.start("1")) // one that runs already
	b.must(b.reset("1"))
	b.state("1", true)
	b.must(b.stop("1"))
	b.state("1", false)
	b.must(b.stop("1")) // one that is off already
	b.refusesFinally(b.reset("1"))
	b.state("1", false)
	b.must(b.destroy("1"))
	b.absent("1")
}

func testMachineResize(b *bench) {
	b.must(b.create(b.machine("1")))
	larger, smaller := b.Machine.Shape, b.Machine.Shape
	larger.Memory *= 2
	larger.Disk++
	smaller.Disk--
	b.must(b.start("1"))
	b.refusesFinally(b.resize("1", larger)) // it runs
	b.must(b.stop("1"))
	b.refusesFinally(b.resize("1", smaller)) // the disk would shrink
	b.must(b.resize("1", larger))
	b.must(b.resize("1", larger))
	b.refusesFinally(b.resize("1", b.Machine.Shape)) // so would this
	b.must(b.start("1"))
	b.state("1", true)
}

// A resize that is taken back leaves the shape that was, disk included.
func testMachineResizeUndone(b *bench) {
	b.must(b.create(b.machine("1")))
	larger, between := b.Machine.Shape, b.Machine.Shape
	larger.Memory *= 2
	larger.Disk += 2
	between.Disk++
	resized := b.must(b.resize("1", larger))
	b.mustAgain(undo(resized), b.resize("1", b.Machine.Shape))
	b.mustAgain(undo(resized), b.resize("1", b.Machine.Shape))
	b.refuses(engine.ErrUndone, resized, b.resize("1", larger))
	b.must(b.resize("1", between))
	b.must(b.start("1"))
	b.must(b.resize("1", between)) // it is so already, even while it runs
	b.state("1", true)

	never := b.work()
	b.mustAgain(undo(never), b.resize("1", between))
	b.refuses(engine.ErrUndone, never, b.resize("1", larger))
}

// A password can be reset whether the machine runs or not, and that changes
// nothing else.
func testMachinePassword(b *bench) {
	b.must(b.create(b.machine("1")))
	off := b.must(b.password("1"))
	b.mustAgain(off, b.password("1"))
	b.state("1", false)
	b.must(b.start("1"))
	b.must(b.password("1"))
	b.state("1", true)
	b.must(b.reset("1"))
	b.state("1", true)
}

func testMachineNetwork(b *bench) {
	b.must(b.create(b.machine("1")))
	b.must(b.start("1"))
	n := b.Machine.Network
	b.must(b.network("1", n))
	n.ReservedIPv4 = "203.0.113.7"
	b.must(b.network("1", n))
	b.must(b.network("1", n)) // it is so already
	n.ReservedIPv4 = ""
	b.must(b.network("1", n))
	b.state("1", true)
}

func testMachineFirewall(b *bench) {
	m := b.machine("1")
	ssh := engine.FirewallRule{Protocol: "tcp", Ports: "22", Addresses: []string{"203.0.113.0/24", "2001:db8::/32"}}
	m.Firewall = engine.Firewall{Version: 3, On: true, Inbound: []engine.FirewallRule{ssh}}
	b.must(b.create(m))
	b.must(b.start("1"))
	old, next := m.Firewall, m.Firewall
	old.Version, next.Version = 2, 4
	next.Outbound = []engine.FirewallRule{{Protocol: "icmp", Ports: "0", Addresses: []string{"0.0.0.0/0"}}, {Protocol: "udp", Ports: "1-65535"}}
	b.must(b.firewall("1", next))
	b.must(b.firewall("1", next)) // it is so already
	b.must(b.firewall("1", old))  // late, and without effect
	b.must(b.firewall("1", engine.Firewall{Version: 5}))
	b.state("1", true)
}

func testMachineHost(b *bench) {
	w := b.work()
	p := b.mustAgain(w, b.create(b.machine("1")))
	if p.Host == "" {
		b.Error("a new machine has no host")
	}
	if again := b.mustAgain(w, b.create(b.machine("1"))); again.Host != p.Host {
		b.Errorf("created again on %q, first on %q", again.Host, p.Host)
	}
	if started := b.mustAgain(b.work(), b.start("1")); started.Host != p.Host {
		b.Errorf("started on %q, created on %q", started.Host, p.Host)
	}
	if got, err := b.Engine.Machine(b.Context(), "1"); err != nil || got.Host != p.Host {
		b.Errorf("the machine says %+v, %v; created on %q", got, err, p.Host)
	}
}

func testMachineGone(b *bench) {
	created := b.must(b.create(b.machine("1")))
	destroyed := b.must(b.destroy("1"))
	b.must(b.destroy("1")) // absent by now
	b.mustAgain(destroyed, b.destroy("1"))
	b.refuses(engine.ErrGone, b.work(), b.create(b.machine("1")))
	b.mustAgain(created, b.create(b.machine("1"))) // late, and without effect
	b.absent("1")
	b.refuses(engine.ErrNotFound, b.work(), b.start("1"))

	// Destroying what never was leaves a tombstone as well.
	b.must(b.destroy("2"))
	b.refuses(engine.ErrGone, b.work(), b.create(b.machine("2")))
	b.absent("2")
}

func testMachineFreesVolumes(b *bench) {
	b.must(b.create(b.machine("1")))
	b.must(b.create(b.machine("2")))
	b.must(b.createVolume("v", ""))
	b.must(b.attach("v", "1"))
	b.must(b.destroy("1"))
	b.must(b.attach("v", "2"))
	b.must(b.destroy("2"))
	b.must(b.deleteVolume("v"))
}

func testMachineDestroyRunning(b *bench) {
	b.must(b.create(b.machine("1")))
	started := b.must(b.start("1"))
	b.must(b.destroy("1"))
	b.mustAgain(started, b.start("1")) // late, and without effect
	b.absent("1")
}
