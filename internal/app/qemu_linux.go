package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine/qemu"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/routed"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/usernet"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// kvmDevice is what machines that use KVM have to open.
const kvmDevice = "/dev/kvm"

// openQEMU starts the engine with real machines, and takes over those that run.
func (s *server) openQEMU(ctx context.Context) (r running, err error) {
	data := s.storage.Data
	if s.real.vmUser != nil { // who goes through to what is its own, and cannot list what else is there
		if err := os.Chmod(data, 0o711); err != nil {
			return r, fmt.Errorf("--data: %w", err)
		}
	}
	accel, err := host.ChooseAccel(ctx, s.Accel)
	if err != nil {
		return r, fmt.Errorf("--accel: %w", err)
	}
	s.log.Info("machines are real", "accel", accel.Name, "why", accel.Why, "network", s.Network)
	if s.real.vmUser != nil && s.VMUIDs == "" && s.real.vmUIDs.count == 0 {
		s.log.Warn("machines share one user, as root has few user IDs here; --vm-uids names others", "user", s.real.vmUser.name)
	}
	network, err := s.openNetwork(ctx)
	if err != nil {
		return r, fmt.Errorf("--network %s: %w", s.Network, err)
	}
	if n, is := network.(interface{ TakeBack() error }); is {
		s.takeBack = n.TakeBack
	}
	images := image.Open(filepath.Join(data, imageFolder))
	e, err := qemu.Open(ctx, qemu.Options{
		Dir: filepath.Join(data, "qemu"), Images: images, Network: network, Region: cloud.LocalRegion, Accel: accel.Name,
		DiskOvercommit: s.real.diskOvercommit,
		User:           s.real.forQEMU(accel.Name), ImportAllow: s.real.importAllow, Tags: s.store.MachineTags, Log: s.log,
	})
	if err != nil {
		return r, errors.Join(err, network.Close())
	}
	offers := &offers{images: images, folder: filepath.Join(data, imageFolder), log: s.log, local: cloud.Local{
		Features: []string{"storage", "metadata", "backups"}, Aliases: s.real.aliases,
	}}
	if s.real.addresses.IPv6.Any() {
		offers.local.Features = append(offers.local.Features, "ipv6")
	}
	capacity, err := e.Capacity(ctx)
	if err != nil {
		return r, errors.Join(err, e.Close())
	}
	offers.local.VCPUs, offers.local.Memory, offers.local.Disk = capacity.VCPUs, capacity.Memory, capacity.Disk
	r = running{engine: e, offers: offers.now, addresses: s.real.addresses, close: e.Close}
	if r.catalog, err = offers.now(ctx); err != nil {
		return r, errors.Join(err, e.Close())
	}
	return r, nil
}

// openNetwork makes the network that machines are in.
func (s *server) openNetwork(ctx context.Context) (vnet.Network, error) {
	if s.Network == networkUser {
		return usernet.New(usernet.Options{PublicPool: s.real.public, Log: s.log})
	}
	o := s.real.routed(s.Uplink)
	o.Log = s.log
	return routed.New(ctx, o)
}

// forQEMU is the user of the machines as the engine knows it, with the group that
// may use KVM where that is used.
func (r realSettings) forQEMU(accel string) *qemu.User {
	if r.vmUser == nil {
		return nil
	}
	user := &qemu.User{UID: r.vmUser.uid, GID: r.vmUser.gid, Own: qemu.UIDs{First: r.vmUIDs.first, Count: r.vmUIDs.count}}
	if accel != host.KVM {
		return user
	}
	if info, err := os.Stat(kvmDevice); err == nil {
		if owner, is := info.Sys().(*syscall.Stat_t); is {
			user.Groups = append(user.Groups, owner.Gid)
		}
	}
	return user
}

// asLocal is a base image as the catalogue has it.
func asLocal(i image.Image) cloud.LocalImage {
	return cloud.LocalImage{
		BaseImage: cloud.BaseImage{
			ID: i.ID, Slug: i.Slug, Name: i.Name, Distribution: i.Distribution, Description: i.Description, Kind: i.Kind,
			MinDiskSize: i.MinDiskSize, SizeGigabytes: i.SizeGigabytes, CreatedAt: cloud.FormatTime(i.CreatedAt),
		},
		Aliases: i.Aliases,
	}
}

// offers tells what there is to offer. Images come and go in their folder
// beside the server; while that stays as it is, nothing is read.
type offers struct {
	images *image.Store
	folder string
	local  cloud.Local
	log    *slog.Logger

	stamp   string // of the folder when it was read
	catalog cloud.Catalog
	told    string // the last trouble that was logged
}

// now is called by one at a time.
func (o *offers) now(context.Context) (cloud.Catalog, error) {
	stamp := stampOf(o.folder)
	if stamp != "" && stamp == o.stamp {
		return o.catalog, nil
	}
	images, err := o.images.List()
	o.tell(err)
	local := o.local
	for _, i := range images {
		local.Images = append(local.Images, asLocal(i))
	}
	catalog, err := local.Catalog()
	if err != nil {
		return o.catalog, err
	}
	o.stamp, o.catalog = stamp, catalog
	return catalog, nil
}

// tell logs trouble once.
func (o *offers) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != o.told {
		o.log.Warn("some images are not offered", "error", text)
	}
	o.told = text
}

// settled is how long after a change a folder's time tells it from the next one.
const settled = 2 * time.Second

// stampOf changes with what is in a folder; empty is one that has just changed
// or is not there, which tells nothing.
func stampOf(folder string) string {
	info, err := os.Stat(folder)
	if err != nil || time.Since(info.ModTime()) < settled {
		return ""
	}
	return strconv.FormatInt(info.ModTime().UnixNano(), 10)
}
