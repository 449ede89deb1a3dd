package api

import (
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

const destroyPath = "/v2/droplets/{droplet_id}/destroy_with_associated_resources"

// destroyScopes is what it takes to destroy whatever may belong to a Droplet.
var destroyScopes = []cloud.Scope{
	"droplet:delete", "block_storage:delete", "block_storage_snapshot:delete", "image:delete", "reserved_ip:delete",
}

var destroyRoutes = []route{
	get(destroyPath, (*Server).listAssociated, "droplet:read"),
	del(destroyPath+"/selective", (*Server).destroySelective, destroyScopes...),
	del(destroyPath+"/dangerous", (*Server).destroyDangerous, destroyScopes...),
	get(destroyPath+"/status", (*Server).destroyStatus, "droplet:delete"),
	post(destroyPath+"/retry", (*Server).retryDestroy, destroyScopes...),
}

type wireAssociated struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Cost string `json:"cost"`
}

// wireLists is the five lists of associated resources. Reserved IPs stand
// under their older name too.
type wireLists[T any] struct {
	ReservedIPs     []T `json:"reserved_ips"`
	FloatingIPs     []T `json:"floating_ips"`
	Snapshots       []T `json:"snapshots"`
	Volumes         []T `json:"volumes"`
	VolumeSnapshots []T `json:"volume_snapshots"`
}

func (l *wireLists[T]) add(kind cloud.AssociatedKind, item T) {
	switch kind {
	case cloud.AssociatedReservedIP:
		l.ReservedIPs, l.FloatingIPs = append(l.ReservedIPs, item), append(l.FloatingIPs, item)
	case cloud.AssociatedSnapshot:
		l.Snapshots = append(l.Snapshots, item)
	case cloud.AssociatedVolume:
		l.Volumes = append(l.Volumes, item)
	case cloud.AssociatedVolumeSnapshot:
		l.VolumeSnapshots = append(l.VolumeSnapshots, item)
	}
}

func newLists[T any]() wireLists[T] { return wireLists[T]{[]T{}, []T{}, []T{}, []T{}, []T{}} }

// associatedScopes is what it takes to see each kind.
var associatedScopes = map[cloud.AssociatedKind]cloud.Scope{
	cloud.AssociatedReservedIP:     "reserved_ip:read",
	cloud.AssociatedSnapshot:       "image:read",
	cloud.AssociatedVolume:         "block_storage:read",
	cloud.AssociatedVolumeSnapshot: "block_storage_snapshot:read",
}

func (s *Server) listAssociated(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	resources, err := s.plane.Associated(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	v := c.view()
	lists := newLists[wireAssociated]()
	for _, r := range resources {
		if v.sees(associatedScopes[r.Kind]) {
			lists.add(r.Kind, wireAssociated{r.ID, r.Name, r.MonthlyCost()})
		}
	}
	return ok(lists), nil
}

type selectiveRequest struct {
	ReservedIPs     []identifier `json:"reserved_ips"`
	FloatingIPs     []identifier `json:"floating_ips"`
	Snapshots       []identifier `json:"snapshots"`
	Volumes         []identifier `json:"volumes"`
	VolumeSnapshots []identifier `json:"volume_snapshots"`
}

// destroySelective destroys the Droplet and what the body names. Without a
// body that is the Droplet alone.
func (s *Server) destroySelective(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	var in selectiveRequest
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	err = s.plane.DestroySelected(c.Context(), c.Actor, id, control.Selection{
		cloud.AssociatedReservedIP:     strs(append(in.ReservedIPs, in.FloatingIPs...)),
		cloud.AssociatedSnapshot:       strs(in.Snapshots),
		cloud.AssociatedVolume:         strs(in.Volumes),
		cloud.AssociatedVolumeSnapshot: strs(in.VolumeSnapshots),
	})
	return accepted(nil), err
}

// destroyDangerous destroys the Droplet and all that belongs to it, if the
// caller says that this is meant.
func (s *Server) destroyDangerous(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	if _, err := s.plane.Droplet(c.Context(), c.Actor, id); err != nil {
		return nil, err
	}
	if !strings.EqualFold(c.Header.Get("X-Dangerous"), "true") {
		return nil, cloud.Invalid("This destroys the Droplet with everything that belongs to it. To confirm, send the header X-Dangerous: true.")
	}
	return accepted(nil), s.plane.DestroyEverything(c.Context(), c.Actor, id)
}

func (s *Server) retryDestroy(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	return accepted(nil), s.plane.RetryDestroy(c.Context(), c.Actor, id)
}

// wireDestroyed is one resource of a destroy. What is not set is left out, and
// never null.
type wireDestroyed struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	DestroyedAt  string `json:"destroyed_at,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
}

type wireDestroy struct {
	Droplet     wireDestroyed            `json:"droplet"`
	Resources   wireLists[wireDestroyed] `json:"resources"`
	CompletedAt string                   `json:"completed_at,omitempty"`
	Failures    int                      `json:"failures"`
}

// destroy shows the resources whose family the caller may read. Failures counts
// all of them, as it says whether there is something to retry.
func (v view) destroy(d cloud.Destroy) wireDestroy {
	text := func(at *string) string {
		if at == nil {
			return ""
		}
		return *at
	}
	w := wireDestroy{
		Droplet: wireDestroyed{
			cloud.FormatID(d.Droplet), d.DropletName, text(optionalStamp(d.DestroyedAt)), d.Error,
		},
		Resources:   newLists[wireDestroyed](),
		CompletedAt: text(optionalStamp(d.CompletedAt)),
		Failures:    d.Failures(),
	}
	for _, r := range d.Resources {
		if v.sees(associatedScopes[r.Kind]) {
			w.Resources.add(r.Kind, wireDestroyed{r.ID, r.Name, text(optionalStamp(r.DestroyedAt)), r.Error})
		}
	}
	return w
}

func (s *Server) destroyStatus(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	destroy, err := s.plane.DestroyStatus(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(c.view().destroy(destroy)), nil
}
