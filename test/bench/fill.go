package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/store"
)

func (s storage) open(ctx context.Context) (*database.DB, error) {
	if s.url != "" {
		return database.Open(ctx, database.Config{URL: s.url, Now: time.Now})
	}
	return database.Open(ctx, database.Config{Path: filepath.Join(s.dir, "cistern.db"), Now: time.Now})
}

// fill adds n active Droplets to a store whose server is stopped. They have
// rows only and no machines: what is measured on them is reading.
func (s storage) fill(ctx context.Context, n int) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	st := store.New(db)
	f, err := newFiller(ctx, st)
	if err != nil {
		return err
	}
	const batch = 500
	for from := 0; from < n; from += batch {
		ids, err := st.IDs(ctx, store.DropletIDs, min(batch, n-from))
		if err != nil {
			return err
		}
		if err := st.Write(ctx, func(tx *store.Tx) error { return f.add(tx, ids, from) }); err != nil {
			return err
		}
	}
	return st.GiveBack(ctx)
}

// filler makes Droplets that look like those a user creates.
type filler struct {
	account int64
	image   cloud.Image
	size    cloud.Size
	vpcs    map[string]cloud.VPC
}

// fillRegions have room for 65,532 Droplets each.
var fillRegions = []string{"nyc3", "ams3"}

func newFiller(ctx context.Context, st *store.DB) (f filler, err error) {
	err = st.Write(ctx, func(tx *store.Tx) error {
		account, err := tx.FirstAccount()
		if err != nil {
			return err
		}
		f = filler{account: account.ID, vpcs: map[string]cloud.VPC{}}
		for _, region := range fillRegions {
			if f.vpcs[region], err = tx.DefaultVPC(f.account, region); err != nil {
				return err
			}
		}
		catalog, err := tx.Catalog()
		if err != nil {
			return err
		}
		f.size, _ = catalog.Size("s-1vcpu-1gb")
		f.image, err = tx.ImageBySlug("debian-12-x64")
		return err
	})
	return f, err
}

func (f filler) add(tx *store.Tx, ids []int64, from int) error {
	if _, err := tx.CountDroplets(f.account, len(ids)); err != nil {
		return err
	}
	for i, id := range ids {
		place := int64(from + i)
		region := fillRegions[place%int64(len(fillRegions))]
		if err := f.addOne(tx, id, place, region); err != nil {
			return err
		}
	}
	for _, vpc := range f.vpcs {
		if err := tx.SetNextHost(vpc.ID, int64(from+len(ids))); err != nil {
			return err
		}
	}
	return nil
}

func (f filler) addOne(tx *store.Tx, id, place int64, region string) error {
	vpc := f.vpcs[region]
	host := place / int64(len(fillRegions))
	private, err := cloud.PrivateIPv4(vpc.IPRange, host)
	if err != nil {
		return err
	}
	pool := cloud.SimulatedAddresses().Droplets
	public := pool.Place(place + pool.Size()/10) // those that are created later come from the front
	added, err := tx.AddDroplet(store.NewDroplet{
		Droplet: cloud.Droplet{
			ID: id, Account: f.account, Name: fmt.Sprintf("web-%d", place), Region: region, Size: f.size.Slug,
			VCPUs: f.size.VCPUs, Memory: f.size.Memory, Disk: f.size.Disk, Image: f.image,
			Status: cloud.DropletActive, CreatedAt: tx.Now, PublicNetworking: true, VPC: vpc.ID, VPCRange: vpc.IPRange,
			PrivateIPv4: private, PublicIPv4: pool.Address(public), PublicKeys: []string{},
		},
		PrivateHost: host, PublicHost: public,
	})
	if err == nil && !added {
		err = fmt.Errorf("the addresses of Droplet %d are taken", id)
	}
	return err
}
