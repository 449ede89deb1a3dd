package enginetest

import (
	"errors"
	"sync"

	"github.com/cistern-cloud/cistern/internal/engine"
)

var keyTests = map[string]func(*bench){
	"key/repeated":      testKeyRepeated,
	"key/at once":       testKeyAtOnce,
	"key/undone before": testKeyUndoneBefore,
	"key/undone after":  testKeyUndoneAfter,
	"key/undo pending":  testKeyUndoPending,
}

// Every verb answers the same when it is repeated, and nothing changes.
func testKeyRepeated(b *bench) {
	larger := b.Machine.Shape
	larger.Disk++
	for _, step := range []struct {
		name string
		call doer
	}{
		{"machine.create", b.create(b.machine("1"))},
		{"network.apply", b.network("1", b.Machine.Network)},
		{"firewall.apply", b.firewall("1", b.Machine.Firewall)},
		{"machine.start", b.start("1")},
		{"machine.reset", b.reset("1")},
		{"image.copy", b.copyImage("1", "i")},
		{"machine.stop", b.stop("1")},
		{"machine.resize", b.resize("1", larger)},
		{"image.replace", b.replaceImage("1", imageOf("i"))},
		{"image.transfer", b.transferImage("i", "ams3")},
		{"image.withdraw", b.withdrawImage("i", "ams3")},
		{"image.delete", b.deleteImage("i")},
		{"image.import", b.importImage("imported")},
		{"volume.create", b.createVolume("v", "")},
		{"volume.resize", b.resizeVolume("v", 20)},
		{"volume.attach", b.attach("v", "1")},
		{"volume.snapshot", b.snapshot("v", "s")},
		{"volume.detach", b.detach("v", "1")},
		{"volume_snapshot.delete", b.deleteSnapshot("s")},
		{"volume.delete", b.deleteVolume("v")},
		{"peering.create", b.peer("p")},
		{"peering.delete", b.unpeer("p")},
		{"machine.destroy", b.destroy("1")},
	} {
		w := b.work()
		first := b.mustAgain(w, step.call)
		for range 3 {
			if again, err := b.ask(w, step.call); err != nil || again != first {
				b.Errorf("%s: first %+v, then %+v, %v", step.name, first, again, err)
			}
		}
	}
}

// Several askers of one piece of work get one effect.
func testKeyAtOnce(b *bench) {
	b.must(b.create(b.machine("1")))
	b.must(b.createVolume("v", ""))
	w := b.work()
	var askers sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			if _, err := b.ask(w, b.attach("v", "1")); err != nil {
				b.Error(err)
			}
		})
	}
	askers.Wait()
	b.mustAgain(w, b.attach("v", "1"))
	b.must(b.detach("v", "1"))
	b.mustAgain(w, b.attach("v", "1"))
	b.must(b.deleteVolume("v")) // it is free
}

// Work that was taken back before it began never begins.
func testKeyUndoneBefore(b *bench) {
	b.must(b.create(b.machine("1")))
	b.must(b.createVolume("v", ""))
	for _, c := range []struct {
		name       string
		call, undo doer
	}{
		{"machine.create", b.create(b.machine("2")), b.destroy("2")},
		{"machine.start", b.start("1"), b.stop("1")},
		{"volume.attach", b.attach("v", "1"), b.detach("v", "1")},
		{"image.copy", b.copyImage("1", "i"), b.deleteImage("i")},
		{"volume.create", b.createVolume("w", ""), b.deleteVolume("w")},
		{"volume.snapshot", b.snapshot("v", "s"), b.deleteSnapshot("s")},
	} {
		b.Log(c.name)
		w := b.work()
		b.mustAgain(undo(w), c.undo)
		b.mustAgain(undo(w), c.undo)
		b.refuses(engine.ErrUndone, w, c.call)
	}
	b.absent("2")
	b.state("1", false)
	b.must(b.deleteVolume("v")) // it is free
	b.refusesFinally(b.replaceImage("1", imageOf("i")))
	b.refuses(engine.ErrNotFound, b.work(), b.resizeVolume("w", 20))
	b.refusesFinally(b.createVolume("x", "s"))
}

// Work that was done and taken back is not done again.
func testKeyUndoneAfter(b *bench) {
	created := b.must(b.create(b.machine("1")))
	b.must(b.createVolume("v", ""))
	attached := b.must(b.attach("v", "1"))
	b.mustAgain(undo(attached), b.detach("v", "1"))
	b.refuses(engine.ErrUndone, attached, b.attach("v", "1"))
	b.must(b.attach("v", "1")) // other work may
	b.mustAgain(undo(attached), b.detach("v", "1"))
	b.refusesFinally(b.deleteVolume("v")) // an undo that was done changes nothing either
	b.mustAgain(undo(created), b.destroy("1"))
	b.refuses(engine.ErrUndone, created, b.create(b.machine("1")))
	b.absent("1")
}

// Work that is taken back while it is pending never takes effect, however the
// two are asked for in turn.
func testKeyUndoPending(b *bench) {
	w := b.work()
	if _, err := b.ask(w, b.create(b.machine("1"))); err != nil {
		b.Fatal(err)
	}
	for tries := 0; ; tries++ {
		p, err := b.ask(undo(w), b.destroy("1"))
		if err != nil || tries > 10_000 {
			b.Fatalf("undo: %+v, %v", p, err)
		}
		if p.Done {
			break
		}
		b.Wait(p)
		if p, err := b.ask(w, b.create(b.machine("1"))); !errors.Is(err, engine.ErrUndone) {
			b.Fatalf("create while it is undone: %+v, %v", p, err)
		}
	}
	b.absent("1")
	b.refuses(engine.ErrUndone, w, b.create(b.machine("1")))
}
