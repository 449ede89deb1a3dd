package associated

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digitalocean/godo"
)

// Ensured is a Droplet that EnsureDroplet found or created.
type Ensured struct {
	Droplet godo.Droplet
	// Created is whether it was created just now; it may not be active yet.
	Created bool
}

// EnsureDroplet returns the Droplet of the request's name, and creates it with
// the request if there is none.
//
// If the request has tags, only Droplets that have all of them count, so that
// the same name can stand for different Droplets; a new one gets the tags. It is
// an error if several Droplets count, as nobody can tell which is meant.
//
// A Droplet that is found is left as it is: its size, image and region are not
// compared with the request.
//
// The API has no way to create a Droplet only if its name is free. Two callers
// that do this at the same time can both find nothing and both create: callers
// that run at once need a lock of their own around it. One caller that runs
// again after an error creates nothing twice, as long as the answer to its first
// request did not get lost before the Droplet could be listed.
func (c *Client) EnsureDroplet(ctx context.Context, request *godo.DropletCreateRequest) (*Ensured, *godo.Response, error) {
	if request == nil {
		return nil, nil, godo.NewArgError("request", "cannot be nil")
	}
	found, response, err := c.named(ctx, request.Name, request.Tags)
	if err != nil {
		return nil, response, err
	}
	if found != nil {
		return &Ensured{Droplet: *found}, response, nil
	}
	created, response, err := c.client.Droplets.Create(ctx, request)
	if err != nil {
		return nil, response, err
	}
	return &Ensured{*created, true}, response, nil
}

// maxCreated is how many Droplets one request can create.
const maxCreated = 10

// EnsureDroplets does for each name of the request what EnsureDroplet does for
// one, and creates those that are not there together. The Droplets are in the
// order of the names. When it fails, those that were created before are in the
// list all the same.
func (c *Client) EnsureDroplets(ctx context.Context, request *godo.DropletMultiCreateRequest) ([]Ensured, *godo.Response, error) {
	if request == nil {
		return nil, nil, godo.NewArgError("request", "cannot be nil")
	}
	byName := map[string]Ensured{}
	var missing []string
	var response *godo.Response
	for i, name := range request.Names {
		if slices.Contains(request.Names[:i], name) {
			return nil, nil, godo.NewArgError("request.Names", fmt.Sprintf("has %s more than once", name))
		}
	}
	for _, name := range request.Names {
		found, last, err := c.named(ctx, name, request.Tags)
		if response = last; err != nil {
			return nil, response, err
		}
		if found != nil {
			byName[name] = Ensured{Droplet: *found}
		} else {
			missing = append(missing, name)
		}
	}
	for names := range slices.Chunk(missing, maxCreated) {
		some := *request
		some.Names = names
		created, last, err := c.client.Droplets.CreateMultiple(ctx, &some)
		if response = last; err != nil {
			return inOrder(request.Names, byName), response, err
		}
		for _, droplet := range created {
			byName[droplet.Name] = Ensured{droplet, true}
		}
	}
	return inOrder(request.Names, byName), response, nil
}

func inOrder(names []string, byName map[string]Ensured) []Ensured {
	var list []Ensured
	for _, name := range names {
		if one, ok := byName[name]; ok {
			list = append(list, one)
		}
	}
	return list
}

// named finds the one Droplet that has a name and all the tags, or nil.
func (c *Client) named(ctx context.Context, name string, tags []string) (*godo.Droplet, *godo.Response, error) {
	if blank(name) {
		return nil, nil, godo.NewArgError("name", "cannot be empty")
	}
	var found []godo.Droplet
	options := &godo.ListOptions{PerPage: 200, Page: 1}
	for {
		page, response, err := c.client.Droplets.ListByName(ctx, name, options)
		if err != nil {
			return nil, response, err
		}
		for _, droplet := range page {
			if strings.EqualFold(droplet.Name, name) && hasAll(droplet.Tags, tags) {
				found = append(found, droplet)
			}
		}
		if response.Links == nil || response.Links.IsLastPage() {
			return one(name, found, response)
		}
		options.Page++
	}
}

func one(name string, found []godo.Droplet, response *godo.Response) (*godo.Droplet, *godo.Response, error) {
	switch len(found) {
	case 0:
		return nil, response, nil
	case 1:
		return &found[0], response, nil
	}
	return nil, response, &AmbiguousError{Name: name, Droplets: found}
}

// AmbiguousError is what EnsureDroplet returns when several Droplets have the
// name and the tags that it looks for.
type AmbiguousError struct {
	Name     string
	Droplets []godo.Droplet
}

// Error lists the Droplets.
func (e *AmbiguousError) Error() string {
	ids := make([]string, len(e.Droplets))
	for i, droplet := range e.Droplets {
		ids[i] = fmt.Sprint(droplet.ID)
	}
	return fmt.Sprintf("%d Droplets are named %s: %s", len(e.Droplets), e.Name, strings.Join(ids, ", "))
}

// hasAll reports whether the tags that a Droplet has include all that are
// wanted. A tag's case does not matter.
func hasAll(has, wanted []string) bool {
	for _, tag := range wanted {
		if !slices.ContainsFunc(has, func(other string) bool { return strings.EqualFold(other, tag) }) {
			return false
		}
	}
	return true
}
