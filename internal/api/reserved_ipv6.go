package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var reservedIPv6Routes = []route{
	get("/v2/reserved_ipv6", (*Server).listReservedIPv6s, "reserved_ip:read"),
	post("/v2/reserved_ipv6", (*Server).reserveIPv6, "reserved_ip:create"),
	get("/v2/reserved_ipv6/{reserved_ipv6}", (*Server).getReservedIPv6, "reserved_ip:read"),
	del("/v2/reserved_ipv6/{reserved_ipv6}", (*Server).deleteReservedIPv6, "reserved_ip:delete"),
	post("/v2/reserved_ipv6/{reserved_ipv6}/actions", (*Server).startReservedIPv6Action, "reserved_ip:update"),
}

type wireReservedIPv6 struct {
	IP         string `json:"ip"`
	Region     string `json:"region_slug"`
	ReservedAt string `json:"reserved_at"`
}

// wireAssignedIPv6 is an address with its Droplet, which is null when there is
// none.
type wireAssignedIPv6 struct {
	wireReservedIPv6
	Droplet *wireDroplet `json:"droplet"`
}

type reservedIPv6Body struct {
	ReservedIPv6 any `json:"reserved_ipv6"`
}

func viewReservedIPv6(r cloud.ReservedIPv6) wireReservedIPv6 {
	return wireReservedIPv6{r.IP, r.Region, stamp(r.CreatedAt)}
}

func (v view) assignedIPv6(r cloud.ReservedIPv6, d cloud.Droplet) wireAssignedIPv6 {
	w := wireAssignedIPv6{wireReservedIPv6: viewReservedIPv6(r)}
	if r.Droplet != 0 && d.ID == r.Droplet && v.sees("droplet:read") {
		w.Droplet = v.droplet(d)
	}
	return w
}

// listedIPv6 is an address in a list, without a Droplet when there is none.
func (v view) listedIPv6(r cloud.ReservedIPv6, d cloud.Droplet) any {
	if w := v.assignedIPv6(r, d); w.Droplet != nil {
		return w
	}
	return viewReservedIPv6(r)
}

// ipv6 reads the address from the path, however it is written.
func (c *call) ipv6() (string, error) {
	ip, ok := cloud.CanonicalIPv6(c.param("reserved_ipv6"))
	if !ok {
		return "", cloud.NotFound()
	}
	return ip, nil
}

func (s *Server) listReservedIPv6s(c *call) (*reply, error) {
	p := c.paging()
	ips, of, total, err := s.plane.ReservedIPv6s(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	v := c.view()
	return ok(struct {
		ReservedIPv6s []any     `json:"reserved_ipv6s"`
		Links         wireLinks `json:"links"`
		Meta          wireMeta  `json:"meta"`
	}{each(ips, func(r cloud.ReservedIPv6) any { return v.listedIPv6(r, of[r.Droplet]) }), c.links(p, total), wireMeta{total}}), nil
}

type reservedIPv6Request struct {
	Region string `json:"region_slug"`
}

func (s *Server) reserveIPv6(c *call) (*reply, error) {
	var in reservedIPv6Request
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	r, err := s.plane.ReserveIPv6(c.Context(), c.Actor, in.Region)
	if err != nil {
		return nil, err
	}
	return created(reservedIPv6Body{viewReservedIPv6(r)}), nil
}

func (s *Server) getReservedIPv6(c *call) (*reply, error) {
	ip, err := c.ipv6()
	if err != nil {
		return nil, err
	}
	r, d, err := s.plane.ReservedIPv6(c.Context(), c.Actor, ip)
	if err != nil {
		return nil, err
	}
	return ok(reservedIPv6Body{c.view().assignedIPv6(r, d)}), nil
}

func (s *Server) deleteReservedIPv6(c *call) (*reply, error) {
	ip, err := c.ipv6()
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteReservedIPv6(c.Context(), c.Actor, ip)
}

// startReservedIPv6Action starts one action and answers before it is done.
func (s *Server) startReservedIPv6Action(c *call) (*reply, error) {
	ip, err := c.ipv6()
	if err != nil {
		return nil, err
	}
	var in reservedIPActionRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	action, err := s.beginReservedIPv6Action(c, ip, in)
	if err != nil {
		return nil, err
	}
	return created(actionBody{c.view().action(action)}), nil
}

func (s *Server) beginReservedIPv6Action(c *call, ip string, in reservedIPActionRequest) (cloud.Action, error) {
	switch in.begins() {
	case "assign":
		return s.plane.AssignReservedIPv6(c.Context(), c.Actor, ip, int64(in.Droplet))
	case "unassign":
		return s.plane.UnassignReservedIPv6(c.Context(), c.Actor, ip)
	}
	if _, _, err := s.plane.ReservedIPv6(c.Context(), c.Actor, ip); err != nil {
		return cloud.Action{}, err
	}
	return cloud.Action{}, in.refusal()
}
