package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/qmp"
)

// hasDevice reports whether a device was plugged in.
func (v *vm) hasDevice(ctx context.Context, id string) (bool, error) {
	var children []struct {
		Name string `json:"name"`
	}
	err := v.execute(ctx, "qom-list", map[string]any{"path": "/machine/peripheral"}, &children)
	return slices.ContainsFunc(children, func(c struct {
		Name string `json:"name"`
	}) bool {
		return c.Name == id
	}), err
}

// removeDevice unplugs a device and waits until the guest has let it go. One
// that is not there is done.
func (v *vm) removeDevice(ctx context.Context, id string) error {
	deleted := v.monitor.Load().Subscribe("DEVICE_DELETED")
	defer deleted.Close()
	err := v.execute(ctx, "device_del", map[string]any{"id": id}, nil)
	if e, ok := errors.AsType[*qmp.Error](err); ok && e.Class == "DeviceNotFound" {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, done := context.WithTimeout(ctx, monitorTime)
	defer done()
	_, err = deleted.Wait(ctx, func(e qmp.Event) bool {
		var data struct {
			Device string `json:"device"`
		}
		return json.Unmarshal(e.Data, &data) == nil && data.Device == id
	})
	return err
}

// dropNodes removes block nodes that nothing uses any more, where they are
// there.
func (v *vm) dropNodes(ctx context.Context, names ...string) error {
	var nodes []struct {
		Name string `json:"node-name"`
	}
	if err := v.execute(ctx, "query-named-block-nodes", map[string]any{"flat": true}, &nodes); err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(nodes, func(n struct {
			Name string `json:"node-name"`
		}) bool {
			return n.Name == name
		}) {
			continue
		}
		if err := v.execute(ctx, "blockdev-del", map[string]any{"node-name": name}, nil); err != nil {
			return err
		}
	}
	return nil
}
