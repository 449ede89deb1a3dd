package api

import (
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

var vpcRoutes = []route{
	get("/v2/vpcs", (*Server).listVPCs, "vpc:read"),
	post("/v2/vpcs", (*Server).createVPC, "vpc:create"),
	get("/v2/vpcs/{vpc_id}", (*Server).getVPC, "vpc:read"),
	put("/v2/vpcs/{vpc_id}", (*Server).replaceVPC, "vpc:update"),
	patch("/v2/vpcs/{vpc_id}", (*Server).changeVPC, "vpc:update"),
	del("/v2/vpcs/{vpc_id}", (*Server).deleteVPC, "vpc:delete"),
	get("/v2/vpcs/{vpc_id}/members", (*Server).listVPCMembers, "vpc:read"),
}

type wireVPC struct {
	ID          string `json:"id"`
	URN         string `json:"urn"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Region      string `json:"region"`
	IPRange     string `json:"ip_range"`
	ResolverIP  string `json:"resolver_ip"`
	Default     bool   `json:"default"`
	CreatedAt   string `json:"created_at"`
}

type vpcBody struct {
	VPC wireVPC `json:"vpc"`
}

func viewVPC(v cloud.VPC) wireVPC {
	return wireVPC{
		v.ID, v.URN(), v.Name, v.Description, v.Region, v.IPRange, cloud.Resolver(v.IPRange), v.Default, stamp(v.CreatedAt),
	}
}

// fineStamp is a time with its fraction, as only the answers to creates of VPCs
// and peerings have it.
func fineStamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (s *Server) listVPCs(c *call) (*reply, error) {
	p := c.paging()
	vpcs, total, err := s.plane.VPCs(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	return ok(struct {
		VPCs  []wireVPC `json:"vpcs"`
		Links wireLinks `json:"links"`
		Meta  wireMeta  `json:"meta"`
	}{each(vpcs, viewVPC), c.links(p, total), wireMeta{total}}), nil
}

type vpcRequest struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Region      string `json:"region"`
	IPRange     string `json:"ip_range"`
}

func (s *Server) createVPC(c *call) (*reply, error) {
	var in vpcRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	v, err := s.plane.CreateVPC(c.Context(), c.Actor, control.NewVPC{
		Name: in.Name, Description: in.Description, Region: in.Region, IPRange: in.IPRange,
	})
	if err != nil {
		return nil, err
	}
	w := viewVPC(v)
	w.CreatedAt = fineStamp(v.CreatedAt)
	return created(vpcBody{w}), nil
}

func (s *Server) getVPC(c *call) (*reply, error) {
	id, err := c.uuid("vpc_id")
	if err != nil {
		return nil, err
	}
	v, err := s.plane.VPC(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(vpcBody{viewVPC(v)}), nil
}

type vpcChangeRequest struct {
	Name        *string  `json:"name"`
	Description *string  `json:"description"`
	Default     *boolean `json:"default"`
}

// replaceVPC takes name and description as a whole: what is not given is empty,
// and a name has to be given.
func (s *Server) replaceVPC(c *call) (*reply, error) {
	in := vpcChangeRequest{}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	for _, field := range []**string{&in.Name, &in.Description} {
		if *field == nil {
			*field = new("")
		}
	}
	return s.saveVPC(c, in)
}

// changeVPC changes what is given.
func (s *Server) changeVPC(c *call) (*reply, error) {
	var in vpcChangeRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	return s.saveVPC(c, in)
}

func (s *Server) saveVPC(c *call, in vpcChangeRequest) (*reply, error) {
	id, err := c.uuid("vpc_id")
	if err != nil {
		return nil, err
	}
	v, err := s.plane.ChangeVPC(c.Context(), c.Actor, id, control.VPCChange{
		Name: in.Name, Description: in.Description, Default: (*bool)(in.Default),
	})
	if err != nil {
		return nil, err
	}
	return ok(vpcBody{viewVPC(v)}), nil
}

func (s *Server) deleteVPC(c *call) (*reply, error) {
	id, err := c.uuid("vpc_id")
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteVPC(c.Context(), c.Actor, id)
}

type wireVPCMember struct {
	Name      string `json:"name"`
	URN       string `json:"urn"`
	CreatedAt string `json:"created_at"`
}

func (s *Server) listVPCMembers(c *call) (*reply, error) {
	id, err := c.uuid("vpc_id")
	if err != nil {
		return nil, err
	}
	p := c.paging()
	members, total, err := s.plane.VPCMembers(c.Context(), c.Actor, id, c.query("resource_type"), p.page())
	if err != nil {
		return nil, err
	}
	return ok(struct {
		Members []wireVPCMember `json:"members"`
		Links   wireLinks       `json:"links"`
		Meta    wireMeta        `json:"meta"`
	}{each(members, func(m cloud.VPCMember) wireVPCMember {
		return wireVPCMember{m.Name, m.URN(), stamp(m.CreatedAt)}
	}), c.links(p, total), wireMeta{total}}), nil
}
