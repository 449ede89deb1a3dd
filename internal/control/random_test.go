package control

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// Each sequence is long, so a few are enough for every day; -rapid.checks asks
// for more.
func init() {
	if err := flag.Set("rapid.checks", "10"); err != nil {
		panic(err)
	}
}

// Whatever users ask for, whenever the engine fails and wherever the process
// crashes: once all is settled, the cloud is what the hypervisor has, and all
// of it can be destroyed.
func TestRandomUse(t *testing.T) {
	for _, kind := range databasetest.Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			databasetest.Config(t, kind) // skips where there is no server
			rapid.Check(t, func(r *rapid.T) {
				g := generated{t, r}
				u := &user{testCloud: newTestCloud(g, databasetest.Config(t, kind)), r: r}
				u.furnish()
				r.Repeat(u.actions())
				u.finish()
			})
		})
	}
}

// generated is one run of a generated test, which fails by itself so that it
// can be made shorter.
type generated struct {
	testing.TB
	r *rapid.T
}

func (g generated) Error(args ...any)                 { g.r.Error(args...) }
func (g generated) Errorf(format string, args ...any) { g.r.Errorf(format, args...) }
func (g generated) Fatal(args ...any)                 { g.r.Fatal(args...) }
func (g generated) Fatalf(format string, args ...any) { g.r.Fatalf(format, args...) }
func (g generated) Cleanup(f func())                  { g.r.Cleanup(f) }
func (g generated) Context() context.Context          { return context.WithoutCancel(g.TB.Context()) }
func (g generated) Output() io.Writer                 { return io.Discard }

// user asks for things at random.
type user struct {
	*testCloud
	r       *rapid.T
	named   int
	answers []chan error
}

// furnish gives the user something to begin with.
func (u *user) furnish() {
	u.Helper()
	u.quickly(func() {
		for range 2 {
			d := u.addDroplet(u.name("web"))
			u.addAttached(u.name("vol"), d.ID)
			u.addVolume(u.name("vol"))
		}
		u.addReservedIP(0)
	})
}

// ask makes a call that may wait, up to where it waits. What it says in the end
// is looked at when all is settled.
func (u *user) ask(call func(ctx context.Context) error) {
	u.Helper()
	woken := u.plane.Runner().Woken()
	select {
	case <-woken: // of something earlier
	default:
	}
	answer := make(chan error, 1)
	ctx := u.ctx
	go func() { answer <- call(ctx) }()
	select {
	case err := <-answer:
		u.allowed(err)
	case <-woken:
		u.answers = append(u.answers, answer)
	}
}

// allowed fails the test for an error that is nobody's to see. A call that the
// end of its process cut off is nobody's either.
func (u *user) allowed(err error) {
	u.Helper()
	if err != nil && cloud.CodeOf(err) == "" && !errors.Is(err, context.Canceled) {
		u.Fatalf("it fails with %v", err)
	}
}

func (u *user) name(prefix string) string {
	u.named++
	return fmt.Sprintf("%s-%d", prefix, u.named)
}

// pick chooses one of what there is. Without any, the action is left out.
func pick[T any](u *user, what string, from []T) T {
	if len(from) == 0 {
		u.r.Skip("there is no " + what)
	}
	return rapid.SampledFrom(from).Draw(u.r, what)
}

func (u *user) someDroplet() cloud.Droplet { return pick(u, "Droplet", u.resources().Droplets) }

// someVolume chooses in the order of names, as IDs differ from run to run.
func (u *user) someVolume() cloud.Volume {
	volumes := u.resources().Volumes
	slices.SortFunc(volumes, func(a, b cloud.Volume) int { return cmp.Compare(a.Name, b.Name) })
	return pick(u, "volume", volumes)
}

func (u *user) someReservedIP() cloud.ReservedIP {
	return pick(u, "reserved IP", u.resources().ReservedIPs)
}

// finish lets everything come to its end and clears the cloud.
func (u *user) finish() {
	u.Helper()
	if err := u.plane.RemoveFaults(u.Context(), u.who, 0); err != nil {
		u.Fatal(err)
	}
	u.settle()
	for _, answer := range u.answers {
		u.allowed(<-answer)
	}
	u.checkWorld()
	for _, d := range u.resources().Droplets {
		if err := u.plane.DestroyEverything(u.Context(), u.who, d.ID); err != nil {
			u.Fatal(err)
		}
	}
	u.settle()
	u.checkWorld()
	all := u.resources()
	for _, v := range all.Volumes {
		u.must1(u.plane.DeleteVolume, v.ID)
	}
	for _, s := range all.VolumeSnapshots {
		u.must1(u.plane.DeleteSnapshot, s.ID)
	}
	for _, i := range all.Images {
		u.must1(u.plane.DeleteSnapshot, cloud.FormatID(i.ID))
	}
	for _, r := range all.ReservedIPs {
		u.must1(u.plane.DeleteReservedIP, r.IP)
	}
	u.checkWorld()
	if all := u.resources(); len(all.Droplets)+len(all.Volumes)+len(all.VolumeSnapshots)+len(all.Images)+len(all.ReservedIPs) != 0 {
		u.Errorf("left behind: %+v", all)
	}
}

// fault makes some verb of the engine fail a few times. It never fails so often
// that what was begun cannot be taken back, which would be left by design, and a
// machine's destroy passes in the end.
func (u *user) fault() {
	f := engine.Fault{
		Operation: rapid.SampledFrom(engine.Operations).Draw(u.r, "verb"),
		Resource:  "*", Error: "broken", Times: rapid.Int64Range(1, 3).Draw(u.r, "times"),
		Transient: rapid.Bool().Draw(u.r, "transient"),
	}
	f.Transient = f.Transient || f.Operation == "machine.destroy"
	u.addFault(f)
}

// goOn carries some of what is due out.
func (u *user) goOn() {
	for range rapid.IntRange(1, 4).Draw(u.r, "turns") {
		u.turn()
	}
}

// restartAtRandom ends the process wherever it is.
func (u *user) restartAtRandom() {
	u.restart()
	for _, answer := range u.answers {
		u.allowed(<-answer)
	}
	u.answers = nil
}
