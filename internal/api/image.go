package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

var imageRoutes = []route{
	get("/v2/images", (*Server).listImages, "image:read"),
	get("/v2/images/{image_id}", (*Server).getImage, "image:read"),
	del("/v2/images/{image_id}", (*Server).deleteImage, "image:delete"),
}

type wireImage struct {
	ID            int64    `json:"id"`
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Distribution  string   `json:"distribution"`
	Slug          *string  `json:"slug"`
	Public        bool     `json:"public"`
	Regions       []string `json:"regions"`
	CreatedAt     string   `json:"created_at"`
	MinDiskSize   int64    `json:"min_disk_size"`
	SizeGigabytes float64  `json:"size_gigabytes"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	Status        string   `json:"status"`
	ErrorMessage  string   `json:"error_message"`

	encoded []byte // once it was asked for
}

func (v view) image(i cloud.Image) *wireImage {
	w := &wireImage{
		ID: i.ID, Name: i.Name, Type: string(i.Type), Distribution: i.Distribution, Public: i.Public(),
		Regions: list(true, i.Regions), CreatedAt: stamp(i.CreatedAt), MinDiskSize: i.MinDiskSize,
		SizeGigabytes: i.SizeGigabytes, Description: i.Description,
		Tags: list(v.sees("tag:read"), i.Tags), Status: string(i.Status),
	}
	if i.Type == cloud.ImageBase { // what the documents call public images
		w.Type = string(cloud.ImageSnapshot)
	}
	if i.Slug != "" {
		w.Slug = &i.Slug
	}
	if i.Status == cloud.ImageRetired || i.Status == cloud.ImageDeleted {
		w.Regions = []string{}
	}
	return w
}

func (s *Server) listImages(c *call) (*reply, error) {
	f := cloud.ImageFilter{Private: c.truth("private"), Tag: c.query("tag_name")}
	switch kind := c.query("type"); kind {
	case "", "distribution", "application":
		f.Kind = kind
	default:
		return nil, cloud.Invalid("type must be distribution or application")
	}
	if f.Tag != "" {
		if err := c.Actor.Require("tag:read"); err != nil {
			return nil, err
		}
	}
	p := c.paging()
	images, total, err := s.plane.Images(c.Context(), c.Actor, f, p.page())
	if err != nil {
		return nil, err
	}
	return ok(struct {
		Images []*wireImage `json:"images"`
		Links  wireLinks    `json:"links"`
		Meta   wireMeta     `json:"meta"`
	}{each(images, c.view().image), c.linksWithPages(p, total), wireMeta{total}}), nil
}

func (s *Server) getImage(c *call) (*reply, error) {
	image, err := s.plane.Image(c.Context(), c.Actor, c.param("image_id"))
	if err != nil {
		return nil, err
	}
	return ok(struct {
		Image *wireImage `json:"image"`
	}{c.view().image(image)}), nil
}

func (s *Server) deleteImage(c *call) (*reply, error) {
	id, err := c.number("image_id")
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteImage(c.Context(), c.Actor, id)
}
