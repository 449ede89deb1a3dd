// Package associated destroys a Droplet together with the resources that
// belong to it, follows the destroy to its end, and retries what failed. It is
// what github.com/digitalocean/godo leaves out of the DigitalOcean API's
// "destroy with associated resources", in godo's own style, and it works with
// DigitalOcean as well as with Cistern.
//
//	destroyer := associated.New(client)
//	if _, err := destroyer.DestroySelective(ctx, droplet.ID, &associated.Selection{Volumes: ids}); err != nil {
//		return err
//	}
//	_, err := destroyer.Wait(ctx, droplet.ID, nil)
//
// It also has what scripts need around that and godo does not have: EnsureDroplet
// creates Droplets only when they are not there, and WaitForAction and
// WaitForDroplet wait for what takes time.
package associated

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/digitalocean/godo"
)

// Client makes the requests through a godo client.
type Client struct {
	client *godo.Client
}

// New returns a Client that uses a godo client: its server, its token, and its
// way of retrying.
func New(client *godo.Client) *Client { return &Client{client} }

// Kind is a kind of resource that can belong to a Droplet. It is the name of
// its list in the API.
type Kind string

// The kinds of resources.
const (
	ReservedIPs     Kind = "reserved_ips"
	Snapshots       Kind = "snapshots"
	Volumes         Kind = "volumes"
	VolumeSnapshots Kind = "volume_snapshots"
)

// Kinds lists the kinds in the API's order.
var Kinds = []Kind{ReservedIPs, Snapshots, Volumes, VolumeSnapshots}

// Selection names the resources that go with a Droplet, by their IDs. That of
// a reserved IP is the number which List returns, not the address.
type Selection struct {
	ReservedIPs     []string `json:"reserved_ips,omitempty"`
	Snapshots       []string `json:"snapshots,omitempty"`
	Volumes         []string `json:"volumes,omitempty"`
	VolumeSnapshots []string `json:"volume_snapshots,omitempty"`
}

// Select returns the selection of every resource in a list whose kind is among
// the given.
func Select(list *godo.DropletAssociatedResources, kinds ...Kind) *Selection {
	s := &Selection{}
	for _, kind := range kinds {
		for _, r := range Of(list, kind) {
			s.Add(kind, r.ID)
		}
	}
	return s
}

// Add adds a resource to the selection.
func (s *Selection) Add(kind Kind, id string) {
	switch kind {
	case ReservedIPs:
		s.ReservedIPs = append(s.ReservedIPs, id)
	case Snapshots:
		s.Snapshots = append(s.Snapshots, id)
	case Volumes:
		s.Volumes = append(s.Volumes, id)
	case VolumeSnapshots:
		s.VolumeSnapshots = append(s.VolumeSnapshots, id)
	}
}

// Of returns the part of a list that is of one kind.
func Of(list *godo.DropletAssociatedResources, kind Kind) []*godo.DropletAssociatedResource {
	switch {
	case list == nil:
		return nil
	case kind == ReservedIPs:
		return list.ReservedIPs
	case kind == Snapshots:
		return list.Snapshots
	case kind == Volumes:
		return list.Volumes
	case kind == VolumeSnapshots:
		return list.VolumeSnapshots
	}
	return nil
}

// Destroyed is a resource of a destroy, or the Droplet itself.
type Destroyed struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// DestroyedAt is when it was destroyed; zero while it is there.
	DestroyedAt time.Time `json:"destroyed_at"`
	// ErrorMessage is why it could not be destroyed.
	ErrorMessage string `json:"error_message"`
}

// Failed reports whether the resource could not be destroyed. Some answers
// have a blank message where nothing went wrong.
func (d Destroyed) Failed() bool { return d.DestroyedAt.IsZero() && !blank(d.ErrorMessage) }

// Status is how a destroy stands.
type Status struct {
	Droplet   Destroyed `json:"droplet"`
	Resources struct {
		ReservedIPs     []Destroyed `json:"reserved_ips"`
		FloatingIPs     []Destroyed `json:"floating_ips"`
		Snapshots       []Destroyed `json:"snapshots"`
		Volumes         []Destroyed `json:"volumes"`
		VolumeSnapshots []Destroyed `json:"volume_snapshots"`
	} `json:"resources"`
	// CompletedAt is when the destroy ended, with failures or without; zero
	// while it runs.
	CompletedAt time.Time `json:"completed_at"`
	// Failures counts what could not be destroyed.
	Failures int `json:"failures"`
}

// Resource is one resource of a destroy with its kind.
type Resource struct {
	Kind Kind
	Destroyed
}

// All lists the resources of the destroy, without the Droplet.
func (s *Status) All() []Resource {
	var all []Resource
	add := func(kind Kind, list []Destroyed) {
		for _, d := range list {
			all = append(all, Resource{kind, d})
		}
	}
	add(ReservedIPs, s.Resources.ReservedIPs)
	add(Snapshots, s.Resources.Snapshots)
	add(Volumes, s.Resources.Volumes)
	add(VolumeSnapshots, s.Resources.VolumeSnapshots)
	return all
}

// List lists what belongs to a Droplet and what keeping each costs a month, in
// US dollars. It is godo's own method, here for completeness.
func (c *Client) List(ctx context.Context, dropletID int) (*godo.DropletAssociatedResources, *godo.Response, error) {
	return c.client.Droplets.ListAssociatedResourcesForDeletion(ctx, dropletID)
}

// DestroySelective destroys a Droplet and the resources that are selected; nil
// selects none, so that only the Droplet goes. Volumes that are not selected
// are detached and kept. It returns when the destroy is accepted; see Wait.
func (c *Client) DestroySelective(ctx context.Context, dropletID int, s *Selection) (*godo.Response, error) {
	if s == nil {
		s = &Selection{}
	}
	return c.do(ctx, http.MethodDelete, dropletID, "/selective", s, nil)
}

// DestroyDangerous destroys a Droplet and everything that belongs to it at
// that moment, snapshots and volumes included. It returns when the destroy is
// accepted; see Wait.
func (c *Client) DestroyDangerous(ctx context.Context, dropletID int) (*godo.Response, error) {
	return c.do(ctx, http.MethodDelete, dropletID, "/dangerous", nil, nil)
}

// Status returns how the destroy of a Droplet stands. It can be asked after the
// Droplet is gone.
func (c *Client) Status(ctx context.Context, dropletID int) (*Status, *godo.Response, error) {
	status := &Status{}
	response, err := c.do(ctx, http.MethodGet, dropletID, "/status", nil, status)
	if err != nil {
		return nil, response, err
	}
	return status, response, nil
}

// Retry tries again to destroy what a destroy that has ended could not. The
// API refuses it with 409 while the destroy runs.
func (c *Client) Retry(ctx context.Context, dropletID int) (*godo.Response, error) {
	return c.do(ctx, http.MethodPost, dropletID, "/retry", nil, nil)
}

func (c *Client) do(ctx context.Context, method string, dropletID int, what string, body, answer any) (*godo.Response, error) {
	if dropletID < 1 {
		return nil, godo.NewArgError("dropletID", "cannot be less than 1")
	}
	path := fmt.Sprintf("v2/droplets/%d/destroy_with_associated_resources%s", dropletID, what)
	request, err := c.client.NewRequest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if what == "/dangerous" {
		request.Header.Set("X-Dangerous", "true")
	}
	return c.client.Do(ctx, request, answer)
}
