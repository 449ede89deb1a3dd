package enginetest

import "github.com/cistern-cloud/cistern/internal/engine"

var peeringTests = map[string]func(*bench){
	"peering/lifecycle": testPeeringLifecycle,
	"peering/gone":      testPeeringGone,
}

func (b *bench) peer(id string) doer {
	p := engine.Peering{Ref: ref(id), VPCs: [2]string{"one", "two"}, Ranges: [2]string{"10.1.0.0/16", "10.2.0.0/16"}}
	return func(w engine.Work) (engine.Progress, error) { return b.Engine.CreatePeering(b.Context(), w, p) }
}

func (b *bench) unpeer(id string) doer {
	return func(w engine.Work) (engine.Progress, error) { return b.Engine.DeletePeering(b.Context(), w, ref(id)) }
}

func testPeeringLifecycle(b *bench) {
	b.must(b.peer("p"))
	b.must(b.peer("p")) // it is there already
	b.must(b.unpeer("p"))
	b.must(b.unpeer("p")) // absent by now
}

func testPeeringGone(b *bench) {
	created := b.must(b.peer("p"))
	b.must(b.unpeer("p"))
	b.refuses(engine.ErrGone, b.work(), b.peer("p"))
	b.mustAgain(created, b.peer("p")) // late, and without effect
	b.must(b.unpeer("q"))             // which never was
	b.refuses(engine.ErrGone, b.work(), b.peer("q"))
}
