package store

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

// listed is every kind of entity that has a table and is filtered.
func listed() map[string]struct {
	fields  *query.Fields
	columns columns
	table   string
} {
	type entity = struct {
		fields  *query.Fields
		columns columns
		table   string
	}
	return map[string]entity{
		"target":      {fleet.TargetFields(), targetColumns(), "target"},
		"target type": {fleet.TypeFields(), targetTypeColumns(), "target_type"},
		"target tag":  {fleet.TagFields(), targetTagColumns(), "target_tag"},
		"module":      {software.ModuleFields(), moduleColumns(), "software_module"},
		"module type": {software.ModuleTypeFields(), moduleTypeColumns(), "software_module_type"},
		"set":         {software.SetFields(), setColumns(), "distribution_set"},
		"set type":    {software.SetTypeFields(), setTypeColumns(), "distribution_set_type"},
		"set tag":     {software.SetTagFields(), setTagColumns(), "distribution_set_tag"},
		"action":      {deployment.ActionFields(), actionColumns(), "action"},
	}
}

// Whatever a client may ask is SQL that both databases understand.
func TestEveryFieldHasItsColumn(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		for name, entity := range listed() {
			t.Run(name, func(t *testing.T) {
				asked := 0
				for _, path := range entity.fields.Paths() {
					for _, value := range []string{
						"==x", "!=x", "==x*", "!=*x", "==*", "!=*", "==''", "!=''", "<x", "<=x", ">x", ">=x", "=in=(x,y)", "=out=(x,y)", "=is=null", "=not=null",
						"==ä", "==5", "!=5", "<5", "=in=(5,6)", "=out=(5)", "==true", "!=false", "=in=(true)", "==pending", "!=error", "=in=(error,running)", "=out=(error)",
					} {
						for _, text := range []string{path + value, path + ".Key" + value, fmt.Sprintf("%s%s,id==1,%[1]s%[2]s", path, value)} {
							filter, err := query.Parse(text, entity.fields)
							if err != nil {
								continue // not for this kind of field
							}
							asked++
							list(t, db, query.List{Filter: filter}, entity.columns, entity.table)
						}
					}
				}
				if asked < 10*len(entity.fields.Paths()) {
					t.Errorf("only %d filters on %d fields were asked", asked, len(entity.fields.Paths()))
				}
				for _, field := range entity.fields.Names() {
					for _, direction := range []string{"ASC", "DESC"} {
						sort, err := query.ParseSort(field+":"+direction, entity.fields)
						if err != nil {
							continue // not sortable
						}
						list(t, db, query.List{Sort: sort}, entity.columns, entity.table)
					}
				}
			})
		}
	})
}

func open(t *testing.T, at testdb.Database) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{URL: at.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// list returns the ids of the entities of tenant 1.
func list(t *testing.T, db *DB, l query.List, c columns, table string) []int64 {
	t.Helper()
	if l.Limit == 0 {
		l.Limit = 50
	}
	var ids []int64
	err := db.view(t.Context(), func(q querier) error {
		var total int64
		var err error
		ids, total, err = page(t.Context(), q, db.dialect, 1, l, listing{columns: c, fields: "e.id", from: table + " e", where: "e.tenant_id = $1", args: []any{1}}, scalar[int64])
		if err == nil && l.Offset == 0 && int64(len(ids)) != total {
			t.Errorf("%d of %d rows for %v", len(ids), total, l)
		}
		return err
	})
	if err != nil {
		where, args, _ := condition(l.Filter, c, 1, l.Moment, db.dialect, nil)
		t.Fatalf("%v %v: %v\n%s %v", l.Filter, l.Sort, err, where, args)
	}
	return ids
}

//go:embed testdata/target_filters.txt
var targetFilters string

// The filters of a recorded conversation find on both databases what they
// found there.
func TestFilterTargets(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		const prefix = "mgmt_query-"
		types := twelve(t, db, prefix)
		asked := 0
		for line := range strings.Lines(targetFilters) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			asked++
			text, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			text = strings.NewReplacer("@", prefix, "{A}", fmt.Sprint(types[0]), "{B}", fmt.Sprint(types[1])).Replace(text)
			filter, err := query.Parse(text, fleet.TargetFields())
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			l := query.List{Filter: filter, Limit: 50, Moment: query.Moment{Now: now + 1, OverdueBefore: now - 1000}}
			var got []string
			for _, id := range list(t, db, l, targetColumns(), "target") {
				got = append(got, fmt.Sprintf("%02d", id))
			}
			if diff := cmp.Diff(strings.Fields(want), got, cmp.Transformer("empty", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
				where, args, _ := condition(filter, targetColumns(), 1, l.Moment, db.dialect, nil)
				t.Errorf("%s: %s\n%s %v", text, diff, where, args)
			}
		}
		if asked < 350 {
			t.Errorf("only %d filters were asked", asked)
		}
	})
}

const now = 1_790_000_000_000

// twelve makes the targets of the conversation in tenant 1, with ids 1 to 12,
// and some of a second tenant that must never be found. It returns the ids of the two
// target types.
func twelve(t *testing.T, db *DB, prefix string) (types [2]int64) {
	t.Helper()
	type pairs map[string]string
	targets := []struct {
		name                        string
		description, group, address any
		kind                        int // 0 none, 1, 2
		tags                        string
		metadata, attributes        pairs
		status                      int
		assigned, installed         int
	}{
		{"Alpha", "first one", "Europe/East", "http://10.0.0.1", 1, "red", pairs{"site": "Berlin", "Key.Dot": "value.dot"}, pairs{"revision": "1.1", "os.name": "Linux"}, 1, 1, 1},
		{"alpha two", "second one", "Europe", "http://10.0.0.2:8080/x", 1, "red blue", pairs{"site": "berlin"}, pairs{"revision": "1.2"}, 2, 2, 1},
		{"BETA", "", "US", "https://device.example.org", 2, "blue", pairs{"site": "Paris", "owner": "null"}, pairs{"revision": "2.0", "flag": "null"}, 2, 2, 0},
		{"100% sure", "percent", nil, nil, 0, "green", pairs{"site": "a*b"}, pairs{"revision": "10"}, 3, 0, 0},
		{"under_score", "under", nil, nil, 0, "", nil, nil, 0, 0, 0},
		{"underXscore", nil, nil, "http://127.0.0.1", 2, "", pairs{"owner": "me"}, nil, 4, 0, 0},
		{"st*r", "has (brackets), commas; and = signs", nil, nil, 0, "", nil, nil, 0, 0, 0},
		{`o'neil "quoted"`, `back\slash`, nil, nil, 0, "", nil, nil, 0, 0, 0},
		{"Größe", "ÄÖÜ", "Süd", nil, 0, "Grün", pairs{"größe": "Übergroß"}, nil, 0, 0, 0},
		{"null", "true", "null", "amqp://vhost/ex", 0, "", pairs{"n": "5"}, pairs{"n": "5"}, 0, 0, 0},
		{"5", "10", nil, nil, 0, "", pairs{"n": "10"}, pairs{"n": "10"}, 0, 0, 0},
		{"two  blanks", "", nil, nil, 0, "red green", pairs{"empty": ""}, pairs{"empty": ""}, 0, 0, 0},
	}
	err := db.update(t.Context(), func(tx *Tx) error {
		b := builder{ctx: t.Context(), tx: tx}
		for id := 1; id <= 2; id++ {
			b.insert("tenant (id, name, created_at) VALUES ($1, $2, 0)", id, fmt.Sprintf("T%d", id))
			moduleType := b.insert("software_module_type (tenant_id, key, name, min_artifacts, max_assignments, created_by, created_at, modified_by, modified_at) VALUES ($1, 'os', 'OS', 0, 1, 'admin', $2, 'admin', $2)", id, now)
			setType := b.insert("distribution_set_type (tenant_id, key, name, created_by, created_at, modified_by, modified_at) VALUES ($1, 'os', 'OS only', 'admin', $2, 'admin', $2)", id, now)
			var sets [3]any
			for i := 1; i <= 2; i++ {
				sets[i] = b.insert("distribution_set (tenant_id, type_id, name, version, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, 'admin', $5, 'admin', $5)",
					id, setType, fmt.Sprintf("%sds%d", prefix, i), fmt.Sprintf("%d.0", i), now)
				module := b.insert("software_module (tenant_id, type_id, name, version, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, '1', 'admin', $4, 'admin', $4)", id, moduleType, fmt.Sprintf("m%d", i), now)
				b.link("distribution_set_module (set_id, module_id) VALUES ($1, $2)", sets[i], module)
			}
			var kinds [3]any
			for i, k := range []string{"a", "b"} {
				kind := b.insert("target_type (tenant_id, key, name, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, 'admin', $4, 'admin', $4)", id, prefix+"key-"+k, prefix+"name-"+k, now)
				kinds[i+1] = kind
				if id == 1 {
					types[i] = kind
				}
			}
			tags := map[string]int64{}
			for _, tag := range []string{"red", "blue", "green", "Grün"} {
				tags[tag] = b.insert("target_tag (tenant_id, name, colour, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, 'admin', $4, 'admin', $4)", id, prefix+tag, tag, now)
			}
			for i, x := range targets {
				key := int64(id-1)*1000 + int64(i+1)
				b.insert(`target (id, tenant_id, controller_id, name, description, group_name, address, token, status, type_id, assigned_set, installed_set, created_by, created_at, modified_by, modified_at)
					VALUES ($1, $2, $3, $4, $5, $6, $7, 'x', $8, $9, $10, $11, 'admin', $12, 'admin', $12)`,
					key, id, fmt.Sprintf("%st%02d", prefix, i+1), x.name, x.description, x.group, x.address, x.status, kinds[x.kind], sets[x.assigned], sets[x.installed], now)
				for _, tag := range strings.Fields(x.tags) {
					b.link("target_tagging (target_id, tag_id) VALUES ($1, $2)", key, tags[tag])
				}
				for k, v := range x.metadata {
					b.link("target_metadata (target_id, key, value) VALUES ($1, $2, $3)", key, k, v)
				}
				for k, v := range x.attributes {
					b.link("target_attribute (target_id, key, value) VALUES ($1, $2, $3)", key, k, v)
				}
			}
			b.link("target_visit (target_id, seen_at) VALUES ($1, $2)", (id-1)*1000+6, now)
			b.link("auto_confirm (target_id, activated_by, activated_at) VALUES ($1, 'admin', $2)", (id-1)*1000+5, now)
		}
		return b.err
	})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// builder inserts rows until something goes wrong.
type builder struct {
	ctx context.Context
	tx  *Tx
	err error
}

func (b *builder) insert(text string, args ...any) (id int64) {
	if b.err == nil {
		id, b.err = b.tx.insert(b.ctx, "INSERT INTO "+text+" RETURNING id", args...)
	}
	return id
}

func (b *builder) link(text string, args ...any) {
	if b.err == nil {
		_, b.err = b.tx.exec(b.ctx, "INSERT INTO "+text, args...)
	}
}
