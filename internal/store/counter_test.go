package store

import (
	"slices"
	"sync"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

func (s *shelf) ids(db *DB, c Counter, n int) []int64 {
	s.Helper()
	ids, err := db.IDs(s.Context(), c, n)
	if err != nil {
		s.Fatal(err)
	}
	return ids
}

// Processes that count together never give a number twice.
func TestCountersAreSharedByProcesses(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		const processes, each = 4, 150
		var mu sync.Mutex
		var all []int64
		var together sync.WaitGroup
		for range processes {
			together.Go(func() {
				ids, err := New(s.db).IDs(s.Context(), DropletIDs, each)
				if err != nil {
					s.Error(err)
				}
				if !slices.IsSorted(ids) {
					s.Errorf("not in rising order: %v", ids)
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, ids...)
			})
		}
		together.Wait()
		slices.Sort(all)
		if n := len(slices.Compact(all)); n != processes*each || all[0] != cloud.FirstID {
			s.Errorf("%d different numbers from %d on", n, all[0])
		}
	})
}

// A process that ends in order leaves no gap, and one that crashes leaves one.
func TestCountersAreGivenBack(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		first, second, third := New(s.db), New(s.db), New(s.db)
		s.ids(first, DropletIDs, 3)
		s.ids(first, ImageIDs, 1)
		if err := first.GiveBack(s.Context()); err != nil {
			s.Fatal(err)
		}
		if got := s.ids(second, DropletIDs, 1)[0]; got != cloud.FirstID+3 {
			s.Errorf("got %d after an end in order", got)
		}
		if got := s.ids(second, ImageIDs, 1)[0]; got != cloud.FirstPrivateImageID+1 {
			s.Errorf("got image %d after an end in order", got)
		}
		past := s.ids(third, DropletIDs, 1)[0] // while second has its block still
		if err := second.GiveBack(s.Context()); err != nil {
			s.Fatal(err)
		}
		if got := s.ids(New(s.db), DropletIDs, 1)[0]; got != past+blockSize {
			s.Errorf("got %d, which is in the block that begins with %d", got, past)
		}
		if got := s.ids(first, DropletIDs, 1)[0]; got <= past {
			s.Errorf("a process goes on with %d after it gave its numbers back", got)
		}
	})
}
