package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/query"
)

// BenchmarkTargets reads what the pages about a fleet show, with all that a
// target shows of itself: the fleet of BenchmarkFilter, in a hundred groups.
func BenchmarkTargets(b *testing.B) {
	for _, at := range testdb.All(b) {
		db := open(b, at)
		if err := fillFleet(b, db, benchTargets); err != nil {
			b.Fatal(err)
		}
		err := db.update(b.Context(), func(tx *Tx) error {
			_, err := tx.exec(b.Context(), "UPDATE target SET group_name = 'Site ' || CAST(id % 100 AS TEXT) || '/' || CAST(id % 3 AS TEXT)")
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		f := Fleet{db}
		l := query.List{Limit: 50, Sort: []query.Order{{Field: "id"}}}
		for name, read := range map[string]func() error{
			"first page":       func() error { _, _, err := f.Targets(b.Context(), 1, l); return err },
			"groups":           func() error { _, err := f.Groups(b.Context(), 1); return err },
			"a group":          func() error { _, _, err := f.GroupTargets(b.Context(), 1, "SITE 7/1", false, l); return err },
			"a group and more": func() error { _, _, err := f.GroupTargets(b.Context(), 1, "Site 7", true, l); return err },
			"a tag":            func() error { _, _, err := f.TaggedTargets(b.Context(), 1, 1, l); return err },
			"with a set":       func() error { _, _, err := f.AssignedTargets(b.Context(), 1, 1, l); return err },
			"one target":       func() error { _, err := f.Target(b.Context(), 1, fleet.ControllerID("device-0012345")); return err },
		} {
			b.Run(at.Name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if err := read(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// benchWorld is a world that lasts as long as the benchmark.
func benchWorld(b *testing.B, at testdb.Database) *world {
	b.Helper()
	return newWorld(b, open(b, at))
}

// BenchmarkCreateTargets measures requests that add a thousand targets each.
func BenchmarkCreateTargets(b *testing.B) {
	const atOnce = 1000
	for _, at := range testdb.All(b) {
		b.Run(at.Name, func(b *testing.B) {
			w := benchWorld(b, at)
			n := 0
			for b.Loop() {
				n++
				list := newcomers(fmt.Sprintf("%d-%d", b.N, n), atOnce)
				if err := (Fleet{w.db}).CreateTargets(context.WithoutCancel(w.ctx), w.tenant, list); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*atOnce), "µs/target")
		})
	}
}
