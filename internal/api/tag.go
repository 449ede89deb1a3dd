package api

import (
	"errors"
	"fmt"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

var tagRoutes = []route{
	get("/v2/tags", (*Server).listTags, "tag:read"),
	post("/v2/tags", (*Server).addTag, "tag:create"),
	get("/v2/tags/{tag_id}", (*Server).getTag, "tag:read"),
	put("/v2/tags/{tag_id}", (*Server).renameTag, "tag:create"),
	del("/v2/tags/{tag_id}", (*Server).deleteTag, "tag:delete"),
	post("/v2/tags/{tag_id}/resources", (*Server).tagResources, "tag:create"),
	del("/v2/tags/{tag_id}/resources", (*Server).untagResources, "tag:delete"),
}

// wireTag has all five kinds always, as clients read them unasked.
type wireTag struct {
	Name      string `json:"name"`
	Resources struct {
		wireTagUse
		Droplets        wireTagUse `json:"droplets"`
		Images          wireTagUse `json:"images"`
		Volumes         wireTagUse `json:"volumes"`
		VolumeSnapshots wireTagUse `json:"volume_snapshots"`
		Databases       wireTagUse `json:"databases"`
	} `json:"resources"`
}

type wireTagUse struct {
	Count         int64  `json:"count"`
	LastTaggedURI string `json:"last_tagged_uri,omitempty"`
}

type tagBody struct {
	Tag wireTag `json:"tag"`
}

// tagUses says for each kind which scope shows what bears a tag, and where it
// is found.
var tagUses = []struct {
	kind  cloud.Kind
	scope cloud.Scope
	path  string
	field func(*wireTag) *wireTagUse
}{
	{cloud.KindDroplet, "droplet:read", "/v2/droplets/", func(w *wireTag) *wireTagUse { return &w.Resources.Droplets }},
	{cloud.KindImage, "image:read", "/v2/images/", func(w *wireTag) *wireTagUse { return &w.Resources.Images }},
	{cloud.KindVolume, "block_storage:read", "/v2/volumes/", func(w *wireTag) *wireTagUse { return &w.Resources.Volumes }},
	{cloud.KindVolumeSnapshot, "block_storage_snapshot:read", "/v2/snapshots/", func(w *wireTag) *wireTagUse { return &w.Resources.VolumeSnapshots }},
}

// tag counts only what the caller may see.
func (v view) tag(t cloud.Tag) wireTag {
	w := wireTag{Name: t.Name}
	var last cloud.TagUse
	for _, u := range tagUses {
		use, ok := t.Uses[u.kind]
		if !ok || !v.sees(u.scope) {
			continue
		}
		shown := wireTagUse{use.Count, v.base + u.path + use.LastID}
		*u.field(&w) = shown
		w.Resources.Count += shown.Count
		if !use.LastAt.Before(last.LastAt) {
			last, w.Resources.LastTaggedURI = use, shown.LastTaggedURI
		}
	}
	return w
}

func (s *Server) listTags(c *call) (*reply, error) {
	p := c.paging()
	tags, total, err := s.plane.Tags(c.Context(), c.Actor, p.page())
	if err != nil {
		return nil, err
	}
	return ok(struct {
		Tags  []wireTag `json:"tags"`
		Links wireLinks `json:"links"`
		Meta  wireMeta  `json:"meta"`
	}{each(tags, c.view().tag), c.links(p, total), wireMeta{total}}), nil
}

type tagRequest struct {
	Name string `json:"name"`
}

// tagName reads the name that a request gives a tag.
func (c *call) tagName() (string, error) {
	var in tagRequest
	if err := c.decode(&in); err != nil {
		if e, is := errors.AsType[*cloud.Error](err); is && e.Code == cloud.CodeBadRequest {
			return "", &rootCauseError{e, e.Message} // all of the family's are in that shape
		}
		return "", err
	}
	if err := cloud.CheckTag(in.Name); err != nil {
		return "", &rootCauseError{
			common: cloud.Errorf(cloud.CodeBadRequest, "%s", err.Error()),
			cause:  fmt.Sprintf("Error validating resource tag: %q", fmt.Sprintf("tag-name %q contains invalid characters", in.Name)),
		}
	}
	return in.Name, nil
}

func (s *Server) addTag(c *call) (*reply, error) {
	name, err := c.tagName()
	if err != nil {
		return nil, err
	}
	tag, err := s.plane.AddTag(c.Context(), c.Actor, name)
	if err != nil {
		return nil, err
	}
	return created(tagBody{c.view().tag(tag)}), nil
}

func (s *Server) getTag(c *call) (*reply, error) {
	tag, err := s.plane.Tag(c.Context(), c.Actor, c.param("tag_id"))
	if err != nil {
		return nil, err
	}
	return ok(tagBody{c.view().tag(tag)}), nil
}

func (s *Server) renameTag(c *call) (*reply, error) {
	name, err := c.tagName()
	if err != nil {
		return nil, err
	}
	tag, err := s.plane.RenameTag(c.Context(), c.Actor, c.param("tag_id"), name)
	if err != nil {
		return nil, err
	}
	return ok(tagBody{c.view().tag(tag)}), nil
}

func (s *Server) deleteTag(c *call) (*reply, error) {
	return noContent(), s.plane.DeleteTag(c.Context(), c.Actor, c.param("tag_id"))
}

type tagResourcesRequest struct {
	Resources []taggedResource `json:"resources"`
}

type taggedResource struct {
	ID   identifier `json:"resource_id"`
	Type string     `json:"resource_type"`
}

// taggingScopes is what changing the tags of a kind takes. Volume snapshots
// have no scope to update them.
var taggingScopes = map[cloud.Kind]cloud.Scope{
	cloud.KindDroplet: "droplet:update", cloud.KindImage: "image:update",
	cloud.KindVolume: "block_storage:update", cloud.KindVolumeSnapshot: "block_storage_snapshot:create",
}

// taggedResources reads which resources a request is about. Like the API, it
// passes over databases and firewalls, and finds no domains.
func (c *call) taggedResources() ([]cloud.Ref, error) {
	var in tagResourcesRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Resources == nil {
		return nil, cloud.Invalid("resources is required: a list of objects with resource_id and resource_type")
	}
	if err := checkListed("resources", len(in.Resources)); err != nil {
		return nil, err
	}
	refs := []cloud.Ref{}
	for _, r := range in.Resources {
		kind := cloud.Kind(r.Type)
		scope, taggable := taggingScopes[kind]
		switch {
		case r.Type == "database" || r.Type == "firewall":
			continue
		case r.Type == "domain":
			return nil, cloud.NotFound()
		case !taggable:
			return nil, cloud.Invalid("resource_type must be droplet, image, volume or volume_snapshot, not %q", shortText(r.Type))
		case r.ID == "":
			return nil, cloud.Invalid("resource_id is required")
		}
		if err := c.Actor.Require(scope); err != nil {
			return nil, err
		}
		refs = append(refs, cloud.Ref{Kind: kind, ID: string(r.ID)})
	}
	return refs, nil
}

func (s *Server) tagResources(c *call) (*reply, error) {
	resources, err := c.taggedResources()
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.TagResources(c.Context(), c.Actor, c.param("tag_id"), resources)
}

func (s *Server) untagResources(c *call) (*reply, error) {
	resources, err := c.taggedResources()
	if err != nil {
		return nil, err
	}
	return noContent(), s.plane.UntagResources(c.Context(), c.Actor, c.param("tag_id"), resources)
}
