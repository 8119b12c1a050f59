package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/query"
)

// A planner notes the plan of every statement that it runs.
type planner struct {
	querier
	db    *DB
	plans []string
	err   error
}

func (p *planner) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	p.explain(ctx, text, args)
	return p.querier.query(ctx, text, args...)
}

func (p *planner) row(ctx context.Context, text string, args ...any) *sql.Row {
	p.explain(ctx, text, args)
	return p.querier.row(ctx, text, args...)
}

func (p *planner) explain(ctx context.Context, text string, args []any) {
	scan, explain := scalar[string], "EXPLAIN "
	if p.db.write != nil {
		explain = "EXPLAIN QUERY PLAN "
		scan = func(s scanner) (line string, err error) {
			var ignored int
			err = s.Scan(&ignored, &ignored, &ignored, &line)
			return line, err
		}
	} else if len(args) > 0 {
		if _, ok := args[0].(pgx.QueryExecMode); !ok {
			p.err = fmt.Errorf("%s is not planned for its values", text)
		}
	}
	lines, err := all(ctx, p.querier, scan, explain+text, args...)
	if err != nil {
		p.err = fmt.Errorf("%s: %w", text, err)
	}
	p.plans = append(p.plans, strings.Join(lines, "\n"))
}

// targetPage reads a page of all targets and returns the plans of what that takes.
func targetPage(t *testing.T, db *DB, text string, few int, sort ...query.Order) (plans []string, total int64) {
	t.Helper()
	l := query.List{Limit: 50, Sort: append(sort, query.Order{Field: "id"}), Moment: query.Moment{Now: now}}
	if text != "" {
		var err error
		if l.Filter, err = query.Parse(text, fleet.TargetFields()); err != nil {
			t.Fatal(err)
		}
	}
	must(t, db.view(t.Context(), func(q querier) (err error) {
		p := &planner{querier: q, db: db}
		_, total, err = page(t.Context(), p, db.dialect, 1, l, listing{
			columns: targetColumns(), fields: targetSelect, from: targetFrom, joined: targetJoined, where: "e.tenant_id = $1", args: []any{1}, few: few,
		}, scanTarget)
		plans = p.plans
		if err == nil {
			err = p.err
		}
		return err
	}))
	return plans, total
}

// An index leads to what a filter finds, on both databases, and nothing else
// reads the targets: of few rows these are fetched, of many the first in order.
func TestFiltersAreServedByIndexes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		must(t, fillFleet(t, db, 20_000))
		must(t, db.update(t.Context(), func(tx *Tx) error {
			b := builder{ctx: t.Context(), tx: tx}
			b.link("target_tag (id, tenant_id, name, created_by, created_at, modified_by, modified_at) VALUES (3, 1, 'rare', 'a', 0, 'a', 0)")
			b.link("target_tagging (target_id, tag_id) SELECT id, 3 FROM target WHERE id % 2000 = 1")
			return b.err
		}))
		if at.Name == "postgres" {
			must(t, db.update(t.Context(), func(tx *Tx) error {
				_, err := tx.exec(t.Context(), "ANALYZE")
				return err
			}))
		}
		for _, test := range []struct {
			filter, index string
			found         int64
		}{
			{"controllerid==DEVICE-0012345", "target_controller_folded", 1},
			{"controllerid==device-00123*", "target_controller_folded", 100},
			{"controllerid=in=(device-0012345,device-0000001)", "target_controller_folded", 2},
			{"name=='device 0012345'", "target_name_folded", 1},
			{"name=='device 00123*'", "target_name_folded", 100},
			{"group=='site 7'", "target_group_folded", 200},
			{"group=='site 7*'", "target_group_folded", 2200},
			{"attribute.serial==s12345", "target_attribute_folded", 1},
			{"attribute.revision==r17*", "target_attribute_folded", 220},
			{"attribute.missing==*", "target_attribute_folded", 0},
			{"metadata.hall==h17", "target_metadata_folded", 20},
			{"metadata.hall==h17*", "target_metadata_folded", 220},
			{"tag==rare", "target_tagging_tag", 10},
			{"type==gateway", "target_type_id", 400},
			{"type.id==1", "target_type_id", 400},
			{"assignedds.name==set-1", "target_state_assigned", 1000},
			{"installedds.name==set-1", "target_state_installed", 1000},
			{"updatestatus==error;attribute.serial==s12300", "target_attribute_folded", 1},
			{"tag==lab,type==gateway", "target_type_id", 1200},
			{"group==site*;attribute.serial==s12345", "target_attribute_folded", 1}, // the second leads to few
		} {
			plans, found := targetPage(t, db, test.filter, 3000)
			if found != test.found {
				t.Errorf("%s finds %d targets, want %d", test.filter, found, test.found)
			}
			all := strings.Join(plans, "\n\n")
			if !strings.Contains(all, test.index) {
				t.Errorf("%s does not use %s:\n%s", test.filter, test.index, all)
			}
			for _, whole := range []string{"SCAN e", "Seq Scan on target ", "sqlite_autoindex_target_1", "target_tenant (tenant_id=?)", "target_tenant_id_controller_id_key"} {
				if strings.Contains(all, whole) {
					t.Errorf("%s looks at all targets:\n%s", test.filter, all)
				}
			}
		}
		// The key alone leads to too many, and for each target again.
		for _, filter := range []string{"attribute.serial=is=null", "attribute.revision!=r17", "attribute.revision==*17", "attribute.serial==''", "metadata.hall=is=null", "metadata.hall!=h17"} {
			plans, _ := targetPage(t, db, filter, 3000)
			if all := strings.Join(plans, "\n\n"); strings.Contains(all, "target_attribute_folded") || strings.Contains(all, "target_metadata_folded") {
				t.Errorf("%s goes by the key:\n%s", filter, all)
			}
		}
		for field, index := range map[string]string{"name": "target_name", "createdat": "target_created"} {
			for _, desc := range []bool{false, true} {
				for _, filter := range []string{"", "tag==lab"} {
					plans, _ := targetPage(t, db, filter, 100, query.Order{Field: field, Desc: desc})
					p := strings.Join(plans, "\n\n")
					sorts := strings.Contains(p, "FOR ORDER BY") || strings.Contains(p, "Sort  (") && !strings.Contains(p, "Incremental Sort  (")
					if sorts || !strings.Contains(p, index+" ") {
						t.Errorf("%s by %s, descending %t: not in the order of %s:\n%s", filter, field, desc, index, p)
					}
				}
			}
		}
		for filter, index := range map[string]string{
			"":                          "target",
			"controllerid==device-*":    "target_controller_folded",
			"name==device*":             "target_name_folded",
			"group==site*":              "target_group_folded",
			"tag==lab":                  "target_tagging_tag",
			"assignedds.name==set-1":    "target_state_assigned",
			"type==gateway":             "target_type_id",
			"attribute.revision==r1*":   "",
			"tag==lab,type==gateway":    "",
			"name==device*,type==hello": "",
			"name!=device":              "target",
		} {
			plans, _ := targetPage(t, db, filter, 100)
			byOrder, byCount := plans[len(plans)-2], plans[len(plans)-1]
			if strings.Contains(byOrder, "Sort") || strings.Contains(byOrder, "ORDER BY") {
				t.Errorf("%s sorts:\n%s", filter, byOrder)
			}
			if at.Name == "postgres" { // looks at so small a table as a whole
				index = ""
			}
			if !strings.Contains(byCount, index) || at.Name == "sqlite" && index != "" && !strings.Contains(byCount, "COVERING INDEX "+index) {
				t.Errorf("%s is not counted by %s:\n%s", filter, index, byCount)
			}
		}
	})
}

// A long value is found by its beginning, and told from others that begin alike.
func TestFilterOnLongMetadata(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		twelve(t, db, "t")
		long := strings.Repeat("Abc", 1000)
		must(t, db.update(t.Context(), func(tx *Tx) error {
			b := builder{ctx: t.Context(), tx: tx}
			b.link("target_metadata (target_id, key, value) VALUES (1, 'long', $1), (2, 'Long', $2), (3, 'long', $3)", long+"1", long+"2", long[:99])
			return b.err
		}))
		for text, want := range map[string]string{
			"metadata.long==" + long + "1":                      "[1]",
			"metadata.LONG=in=(" + long + "2," + long + "3)":    "[2]",
			"metadata.long==" + long + "*":                      "[1 2]",
			"metadata.long==" + long[:99]:                       "[3]",
			"metadata.long==" + long[:99] + "*":                 "[1 2 3]",
			"metadata.long==" + long[:100] + "*":                "[1 2]",
			"metadata.long==" + long[:150] + "*2":               "[2]",
			"metadata.long==" + long[:150] + "x*":               "[]",
			"metadata.long==" + long + "1,metadata.long==*":     "[1 2 3]",
			"metadata.long=in=(" + long[:99] + "," + long + ")": "[3]",
		} {
			filter, err := query.Parse(text, fleet.TargetFields())
			must(t, err)
			if got := fmt.Sprint(list(t, db, query.List{Filter: filter}, targetColumns(), targetFrom)); got != want {
				t.Errorf("%.40s… finds %s, want %s", text, got, want)
			}
		}
	})
}
