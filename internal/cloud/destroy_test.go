package cloud

import (
	"testing"
	"time"
)

// Costs are text with two decimals, as clients show them.
func TestMonthlyCost(t *testing.T) {
	for _, test := range []struct {
		kind AssociatedKind
		size float64
		cost string
	}{
		{AssociatedVolume, 100, "10.00"},
		{AssociatedVolume, 1, "0.10"},
		{AssociatedVolume, MaxVolumeSize, "1638.40"},
		{AssociatedSnapshot, 2.36, "0.14"},
		{AssociatedSnapshot, 0, "0.00"},
		{AssociatedVolumeSnapshot, 0.83, "0.05"},
		{AssociatedVolumeSnapshot, 25, "1.50"},
		{AssociatedReservedIP, 0, "4.00"},
	} {
		if cost := (Associated{Kind: test.kind, SizeGigabytes: test.size}).MonthlyCost(); cost != test.cost {
			t.Errorf("%s of %v GB cost %s, want %s", test.kind, test.size, cost, test.cost)
		}
	}
}

// Failures are what has an error, the Droplet included.
func TestDestroyFailures(t *testing.T) {
	now := time.Now()
	d := Destroy{Resources: []DestroyResource{{DestroyedAt: now}, {Error: "on fire"}, {}}}
	if !d.Running() || d.Failures() != 1 {
		t.Errorf("running %v with %d failures, want true and 1", d.Running(), d.Failures())
	}
	for i, finished := range []bool{true, true, false} {
		if d.Resources[i].Finished() != finished {
			t.Errorf("resource %d: finished is not %v", i, finished)
		}
	}
	d.Error, d.CompletedAt = "the host does not answer", now
	if d.Running() || d.Failures() != 2 {
		t.Errorf("running %v with %d failures, want false and 2", d.Running(), d.Failures())
	}
}

// Actions show a number for what they are about, where there is one.
func TestNumericResource(t *testing.T) {
	for _, test := range []struct {
		kind Kind
		id   string
		want int64
		ok   bool
	}{
		{KindDroplet, "1000000", 1000000, true},
		{KindImage, "300000000", 300000000, true},
		{KindReservedIP, "198.19.192.2", 3323183106, true},
		{KindFloatingIP, "198.19.192.2", 3323183106, true},
		{KindVolume, NewUUID(), 0, false},
		{KindVolumeSnapshot, NewUUID(), 0, false},
	} {
		if n, ok := (Action{ResourceType: test.kind, ResourceID: test.id}).NumericResource(); n != test.want || ok != test.ok {
			t.Errorf("%s %s is %d, %v", test.kind, test.id, n, ok)
		}
	}
}

// Errors keep their code when they are wrapped.
func TestErrorCodes(t *testing.T) {
	for code, err := range map[Code]error{
		CodeInvalid: Pending(), CodeConflict: Conflict("c"), CodeForbidden: Forbidden("f"), CodeNotFound: NotFound(), "": nil,
	} {
		if CodeOf(err) != code || IsNotFound(err) != (code == CodeNotFound) {
			t.Errorf("%v has the code %q, want %q", err, CodeOf(err), code)
		}
	}
}
