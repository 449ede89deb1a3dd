package sim

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// CreatePeering joins two private networks.
func (e *Engine) CreatePeering(ctx context.Context, w engine.Work, p engine.Peering) (engine.Progress, error) {
	c := e.call(w, "peering.create", p.Ref)
	c.names = append(c.names, p.VPCs[0], p.VPCs[1])
	c.makes = thing{"sim_peerings", p.ID}
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		there, err := c.makes.exists(t)
		if err == nil && !there {
			err = one(t.Exec(`
				INSERT INTO sim_peerings (id, account, name, vpc, peer, destroyed)
				VALUES ($1, $2, $3, $4, $5, FALSE) ON CONFLICT (id) DO NOTHING`,
				p.ID, p.Account, p.Name, p.VPCs[0], p.VPCs[1]))
		}
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

// DeletePeering parts two private networks, or makes sure that they are never
// joined.
func (e *Engine) DeletePeering(ctx context.Context, w engine.Work, peering engine.Ref) (engine.Progress, error) {
	c := e.call(w, "peering.delete", peering)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		_, err := t.Exec(`
			INSERT INTO sim_peerings (id, account, name, vpc, peer, destroyed) VALUES ($1, $2, $3, '', '', TRUE)
			ON CONFLICT (id) DO UPDATE SET destroyed = TRUE`, peering.ID, peering.Account, peering.Name)
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}
