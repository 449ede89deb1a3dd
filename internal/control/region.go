package control

import "github.com/cistern-cloud/cistern/internal/cloud"

// openRegion finds a region that new things can be in. Errors show the slug as
// it was written.
func (p *Plane) openRegion(slug, written string) (cloud.Region, error) {
	region, ok := p.Catalog().Region(slug)
	switch {
	case !ok || region.Retired:
		return region, cloud.Invalid("region %q does not exist", written)
	case !region.Available:
		return region, cloud.Invalid("%s is unavailable.", region.Slug)
	}
	return region, nil
}
