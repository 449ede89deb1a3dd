package enginetest

import "github.com/cistern-cloud/cistern/internal/engine"

var volumeTests = map[string]func(*bench){
	"volume/refusals":  testVolumeRefusals,
	"volume/attach":    testVolumeAttach,
	"volume/resize":    testVolumeResize,
	"volume/snapshot":  testVolumeSnapshot,
	"volume/gone":      testVolumeGone,
	"volume/overtaken": testVolumeOvertaken,
}

func testVolumeRefusals(b *bench) {
	b.must(b.create(b.machine("1")))
	b.refuses(engine.ErrNotFound, b.work(), b.resizeVolume("no-volume", 20))
	b.refuses(engine.ErrNotFound, b.work(), b.attach("no-volume", "1"))
	b.refuses(engine.ErrNotFound, b.work(), b.snapshot("no-volume", "s"))
	b.refusesFinally(b.createVolume("v", "no-snapshot"))
	b.must(b.createVolume("v", ""))
	b.refuses(engine.ErrNotFound, b.work(), b.attach("v", "no-machine"))
}

func testVolumeAttach(b *bench) {
	b.must(b.create(b.machine("1")))
	b.must(b.create(b.machine("2")))
	b.must(b.start("2"))
	b.must(b.createVolume("v", ""))
	b.must(b.attach("v", "1"))
	b.must(b.attach("v", "1")) // it is so already
	b.refusesFinally(b.attach("v", "2"))
	b.refusesFinally(b.deleteVolume("v"))
	b.must(b.detach("v", "1"))
	b.must(b.detach("v", "1")) // free already
	b.must(b.attach("v", "2")) // while it runs
	b.must(b.detach("v", "2"))
	b.must(b.deleteVolume("v"))
}

func testVolumeResize(b *bench) {
	b.must(b.createVolume("v", ""))
	b.refusesFinally(b.resizeVolume("v", 9))
	b.must(b.resizeVolume("v", 20))
	b.must(b.resizeVolume("v", 20))
	b.refusesFinally(b.resizeVolume("v", 19))
}

func testVolumeSnapshot(b *bench) {
	b.must(b.createVolume("v", ""))
	w := b.work()
	p := b.mustAgain(w, b.snapshot("v", "s"))
	b.must(b.resizeVolume("v", 20))
	b.must(b.snapshot("v", "s20"))
	b.must(b.deleteVolume("v")) // snapshots outlive their volume
	if again := b.mustAgain(w, b.snapshot("v", "s")); again.SizeGigabytes != p.SizeGigabytes {
		b.Errorf("taken again with %g GB, first with %g", again.SizeGigabytes, p.SizeGigabytes)
	}
	b.must(b.createVolume("w", "s"))
	b.refusesFinally(b.createVolume("small", "s20")) // 10 GiB do not hold 20
	b.must(b.deleteSnapshot("s"))
	b.must(b.snapshot("w", "t"))
}

func testVolumeGone(b *bench) {
	created := b.must(b.createVolume("v", ""))
	b.must(b.createVolume("other", ""))
	taken := b.must(b.snapshot("other", "s"))
	for range 2 {
		b.must(b.deleteVolume("v"))
		b.must(b.deleteSnapshot("s"))
	}
	b.refuses(engine.ErrGone, b.work(), b.createVolume("v", ""))
	b.refuses(engine.ErrGone, b.work(), b.snapshot("other", "s"))
	b.mustAgain(created, b.createVolume("v", "")) // late, and without effect
	b.mustAgain(taken, b.snapshot("other", "s"))
	b.refuses(engine.ErrNotFound, b.work(), b.resizeVolume("v", 20))
	b.refusesFinally(b.createVolume("w", "s"))

	b.must(b.deleteVolume("never"))
	b.must(b.deleteSnapshot("never"))
	b.refuses(engine.ErrGone, b.work(), b.createVolume("never", ""))
	b.refuses(engine.ErrGone, b.work(), b.snapshot("other", "never"))
}

// A volume moved on; what was asked of it earlier must not move it back.
func testVolumeOvertaken(b *bench) {
	b.must(b.create(b.machine("1")))
	b.must(b.create(b.machine("2")))
	b.must(b.createVolume("v", ""))
	attached := b.must(b.attach("v", "1"))
	detached := b.must(b.detach("v", "1"))
	b.mustAgain(attached, b.attach("v", "1"))
	b.must(b.attach("v", "2")) // it was still free
	b.mustAgain(attached, b.attach("v", "1"))
	b.mustAgain(detached, b.detach("v", "1"))
	b.must(b.detach("v", "1")) // not even as new work
	b.refusesFinally(b.deleteVolume("v"))
	b.refusesFinally(b.attach("v", "1"))
}
