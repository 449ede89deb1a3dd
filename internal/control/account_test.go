package control

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// However many ask at once, an account gets what its limit allows and no more,
// and a limit that is lowered takes nothing away.
func TestLimitsHoldAtOnce(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		accounts := Accounts{Store: c.store}
		three, one := int64(3), int64(1)
		if _, err := accounts.SetLimits(c.Context(), 17, Limits{}); err == nil || err.Error() != "there is no account 17; see cistern account list" {
			c.Errorf("limits of nobody: %v", err)
		}
		set, err := accounts.SetLimits(c.Context(), c.who.Account, Limits{Droplets: &three, ReservedIPs: &one})
		if err != nil || set.DropletLimit != 3 || set.ReservedIPLimit != 1 || set.VolumeLimit != cloud.DefaultLimit {
			c.Fatalf("got %+v, %v", set, err)
		}
		var all sync.WaitGroup
		var made, refused atomic.Int64
		for i := range 8 {
			all.Go(func() {
				_, _, err := c.plane.CreateDroplets(c.Context(), c.who, newDroplet(fmt.Sprint("web", i)))
				switch {
				case err == nil:
					made.Add(1)
				case err.Error() == "creating this/these droplet(s) will exceed your droplet limit":
					refused.Add(1)
				default:
					c.Error(err)
				}
			})
		}
		all.Wait()
		if made.Load() != 3 || refused.Load() != 5 {
			c.Errorf("%d made and %d refused, want 3 and 5", made.Load(), refused.Load())
		}
		c.settle()
		if _, err := accounts.SetLimits(c.Context(), c.who.Account, Limits{Droplets: &one}); err != nil {
			c.Fatal(err)
		}
		if n := len(c.resources().Droplets); n != 3 {
			c.Errorf("%d Droplets are left of 3", n)
		}
		_, _, err = c.plane.CreateDroplets(c.Context(), c.who, newDroplet("more"))
		wantError(c, err, cloud.CodeInvalid, "creating this/these droplet(s) will exceed your droplet limit")
		c.checkWorld()
	})
}

// A secret opens what its token may do, from its making to its end or its
// revocation and not an instant longer.
func TestTokens(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		accounts := Accounts{Store: c.store}
		authenticate := func(secret string) (cloud.Actor, error) { return c.plane.Authenticate(c.Context(), secret) }
		const refused = "Unable to authenticate you."
		wantError(c, second(authenticate("")), cloud.CodeUnauthorized, refused)
		wantError(c, second(authenticate("nothing")), cloud.CodeUnauthorized, refused)

		short, err := accounts.AddToken(c.Context(), c.who.Account, "short", "short-secret", cloud.Scopes{"droplet:read"}, time.Hour)
		if err != nil {
			c.Fatal(err)
		}
		full, err := accounts.AddToken(c.Context(), c.who.Account, "full", "full-secret", cloud.Scopes{cloud.FullAccess}, 0)
		if err != nil {
			c.Fatal(err)
		}
		if _, err := accounts.AddToken(c.Context(), c.who.Account, "again", "full-secret", nil, 0); err == nil || err.Error() != "this token exists already" {
			c.Errorf("the same secret again: %v", err)
		}
		if _, err := accounts.AddToken(c.Context(), 17, "nobody's", "secret", nil, 0); err == nil || err.Error() != "there is no account 17; see cistern account list" {
			c.Errorf("a token of nobody: %v", err)
		}
		who, err := authenticate("short-secret")
		if err != nil || who.Account != c.who.Account || who.Token != short.ID || who.Scopes.String() != "droplet:read" {
			c.Errorf("got %+v, %v", who, err)
		}
		for secret, want := range map[string]bool{"full-secret": true, "short-secret": false, "nothing": false} {
			if has, err := accounts.HasToken(c.Context(), c.who.Account, secret); err != nil || has != want {
				c.Errorf("%s is a full token: %t, %v", secret, has, err)
			}
		}
		c.clock.advance(time.Hour - time.Microsecond)
		if _, err := authenticate("short-secret"); err != nil {
			c.Errorf("refused before its end: %v", err)
		}
		c.clock.advance(time.Microsecond)
		wantError(c, second(authenticate("short-secret")), cloud.CodeUnauthorized, refused)
		if err := accounts.RevokeToken(c.Context(), full.ID); err != nil {
			c.Fatal(err)
		}
		wantError(c, second(authenticate("full-secret")), cloud.CodeUnauthorized, refused)
		if err := accounts.RevokeToken(c.Context(), full.ID); err == nil || !strings.HasPrefix(err.Error(), "there is no token") {
			c.Errorf("revoked twice: %v", err)
		}
	})
}

// Accounts are told apart by their emails, and each has a VPC in each region
// with a range of its own.
func TestAccounts(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		accounts := Accounts{Store: c.store}
		if _, err := accounts.Add(c.Context(), "other", "first@example.com"); err == nil || !strings.Contains(err.Error(), "first@example.com already") {
			c.Errorf("the same email again: %v", err)
		}
		c.addAccount("second")
		all, err := accounts.List(c.Context())
		if err != nil || len(all) != 2 || all[0].Name != "first" || all[1].Name != "second" || all[0].UUID == all[1].UUID {
			c.Errorf("got %+v, %v", all, err)
		}
		first, ok, err := accounts.First(c.Context())
		if err != nil || !ok || first.ID != c.who.Account {
			c.Errorf("got %+v, %t, %v", first, ok, err)
		}
		if n := c.query(`SELECT COUNT(DISTINCT ip_range) FROM vpcs WHERE account_id = $1 AND is_default`, first.ID); n != 4 {
			c.Errorf("%d ranges in 4 regions", n)
		}
	})
}

// A fault strikes its own account only, and what makes no sense is refused.
func TestFaultsAreTheAccountsOwn(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		stranger := c.addAccount("stranger")
		for _, f := range []engine.Fault{{Operation: "machine.dance", Resource: "*", Error: "x"}, {Operation: "machine.start", Resource: "*"}} {
			if _, err := c.plane.AddFault(c.Context(), c.who, f); cloud.CodeOf(err) != cloud.CodeInvalid {
				c.Errorf("%+v: %v", f, err)
			}
		}
		f, err := c.plane.AddFault(c.Context(), stranger, engine.Fault{Account: c.who.Account, Operation: "machine.start", Resource: "*", Error: "broken"})
		if err != nil || f.Account != stranger.Account {
			c.Fatalf("got %+v, %v", f, err)
		}
		c.addDroplet("web")
		wantError(c, c.plane.RemoveFaults(c.Context(), c.who, f.ID), cloud.CodeNotFound, cloud.NotFound().Message)
		own := c.who
		c.who = stranger
		c.create(newDroplet("theirs"))
		c.settle()
		if _, there := c.one("theirs"); there {
			c.Error("their fault did not strike them")
		}
		c.checkFaultsStruck()
		c.who = own
		c.checkWorld()
	})
}

// Actions are listed newest first, with those of an address under both of its
// names, and outlive what they were about. What runs behind the API is not
// among them.
func TestActions(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addDroplet("web")
		v := c.addAttached("data", d.ID)
		r := c.addReservedIP(d.ID)
		c.must1(c.plane.DeleteReservedIP, c.addReservedIP(0).IP)
		unassigned, err := c.plane.UnassignReservedIP(c.Context(), c.who, r.IP, cloud.KindFloatingIP)
		if err != nil {
			c.Fatal(err)
		}
		c.settle()
		all, total, err := c.plane.Actions(c.Context(), c.who, cloud.Page{})
		var types []string
		for _, a := range all {
			types = append(types, string(a.Type))
			if a.Status != cloud.Completed || a.CompletedAt.Before(a.StartedAt) {
				c.Errorf("got %+v", a)
			}
		}
		if got := strings.Join(types, " "); got != "unassign_ip assign_ip attach_volume create" || total != 4 || err != nil {
			c.Errorf("got %s, %v", got, err)
		}
		for _, of := range []cloud.Ref{d.Ref(), v.Ref(), r.Ref()} {
			_, total, err := c.plane.ResourceActions(c.Context(), c.who, of, cloud.Page{})
			if want := map[cloud.Kind]int64{cloud.KindDroplet: 1, cloud.KindVolume: 1, cloud.KindReservedIP: 2}[of.Kind]; err != nil || total != want {
				c.Errorf("%d actions of %v, want %d: %v", total, of, want, err)
			}
		}
		if _, err := c.plane.ResourceAction(c.Context(), c.who, r.Ref(), unassigned.ID); err != nil {
			c.Error(err)
		}
		wantError(c, second(c.plane.ResourceAction(c.Context(), c.who, d.Ref(), unassigned.ID)), cloud.CodeNotFound, cloud.NotFound().Message)
		wantError(c, second(c.plane.Action(c.Context(), c.addAccount("stranger"), unassigned.ID)), cloud.CodeNotFound, cloud.NotFound().Message)
		if err := c.plane.DestroyEverything(c.Context(), c.who, d.ID); err != nil {
			c.Fatal(err)
		}
		c.settle()
		if created, err := c.plane.ResourceAction(c.Context(), c.who, d.Ref(), all[3].ID); err != nil || created.Type != cloud.ActionCreate {
			c.Errorf("the create of what is gone: %+v, %v", created, err)
		}
	})
}
