package api

var accountRoutes = []route{
	get("/v2/account", (*Server).getAccount, "account:read"),
}

type wireAccount struct {
	DropletLimit    *int64   `json:"droplet_limit,omitempty"`
	FloatingIPLimit *int64   `json:"floating_ip_limit,omitempty"`
	ReservedIPLimit *int64   `json:"reserved_ip_limit,omitempty"`
	VolumeLimit     *int64   `json:"volume_limit,omitempty"`
	Name            string   `json:"name"`
	Email           string   `json:"email"`
	UUID            string   `json:"uuid"`
	EmailVerified   bool     `json:"email_verified"`
	Status          string   `json:"status"`
	StatusMessage   string   `json:"status_message"`
	Team            wireTeam `json:"team"`
}

type wireTeam struct {
	UUID string `json:"uuid"`
	Name string `json:"name"`
}

func (s *Server) getAccount(c *call) (*reply, error) {
	a, err := s.plane.Account(c.Context(), c.Actor)
	if err != nil {
		return nil, err
	}
	w := wireAccount{
		Name: a.Name, Email: a.Email, UUID: a.UUID, EmailVerified: true, Status: "active",
		Team: wireTeam{a.UUID, a.Name},
	}
	v := c.view()
	if v.sees("droplet:read") {
		w.DropletLimit = &a.DropletLimit
	}
	if v.sees("reserved_ip:read") {
		w.FloatingIPLimit, w.ReservedIPLimit = &a.ReservedIPLimit, &a.ReservedIPLimit
	}
	if v.sees("block_storage:read") {
		w.VolumeLimit = &a.VolumeLimit
	}
	return ok(struct {
		Account wireAccount `json:"account"`
	}{w}), nil
}
