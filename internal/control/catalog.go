package control

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/store"
)

// offersEvery is how often to look whether there is something else to offer:
// images come and go beside a server that runs.
const offersEvery = 2 * time.Second

// offered is what the cloud offers at a time. It never changes; another takes
// its place.
type offered struct {
	// catalog has the regions and sizes, those that are retired included.
	catalog *cloud.Catalog
	// from is what it was made from.
	from cloud.Catalog
	// aliases are the slugs that the engine knows otherwise.
	aliases map[string]string
}

// Catalog is what the cloud offers, with what it no longer offers but has. It
// must not be changed; as long as it is the same pointer, so is what it says.
func (p *Plane) Catalog() *cloud.Catalog { return p.offered.Load().catalog }

// Offered is the catalogue as it was set last, with its images.
func (p *Plane) Offered() cloud.Catalog { return p.offered.Load().from }

// SetCatalog makes the catalogue the given one. What is lacking in it is offered
// no more, and stays for what uses it.
func (p *Plane) SetCatalog(ctx context.Context, c cloud.Catalog) error {
	next := &offered{from: c, aliases: map[string]string{}}
	for _, i := range c.Images {
		if i.Alias != "" {
			next.aliases[i.Slug] = i.Alias
		}
	}
	err := p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.SetCatalog(c); err != nil {
			return err
		}
		catalog, err := tx.Catalog()
		next.catalog = &catalog
		return err
	})
	if err != nil {
		return fmt.Errorf("set the catalogue: %w", err)
	}
	if err := p.store.KeepBaseImages(ctx); err != nil {
		return err
	}
	p.offered.Store(next)
	return p.addMissingVPCs(ctx)
}

// takeOffers is a pass that sets the catalogue if it is another than before.
func (p *Plane) takeOffers(offers func(context.Context) (cloud.Catalog, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		now, err := offers(ctx)
		if err != nil || reflect.DeepEqual(now, p.offered.Load().from) {
			return err
		}
		p.log.Info("the catalogue has changed", "regions", len(now.Regions), "sizes", len(now.Sizes), "images", len(now.Images))
		return p.SetCatalog(ctx, now)
	}
}

// engineImage is how the engine knows an image.
func (p *Plane) engineImage(i cloud.Image) engine.Image {
	known := engine.Image{Ref: imageRef(i.Account, i.ID, i.Name), Slug: i.Slug, Base: i.Account == 0}
	if slug, is := p.offered.Load().aliases[i.Slug]; is && known.Base {
		known.Slug = slug
	}
	return known
}
