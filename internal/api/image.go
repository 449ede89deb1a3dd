package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

var imageRoutes = []route{
	get("/v2/images", (*Server).listImages, "image:read"),
	post("/v2/images", (*Server).importImage, "image:create"),
	get("/v2/images/{image_id}", (*Server).getImage, "image:read"),
	put("/v2/images/{image_id}", (*Server).updateImage, "image:update"),
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
		Tags: list(v.sees("tag:read"), i.Tags), Status: string(i.Status), ErrorMessage: i.Error,
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
	return ok(imageBody{c.view().image(image)}), nil
}

type imageBody struct {
	Image *wireImage `json:"image"`
}

type imageRequest struct {
	Name         *string  `json:"name"`
	Distribution *string  `json:"distribution"`
	Description  *string  `json:"description"`
	URL          string   `json:"url"`
	Region       string   `json:"region"`
	Tags         []string `json:"tags"`
}

// wireNewImage is a custom image when it has just been asked for: what the
// import finds out is not there yet.
type wireNewImage struct {
	ID           int64    `json:"id"`
	Name         string   `json:"name"`
	Type         string   `json:"type"`
	Distribution string   `json:"distribution"`
	Regions      []string `json:"regions"`
	CreatedAt    string   `json:"created_at"`
	Description  string   `json:"description"`
	Tags         []string `json:"tags"`
	Status       string   `json:"status"`
	ErrorMessage string   `json:"error_message"`
}

// importImage begins to make a custom image and answers before it is there.
func (s *Server) importImage(c *call) (*reply, error) {
	var in imageRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := c.requireTags(in.Tags); err != nil {
		return nil, err
	}
	i, err := s.plane.ImportImage(c.Context(), c.Actor, control.NewImage{
		Name: deref(in.Name), URL: in.URL, Region: in.Region, Distribution: deref(in.Distribution),
		Description: deref(in.Description), Tags: in.Tags,
	})
	if err != nil {
		return nil, err
	}
	return accepted(struct {
		Image wireNewImage `json:"image"`
	}{wireNewImage{
		ID: i.ID, Name: i.Name, Type: string(i.Type), Distribution: i.Distribution, Regions: list(true, i.Regions),
		CreatedAt: stamp(i.CreatedAt), Description: i.Description, Tags: list(c.view().sees("tag:read"), i.Tags),
		Status: string(i.Status),
	}}), nil
}

// deref is the text, or nothing.
func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func (s *Server) updateImage(c *call) (*reply, error) {
	id, err := c.number("image_id")
	if err != nil {
		return nil, err
	}
	var in imageRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	image, err := s.plane.UpdateImage(c.Context(), c.Actor, id,
		control.ImageUpdate{Name: in.Name, Distribution: in.Distribution, Description: in.Description})
	if err != nil {
		return nil, err
	}
	return ok(imageBody{c.view().image(image)}), nil
}

func (s *Server) deleteImage(c *call) (*reply, error) {
	id, err := c.number("image_id")
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.DeleteImage(c.Context(), c.Actor, id)
}
