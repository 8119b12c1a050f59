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
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
)

// listed is every kind of entity that has a table and is filtered.
func listed() map[string]struct {
	fields  *query.Fields
	columns columns
	from    string
} {
	type entity = struct {
		fields  *query.Fields
		columns columns
		from    string
	}
	return map[string]entity{
		"target":      {fleet.TargetFields(), targetColumns(), targetFrom},
		"target type": {fleet.TypeFields(), targetTypeColumns(), "target_type e"},
		"target tag":  {fleet.TagFields(), targetTagColumns(), "target_tag e"},
		"module":      {software.ModuleFields(), moduleColumns(), "software_module e"},
		"module type": {software.ModuleTypeFields(), moduleTypeColumns(), "software_module_type e"},
		"set":         {software.SetFields(), setColumns(), "distribution_set e"},
		"set type":    {software.SetTypeFields(), setTypeColumns(), "distribution_set_type e"},
		"set tag":     {software.SetTagFields(), setTagColumns(), "distribution_set_tag e"},
		"action":      {deployment.ActionFields(), actionColumns(), "action e"},

		"rollout":         {rollout.Fields(), rolloutColumns(), "rollout e"},
		"rollout group":   {rollout.GroupFields(), groupColumns(), "rollout_group e"},
		"auto-assignment": {rollout.AutoAssignmentFields(), autoAssignmentColumns(), "auto_assignment e"},
		"target filter":   {rollout.TargetFilterFields(), targetFilterColumns(), "target_filter e"},
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
							list(t, db, query.List{Filter: filter}, entity.columns, entity.from)
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
						list(t, db, query.List{Sort: sort}, entity.columns, entity.from)
					}
				}
			})
		}
	})
}

func open(tb testing.TB, at testdb.Database) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), Options{URL: at.URL})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// list returns the ids of the entities of tenant 1, which must be the same
// whether indexes are followed to many, to at most two rows, or not at all.
func list(t *testing.T, db *DB, l query.List, c columns, from string) []int64 {
	t.Helper()
	if l.Limit == 0 {
		l.Limit = 50
	}
	var ids []int64
	err := db.view(t.Context(), func(q querier) error {
		for _, few := range []int{0, 2, fewRows} {
			found, total, err := page(t.Context(), q, db.dialect, 1, l, listing{columns: c, fields: "e.id", from: from, where: "e.tenant_id = $1", args: []any{1}, few: few}, scalar[int64])
			if err != nil {
				return err
			}
			if l.Offset == 0 && int64(len(found)) != total {
				t.Errorf("%d of %d rows for %v", len(found), total, l)
			}
			if few == 0 {
				ids = found
			}
			if diff := cmp.Diff(ids, found); diff != "" {
				t.Errorf("%v: by an index to at most %d rows (-without +with): %s", l.Filter, few, diff)
			}
		}
		return nil
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
			for _, id := range list(t, db, l, targetColumns(), targetFrom) {
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
				b.insert(`target (id, tenant_id, controller_id, name, description, group_name, address, token, type_id, created_by, created_at)
					VALUES ($1, $2, $3, $4, $5, $6, $7, 'x', $8, 'admin', $9)`,
					key, id, fmt.Sprintf("%st%02d", prefix, i+1), x.name, x.description, x.group, x.address, kinds[x.kind], now)
				b.link("target_state (target_id, status, assigned_set, installed_set, modified_by, modified_at) VALUES ($1, $2, $3, $4, 'admin', $5)", key, x.status, sets[x.assigned], sets[x.installed], now)
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

// Whatever the parser lets through, the databases run: SQLite refuses
// expressions that are too deep, patterns that are too long and too many
// parameters.
func TestFilterLimits(t *testing.T) {
	t.Parallel()
	fill := func(start, again, end string) string {
		return start + strings.Repeat(again, (query.MaxLength-len(start)-len(end))/len(again)) + end
	}
	// Each level has as many terms as fit, alternately joined by and and or.
	per := query.MaxLength/(query.MaxDepth+1)/len("id==1;") - 1
	deep := "id==1"
	for i := range query.MaxDepth {
		join := ";"
		if i%2 == 0 {
			join = ","
		}
		deep = strings.Repeat("id==1"+join, per) + "(" + deep + ")"
	}
	var alphabet strings.Builder
	for r := 'Ā'; r < 'Ā'+1500; r++ {
		alphabet.WriteRune(r)
	}
	texts := map[string]string{
		"deep":          deep,
		"deep sets":     strings.Repeat("tag==a,(tag!=b;(", query.MaxDepth/2) + "tag==c" + strings.Repeat("))", query.MaxDepth/2),
		"many ands":     fill("id==1", ";id==1", ""),
		"many ors":      fill("tag!=a", ",tag!=a", ""),
		"many values":   fill("name=in=(a", ",a", ")"),
		"many stars":    fill("description==a", "*a", ""),
		"long pattern":  fill("description==*", "_", ""),
		"many letters":  "name==" + alphabet.String(),
		"large letters": fill("name==*", "\U0001E922", "*"),
		"many keys":     fill("attribute.a==b", ";attribute.ä==*ö", ""),
		"zeros":         "name=='\x00*\x00';metadata.\x00!=\x00",
		"placeholders":  fill("name==", "$${now_ts}${now_ts}", ""),
		"an empty in":   "name=in=('')",
		"sql":           `name=='\' OR 1=1 --';description=='$1';group=='*$2*';metadata.$3==x`,
	}
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		twelve(t, db, "t")
		for name, text := range texts {
			t.Run(name, func(t *testing.T) {
				filter, err := query.Parse(text, fleet.TargetFields())
				if err != nil {
					t.Fatal(err)
				}
				list(t, db, query.List{Filter: filter}, targetColumns(), targetFrom)
			})
		}
	})
}

// What a relation finds is gathered over all rows; these rows of another tenant
// and of other sets must not come in by the back door.
func TestFilterSoftware(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		twelve(t, db, "t")
		err := db.update(t.Context(), func(tx *Tx) error {
			b := builder{ctx: t.Context(), tx: tx}
			tag := func(name string, colour any, sets ...int) {
				id := b.insert("distribution_set_tag (tenant_id, name, colour, created_by, created_at, modified_by, modified_at) VALUES (1, $1, $2, 'admin', $3, 'admin', $3)", name, colour, now)
				for _, set := range sets {
					b.link("distribution_set_tagging (set_id, tag_id) VALUES ($1, $2)", set, id)
				}
			}
			tag("both", "Red", 1, 2)
			tag("one", nil, 1)
			tag("none", "", []int{}...)
			b.link("distribution_set_metadata (set_id, key, value) VALUES (1, 'Line', 'A'), (2, 'line', 'B')")
			b.link("software_module_metadata (module_id, key, value, target_visible) VALUES (1, 'k', NULL, $1), (2, 'k', 'v', $1)", true)
			b.link("action (id, tenant_id, target_id, set_id, status, active, filed_as, type, weight, last_code, external_ref, initiated_by, created_by, created_at, modified_by, modified_at) VALUES (1, 1, 1, 1, 3, $1, -1, 0, 1000, NULL, NULL, 'admin', 'admin', 1, 'admin', 1)", true)
			b.link("action (id, tenant_id, target_id, set_id, status, active, filed_as, type, weight, last_code, external_ref, initiated_by, created_by, created_at, modified_by, modified_at) VALUES (2, 1, 2, 2, 0, $1, 0, 0, 5, -3, 'Ref', 'admin', 'admin', 2, 'admin', 2)", false)
			b.link("action (id, tenant_id, target_id, set_id, status, active, filed_as, type, weight, initiated_by, created_by, created_at, modified_by, modified_at) VALUES (3, 2, 1001, 3, 3, $1, -1, 0, 1000, 'admin', 'admin', 3, 'admin', 3)", true)
			return b.err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ entity, text, want string }{
			// Tags 1 (sets 1 and 2), 2 (set 1) and 3 (none): one set that differs is enough (3.4).
			{"set tag", "distributionset.name==tds1", "1 2"},
			{"set tag", "distributionset.name!=tds1", "1 3"},
			{"set tag", "distributionset.name=out=(tds1,tds2)", "3"},
			{"set tag", "distributionset.name==*", "1 2"},
			{"set tag", "distributionset.name!=*", "3"},
			{"set tag", "distributionset.name==''", "3"},
			{"set tag", "distributionset.name!=''", "1 2"},
			{"set tag", "distributionset.name=is=null", "3"},
			{"set tag", "distributionset.name=not=null", "1 2"},
			{"set tag", "distributionset.id==2", "1"},
			{"set tag", "distributionset.id!=1", "1 3"},
			{"set tag", "distributionset.id>1", "1"},
			{"set tag", "colour==''", "2 3"},
			{"set tag", "colour!=red", "2 3"},
			{"set tag", "colour==RED", "1"},

			{"set", "tag==both", "1 2"},
			{"set", "tag!=one", "2"},
			{"set", "tag==one,tag==both", "1 2"},
			{"set", "tag==one;tag==both", "1"},
			{"set", "tag==one,name==tds2", "1 2"},
			{"set", "tag==one,module.name==m2", "1 2"},
			{"set", "module.name==m1", "1"},
			{"set", "module.name!=m1", "2"},
			{"set", "module.id==2", "2"},
			{"set", "module.id==*", "1 2"},
			{"set", "type==os", "1 2"},
			{"set", "type!=os", ""},
			{"set", "type.id==1", "1 2"},
			{"set", "type.name=='os o*'", "1 2"},
			{"set", "metadata.line==a", "1"},
			{"set", "metadata.line!=a", "2"},
			{"set", "metadata.line==a,metadata.LINE==b", "1 2"},
			{"set", "valid==true", "1 2"},
			{"set", "valid!=true", ""},
			{"set", "valid=is=null", ""},
			{"set", "valid=in=(true,false)", "1 2"},
			{"set", "version>1.0", "2"},

			// A key that was given without a value is there, and empty.
			{"module", "metadata.k==*", "1 2"},
			{"module", "metadata.k==''", "1"},
			{"module", "metadata.k!=''", "2"},
			{"module", "metadata.k!=v", "1"},
			{"module", "metadata.k=is=null", ""},
			{"module", "type==os", "1 2"},

			{"action", "status==running", "1"},
			{"action", "status!=running", "2"},
			{"action", "status=in=(finished,RUNNING)", "1 2"},
			{"action", "active==true", "1"},
			{"action", "active==false", "2"},
			{"action", "laststatuscode<0", "2"},
			{"action", "laststatuscode!=3", "1 2"},
			{"action", "laststatuscode==*", "2"},
			{"action", "laststatuscode!=*", "1"},
			{"action", "laststatuscode=in=(-3,+4)", "2"},
			{"action", "weight=ge=0;weight=le=5", "2"},
			{"action", "externalref==ref", "2"},
			{"action", "externalref!=ref", "1"},
			{"action", "target.controllerid==TT01", "1"},
			{"action", "target.controllerid!=tt01", "2"},
			{"action", "target.controllerid==tt*", "1 2"},
			{"action", "target.name==alpha,target.name=='alpha two'", "1 2"},
			{"action", "target.updatestatus==in_sync", "1"},
			{"action", "target.updatestatus=out=(in_sync)", "2"},
			{"action", "target.address==*10.0.0.2*", "2"},
			{"action", "distributionset.name==tds1", "1"},
			{"action", "distributionset.id!=1", "2"},
			{"action", "distributionset.type==os", "1 2"},
			{"action", "distributionset.type.key!=os", ""},
			{"action", "distributionset.type.name==OS*", "1 2"},
			{"action", "rollout.id==1", ""},
			{"action", "rollout.id=is=null", "1 2"},
			{"action", "rollout.name!=x", "1 2"},
			{"action", "createdat=lt=${NOW_TS}", "1 2"},
		} {
			entity := listed()[test.entity]
			filter, err := query.Parse(test.text, entity.fields)
			if err != nil {
				t.Errorf("%s: %v", test.text, err)
				continue
			}
			got := strings.Trim(fmt.Sprint(list(t, db, query.List{Filter: filter, Moment: query.Moment{Now: now}}, entity.columns, entity.from)), "[]")
			if got != test.want {
				where, args, _ := condition(filter, entity.columns, 1, query.Moment{Now: now}, db.dialect, nil)
				t.Errorf("%ss with %s: %s, want %s\n%s %v", test.entity, test.text, got, test.want, where, args)
			}
		}
	})
}

func TestOrderAndPage(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		twelve(t, db, "t")
		for _, test := range []struct{ sort, want string }{
			{"controllerid:DESC", "12 11 10 9 8 7 6 5 4 3 2 1"},
			{"id:ASC,name:DESC", "1 2 3 4 5 6 7 8 9 10 11 12"},
			{"name:ASC", "4 11 1 3 9 2 10 8 7 12 6 5"},           // by code point
			{"group:ASC", "4 5 6 7 8 11 12 2 1 9 3 10"},          // nothing first
			{"group:DESC,id:DESC", "10 3 9 1 2 12 11 8 7 6 5 4"}, // and nothing last
			{"updatestatus:DESC,id:ASC", "6 4 2 3 1 5 7 8 9 10 11 12"},
			{"lastcontrollerrequestat:DESC", "6 1 2 3 4 5 7 8 9 10 11 12"},
			{"assignedds:DESC", "2 3 1 4 5 6 7 8 9 10 11 12"},
			{"type:DESC,id:DESC", "6 3 2 1 12 11 10 9 8 7 5 4"},
			{"autoconfirm:DESC", "5 1 2 3 4 6 7 8 9 10 11 12"},
			{"tag:DESC,attribute:ASC,metadata:DESC", "1 2 3 4 5 6 7 8 9 10 11 12"},
		} {
			sort, err := query.ParseSort(test.sort, fleet.TargetFields())
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Trim(fmt.Sprint(list(t, db, query.List{Sort: sort}, targetColumns(), targetFrom)), "[]")
			if got != test.want {
				t.Errorf("%s: %s, want %s", test.sort, got, test.want)
			}
		}
		for _, test := range []struct {
			offset, limit int
			want          string
			total         int64
		}{
			{0, 5, "[1 2 3 4 5]", 12},
			{5, 5, "[6 7 8 9 10]", 12},
			{10, 5, "[11 12]", 12},
			{12, 5, "[]", 12},
			{2147483647, 500, "[]", 12},
			{0, 12, "[1 2 3 4 5 6 7 8 9 10 11 12]", 12},
			{7, 500, "[8 9 10 11 12]", 12},
		} {
			err := db.view(t.Context(), func(q querier) error {
				rows, total, err := page(t.Context(), q, db.dialect, 1, query.List{Offset: test.offset, Limit: test.limit},
					listing{columns: targetColumns(), fields: "e.id", from: targetFrom, where: "e.tenant_id = $1", args: []any{1}}, scalar[int64])
				if fmt.Sprint(rows) != test.want || total != test.total {
					t.Errorf("%d rows from %d: %v of %d", test.limit, test.offset, rows, total)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}
