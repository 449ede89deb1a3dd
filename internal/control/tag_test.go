package control

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// Whoever tags, creates, deletes and renames at the same time, no tag is left
// on what is gone, and none that is gone on what is there.
func TestTagsKeepUpWithWhatComesAndGoes(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		c.quickly(func() {
			for round := range 3 {
				c.tagRound(round)
			}
		})
		left := c.query(`SELECT COUNT(*) FROM tagged WHERE name NOT IN (SELECT name FROM tags)`)
		if left > 0 {
			c.Errorf("%d tags that are gone are still on something", left)
		}
		c.checkWorld()
	})
}

// tagRound does everything to one volume and one tag at once.
func (c *testCloud) tagRound(round int) {
	c.Helper()
	v := c.addVolume(fmt.Sprint("data", round))
	calls := []func() error{
		func() error { return c.plane.DeleteTag(c.ctx, c.who, "a") },
		func() error { return c.plane.TagResources(c.ctx, c.who, "a", []cloud.Ref{v.Ref()}) },
		func() error { return second(c.plane.AddTag(c.ctx, c.who, "A")) },
		func() error { return second(c.plane.RenameTag(c.ctx, c.who, "A", "a")) },
		func() error {
			n := newDroplet(fmt.Sprint("web", round))
			n.Tags = []string{"b", "a"}
			_, _, err := c.plane.CreateDroplets(c.ctx, c.who, n)
			return err
		},
	}
	c.must(func(ctx context.Context) error {
		var all sync.WaitGroup
		for _, call := range calls {
			for range 3 {
				all.Go(func() {
					if err := call(); err != nil && !cloud.IsNotFound(err) {
						c.Error(err)
					}
				})
			}
		}
		err := c.plane.DeleteVolume(ctx, c.who, v.ID)
		all.Wait()
		return err
	})
}
