package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
)

// manyTargets adds a tenant and targets with the ids 1 to n.
func manyTargets(tb testing.TB, db *DB, n int) {
	tb.Helper()
	if err := db.update(tb.Context(), func(tx *Tx) error {
		if _, err := tx.exec(tb.Context(), "INSERT INTO tenant (id, name, created_at) VALUES (1, 'T', 0)"); err != nil {
			return err
		}
		if _, err := tx.exec(tb.Context(), fmt.Sprintf(`INSERT INTO target (id, tenant_id, controller_id, name, token, created_by, created_at)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i, 1, 'd' || CAST(i AS TEXT), 'd', 'x', 'a', 0 FROM n`, n)); err != nil {
			return err
		}
		_, err := tx.exec(tb.Context(), "INSERT INTO target_state (target_id, status, modified_by, modified_at) SELECT id, 1, 'a', 0 FROM target")
		return err
	}); err != nil {
		tb.Fatal(err)
	}
}

// TestSaveVisits: each target keeps its newest visit, whichever way the rows
// went, and targets that are gone are no hindrance.
func TestSaveVisits(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		const count = 3*visitsAtOnce + 50
		manyTargets(t, db, count)
		want := map[int64]int64{}
		save := func(what string, visits []fleet.Visit) {
			t.Helper()
			if err := (Fleet{DB: db}).SaveVisits(t.Context(), visits); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for _, v := range visits {
				if v.Target <= count {
					want[int64(v.Target)] = max(want[int64(v.Target)], v.SeenAt)
				}
			}
			got := map[int64]int64{}
			if err := db.view(t.Context(), func(q querier) error {
				rows, err := q.query(t.Context(), "SELECT target_id, seen_at FROM target_visit")
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					var id, seen int64
					if err := rows.Scan(&id, &seen); err != nil {
						return err
					}
					got[id] = seen
				}
				return rows.Err()
			}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: (-want +got)\n%s", what, diff)
			}
		}
		save("none", nil)
		save("a few", []fleet.Visit{{Target: 1, SeenAt: 100}, {Target: 2, SeenAt: 100}})
		save("older and newer", []fleet.Visit{{Target: 1, SeenAt: 99}, {Target: 2, SeenAt: 101}})
		save("gone", []fleet.Visit{{Target: 3, SeenAt: 100}, {Target: count + 7, SeenAt: 100}})
		random := rand.New(rand.NewPCG(1, 2))
		for round := range 4 {
			var visits []fleet.Visit
			for id := range fleet.TargetID(count) {
				if random.IntN(3) > 0 {
					visits = append(visits, fleet.Visit{Target: id + 1, SeenAt: 90 + random.Int64N(30)})
				}
			}
			if round%2 == 1 { // sorted behind the others, so that a whole statement is in front
				visits = append(visits, fleet.Visit{Target: count + 1, SeenAt: 1})
				for id := range fleet.TargetID(visitsAtOnce) {
					visits = append(visits, fleet.Visit{Target: count + 2 + id, SeenAt: 1})
				}
			}
			save(fmt.Sprintf("round %d", round), visits)
		}
	})
}

// BenchmarkSaveVisits saves the check-ins of a second out of a fleet of a
// hundred thousand.
func BenchmarkSaveVisits(b *testing.B) {
	for _, at := range testdb.All(b) {
		b.Run(at.Name, func(b *testing.B) {
			db, err := Open(b.Context(), Options{URL: at.URL})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := db.Close(); err != nil {
					b.Error(err)
				}
			})
			const count, visited = 100_000, 10_000
			manyTargets(b, db, count)
			seen := int64(1)
			for b.Loop() {
				seen++
				visits := make([]fleet.Visit, visited)
				for i, id := range rand.Perm(count)[:visited] {
					visits[i] = fleet.Visit{Target: fleet.TargetID(id + 1), SeenAt: seen}
				}
				slices.SortFunc(visits, func(a, b fleet.Visit) int { return int(a.Target - b.Target) })
				if err := (Fleet{DB: db}).SaveVisits(b.Context(), visits); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*visited), "µs/visit")
		})
	}
}
