package store

import (
	"context"
	"sync"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// Counter is a sequence of numbers that are never given twice.
type Counter string

// The counters.
const (
	AccountIDs    Counter = "account"
	TokenIDs      Counter = "token"
	KeyIDs        Counter = "ssh_key"
	DropletIDs    Counter = "droplet"
	ImageIDs      Counter = "image"
	ActionIDs     Counter = "action"
	ReservedIPIDs Counter = "reserved_ip"
	DestroyIDs    Counter = "destroy"
	TransferIDs   Counter = "image_transfer"
	// The two below count through the pools of public addresses.
	PublicAddresses   Counter = "public_address"
	ReservedAddresses Counter = "reserved_address"
)

func (c Counter) first() int64 {
	switch c {
	case ImageIDs:
		return cloud.FirstPrivateImageID
	case PublicAddresses, ReservedAddresses:
		return 0
	default:
		return cloud.FirstID
	}
}

// blockSize is how many numbers a process takes at once. What is left of a
// block when it ends is lost.
const blockSize = 256

// counters gives out numbers from blocks, so that a number costs no write. It
// is used outside transactions: inside one, a block taken would wait for the
// transaction that waits for it.
type counters struct {
	db     *database.DB
	mu     sync.Mutex
	blocks map[Counter]*block
}

type block struct{ next, end int64 }

func newCounters(db *database.DB) *counters {
	return &counters{db: db, blocks: map[Counter]*block{}}
}

// IDs takes n numbers from a counter, in rising order.
func (db *DB) IDs(ctx context.Context, c Counter, n int) ([]int64, error) {
	ids := make([]int64, 0, n)
	for range n {
		id, err := db.ID(ctx, c)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// ID takes the next number from a counter. It must not be called inside a
// transaction.
func (db *DB) ID(ctx context.Context, c Counter) (int64, error) {
	s := db.ids
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blocks[c]
	if b == nil || b.next == b.end {
		var err error
		if b, err = s.take(ctx, c); err != nil {
			return 0, err
		}
		s.blocks[c] = b
	}
	b.next++
	return b.next - 1, nil
}

func (s *counters) take(ctx context.Context, c Counter) (*block, error) {
	var end int64
	err := s.db.Write(ctx, func(t *database.Tx) error {
		var err error
		end, err = database.One(t, database.Value[int64], `
			INSERT INTO counters (name, next) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET next = counters.next + $3
			RETURNING next`, string(c), c.first()+blockSize, int64(blockSize))
		return err
	})
	return &block{end - blockSize, end}, explain(err)
}

// GiveBack returns what is left of the blocks when a process ends in order, so
// that IDs have no needless gaps. Blocks that another process has gone past
// are lost.
func (db *DB) GiveBack(ctx context.Context) error {
	s := db.ids
	s.mu.Lock()
	defer s.mu.Unlock()
	blocks := s.blocks
	s.blocks = map[Counter]*block{}
	return s.db.Write(ctx, func(t *database.Tx) error {
		for c, b := range blocks {
			if _, err := t.Exec("UPDATE counters SET next = $1 WHERE name = $2 AND next = $3",
				b.next, string(c), b.end); err != nil {
				return err
			}
		}
		return nil
	})
}
