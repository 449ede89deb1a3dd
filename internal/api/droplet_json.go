package api

import (
	"github.com/cistern-cloud/cistern/internal/cloud"
)

// appendTo writes a Droplet with its fields in the API's order.
func (w *wireDroplet) appendTo(b []byte) []byte {
	o := newObject(b)
	o.int("id", w.ID)
	o.string("name", w.Name)
	o.int("memory", w.Memory)
	o.int("vcpus", w.VCPUs)
	o.int("disk", w.Disk)
	array(o, "disk_info", w.DiskInfo, appendDiskInfo)
	o.bool("locked", w.Locked)
	o.string("status", w.Status)
	o.null("kernel")
	o.string("created_at", w.CreatedAt)
	array(o, "features", w.Features, appendString)
	array(o, "backup_ids", w.BackupIDs, appendInt)
	if w.NextBackupWindow == nil {
		o.null("next_backup_window")
	} else {
		o.key("next_backup_window")
		o.b = w.NextBackupWindow.appendTo(o.b)
	}
	array(o, "snapshot_ids", w.SnapshotIDs, appendInt)
	if w.Image != nil {
		o.raw("image", w.Image.json())
	}
	array(o, "volume_ids", w.VolumeIDs, appendString)
	o.raw("size", w.Size.json)
	o.string("size_slug", w.SizeSlug)
	o.key("networks")
	o.b = w.Networks.appendTo(o.b)
	o.raw("region", w.Region.json)
	array(o, "tags", w.Tags, appendString)
	if w.VPC != "" {
		o.string("vpc_uuid", w.VPC)
	}
	if w.GPUInfo != nil {
		o.raw("gpu_info", encoded(w.GPUInfo))
	}
	return o.end()
}

func appendDroplet(b []byte, w *wireDroplet) []byte { return w.appendTo(b) }

func appendDiskInfo(b []byte, d cloud.DiskInfo) []byte {
	o := newObject(b)
	o.string("type", d.Type)
	o.key("size")
	size := newObject(o.b)
	size.int("amount", d.Size.Amount)
	size.string("unit", d.Size.Unit)
	o.b = size.end()
	return o.end()
}

func (w wireNetworks) appendTo(b []byte) []byte {
	o := newObject(b)
	array(o, "v4", w.V4, appendNetwork)
	array(o, "v6", w.V6, appendNetwork)
	return o.end()
}

func appendNetwork(b []byte, w wireNetwork) []byte {
	o := newObject(b)
	o.string("ip_address", w.IPAddress)
	switch netmask := w.Netmask.(type) {
	case string:
		o.string("netmask", netmask)
	case int:
		o.int("netmask", int64(netmask))
	}
	o.string("gateway", w.Gateway)
	o.string("type", w.Type)
	return o.end()
}

// json is the image's encoding, made once for all Droplets of an answer.
func (w *wireImage) json() []byte {
	if w.encoded == nil {
		w.encoded = encoded(w)
	}
	return w.encoded
}

func (d dropletBody) appendTo(b []byte) []byte {
	o := newObject(b)
	o.key("droplet")
	o.b = d.Droplet.appendTo(o.b)
	if d.Links != nil {
		o.raw("links", encoded(d.Links))
	}
	return o.end()
}

func (d dropletListBody) appendTo(b []byte) []byte {
	o := newObject(b)
	array(o, "droplets", d.Droplets, appendDroplet)
	o.raw("links", encoded(d.Links))
	o.raw("meta", encoded(d.Meta))
	return o.end()
}
