package store

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// names lists the Droplets that a filter finds.
func (s *shelf) names(f cloud.DropletFilter, p cloud.Page) (names string, total int64) {
	s.Helper()
	var found []string
	s.read(func(tx *Tx) error {
		droplets, n, err := tx.Droplets(mine, f, p)
		total, found = n, nil
		for _, d := range droplets {
			found = append(found, d.Name)
		}
		return err
	})
	return fmt.Sprint(found), total
}

// Names are found whatever their case and as a whole, tags exactly, and both
// the same on every database. What LIKE gives a meaning to has none.
func TestDropletFilters(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		a := s.droplet(mine, "Web", nil)
		s.droplet(mine, "web", nil)
		s.droplet(mine, "web-1", func(d *cloud.Droplet) { d.Host = "h1" })
		host := s.droplet(mine, "w.b", func(d *cloud.Droplet) { d.Host = "h1" })
		other := s.droplet(theirs, "web", func(d *cloud.Droplet) { d.Host = "h1" })
		s.tag(mine, a.Ref(), "Prod", "zone")
		s.tag(theirs, other.Ref(), "Prod")
		tests := []struct {
			filter cloud.DropletFilter
			want   string
		}{
			{cloud.DropletFilter{Name: "nothing"}, "[]"},
			{cloud.DropletFilter{Name: "w%"}, "[]"},
			{cloud.DropletFilter{Name: "w_b"}, "[]"},
			{cloud.DropletFilter{Name: "we"}, "[]"},
			{cloud.DropletFilter{Tag: "prod"}, "[]"},
			{cloud.DropletFilter{Tag: "Pro%"}, "[]"},
			{cloud.DropletFilter{Host: "h1", Not: host.ID}, "[web-1]"},
			{cloud.DropletFilter{Name: "WEB"}, "[Web web]"},
			{cloud.DropletFilter{Tag: "Prod"}, "[Web]"},
			{cloud.DropletFilter{GPU: new(true)}, "[]"},
			{cloud.DropletFilter{GPU: new(false)}, "[Web web web-1 w.b]"},
			{cloud.DropletFilter{}, "[Web web web-1 w.b]"},
		}
		for _, test := range tests {
			if got, _ := s.names(test.filter, cloud.Page{}); got != test.want {
				s.Errorf("%+v finds %s, want %s", test.filter, got, test.want)
			}
		}
	})
}

// Pages follow each other without gaps, and each knows the whole.
func TestPages(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		for i := range 5 {
			s.droplet(mine, fmt.Sprint("d", i), nil)
		}
		tests := []struct {
			page cloud.Page
			want string
		}{
			{cloud.Page{}, "[d0 d1 d2 d3 d4]"},
			{cloud.Page{Limit: 2}, "[d0 d1]"},
			{cloud.Page{Limit: 2, Offset: 2}, "[d2 d3]"},
			{cloud.Page{Limit: 2, Offset: 4}, "[d4]"},
			{cloud.Page{Limit: 2, Offset: 5}, "[]"},
			{cloud.Page{Offset: 3}, "[d3 d4]"},
		}
		for _, test := range tests {
			if got, total := s.names(cloud.DropletFilter{}, test.page); got != test.want || total != 5 {
				s.Errorf("%+v is %s of %d, want %s of 5", test.page, got, total, test.want)
			}
		}
	})
}

// A Droplet is read with all that belongs to it, alone and in a list, and each
// list is in an order of its own that no database decides.
func TestDropletIsReadWhole(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		d := s.droplet(mine, "web", nil)
		s.droplet(mine, "other", nil)
		s.tag(mine, d.Ref(), "b", "B2", "a", "_", "a1", "A1")
		s.write(func(tx *Tx) error {
			for _, id := range []string{"v2", "v1"} {
				if _, err := tx.AddVolume(cloud.Volume{ID: id, Account: mine, Name: id, Region: "nyc3", CreatedAt: now}); err != nil {
					return err
				}
				if err := tx.SetVolumeDroplet(id, d.ID); err != nil {
					return err
				}
			}
			if _, err := tx.AddReservedIP(cloud.ReservedIP{ID: 1, IP: "198.19.0.1", Account: mine, Region: "nyc3", CreatedAt: now}, 0); err != nil {
				return err
			}
			if err := tx.AssignReservedIP("198.19.0.1", d.ID); err != nil {
				return err
			}
			for id, status := range map[int64]cloud.ImageStatus{9: cloud.ImageAvailable, 10: cloud.ImageAvailable, 11: cloud.ImageCreating, 12: cloud.ImageDeleted} {
				image := cloud.Image{ID: id, Account: mine, Name: "i", Type: cloud.ImageSnapshot, Status: status, SourceDroplet: d.ID, CreatedAt: now}
				if err := tx.AddImage(image); err != nil {
					return err
				}
			}
			return nil
		})
		s.read(func(tx *Tx) error {
			one, err := tx.Droplet(mine, d.ID)
			if err != nil {
				return err
			}
			all, _, err := tx.Droplets(mine, cloud.DropletFilter{}, cloud.Page{})
			if err != nil {
				return err
			}
			byID, err := tx.DropletsByID(mine, []int64{d.ID})
			if err != nil {
				return err
			}
			if !reflect.DeepEqual(one, all[0]) || !reflect.DeepEqual(one, byID[d.ID]) {
				s.Errorf("alone\n%+v\nin the list\n%+v\nby its ID\n%+v", one, all[0], byID[d.ID])
			}
			got := fmt.Sprint(one.VolumeIDs, one.SnapshotIDs, one.BackupIDs, one.Tags) + " " + one.ReservedIP
			if want := "[v1 v2] [9 10] [] [B2 _ a a1 b] 198.19.0.1"; got != want {
				s.Errorf("got %s, want %s", got, want)
			}
			if !one.CreatedAt.Equal(now) {
				s.Errorf("created at %s, want %s", one.CreatedAt, now)
			}
			return nil
		})
	})
}

// Snapshots of both kinds are one list, and a region names only itself.
func TestSnapshotFilters(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		s.write(func(tx *Tx) error {
			image := cloud.Image{
				ID: 9, Account: mine, Name: "image", Type: cloud.ImageSnapshot, Status: cloud.ImageAvailable,
				Regions: []string{"nyc3", "ams3"}, SourceDroplet: 7, CreatedAt: now,
			}
			if err := tx.AddImage(image); err != nil {
				return err
			}
			copied := cloud.VolumeSnapshot{ID: "s", Account: mine, Volume: "v", Name: "copy", Region: "nyc3", CreatedAt: now}
			if _, err := tx.AddVolumeSnapshot(copied); err != nil {
				return err
			}
			return tx.PublishVolumeSnapshot("s", 1.5)
		})
		tests := []struct {
			kind   cloud.Kind
			region string
			want   string
		}{
			{"", "nyc", "[]"},
			{"", "nyc_", "[]"},
			{"", "%", "[]"},
			{"", `nyc3","ams3`, "[]"},
			{"", "NYC3", "[]"},
			{"", "ams3", "[image]"},
			{"", "nyc3", "[image copy]"},
			{cloud.KindVolume, "", "[copy]"},
			{cloud.KindDroplet, "", "[image]"},
			{"", "", "[image copy]"},
		}
		for _, test := range tests {
			s.read(func(tx *Tx) error {
				found, total, err := tx.Snapshots(mine, test.kind, test.region, cloud.Page{})
				var names []string
				for _, f := range found {
					names = append(names, f.Name)
				}
				if got := fmt.Sprint(names); got != test.want || total != int64(len(names)) {
					s.Errorf("%q in %q: %s, want %s", test.kind, test.region, got, test.want)
				}
				return err
			})
		}
	})
}
