package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

// shelf is a store under test, with two accounts and a small catalogue.
type shelf struct {
	*testing.T
	*DB
	db   *database.DB
	next int64
}

const (
	mine   = int64(1)
	theirs = int64(2)
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 678_000, time.UTC)

func eachShelf(t *testing.T, test func(s *shelf)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, c database.Config) {
		c.Now = func() time.Time { return now }
		db := databasetest.Open(t, c)
		if _, err := db.Migrate(t.Context(), Migrations()); err != nil {
			t.Fatal(err)
		}
		s := &shelf{T: t, DB: New(db), db: db, next: 1000}
		s.write(func(tx *Tx) error {
			for _, id := range []int64{mine, theirs} {
				if err := s.addAccount(tx, id); err != nil {
					return err
				}
			}
			return tx.SetCatalog(catalog("nyc3"))
		})
		test(s)
	})
}

func (s *shelf) addAccount(tx *Tx, id int64) error {
	name := fmt.Sprint("account ", id)
	if err := tx.AddAccount(cloud.Account{ID: id, UUID: name, Name: name, Email: name, CreatedAt: now}); err != nil {
		return err
	}
	_, err := tx.AddVPC(cloud.VPC{ID: vpcOf(id), Account: id, Name: "v", Region: "nyc3", IPRange: "10.0.0.0/16", CreatedAt: now})
	return err
}

func vpcOf(account int64) string { return fmt.Sprint("vpc of ", account) }

func catalog(regions ...string) (c cloud.Catalog) {
	for _, slug := range regions {
		c.Regions = append(c.Regions, cloud.Region{Slug: slug, Available: true})
	}
	c.Sizes = []cloud.Size{{Slug: "small", Available: true, Regions: regions}}
	c.Images = []cloud.BaseImage{{ID: 5, Slug: "debian", CreatedAt: "2024-01-02T03:04:05Z", Regions: regions}}
	return c
}

func (s *shelf) write(fn func(tx *Tx) error) {
	s.Helper()
	if err := s.Write(s.Context(), fn); err != nil {
		s.Fatal(err)
	}
}

func (s *shelf) read(fn func(tx *Tx) error) {
	s.Helper()
	if err := s.Read(s.Context(), fn); err != nil {
		s.Fatal(err)
	}
}

// droplet adds a Droplet.
func (s *shelf) droplet(account int64, name string, change func(d *cloud.Droplet)) cloud.Droplet {
	s.Helper()
	s.next++
	d := cloud.Droplet{
		ID: s.next, Account: account, Name: name, Region: "nyc3", Size: "small", Image: cloud.Image{ID: 5},
		Status: cloud.DropletActive, VPC: vpcOf(account), PrivateIPv4: fmt.Sprint("10.0.0.", s.next),
		PublicKeys: []string{}, CreatedAt: now,
	}
	if change != nil {
		change(&d)
	}
	s.write(func(tx *Tx) error {
		added, err := tx.AddDroplet(NewDroplet{Droplet: d, PrivateHost: d.ID, PublicHost: d.ID})
		if err != nil || !added {
			return fmt.Errorf("added: %v, %w", added, err)
		}
		return tx.PlaceDroplet(d.ID, d.Host, d.Status)
	})
	return d
}

func (s *shelf) tag(account int64, r cloud.Ref, names ...string) {
	s.Helper()
	s.write(func(tx *Tx) error {
		_, err := tx.Tag(account, r, names)
		return err
	})
}
