package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

const defaultProject = "/v2/projects/default"

func assign(urns ...any) map[string]any { return map[string]any{"resources": urns} }

func TestAssignResourcesRefused(t *testing.T) {
	const (
		format   = "resource objects must have an urn in the following format: do:resource_type:resource_id"
		required = "resources is required: a list of URNs such as do:droplet:13457723"
	)
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		theirs := fmt.Sprintf("do:droplet:%d", other.droplet("theirs"))
		mine := fmt.Sprintf("do:droplet:%d", a.droplet("mine"))
		unknown := "do:volume:3fb7d4f0-0000-4000-8000-000000000000"
		long := "do:droplet:" + strings.Repeat("9", 400)
		for _, test := range []struct {
			name    string
			body    any
			status  int
			id      cloud.Code
			message string
		}{
			{"nothing", nil, 422, cloud.CodeInvalid, required},
			{"no resources", map[string]any{}, 422, cloud.CodeInvalid, required},
			{"null", map[string]any{"resources": nil}, 422, cloud.CodeInvalid, required},
			{"a text", map[string]any{"resources": mine}, 422, cloud.CodeInvalid, "resources must be a list, not string"},
			{"a number", assign(17), 422, cloud.CodeInvalid, "resources must be a string, not number"},
			{"too many", assign(make([]any, 1001)...), 422, cloud.CodeInvalid, "resources lists 1001 items; at most 1000 can be given"},
			{"an empty text", assign(mine, ""), 400, cloud.CodeBadRequest, format},
			{"an ID", assign("17"), 400, cloud.CodeBadRequest, format},
			{"no ID", assign("do:droplet:"), 400, cloud.CodeBadRequest, format},
			{"no kind", assign("do::17"), 400, cloud.CodeBadRequest, format},
			{"another cloud", assign("aws:droplet:17"), 400, cloud.CodeBadRequest, format},
			{"a kind that is not here", assign("do:domain:example.com"), 404, cloud.CodeNotFound, "There is no do:domain:example.com"},
			{"a kind that is in no project", assign("do:vpc:x"), 404, cloud.CodeNotFound, "There is no do:vpc:x"},
			{"no numeric ID", assign("do:droplet:web"), 404, cloud.CodeNotFound, "There is no do:droplet:web"},
			{"an unknown Droplet", assign("do:droplet:17"), 404, cloud.CodeNotFound, "There is no do:droplet:17"},
			{"an unknown volume among others", assign(mine, unknown), 404, cloud.CodeNotFound, "There is no " + unknown},
			{"an unknown address", assign("do:floatingip:192.0.2.1"), 404, cloud.CodeNotFound, "There is no do:reservedip:192.0.2.1"},
			{"another account's", assign(theirs), 404, cloud.CodeNotFound, "There is no " + theirs},
			{"a long ID", assign(long), 404, cloud.CodeNotFound, ("There is no " + long)[:300] + "..."},
		} {
			t.Run(test.name, func(t *testing.T) {
				a.within(t).post(defaultProject+"/resources", test.body).refused(test.status, test.id, test.message)
			})
		}
		for scope, urn := range map[cloud.Scope]string{
			"droplet:read": mine, "block_storage:read": unknown, "reserved_ip:read": "do:reservedip:192.0.2.1",
		} {
			a.mayAllBut(scope).post(defaultProject+"/resources", assign(urn)).forbidden()
		}
		a.get("/v2/projects/" + other.get(defaultProject).text("project.id")).notFound()
		a.get("/v2/projects/Default").notFound()
	})
}

// There are no projects but the default one, and what would make or change one
// says that it is not there.
func TestProjectsCannotBeChanged(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		a.post("/v2/projects", map[string]any{"name": "web", "purpose": "IoT"}).
			refused(http.StatusNotImplemented, cloud.CodeNotImplemented, "This server does not have POST /v2/projects yet.")
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
			a.do(method, defaultProject, nil).refused(http.StatusNotImplemented, cloud.CodeNotImplemented,
				"This server does not have "+method+" /v2/projects/{project_id} yet.")
		}
	})
}

func TestDefaultProject(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		project := a.get(defaultProject).is(http.StatusOK)
		project.shows("project", fmt.Sprintf(`{"id": "*", "owner_uuid": %q, "owner_id": %d, "name": "Default",
			"description": "Default project", "purpose": "Just trying out DigitalOcean", "environment": "Development",
			"is_default": true, "created_at": "*", "updated_at": "*"}`, a.uuid(), a.id))
		id := project.text("project.id")
		a.reservedIP(0)
		if got := a.get("/v2/reserved_ips").text("reserved_ips.0.project_id"); got != id {
			t.Errorf("a reserved IP is in the project %s, and the default one is %s", got, id)
		}
		for _, path := range []string{"/v2/projects/" + id, "/v2/projects/" + strings.ToUpper(id)} {
			if diff := cmp.Diff(project.decoded(), a.get(path).is(http.StatusOK).decoded()); diff != "" {
				t.Error(diff)
			}
		}
		list := a.get("/v2/projects").is(http.StatusOK)
		if diff := cmp.Diff([]any{project.at("project")}, list.at("projects")); diff != "" {
			t.Error(diff)
		}
		list.shows("meta", `{"total": 1}`)
		a.get("/v2/projects?page=2").is(http.StatusOK).shows("projects", `[]`)
	})
}

// What an account has is in its project, as far as the token may see it.
func TestProjectResources(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := "/v2/projects/" + a.get(defaultProject).text("project.id") + "/resources"
		a.get(path).shows("", `{"resources": [], "links": {}, "meta": {"total": 0}}`)
		s.newAccount(t).droplet("theirs")

		web, db := a.droplet("web"), a.droplet("db")
		volume, ip, ip6 := a.volume("data"), a.reservedIP(0), a.reservedIPv6(0)
		all := []string{
			fmt.Sprintf("do:droplet:%d", web), fmt.Sprintf("do:droplet:%d", db),
			"do:volume:" + volume, "do:reservedip:" + ip, "do:reservedipv6:" + ip6,
		}
		for _, p := range []string{path, defaultProject + "/resources"} {
			list := a.get(p).is(http.StatusOK)
			if diff := cmp.Diff(all, list.texts("resources", "urn")); diff != "" {
				t.Error(diff)
			}
			for i, self := range []string{dropletPath(web), dropletPath(db), "/v2/volumes/" + volume, "/v2/reserved_ips/" + ip, "/v2/reserved_ipv6/" + ip6} {
				list.shows(fmt.Sprintf("resources.%d", i), fmt.Sprintf(
					`{"urn": %q, "assigned_at": "*", "links": {"self": %q}, "status": "ok"}`, all[i], s.URL+self))
				a.get(self).is(http.StatusOK)
			}
			list.shows("meta.total", `5`)
		}
		made := a.get(dropletPath(web)).text("droplet.created_at")
		a.get(path).shows("resources.0.assigned_at", fmt.Sprintf("%q", made))
		for size := 1; size <= 6; size++ {
			if diff := cmp.Diff(all, a.followURNs(fmt.Sprintf("%s?per_page=%d", path, size))); diff != "" {
				t.Errorf("by %d (-want +got)\n%s", size, diff)
			}
		}
		a.get(path+"?page=9").shows("resources", `[]`)
		for scope, rest := range map[cloud.Scope][]string{
			"droplet:read": all[2:], "reserved_ip:read": all[:3], "block_storage:read": append(all[:2:2], all[3:]...),
		} {
			got := a.mayAllBut(scope).get(path).is(http.StatusOK)
			if diff := cmp.Diff(rest, got.texts("resources", "urn")); diff != "" || got.number("meta.total") != int64(len(rest)) {
				t.Errorf("without %s: %s", scope, diff)
			}
		}
		a.del("/v2/volumes/" + volume).empty(http.StatusNoContent)
		a.get(path).shows("meta.total", `4`)
	})
}

// followURNs follows a list of resources to its end.
func (a *account) followURNs(path string) (urns []string) {
	a.t.Helper()
	for {
		got := a.get(path).is(http.StatusOK)
		urns = append(urns, got.texts("resources", "urn")...)
		if !got.has("links.pages.next") {
			return urns
		}
		path = got.text("links.pages.next")
	}
}

// What is assigned to the project is in it already. It is answered once, in the
// order of the request, whatever its name was written like.
func TestAssignResources(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := "/v2/projects/" + a.get(defaultProject).text("project.id") + "/resources"
		volume, droplet := a.volume("data"), fmt.Sprint(a.droplet("web"))
		ip, ip6 := a.reservedIP(0), a.reservedIPv6(0)
		for _, p := range []string{path, defaultProject + "/resources"} {
			got := a.post(p, assign("do:volume:"+strings.ToUpper(volume), "do:droplet:"+droplet, "do:volume:"+volume,
				"do:floatingip:"+ip, "do:reservedipv6:"+strings.ToUpper(ip6))).is(http.StatusOK)
			want := []string{"do:volume:" + volume, "do:droplet:" + droplet, "do:reservedip:" + ip, "do:reservedipv6:" + ip6}
			if diff := cmp.Diff(want, got.texts("resources", "urn")); diff != "" {
				t.Error(diff)
			}
			got.shows("resources.1", fmt.Sprintf(`{"urn": "do:droplet:%s", "assigned_at": "*",
				"links": {"self": "%s/v2/droplets/%s"}, "status": "already_assigned"}`, droplet, s.URL, droplet))
			got.shows("links", `{}`)
			got.shows("meta", `{"total": 4}`)
		}
		a.post(path, map[string]any{"resources": []any{}}).is(http.StatusOK).shows("", `{"resources": [], "links": {}, "meta": {"total": 0}}`)
		a.may("project:update", "droplet:read").post(path, assign("do:droplet:"+droplet)).is(http.StatusOK)
	})
}

// As doctl creates a Droplet in a project.
func TestGodoProjects(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, ctx := s.newAccount(t), context.Background()
		c := a.godo()
		project := ok(c.Projects.GetDefault(ctx))(t)
		if got := ok(c.Projects.Get(ctx, project.ID))(t); !got.IsDefault || got.ID != project.ID || got.OwnerUUID != a.uuid() {
			t.Errorf("got %+v", got)
		}
		if list := ok(c.Projects.List(ctx, nil))(t); len(list) != 1 || list[0].ID != project.ID {
			t.Errorf("got %v", list)
		}
		droplet := &godo.Droplet{ID: int(a.droplet("web"))}
		ip := ok(c.ReservedIPs.Create(ctx, &godo.ReservedIPCreateRequest{Region: "nyc3"}))(t)
		ip6 := ok(c.ReservedIPV6s.Create(ctx, &godo.ReservedIPV6CreateRequest{Region: "nyc3"}))(t)
		assigned := ok(c.Projects.AssignResources(ctx, project.ID, droplet, ip, *ip6, "do:droplet:"+fmt.Sprint(droplet.ID)))(t)
		if len(assigned) != 3 || assigned[0].URN != droplet.URN() || assigned[0].Status != "already_assigned" {
			t.Errorf("got %+v", assigned)
		}
		ok(c.Projects.AssignResources(ctx, godo.DefaultProject, droplet))(t)
		list := ok(c.Projects.ListResources(ctx, project.ID, nil))(t)
		if len(list) != 3 || list[1].URN != ip.URN() || list[2].URN != ip6.URN() || list[0].Links.Self != s.URL+dropletPath(int64(droplet.ID)) {
			t.Errorf("got %+v", list)
		}
		_, _, err := c.Projects.AssignResources(ctx, project.ID, "do:droplet:17")
		fails(t, http.StatusNotFound, err)
	})
}
