package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

const noVPC = "3fb7d4f0-0000-4000-8000-000000000000"

func TestVPCPeeringsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		one, two, three, theirs := a.vpc("one"), a.vpc("two"), a.vpc("three"), other.vpc("theirs")
		id := a.peering("taken", one, two)
		second := a.peering("second", one, three)
		missing := func(got *answer, id string) {
			t.Helper()
			got.refused(http.StatusNotFound, cloud.CodeNotFound, "VPC ID "+id+" not found")
		}
		long, badName := strings.Repeat("x", 256), `name "a.b": VPC peering names have letters, digits and dashes`
		of := func(name, vpc any) *answer {
			return a.post("/v2/vpcs/"+two+"/peerings", map[string]any{"name": name, "vpc_id": vpc})
		}
		of("pair", nil).invalid("vpc_id is required")
		of("pair", 1).invalid("vpc_id must be a string, not number")
		of("pair", two).invalid("a VPC cannot be peered with itself")
		of("pair", one).invalid("the VPCs " + two + " and " + one + " are peered already")
		missing(of("pair", theirs), theirs)
		missing(of("pair", "home"), "home")
		of(nil, three).invalid("name is required")
		of(1, three).invalid("name must be a string, not number")
		of(long, three).invalid("name is too long (maximum is 255 characters)")
		of("a.b", three).invalid(badName)
		of("taken", three).invalid("a VPC peering with the name taken already exists in your account")
		a.post("/v2/vpcs/"+noVPC+"/peerings", map[string]any{"name": "pair", "vpc_id": one}).notFound()

		pair := func(vpcs any) *answer {
			return a.post("/v2/vpc_peerings", map[string]any{"name": "pair", "vpc_ids": vpcs})
		}
		pair(nil).invalid("vpc_ids must name two VPCs")
		pair([]string{one}).invalid("vpc_ids must name two VPCs")
		pair([]string{one, two, three}).invalid("vpc_ids must name two VPCs")
		pair("x").invalid("vpc_ids must be a list, not string")
		missing(pair([]string{noVPC, one}), noVPC)

		for _, path := range []string{"/v2/vpc_peerings/" + id, "/v2/vpcs/" + one + "/peerings/" + id} {
			a.patch(path, nil).invalid("name is required")
			a.patch(path, map[string]any{"name": "a.b"}).invalid(badName)
			a.patch(path, map[string]any{"name": "second"}).invalid("a VPC peering with the name second already exists in your account")
		}
		a.patch("/v2/vpcs/"+two+"/peerings/"+second, map[string]any{"name": "new"}).notFound() // another VPC's
		a.get("/v2/vpcs/" + noVPC + "/peerings").notFound()
		a.get("/v2/vpc_peerings").shows("meta.total", `2`)
	})
}

// A peering is under both keys, at the paths of its VPCs and at its own.
func TestVPCPeerings(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		one, two, three := a.vpc("one"), a.vpc("two"), a.vpc("three")
		a.fault("peering.create", "pair", "delay", "100ms", "times", 1)
		made := a.post("/v2/vpcs/"+one+"/peerings", map[string]any{"name": "pair", "vpc_id": two}).is(http.StatusAccepted)
		want := fmt.Sprintf(`{"id": "*", "name": "pair", "vpc_ids": [%q, %q], "created_at": "*", "status": "PROVISIONING"}`, one, two)
		made.shows("", `{"peering": `+want+`, "vpc_peering": `+want+`}`)
		if _, err := time.Parse(time.RFC3339Nano, made.text("peering.created_at")); err != nil {
			t.Error(err)
		}
		id := made.text("vpc_peering.id")
		path := "/v2/vpc_peerings/" + id
		a.becomesActive(path)
		want = strings.Replace(want, "PROVISIONING", "ACTIVE", 1)
		a.get(path).shows("", `{"peering": `+want+`, "vpc_peering": `+want+`}`)
		for _, list := range []string{"/v2/vpc_peerings", "/v2/vpcs/" + one + "/peerings", "/v2/vpcs/" + two + "/peerings"} {
			a.get(list).is(http.StatusOK).
				shows("", `{"peerings": [`+want+`], "vpc_peerings": [`+want+`], "links": {}, "meta": {"total": 1}}`)
		}
		a.get("/v2/vpcs/"+three+"/peerings").shows("peerings", `[]`)
		a.patch("/v2/vpcs/"+two+"/peerings/"+id, map[string]any{"name": "renamed"}).is(http.StatusOK).shows("peering.name", `"renamed"`)
		a.patch(path, map[string]any{"name": "again"}).is(http.StatusOK).shows("vpc_peering.name", `"again"`)
		a.del("/v2/vpcs/"+two).refused(http.StatusPreconditionFailed, "unknown", "Can not delete VPC with peerings")
		a.del(path).is(http.StatusAccepted).shows("vpc_peering.status", `"DELETING"`)
		for end := time.Now().Add(20 * time.Second); a.get(path).status != http.StatusNotFound; {
			if time.Now().After(end) {
				t.Fatal("the peering is not gone")
			}
		}
		a.del(path).notFound()
		a.del("/v2/vpcs/" + two).empty(http.StatusNoContent)
	})
}

func (a *account) becomesActive(path string) {
	a.t.Helper()
	for end := time.Now().Add(20 * time.Second); a.get(path).text("vpc_peering.status") != "ACTIVE"; {
		if time.Now().After(end) {
			a.t.Fatal("the peering is not active")
		}
	}
}

// A peering that cannot be made is gone, and one that cannot be unmade stays.
func TestFailingVPCPeering(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		one, two := a.vpc("one"), a.vpc("two")
		a.fault("peering.create", "pair", "error", "no route", "times", 1)
		pair := map[string]any{"name": "pair", "vpc_ids": []string{one, two}}
		path := "/v2/vpc_peerings/" + a.post("/v2/vpc_peerings", pair).is(http.StatusAccepted).text("vpc_peering.id")
		for end := time.Now().Add(20 * time.Second); a.get(path).status != http.StatusNotFound; {
			if time.Now().After(end) {
				t.Fatal("the peering is not gone")
			}
		}
		path = "/v2/vpc_peerings/" + a.peering("pair", two, one)
		a.fault("peering.delete", "pair", "error", "no", "times", 1)
		before := a.get(path).decoded()
		a.del(path).is(http.StatusAccepted)
		a.becomesActive(path)
		if diff := cmp.Diff(before, a.get(path).decoded()); diff != "" {
			t.Error(diff)
		}
	})
}
