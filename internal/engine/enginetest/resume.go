package enginetest

import (
	"errors"

	"github.com/cistern-cloud/cistern/internal/engine"
)

var resumeTests = map[string]func(*bench){
	"resume/state":   testResumeState,
	"resume/pending": testResumePending,
	"resume/undone":  testResumeUndone,
}

// reopen goes on with the engine as it is after a crash.
func (b *bench) reopen() {
	b.Helper()
	if b.Reopen == nil {
		b.Skip("this engine cannot be reopened in a test")
	}
	b.Engine = b.Reopen()
}

func testResumeState(b *bench) {
	created := b.must(b.create(b.machine("1")))
	b.must(b.start("1"))
	b.must(b.create(b.machine("2")))
	b.must(b.destroy("2"))
	b.reopen()
	b.state("1", true)
	b.absent("2")
	b.mustAgain(created, b.create(b.machine("1")))
	b.refuses(engine.ErrGone, b.work(), b.create(b.machine("2")))
}

// Whatever was pending goes on after a crash, and is done once.
func testResumePending(b *bench) {
	created, attached := b.work(), b.work()
	b.crashDuring(created, b.create(b.machine("1")))
	b.state("1", false)
	b.must(b.createVolume("v", ""))
	b.crashDuring(attached, b.attach("v", "1"))
	b.must(b.detach("v", "1"))
	b.mustAgain(attached, b.attach("v", "1"))
	b.must(b.deleteVolume("v")) // it is free
}

func (b *bench) crashDuring(w engine.Work, call doer) {
	b.Helper()
	if _, err := b.ask(w, call); err != nil {
		b.Fatal(err)
	}
	b.reopen()
	b.mustAgain(w, call)
}

func testResumeUndone(b *bench) {
	w := b.work()
	if _, err := b.ask(w, b.create(b.machine("1"))); err != nil {
		b.Fatal(err)
	}
	if _, err := b.ask(undo(w), b.destroy("1")); err != nil {
		b.Fatal(err)
	}
	b.reopen()
	if _, err := b.ask(w, b.create(b.machine("1"))); !errors.Is(err, engine.ErrUndone) {
		b.Fatalf("got %v, want %v", err, engine.ErrUndone)
	}
	b.mustAgain(undo(w), b.destroy("1"))
	b.absent("1")
}
