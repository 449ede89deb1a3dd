package sim

import (
	"context"
	"encoding/json"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// ApplyFirewall makes a machine's rules what is described, unless it has newer
// ones.
func (e *Engine) ApplyFirewall(ctx context.Context, w engine.Work, machine engine.Ref, firewall engine.Firewall) (engine.Progress, error) {
	text, err := firewallText(firewall)
	if err != nil {
		return engine.Progress{}, err
	}
	c := e.call(w, "firewall.apply", machine)
	c.apply = func(t *database.Tx) (engine.Progress, error) {
		if _, err := lockMachine(t, machine.ID); err != nil {
			return engine.Progress{}, err
		}
		_, err := t.Exec("UPDATE sim_machines SET firewall = $1, firewall_version = $2 WHERE id = $3 AND firewall_version <= $2",
			text, firewall.Version, machine.ID)
		return engine.Progress{}, err
	}
	return e.do(ctx, c)
}

func firewallText(f engine.Firewall) (string, error) {
	text, err := json.Marshal(f)
	return string(text), err
}
