package api

import (
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

// Floating IPs are reserved IPs under their older name: the same addresses, at
// other paths and under other keys.
var reservedIPRoutes = []route{
	get("/v2/reserved_ips", (*Server).listReservedIPs, "reserved_ip:read"),
	post("/v2/reserved_ips", (*Server).reserveIP, "reserved_ip:create"),
	get("/v2/reserved_ips/{reserved_ip}", (*Server).getReservedIP, "reserved_ip:read"),
	del("/v2/reserved_ips/{reserved_ip}", (*Server).deleteReservedIP, "reserved_ip:delete"),
	get("/v2/reserved_ips/{reserved_ip}/actions", (*Server).listReservedIPActions, "reserved_ip:read"),
	post("/v2/reserved_ips/{reserved_ip}/actions", (*Server).startReservedIPAction, "reserved_ip:update"),
	get("/v2/reserved_ips/{reserved_ip}/actions/{action_id}", (*Server).getReservedIPAction, "reserved_ip:read"),
	get("/v2/floating_ips", (*Server).listReservedIPs, "reserved_ip:read"),
	post("/v2/floating_ips", (*Server).reserveIP, "reserved_ip:create"),
	get("/v2/floating_ips/{reserved_ip}", (*Server).getReservedIP, "reserved_ip:read"),
	del("/v2/floating_ips/{reserved_ip}", (*Server).deleteReservedIP, "reserved_ip:delete"),
	get("/v2/floating_ips/{reserved_ip}/actions", (*Server).listReservedIPActions, "reserved_ip:read"),
	post("/v2/floating_ips/{reserved_ip}/actions", (*Server).startReservedIPAction, "reserved_ip:update"),
	get("/v2/floating_ips/{reserved_ip}/actions/{action_id}", (*Server).getReservedIPAction, "reserved_ip:read"),
}

type wireReservedIP struct {
	IP        string       `json:"ip"`
	Region    *wireRegion  `json:"region"`
	Droplet   *wireDroplet `json:"droplet"`
	Locked    bool         `json:"locked"`
	ProjectID string       `json:"project_id"`
}

// family is the name that addresses are asked for by.
func (c *call) family() cloud.Kind {
	if strings.HasPrefix(c.URL.Path, "/v2/floating_ips") {
		return cloud.KindFloatingIP
	}
	return cloud.KindReservedIP
}

// named puts a value under the family's own key, with what else belongs there.
func (c *call) named(plural string, value any, rest map[string]any) map[string]any {
	body := map[string]any{string(c.family()) + plural: value}
	for key, v := range rest {
		body[key] = v
	}
	return body
}

func (v view) reservedIP(r cloud.ReservedIP, d cloud.Droplet, project string) wireReservedIP {
	w := wireReservedIP{IP: r.IP, Region: v.region(r.Region), Locked: r.HeldBy != 0, ProjectID: project}
	if r.Droplet != 0 && d.ID == r.Droplet && v.sees("droplet:read") {
		w.Droplet = v.droplet(d)
	}
	return w
}

func (s *Server) listReservedIPs(c *call) (*reply, error) {
	account, err := s.plane.Account(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	p := c.paging()
	ips, of, total, err := s.plane.ReservedIPs(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	v := c.view()
	return ok(c.named("s", each(ips, func(r cloud.ReservedIP) wireReservedIP {
		return v.reservedIP(r, of[r.Droplet], account.ProjectID)
	}), map[string]any{"links": c.links(p, total), "meta": wireMeta{total}})), nil
}

type reservedIPRequest struct {
	Region  string  `json:"region"`
	Droplet integer `json:"droplet_id"`
}

func (s *Server) reserveIP(c *call) (*reply, error) {
	var in reservedIPRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	account, err := s.plane.Account(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	r, action, err := s.plane.ReserveIP(c.Context(), c.Actor, control.NewReservedIP{
		Region: in.Region, Droplet: int64(in.Droplet), As: c.family(),
	})
	if err != nil {
		return nil, err
	}
	v := c.view()
	links := wireOneLinks{}
	if action.ID != 0 {
		id := int64(in.Droplet)
		links.Droplets = []wireLink{{id, "droplet", v.base + "/v2/droplets/" + cloud.FormatID(id)}}
		links.Actions = []wireLink{v.actionLink(action)}
	}
	return accepted(c.named("", v.reservedIP(r, cloud.Droplet{}, account.ProjectID), map[string]any{"links": links})), nil
}

func (s *Server) getReservedIP(c *call) (*reply, error) {
	account, err := s.plane.Account(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	r, d, err := s.plane.ReservedIP(c.Context(), c.Actor, c.param("reserved_ip"))
	if err != nil {
		return nil, err
	}
	return ok(c.named("", c.view().reservedIP(r, d, account.ProjectID), nil)), nil
}

func (s *Server) deleteReservedIP(c *call) (*reply, error) {
	return noContent(), s.plane.DeleteReservedIP(c.Context(), c.Actor, c.param("reserved_ip"))
}
