package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

// Peerings are at paths of their VPCs, which the contract has, and at paths of
// their own, which godo, doctl and Terraform use as well.
var vpcPeeringRoutes = []route{
	get("/v2/vpcs/{vpc_id}/peerings", (*Server).listVPCPeerings, "vpc_peering:read"),
	post("/v2/vpcs/{vpc_id}/peerings", (*Server).createPeeringOfVPC, "vpc_peering:create"),
	patch("/v2/vpcs/{vpc_id}/peerings/{vpc_peering_id}", (*Server).renameVPCPeering, "vpc_peering:update"),
	get("/v2/vpc_peerings", (*Server).listVPCPeerings, "vpc_peering:read"),
	post("/v2/vpc_peerings", (*Server).createVPCPeering, "vpc_peering:create"),
	get("/v2/vpc_peerings/{vpc_peering_id}", (*Server).getVPCPeering, "vpc_peering:read"),
	patch("/v2/vpc_peerings/{vpc_peering_id}", (*Server).renameVPCPeering, "vpc_peering:update"),
	del("/v2/vpc_peerings/{vpc_peering_id}", (*Server).deleteVPCPeering, "vpc_peering:delete"),
}

type wirePeering struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	VPCs      [2]string `json:"vpc_ids"`
	CreatedAt string    `json:"created_at"`
	Status    string    `json:"status"`
}

// peeringBody has a peering under both keys: the contract has one, and the live
// API and its clients the other.
type peeringBody struct {
	Peering    wirePeering `json:"peering"`
	VPCPeering wirePeering `json:"vpc_peering"`
}

type peeringListBody struct {
	Peerings    []wirePeering `json:"peerings"`
	VPCPeerings []wirePeering `json:"vpc_peerings"`
	Links       wireLinks     `json:"links"`
	Meta        wireMeta      `json:"meta"`
}

func viewPeering(p cloud.VPCPeering) wirePeering {
	return wirePeering{p.ID, p.Name, p.VPCs, stamp(p.CreatedAt), string(p.Status)}
}

// peeringPath reads the peering and the VPC from the path, as far as it has
// them.
func (c *call) peeringPath() (vpc, id string, err error) {
	if vpc, err = c.ofVPC(); err != nil {
		return "", "", err
	}
	id, err = c.uuid("vpc_peering_id")
	return vpc, id, err
}

// ofVPC reads the VPC from the path, if that has one.
func (c *call) ofVPC() (string, error) {
	if c.param("vpc_id") == "" {
		return "", nil
	}
	return c.uuid("vpc_id")
}

func (s *Server) listVPCPeerings(c *call) (*reply, error) {
	vpc, err := c.ofVPC()
	if err != nil {
		return nil, err
	}
	p := c.paging()
	peerings, total, err := s.plane.VPCPeerings(c.Context(), c.Actor, vpc, p.page())
	if err != nil {
		return nil, err
	}
	views := each(peerings, viewPeering)
	return ok(peeringListBody{views, views, c.links(p, total), wireMeta{total}}), nil
}

type peeringRequest struct {
	Name string   `json:"name"`
	VPCs []string `json:"vpc_ids"`
}

func (s *Server) createVPCPeering(c *call) (*reply, error) {
	var in peeringRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	return s.createPeering(c, in.Name, in.VPCs)
}

type peeringOfVPCRequest struct {
	Name string `json:"name"`
	VPC  string `json:"vpc_id"`
}

func (s *Server) createPeeringOfVPC(c *call) (*reply, error) {
	id, err := c.uuid("vpc_id")
	if err != nil {
		return nil, err
	}
	if _, err := s.plane.VPC(c.Context(), c.Actor, id); err != nil {
		return nil, err
	}
	var in peeringOfVPCRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.VPC == "" {
		return nil, cloud.Invalid("vpc_id is required")
	}
	return s.createPeering(c, in.Name, []string{id, in.VPC})
}

func (s *Server) createPeering(c *call, name string, vpcs []string) (*reply, error) {
	peering, err := s.plane.CreateVPCPeering(c.Context(), c.Actor, name, vpcs)
	if err != nil {
		return nil, err
	}
	w := viewPeering(peering)
	w.CreatedAt = fineStamp(peering.CreatedAt)
	return accepted(peeringBody{w, w}), nil
}

func (s *Server) getVPCPeering(c *call) (*reply, error) {
	_, id, err := c.peeringPath()
	if err != nil {
		return nil, err
	}
	peering, err := s.plane.VPCPeering(c.Context(), c.Actor, "", id)
	if err != nil {
		return nil, err
	}
	return ok(peeringBody{viewPeering(peering), viewPeering(peering)}), nil
}

type peeringNameRequest struct {
	Name string `json:"name"`
}

func (s *Server) renameVPCPeering(c *call) (*reply, error) {
	vpc, id, err := c.peeringPath()
	if err != nil {
		return nil, err
	}
	var in peeringNameRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	peering, err := s.plane.RenameVPCPeering(c.Context(), c.Actor, vpc, id, in.Name)
	if err != nil {
		return nil, err
	}
	return ok(peeringBody{viewPeering(peering), viewPeering(peering)}), nil
}

// deleteVPCPeering answers before the peering is gone.
func (s *Server) deleteVPCPeering(c *call) (*reply, error) {
	_, id, err := c.peeringPath()
	if err != nil {
		return nil, err
	}
	peering, err := s.plane.DeleteVPCPeering(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return accepted(peeringBody{viewPeering(peering), viewPeering(peering)}), nil
}
