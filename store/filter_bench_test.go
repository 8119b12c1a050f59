package store

import (
	"fmt"
	"testing"

	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/query"
)

// benchTargets is the size of the fleet that BenchmarkFilter lists.
const benchTargets = 100_000

// BenchmarkFilter reads the first page and the total of filters that people
// use, from a fleet where each target has two attributes, every tenth a tag and
// every hundredth an error.
func BenchmarkFilter(b *testing.B) {
	for _, at := range testdb.All(b) {
		db := open(b, at)
		if err := fillFleet(b, db, benchTargets); err != nil {
			b.Fatal(err)
		}
		b.Run(at.Name, func(b *testing.B) {
			for _, text := range []string{
				"", "controllerid==device-0012345", "controllerid==device-00123*", "name==*12345*", "name==*größe*",
				"updatestatus==error", "tag==lab", "tag!=lab", "tag==lab,tag==field", "tag==lab,name==x", "attribute.revision==r17", "attribute.serial==s12345",
				"assignedds.name==set-1", "type==gateway", "lastcontrollerrequestat=le=${OVERDUE_TS}",
				"(controllerid==*123* or name==*123*);(tag==lab,tag==field)",
			} {
				b.Run(text, func(b *testing.B) {
					l := query.List{Limit: 50, Sort: []query.Order{{Field: "controllerid"}}, Moment: query.Moment{Now: now, OverdueBefore: 1000}}
					if text != "" {
						var err error
						if l.Filter, err = query.Parse(text, fleet.TargetFields()); err != nil {
							b.Fatal(err)
						}
					}
					var found int64
					for b.Loop() {
						err := db.view(b.Context(), func(q querier) error {
							var err error
							_, found, err = page(b.Context(), q, db.dialect, 1, l, listing{columns: targetColumns(), fields: "e.id", from: targetFrom, where: "e.tenant_id = $1", args: []any{1}, few: fewRows}, scalar[int64])
							return err
						})
						if err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(found), "rows")
				})
			}
		})
	}
}

func fillFleet(tb testing.TB, db *DB, n int) error {
	tb.Helper()
	return db.update(tb.Context(), func(tx *Tx) error {
		f := builder{ctx: tb.Context(), tx: tx}
		numbers := fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT ", n)
		serial := "substr('0000000' || CAST(i AS TEXT), length(CAST(i AS TEXT)) + 1)"
		f.link("tenant (id, name, created_at) VALUES (1, 'T', 0)")
		f.link("distribution_set_type (id, tenant_id, key, name, created_by, created_at, modified_by, modified_at) VALUES (1, 1, 'os', 'OS', 'a', 0, 'a', 0)")
		f.link("target_type (id, tenant_id, key, name, created_by, created_at, modified_by, modified_at) VALUES (1, 1, 'gateway', 'Gateway', 'a', 0, 'a', 0)")
		f.link("target_tag (id, tenant_id, name, created_by, created_at, modified_by, modified_at) VALUES (1, 1, 'lab', 'a', 0, 'a', 0), (2, 1, 'Field', 'a', 0, 'a', 0)")
		f.link("distribution_set (id, tenant_id, type_id, name, version, created_by, created_at, modified_by, modified_at) VALUES (1, 1, 1, 'set-1', '1', 'a', 0, 'a', 0), (2, 1, 1, 'set-2', '1', 'a', 0, 'a', 0)")
		f.link("target (id, tenant_id, controller_id, name, token, type_id, group_name, created_by, created_at) " + numbers +
			"i, 1, 'device-' || " + serial + ", 'Device ' || " + serial + ", 'x', CASE WHEN i % 50 = 0 THEN 1 END, 'Site ' || CAST(i % 100 AS TEXT), 'admin', i FROM n")
		f.link("target_state (target_id, status, assigned_set, installed_set, modified_by, modified_at) " + numbers +
			"i, CASE WHEN i % 100 = 0 THEN 3 ELSE 1 END, CASE WHEN i % 20 = 0 THEN 1 ELSE 2 END, CASE WHEN i % 20 = 0 THEN 1 ELSE 2 END, 'admin', i FROM n")
		f.link("target_tagging (target_id, tag_id) " + numbers + "i, 1 + i % 20 / 10 FROM n WHERE i % 10 = 0")
		f.link("target_attribute (target_id, key, value) " + numbers + "i, 'revision', 'r' || CAST(i % 1000 AS TEXT) FROM n")
		f.link("target_attribute (target_id, key, value) " + numbers + "i, 'serial', 's' || CAST(i AS TEXT) FROM n")
		f.link("target_metadata (target_id, key, value) " + numbers + "i, 'hall', 'h' || CAST(i % 1000 AS TEXT) FROM n")
		f.link("target_visit (target_id, seen_at) " + numbers + "i, i FROM n")
		if f.err == nil && db.write == nil {
			_, f.err = tx.exec(tb.Context(), "ANALYZE")
		}
		return f.err
	})
}
