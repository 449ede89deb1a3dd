package api

import (
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// Each account has one project, its default, which cannot be changed. It is
// there for the clients that put what they create into a project.
var projectRoutes = []route{
	get("/v2/projects", (*Server).listProjects, "project:read"),
	get("/v2/projects/{project_id}", (*Server).getProject, "project:read"),
	get("/v2/projects/{project_id}/resources", (*Server).listProjectResources, "project:read"),
	post("/v2/projects/{project_id}/resources", (*Server).assignProjectResources, "project:update"),
	get("/v2/projects/default", (*Server).getProject, "project:read"),
	get("/v2/projects/default/resources", (*Server).listProjectResources, "project:read"),
	post("/v2/projects/default/resources", (*Server).assignProjectResources, "project:update"),
}

type wireProject struct {
	ID          string `json:"id"`
	OwnerUUID   string `json:"owner_uuid"`
	OwnerID     int64  `json:"owner_id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Purpose     string `json:"purpose"`
	Environment string `json:"environment"`
	IsDefault   bool   `json:"is_default"`
	CreatedAt   string `json:"created_at"`
	UpdatedAt   string `json:"updated_at"`
}

type projectBody struct {
	Project wireProject `json:"project"`
}

func viewProject(p cloud.Project) wireProject {
	made := stamp(p.Owner.CreatedAt)
	return wireProject{p.ID, p.Owner.UUID, p.Owner.ID, p.Name, p.Description, p.Purpose, p.Environment, true, made, made}
}

// projectID reads which project a path is about: that of an ID, or the default
// one.
func (c *call) projectID() (string, error) {
	if c.param("project_id") == "" {
		return cloud.DefaultProject, nil
	}
	return c.uuid("project_id")
}

func (s *Server) listProjects(c *call) (*reply, error) {
	project, err := s.plane.Project(c.Context(), c.Actor, cloud.DefaultProject)
	if err != nil {
		return nil, err
	}
	p, projects := c.paging(), []wireProject{viewProject(project)}
	if p.number > 1 {
		projects = projects[:0]
	}
	return ok(struct {
		Projects []wireProject `json:"projects"`
		Links    wireLinks     `json:"links"`
		Meta     wireMeta      `json:"meta"`
	}{projects, c.links(p, 1), wireMeta{1}}), nil
}

func (s *Server) getProject(c *call) (*reply, error) {
	id, err := c.projectID()
	if err != nil {
		return nil, err
	}
	project, err := s.plane.Project(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(projectBody{viewProject(project)}), nil
}

type wireProjectResource struct {
	URN        string `json:"urn"`
	AssignedAt string `json:"assigned_at"`
	Links      struct {
		Self string `json:"self"`
	} `json:"links"`
	Status string `json:"status"`
}

type projectResourcesBody struct {
	Resources []wireProjectResource `json:"resources"`
	Links     wireLinks             `json:"links"`
	Meta      wireMeta              `json:"meta"`
}

// projectPaths is where the resources of each kind are found.
var projectPaths = map[cloud.Kind]string{
	cloud.KindDroplet: "/v2/droplets/", cloud.KindVolume: "/v2/volumes/",
	cloud.KindReservedIP: "/v2/reserved_ips/", cloud.KindReservedIPv6: "/v2/reserved_ipv6/",
}

// projectResources shows resources with what has come of fetching or assigning
// them.
func (v view) projectResources(resources []cloud.ProjectResource, status string) []wireProjectResource {
	return each(resources, func(r cloud.ProjectResource) wireProjectResource {
		w := wireProjectResource{URN: r.URN(), AssignedAt: stamp(r.AssignedAt), Status: status}
		w.Links.Self = v.base + projectPaths[r.Kind] + r.ID
		return w
	})
}

func (s *Server) listProjectResources(c *call) (*reply, error) {
	id, err := c.projectID()
	if err != nil {
		return nil, err
	}
	p := c.paging()
	resources, total, err := s.plane.ProjectResources(c.Context(), c.Actor, id, p.page())
	if err != nil {
		return nil, err
	}
	return ok(projectResourcesBody{c.view().projectResources(resources, "ok"), c.links(p, total), wireMeta{total}}), nil
}

type projectResourcesRequest struct {
	Resources []string `json:"resources"`
}

// assignProjectResources answers with all that was named, on one page.
func (s *Server) assignProjectResources(c *call) (*reply, error) {
	id, err := c.projectID()
	if err != nil {
		return nil, err
	}
	refs, err := c.resourceRefs()
	if err != nil {
		return nil, err
	}
	resources, err := s.plane.AssignResources(c.Context(), c.Actor, id, refs)
	if err != nil {
		return nil, err
	}
	return ok(projectResourcesBody{
		c.view().projectResources(resources, "already_assigned"), wireLinks{}, wireMeta{int64(len(resources))},
	}), nil
}

// resourceRefs reads which resources a request names, each once.
func (c *call) resourceRefs() ([]cloud.Ref, error) {
	var in projectResourcesRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Resources == nil {
		return nil, cloud.Invalid("resources is required: a list of URNs such as do:droplet:13457723")
	}
	if err := checkListed("resources", len(in.Resources)); err != nil {
		return nil, err
	}
	refs := []cloud.Ref{}
	for _, urn := range in.Resources {
		ref, err := cloud.ParseURN(urn)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}
