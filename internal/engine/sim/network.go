package sim

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// ApplyNetwork makes a machine's network what is described. Faults may name
// the reserved IP that is routed to the machine or taken away from it.
func (e *Engine) ApplyNetwork(ctx context.Context, w engine.Work, machine engine.Ref, network engine.Network) (engine.Progress, error) {
	text, err := networkText(network)
	if err != nil {
		return engine.Progress{}, err
	}
	c := e.call(w, "network.apply", machine)
	c.names = append(c.names, network.ReservedIPv4, network.ReservedIPv6)
	c.more = func(t *database.Tx) ([]string, error) { return reservedNow(t, machine.ID) }
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		return changed(t.Exec("UPDATE sim_machines SET network = $1 WHERE id = $2 AND NOT destroyed", text, machine.ID))
	}
	return e.do(ctx, c)
}

// reservedNow returns the reserved IPs that a machine has until the call.
func reservedNow(t *database.Tx, id string) ([]string, error) {
	m, err := findMachine(t, id, "")
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	return []string{m.Network.ReservedIPv4, m.Network.ReservedIPv6}, err
}

func networkText(n engine.Network) (string, error) {
	text, err := json.Marshal(n)
	return string(text), err
}
