package qemu

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/metadata"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// metadataTime is how long a guest waits at most for what it is told.
const metadataTime = 5 * time.Second

// ApplyNetwork makes a machine's network what is described. What its guest
// configures itself changes when it starts next.
func (e *Engine) ApplyNetwork(ctx context.Context, w engine.Work, ref engine.Ref, network engine.Network) (engine.Progress, error) {
	return e.do(ctx, e.change(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
		m.Network = network
		err := e.updateNetwork(ctx, *m)
		if partly, is := errors.AsType[vnet.Partly](err); is { // the address leads there all the same
			e.log.Warn("a machine's firewall is not kept in full", "machine", m.ID, "error", partly)
			return nil
		}
		return err
	}))
}

// ApplyFirewall makes what may pass to and from a machine what is described,
// unless it has a newer description. Where the network cannot keep all of it, it
// keeps what it can, which lets less pass and not more, and the call fails.
func (e *Engine) ApplyFirewall(ctx context.Context, w engine.Work, ref engine.Ref, firewall engine.Firewall) (engine.Progress, error) {
	return e.do(ctx, e.change(w, ref.ID, func(ctx context.Context, j *job, m *machine) error {
		if firewall.Version < m.Firewall.Version {
			return nil
		}
		m.Firewall = firewall
		refusal := e.Network.Check(firewall)
		if refusal != nil { // which would leave the record as it was
			if err := e.db.Write(context.WithoutCancel(ctx), m.save); err != nil {
				return err
			}
		}
		err := e.updateNetwork(ctx, *m)
		if refusal != nil && (err == nil || engine.IsFinal(err)) {
			return refusal // of which the network says the same, or a part
		}
		return err
	}))
}

// updateNetwork tells the network of a running machine's changes. One that is
// off is plugged in as it is then.
func (e *Engine) updateNetwork(ctx context.Context, m machine) error {
	if !e.hasProcess(m.ID) {
		return nil
	}
	return e.Network.Update(ctx, e.vnet(m))
}

// CreatePeering joins two private networks.
func (e *Engine) CreatePeering(ctx context.Context, w engine.Work, p engine.Peering) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{string(peerings) + "/" + p.ID}, makes: peerings, id: p.ID,
		run: func(ctx context.Context, j *job) (effect, error) {
			record := func(t *database.Tx) error { return save(t, peerings, p.ID, "", p) }
			return effect{record: record}, e.Network.Peer(ctx, p)
		},
	})
}

// DeletePeering parts two private networks, or makes sure that they are never
// joined.
func (e *Engine) DeletePeering(ctx context.Context, w engine.Work, peering engine.Ref) (engine.Progress, error) {
	return e.do(ctx, call{
		work: w, locks: []string{string(peerings) + "/" + peering.ID},
		run: func(ctx context.Context, j *job) (effect, error) {
			record := func(t *database.Tx) error { return bury(t, peerings, peering.ID) }
			return effect{record: record}, e.Network.Unpeer(ctx, peering.ID)
		},
	})
}

// metadata answers a machine's own requests for its metadata, as its record is
// at the time.
func (e *Engine) metadata(id string) http.Handler {
	return metadata.Handler(func() (metadata.Document, bool) {
		ctx, done := context.WithTimeout(e.life, metadataTime)
		defer done()
		m, err := look[machine](ctx, e, machines, id)
		if err != nil {
			return metadata.Document{}, false
		}
		return e.document(ctx, m), true
	})
}

func (e *Engine) document(ctx context.Context, m machine) metadata.Document {
	number, _ := strconv.ParseInt(m.ID, 10, 64) // Droplets have numbers; other machines are told none
	d := metadata.Document{
		DropletID: number, Hostname: m.Name, UserData: m.UserData, VendorData: vendorData(m),
		PublicKeys: m.PublicKeys, Region: m.Region, Features: metadata.Features{DHCPEnabled: true},
	}
	as := e.vnet(m)
	d.SetNetwork(as, e.Network.Guest(as))
	if e.Tags != nil {
		tags, err := e.Tags(ctx, m.ID)
		if err != nil {
			e.log.Warn("a machine is not told its tags", "machine", m.ID, "error", err)
		}
		d.Tags = tags
	}
	return d
}

// vendorData tells cloud-init what a Droplet has that an image does not: root
// may log in, and has a password where there are no keys.
func vendorData(m machine) string {
	var b strings.Builder
	b.WriteString("#cloud-config\ndisable_root: false\nmanage_etc_hosts: true\n")
	if m.PasswordHash != "" {
		fmt.Fprintf(&b, "ssh_pwauth: true\nchpasswd:\n  expire: false\n  list:\n    - root:%s\n", m.PasswordHash)
	}
	return b.String()
}
