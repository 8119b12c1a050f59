package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
)

// Whoever creates, registers or deletes targets at the same time: the total is
// what there is, and its rows stay few.
func TestTargetTotal(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		f := Fleet{w.db}
		var all sync.WaitGroup
		for n := range 4 {
			all.Go(func() {
				for i := range 60 {
					id := func(what string) fleet.ControllerID {
						return fleet.ControllerID(fmt.Sprintf("%s-%d-%d", what, n, i))
					}
					created := []fleet.Target{{ControllerID: id("a"), Name: "a"}, {ControllerID: id("b"), Name: "b"}}
					if err := f.CreateTargets(w.ctx, w.tenant, created); err != nil {
						t.Error(err)
					}
					if err := f.CreateTargets(w.ctx, w.tenant, []fleet.Target{{ControllerID: id("c"), Name: "c"}, created[0]}); err == nil {
						t.Error("a target was created twice")
					}
					for range 2 { // the second time it is there
						if err := f.Register(w.ctx, w.tenant, &fleet.Target{ControllerID: id("d"), Name: "d", SeenAt: w.now}); err != nil {
							t.Error(err)
						}
					}
					if err := f.DeleteTarget(w.ctx, w.tenant, id("b"), time.UnixMilli(1)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		targets, total, err := f.Targets(w.ctx, w.tenant, query.List{Limit: 50})
		if err != nil || len(targets) != 50 || total != 480 {
			t.Errorf("%d of %d targets, want 50 of 480: %v", len(targets), total, err)
		}
		must(t, w.db.view(w.ctx, func(q querier) error {
			var rows int64
			err := q.row(w.ctx, "SELECT count(*) FROM target_count WHERE tenant_id = $1", int64(w.tenant)).Scan(&rows)
			if rows > 4*foldEvery {
				t.Errorf("the total has %d rows", rows)
			}
			return err
		}))
	})
}
