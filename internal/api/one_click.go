package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var oneClickRoutes = []route{
	get("/v2/1-clicks", (*Server).listOneClicks), // any token may, as with the API
}

type wireOneClick struct {
	Slug string `json:"slug"`
	Type string `json:"type"`
}

// listOneClicks lists the applications that Droplets can be made from. There
// are none for Kubernetes, and for what is neither not even a list, as the API
// has it.
func (s *Server) listOneClicks(c *call) (*reply, error) {
	list := []wireOneClick{}
	switch c.query("type") {
	case "", "droplet":
		images, _, err := s.plane.Images(c.Context(), c.Actor, cloud.ImageFilter{Kind: "application"}, cloud.Page{})
		if err != nil {
			return nil, err
		}
		list = each(images, func(i cloud.Image) wireOneClick { return wireOneClick{i.Slug, "droplet"} })
	case "kubernetes":
	default:
		return ok(struct{}{}), nil
	}
	return ok(struct {
		OneClicks []wireOneClick `json:"1_clicks"`
	}{list}), nil
}
