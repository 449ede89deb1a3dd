package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Project reads a project. There is one in each account, which its ID or the
// word default names.
func (p *Plane) Project(ctx context.Context, who cloud.Actor, id string) (project cloud.Project, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		project, err = findProject(tx, who, id)
		return err
	})
	return project, err
}

func findProject(tx *store.Tx, who cloud.Actor, id string) (cloud.Project, error) {
	account, err := tx.Account(who.Account)
	if err == nil && id != cloud.DefaultProject && id != account.ProjectID {
		err = cloud.NotFound()
	}
	return account.Project(), err
}

// ProjectResources lists what is in a project, as far as the caller may see it.
func (p *Plane) ProjectResources(ctx context.Context, who cloud.Actor, id string, page cloud.Page) (resources []cloud.ProjectResource, total int64, err error) {
	kinds := []cloud.Kind{}
	for _, k := range cloud.ProjectKinds {
		if who.Scopes.Has(k.Scope) {
			kinds = append(kinds, k.Kind)
		}
	}
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if _, err = findProject(tx, who, id); err != nil {
			return err
		}
		resources, total, err = tx.ProjectResources(who.Account, kinds, page)
		return err
	})
	return resources, total, err
}

// AssignResources puts resources into a project and returns them. As all that
// an account has is in its one project, they only have to be there.
func (p *Plane) AssignResources(ctx context.Context, who cloud.Actor, id string, refs []cloud.Ref) (resources []cloud.ProjectResource, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) error {
		if _, err := findProject(tx, who, id); err != nil {
			return err
		}
		there, err := findResources(tx, who, refs)
		if err != nil {
			return err
		}
		resources = []cloud.ProjectResource{}
		for _, ref := range refs {
			found, ok := there[ref]
			if !ok {
				return cloud.Errorf(cloud.CodeNotFound, "%s", cloud.Clip("There is no "+ref.URN(), longestURN))
			}
			resources = append(resources, found)
		}
		return nil
	})
	return resources, err
}

// longestURN is how much of a name that names nothing is repeated.
const longestURN = 300

// findResources finds those of the resources that the account has. Each of
// their kinds takes the scope to read it.
func findResources(tx *store.Tx, who cloud.Actor, refs []cloud.Ref) (map[cloud.Ref]cloud.ProjectResource, error) {
	there := map[cloud.Ref]cloud.ProjectResource{}
	for _, k := range cloud.ProjectKinds {
		var ids []string
		for _, ref := range refs {
			if ref.Kind == k.Kind {
				ids = append(ids, ref.ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		if err := who.Require(k.Scope); err != nil {
			return nil, err
		}
		found, err := tx.FindProjectResources(who.Account, k.Kind, ids)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			there[r.Ref] = r
		}
	}
	return there, nil
}
