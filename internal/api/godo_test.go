package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"
)

// godo is the client that most tools are made with. Its answers are checked
// against the contract, too.
func (a *account) godo() *godo.Client {
	a.t.Helper()
	c, err := godo.New(&http.Client{Transport: bearer{a.token, &watch{t: a.t}}}, godo.SetBaseURL(a.s.URL+"/"))
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

type bearer struct {
	token string
	next  http.RoundTripper
}

// RoundTrip adds the token.
func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(req)
}

// ok ends the test if a call of godo failed, and returns what it brought.
func ok[T any](v T, _ *godo.Response, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// done ends the test if a call that brings nothing failed.
func done(t *testing.T, _ *godo.Response, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails checks that a call was refused with a status.
func fails(t *testing.T, status int, err error) {
	t.Helper()
	e, is := err.(*godo.ErrorResponse) //nolint:errorlint // godo returns it as it is
	if !is || e.Response.StatusCode != status || e.RequestID == "" || e.Message == "" {
		t.Errorf("got %v, want %d", err, status)
	}
}

func request(name string) *godo.DropletCreateRequest {
	return &godo.DropletCreateRequest{
		Name: name, Region: "nyc3", Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{Slug: "debian-12-x64"}, Tags: []string{"web"},
	}
}

// finish waits for the action that godo was told of.
func (a *account) finish(links *godo.Links) {
	a.t.Helper()
	for _, link := range links.Actions {
		a.wait(int64(link.ID))
	}
}

func TestGodoDroplets(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c := a.godo()
		key := ok(c.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "k", PublicKey: publicKey()}))(t)
		in := request("web")
		in.SSHKeys = []godo.DropletCreateSSHKey{{ID: key.ID}, {Fingerprint: key.Fingerprint}}
		made, res, err := c.Droplets.Create(ctx, in)
		web := ok(made, res, err)(t)
		a.finish(res.Links)
		got := ok(c.Actions.Get(ctx, res.Links.Actions[0].ID))(t)
		if got.Status != godo.ActionCompleted || got.Type != "create" || res.Links.Actions[0].Rel != "create" {
			t.Errorf("got %+v", got)
		}
		byURI := ok(c.DropletActions.GetByURI(ctx, res.Links.Actions[0].HREF))(t)
		if diff := cmp.Diff(got, byURI); diff != "" {
			t.Error(diff)
		}

		several, res, err := c.Droplets.CreateMultiple(ctx, &godo.DropletMultiCreateRequest{
			Names: []string{"a", "b"}, Size: "s-1vcpu-1gb", Image: godo.DropletCreateImage{ID: 168639140},
		})
		if err != nil || len(several) != 2 {
			t.Fatal(several, err)
		}
		a.finish(res.Links)
		_, res, err = c.Droplets.Create(ctx, &godo.DropletCreateRequest{
			Name: "gpu", Region: "nyc2", Size: "gpu-h100x1-80gb", Image: godo.DropletCreateImage{Slug: "gpu-h100x1-base"},
		})
		if err != nil {
			t.Fatal(err)
		}
		a.finish(res.Links)

		for want, list := range map[string]func() ([]godo.Droplet, *godo.Response, error){
			"web a b": func() ([]godo.Droplet, *godo.Response, error) { return c.Droplets.List(ctx, nil) },
			"b":       func() ([]godo.Droplet, *godo.Response, error) { return c.Droplets.ListByName(ctx, "B", nil) },
			"web":     func() ([]godo.Droplet, *godo.Response, error) { return c.Droplets.ListByTag(ctx, "web", nil) },
			"gpu":     func() ([]godo.Droplet, *godo.Response, error) { return c.Droplets.ListWithGPUs(ctx, nil) },
		} {
			listed := []string{}
			for _, d := range ok(list())(t) {
				listed = append(listed, d.Name)
			}
			if got := strings.Join(listed, " "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		ok(c.Droplets.Neighbors(ctx, web.ID))(t) // who they are is the engine's to say
		one := ok(c.Droplets.Get(ctx, web.ID))(t)
		public, err4 := one.PublicIPv4()
		private, errPrivate := one.PrivateIPv4()
		if one.Status != "active" || public == "" || private == "" || err4 != nil || errPrivate != nil || one.VPCUUID == "" ||
			one.Region.Slug != "nyc3" || one.Size.Slug != "s-1vcpu-1gb" || one.Image.Slug != "debian-12-x64" {
			t.Errorf("got %+v", one)
		}
		a.snapshot(int64(web.ID), "snap")
		if snaps := ok(c.Droplets.Snapshots(ctx, web.ID, nil))(t); len(snaps) != 1 || snaps[0].Name != "snap" {
			t.Errorf("got %v", snaps)
		}
		if actions := ok(c.Droplets.Actions(ctx, web.ID, nil))(t); len(actions) != 2 {
			t.Errorf("got %v", actions)
		}
		if left := ok(c.Droplets.ListAssociatedResourcesForDeletion(ctx, web.ID))(t); len(left.Snapshots) != 1 {
			t.Errorf("got %+v", left)
		}
		res, err = c.Droplets.Delete(ctx, web.ID)
		done(t, res, err)
		a.gone(int64(web.ID))
		_, _, err = c.Droplets.Get(ctx, web.ID)
		fails(t, http.StatusNotFound, err)
	})
}

func TestGodoDropletActions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c, id := a.godo(), int(a.droplet("web"))
		for _, step := range []struct {
			act  func(context.Context, int) (*godo.Action, *godo.Response, error)
			kind string
		}{
			{c.DropletActions.Reboot, "reboot"}, {c.DropletActions.PowerCycle, "power_cycle"},
			{c.DropletActions.PowerOff, "power_off"}, {c.DropletActions.PowerOn, "power_on"}, {c.DropletActions.Shutdown, "shutdown"},
		} {
			action := ok(step.act(ctx, id))(t)
			if action.Type != step.kind || action.ResourceID != id || action.Status != godo.ActionInProgress {
				t.Errorf("got %+v", action)
			}
			a.wait(int64(action.ID))
			again := ok(c.DropletActions.Get(ctx, id, action.ID))(t)
			if again.Status != godo.ActionCompleted || again.CompletedAt == nil {
				t.Errorf("got %+v", again)
			}
		}
		a.wait(int64(ok(c.DropletActions.Rename(ctx, id, "web-2"))(t).ID))
		a.wait(int64(ok(c.DropletActions.Snapshot(ctx, id, "snap"))(t).ID))
		_, _, err := c.DropletActions.PowerOff(ctx, id)
		fails(t, http.StatusUnprocessableEntity, err)
		a.wait(int64(ok(c.DropletActions.Resize(ctx, id, "s-1vcpu-2gb", true))(t).ID))
		a.wait(int64(ok(c.DropletActions.RebuildByImageSlug(ctx, id, "ubuntu-22-04-x64"))(t).ID))
		web := ok(c.Droplets.Get(ctx, id))(t)
		if web.SizeSlug != "s-1vcpu-2gb" || web.Disk != 50 || web.Image.Slug != "ubuntu-22-04-x64" {
			t.Errorf("got %+v", web)
		}
		a.wait(int64(ok(c.DropletActions.RebuildByImageID(ctx, id, web.Image.ID))(t).ID))
		a.wait(int64(ok(c.DropletActions.PasswordReset(ctx, id))(t).ID))
		a.wait(int64(ok(c.DropletActions.EnableIPv6(ctx, id))(t).ID))
		a.wait(int64(ok(c.DropletActions.EnablePrivateNetworking(ctx, id))(t).ID))
		_, _, err = c.DropletActions.Restore(ctx, id, web.SnapshotIDs[0])
		fails(t, http.StatusUnprocessableEntity, err)
		_, _, err = c.DropletActions.ChangeKernel(ctx, id, 7515)
		fails(t, http.StatusUnprocessableEntity, err)
		if all := ok(c.Actions.List(ctx, &godo.ListOptions{PerPage: 200}))(t); len(all) != 14 {
			t.Errorf("%d actions", len(all))
		}
	})
}

func TestGodoKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c := a.godo()
		key := ok(c.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "k", PublicKey: publicKey()}))(t)
		byID, byPrint := ok(c.Keys.GetByID(ctx, key.ID))(t), ok(c.Keys.GetByFingerprint(ctx, key.Fingerprint))(t)
		if diff := cmp.Diff(byID, byPrint); diff != "" {
			t.Error(diff)
		}
		ok(c.Keys.UpdateByID(ctx, key.ID, &godo.KeyUpdateRequest{Name: "l"}))(t)
		if got := ok(c.Keys.UpdateByFingerprint(ctx, key.Fingerprint, &godo.KeyUpdateRequest{Name: "m"}))(t); got.Name != "m" {
			t.Errorf("got %+v", got)
		}
		if list := ok(c.Keys.List(ctx, nil))(t); len(list) != 1 {
			t.Errorf("got %v", list)
		}
		res, err := c.Keys.DeleteByFingerprint(ctx, key.Fingerprint)
		done(t, res, err)
		_, err = c.Keys.DeleteByID(ctx, key.ID)
		fails(t, http.StatusNotFound, err)
	})
}

func TestGodoImages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c := a.godo()
		snap := int(a.snapshot(a.droplet("web"), "snap"))
		all := ok(c.Images.List(ctx, &godo.ListOptions{PerPage: 200}))(t)
		systems := ok(c.Images.ListDistribution(ctx, &godo.ListOptions{PerPage: 200}))(t)
		apps := ok(c.Images.ListApplication(ctx, &godo.ListOptions{PerPage: 200}))(t)
		mine := ok(c.Images.ListUser(ctx, nil))(t)
		tagged := ok(c.Images.ListByTag(ctx, "nobody", nil))(t)
		if len(all) != len(systems)+len(apps)+len(mine) || len(mine) != 1 || mine[0].ID != snap || len(tagged) != 0 {
			t.Errorf("%d images, %d systems, %d applications, %d of one's own", len(all), len(systems), len(apps), len(mine))
		}
		byID, bySlug := ok(c.Images.GetByID(ctx, 168639140))(t), ok(c.Images.GetBySlug(ctx, "debian-12-x64"))(t)
		if diff := cmp.Diff(byID, bySlug); diff != "" {
			t.Error(diff)
		}
		res, err := c.Images.Delete(ctx, snap)
		done(t, res, err)
		_, _, err = c.Images.GetByID(ctx, snap)
		fails(t, http.StatusNotFound, err)
		_, err = c.Images.Delete(ctx, byID.ID)
		fails(t, http.StatusForbidden, err)
	})
}

func TestGodoCatalogAndAccount(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c := a.godo()
		if regions := ok(c.Regions.List(ctx, nil))(t); len(regions) < 13 || len(regions[2].Sizes) == 0 {
			t.Errorf("got %v", regions)
		}
		sizes, res, err := c.Sizes.List(ctx, nil)
		if err != nil || len(sizes) != 20 || res.Meta.Total <= 20 || res.Links.IsLastPage() {
			t.Errorf("got %d sizes, %v, %v", len(sizes), res, err)
		}
		if page, err := res.Links.CurrentPage(); page != 1 || err != nil {
			t.Errorf("page %d, %v", page, err)
		}
		account := ok(c.Account.Get(ctx))(t)
		if account.DropletLimit == 0 || account.ReservedIPLimit == 0 || account.VolumeLimit == 0 || account.Status != "active" || account.Team == nil {
			t.Errorf("got %+v", account)
		}
	})
}
