package enginetest

import "github.com/cistern-cloud/cistern/internal/engine"

var imageTests = map[string]func(*bench){
	"image/copy":     testImageCopy,
	"image/replace":  testImageReplace,
	"image/undone":   testImageReplaceUndone,
	"image/gone":     testImageGone,
	"image/import":   testImageImport,
	"image/transfer": testImageTransfer,
}

func testImageCopy(b *bench) {
	b.must(b.create(b.machine("1")))
	b.must(b.start("1"))
	w := b.work()
	p := b.mustAgain(w, b.copyImage("1", "i"))
	b.state("1", true)
	if p.SizeGigabytes <= 0 {
		b.Errorf("an image of %g GB", p.SizeGigabytes)
	}
	b.must(b.destroy("1")) // images outlive their machine
	if again := b.mustAgain(w, b.copyImage("1", "i")); again.SizeGigabytes != p.SizeGigabytes {
		b.Errorf("copied again with %g GB, first with %g", again.SizeGigabytes, p.SizeGigabytes)
	}
	m := b.machine("2")
	m.Image = imageOf("i")
	b.must(b.create(m))
	b.must(b.deleteImage("i")) // and machines outlive their image
	b.must(b.start("2"))
	b.state("2", true)
}

func testImageImport(b *bench) {
	w := b.work()
	p := b.mustAgain(w, b.importImage("i"))
	if p.SizeGigabytes <= 0 {
		b.Errorf("an image of %g GB", p.SizeGigabytes)
	}
	m := b.machine("1")
	m.Image = imageOf("i")
	b.must(b.create(m))
	b.must(b.deleteImage("i"))
	b.refuses(engine.ErrGone, b.work(), b.importImage("i"))

	late := b.work()
	b.mustAgain(undo(late), b.deleteImage("late"))
	b.refuses(engine.ErrUndone, late, b.importImage("late"))
}

// An image is used where it is, and nowhere else.
func testImageTransfer(b *bench) {
	b.must(b.importImage("i"))
	there := b.machine("1")
	there.Region, there.Image = "ams3", imageOf("i")
	b.refusesFinally(b.create(there))
	moved := b.must(b.transferImage("i", "ams3"))
	b.must(b.create(there))
	b.must(b.transferImage("i", "ams3")) // where it is already
	b.mustAgain(undo(moved), b.withdrawImage("i", "ams3"))
	b.refuses(engine.ErrUndone, moved, b.transferImage("i", "ams3"))
	there.Ref = ref("2")
	b.refusesFinally(b.create(there))
	b.must(b.withdrawImage("i", "ams3"))
	b.must(b.withdrawImage("nothing", "ams3"))
	b.must(b.deleteImage("i"))
	b.refusesFinally(b.transferImage("i", "ams3"))
}

func testImageReplace(b *bench) {
	b.must(b.create(b.machine("1")))
	b.refusesFinally(b.replaceImage("1", imageOf("no-image")))
	b.must(b.copyImage("1", "i"))
	b.must(b.replaceImage("1", imageOf("i")))
	b.must(b.replaceImage("1", b.Machine.Image))
	b.state("1", false)

	larger := b.Machine.Shape
	larger.Disk++
	b.must(b.resize("1", larger))
	b.must(b.copyImage("1", "large"))
	m := b.machine("2")
	m.Image = imageOf("large")
	b.refusesFinally(b.create(m)) // its disk is smaller than the image
	b.absent("2")
}

// A disk that was replaced is there again when that is taken back, whatever the
// machine did in between.
func testImageReplaceUndone(b *bench) {
	b.must(b.create(b.machine("1")))
	larger := b.Machine.Shape
	larger.Disk++
	b.must(b.copyImage("1", "small"))
	b.must(b.resize("1", larger))
	replaced := b.must(b.replaceImage("1", imageOf("small")))
	b.must(b.start("1"))
	b.must(b.stop("1"))
	for range 2 {
		b.mustAgain(undo(replaced), b.replaceImage("1", imageOf("small")))
	}
	b.refuses(engine.ErrUndone, replaced, b.replaceImage("1", imageOf("small")))
	b.must(b.start("1"))
	b.state("1", true)

	// What never began leaves the disk that is there, and so does what another
	// replacement has come after.
	never := b.work()
	b.must(b.stop("1"))
	b.mustAgain(undo(never), b.replaceImage("1", imageOf("small")))
	b.refuses(engine.ErrUndone, never, b.replaceImage("1", imageOf("small")))
	first := b.must(b.replaceImage("1", imageOf("small")))
	b.must(b.replaceImage("1", b.Machine.Image))
	b.mustAgain(undo(first), b.replaceImage("1", imageOf("small")))
	b.must(b.start("1"))
	b.state("1", true)
}

func testImageGone(b *bench) {
	b.must(b.create(b.machine("1")))
	copied := b.must(b.copyImage("1", "i"))
	deleted := b.must(b.deleteImage("i"))
	b.must(b.deleteImage("i"))
	b.mustAgain(deleted, b.deleteImage("i"))
	b.refuses(engine.ErrGone, b.work(), b.copyImage("1", "i"))
	b.mustAgain(copied, b.copyImage("1", "i"))
	b.refusesFinally(b.replaceImage("1", imageOf("i")))

	b.must(b.deleteImage("never"))
	b.refuses(engine.ErrGone, b.work(), b.copyImage("1", "never"))
}
