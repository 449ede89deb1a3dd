package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var imageActionRoutes = []route{
	get("/v2/images/{image_id}/actions", (*Server).listImageActions, "image:read"),
	post("/v2/images/{image_id}/actions", (*Server).startImageAction, "image:update"),
	get("/v2/images/{image_id}/actions/{action_id}", (*Server).getImageAction, "image:read"),
}

func (c *call) imageRef() (cloud.Ref, error) {
	id, err := c.number("image_id")
	return cloud.Image{ID: id}.Ref(), err
}

func (s *Server) listImageActions(c *call) (*reply, error) {
	of, err := c.imageRef()
	if err != nil {
		return nil, err
	}
	return s.listResourceActions(c, of)
}

func (s *Server) getImageAction(c *call) (*reply, error) {
	of, err := c.imageRef()
	if err != nil {
		return nil, err
	}
	return s.getResourceAction(c, of)
}

type imageActionRequest struct {
	Type   string `json:"type"`
	Region string `json:"region"`
}

// startImageAction starts one action and answers before it is done.
func (s *Server) startImageAction(c *call) (*reply, error) {
	id, err := c.number("image_id")
	if err != nil {
		return nil, err
	}
	var in imageActionRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	action, err := s.beginImageAction(c, id, in)
	if err != nil {
		return nil, err
	}
	return created(actionBody{c.view().action(action)}), nil
}

func (s *Server) beginImageAction(c *call, id int64, in imageActionRequest) (cloud.Action, error) {
	switch cloud.ActionType(in.Type) {
	case cloud.ActionTransfer:
		return s.plane.TransferImage(c.Context(), c.Actor, id, in.Region)
	case cloud.ActionConvert:
		return s.plane.ConvertImage(c.Context(), c.Actor, id)
	}
	if _, err := s.plane.Image(c.Context(), c.Actor, cloud.FormatID(id)); err != nil {
		return cloud.Action{}, err
	}
	return cloud.Action{}, cloud.Invalid("type must be transfer or convert")
}
