package mgmt_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/store"
)

// Two tenants have one of everything each. Every route of the table is driven by
// the one with each mixture of its own identifiers and the other's, in the path
// and in the body: no answer shows anything of the other's, and no row of the
// other's changes. A route or a body that the tables here do not know fails.
func TestTenantsAreSealed(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		s := newSiteOn(t, at)
		theirs := s.possess(t, "secret")
		must(t, (store.Tenants{DB: s.db}).EnsureTenant(t.Context(), "OTHER", s.now))
		record, err := store.Tenants{DB: s.db}.TenantByName(t.Context(), "OTHER")
		must(t, err)
		eve := *s
		eve.tenant, eve.user = record.ID, `OTHER\eve`
		must(t, store.Accounts{DB: s.db}.CreateAccount(t.Context(), identity.Account{Tenant: eve.tenant, Name: "eve", PasswordHash: identity.HashPassword("secret"), Authorities: []string{identity.RoleTenantAdmin}}, s.now))
		own := eve.possess(t, "own")

		look := newLookout(t, at)
		before := look.rows(t, int64(s.tenant))
		if len(before) < 25 {
			t.Fatalf("the other tenant has rows in %d tables: %v", len(before), slices.Sorted(maps.Keys(before)))
		}
		for _, r := range sealedRoutes(t) {
			slots := r.slots()
			for mix := 1; mix < 1<<len(slots); mix++ {
				refs := maps.Clone(own)
				for i, name := range slots {
					if mix&(1<<i) != 0 {
						refs[name] = theirs[name]
					}
				}
				if r.text(refs) == r.text(own) {
					continue // names that both use
				}
				code, answer := eve.drive(t, r, refs)
				foreignPath := r.path(refs) != r.path(own) && strings.Contains(r.Path, "{")
				switch {
				case code < 300 && foreign(answer):
					t.Errorf("%s shows another tenant's data: %d %s", r.text(refs), code, answer)
				case code == http.StatusOK && r.Method == http.MethodGet && foreignPath && !r.names():
					t.Errorf("%s finds what is another tenant's: %s", r.text(refs), answer)
				case code >= 500:
					t.Errorf("%s: %d %s", r.text(refs), code, answer)
				}
			}
			if len(slots) > 0 && !r.names() && r.Method != http.MethodGet {
				if d := gocmp.Diff(before, look.rows(t, int64(s.tenant))); d != "" {
					t.Fatalf("%s %s changed another tenant's rows: -before +after\n%s", r.Method, r.Path, d)
				}
			}
		}
		// What has no identifiers in its path is asked for them by a filter.
		for _, r := range sealedRoutes(t) {
			if r.Method != http.MethodGet || strings.Contains(r.Path, "{") {
				continue
			}
			for _, ref := range append([]string{""}, slices.Sorted(maps.Values(theirs))...) {
				path := r.path(own)
				if ref != "" {
					path += cmp.Or(map[bool]string{true: "&"}[strings.Contains(path, "?")], "?") + "q=id==" + ref
				}
				if code, answer := eve.ask(t, r.Method, path, "", ""); code < 300 && foreign(answer) {
					t.Errorf("GET %s shows another tenant's data: %s", path, answer)
				}
			}
		}
		// The same calls find what is one's own: it is the seal that refused them.
		for _, r := range sealedRoutes(t) {
			if strings.HasSuffix(r.Path, "/confirmation") {
				continue // no consent is awaited, which is not found, too
			}
			if code, answer := eve.drive(t, r, own); code == http.StatusNotFound || code == http.StatusForbidden || code >= 500 {
				t.Errorf("%s, which is one's own: %d %s", r.text(own), code, answer)
			}
		}
		if d := gocmp.Diff(before, look.rows(t, int64(s.tenant))); d != "" {
			t.Errorf("another tenant's rows were changed: -before +after\n%s", d)
		}
		look.mixed(t)
		// PostgreSQL shows events once no older transaction of the server is open, be
		// it another database's.
		for end := time.Now().Add(30 * time.Second); ; {
			_, answer := eve.ask(t, http.MethodGet, "/events?after=0-0&follow=false", "", "")
			if foreign(answer) {
				t.Errorf("the events show another tenant's: %s", answer)
			}
			if strings.Contains(answer, `"source":"/tenants/OTHER"`) {
				break
			}
			if time.Now().After(end) {
				t.Errorf("one's own events are not shown: %s", answer)
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// foreign reports whether an answer holds a text or the name of the tenant that
// is called DEFAULT.
func foreign(answer string) bool {
	return strings.Contains(answer, "secret") || strings.Contains(answer, "DEFAULT")
}

// refs are the identifiers that a tenant has, by the name of the wildcard or
// placeholder that they stand for; one that means several things is preceded by
// the resource.
type refs = map[string]string

// possess gives a tenant one of everything. Texts contain the mark.
func (s *site) possess(t *testing.T, mark string) refs {
	t.Helper()
	post := func(path, body string, want int) (list []struct{ ID json.Number }) {
		t.Helper()
		answer := s.want(t, want, http.MethodPost, path, body)
		if len(answer) > 0 && answer[0] == '{' {
			answer = []byte("[" + string(answer) + "]")
		}
		if len(answer) > 0 {
			must(t, json.Unmarshal(answer, &list))
		}
		return list
	}
	own := refs{"targetId": mark + "-device", "group": "shared-group", "key": "shared-key", "system/key": "pollingTime"}
	make1 := func(name, path, body string) {
		t.Helper()
		own[name] = post(path, expand(body, own), http.StatusCreated)[0].ID.String()
	}
	then := func(path, body string, want int) {
		t.Helper()
		post(expand(path, own), expand(body, own), want)
	}
	own["mark"] = mark
	make1("moduleTypeId", "/softwaremoduletypes", `[{"key":"$mark","name":"$mark","maxAssignments":5}]`)
	own["softwaremoduletypes/typeId"] = own["moduleTypeId"]
	make1("optionalTypeId", "/softwaremoduletypes", `[{"key":"$mark-2","name":"$mark-2","maxAssignments":5}]`)
	make1("moduleId", "/softwaremodules", `[{"name":"$mark","version":"1","type":"$mark"}]`)
	then("/softwaremodules/$moduleId/metadata", `[{"key":"$key","value":"$mark"}]`, http.StatusCreated)
	w := s.upload(t, expand("/softwaremodules/$moduleId/artifacts", own), mark+".bin", mark)
	var artifact struct{ ID json.Number }
	must(t, json.Unmarshal(w.Body.Bytes(), &artifact))
	own["artifactId"] = artifact.ID.String()
	make1("setTypeId", "/distributionsettypes", `[{"key":"$mark","name":"$mark","mandatorymodules":[{"id":$moduleTypeId}],"optionalmodules":[{"id":$optionalTypeId}]}]`)
	make1("distributionsettypes/typeId", "/distributionsettypes", `[{"key":"$mark-2","name":"$mark-2","mandatorymodules":[{"id":$moduleTypeId}],"optionalmodules":[{"id":$optionalTypeId}]}]`)
	make1("setId", "/distributionsets", `[{"name":"$mark","version":"1","type":"$mark","modules":[{"id":$moduleId}]}]`)
	make1("spareSetId", "/distributionsets", `[{"name":"$mark-2","version":"1","type":"$mark","modules":[{"id":$moduleId}]}]`)
	make1("autoSetId", "/distributionsets", `[{"name":"$mark-3","version":"1","type":"$mark","modules":[{"id":$moduleId}]}]`)
	then("/distributionsets/$setId/metadata", `[{"key":"$key","value":"$mark"}]`, http.StatusCreated)
	make1("distributionsettags/tagId", "/distributionsettags", `[{"name":"$mark"}]`)
	then("/distributionsettags/$distributionsettags/tagId/assigned/$setId", "", http.StatusNoContent)
	make1("targettypes/typeId", "/targettypes", `[{"key":"$mark","name":"$mark","compatibledistributionsettypes":[{"id":$setTypeId}]}]`)
	then("/targets", `[{"controllerId":"$targetId","name":"$mark","targetType":$targettypes/typeId,"group":"$group","securityToken":"$mark"},{"controllerId":"$mark-idle"}]`, http.StatusCreated)
	then("/targets/$targetId/metadata", `[{"key":"$key","value":"$mark"}]`, http.StatusCreated)
	make1("targettags/tagId", "/targettags", `[{"name":"$mark"}]`)
	then("/targettags/$targettags/tagId/assigned/$targetId", "", http.StatusNoContent)
	then("/distributionsets/$setId/assignedTargets", `[{"id":"$targetId"}]`, http.StatusOK)
	var actions struct{ Content []struct{ ID json.Number } }
	must(t, json.Unmarshal(s.want(t, http.StatusOK, http.MethodGet, expand("/targets/$targetId/actions", own), ""), &actions))
	own["actionId"] = actions.Content[0].ID.String()
	then("/targets/$targetId/autoConfirm/activate", `{"initiator":"$mark","remark":"$mark"}`, http.StatusNoContent)
	make1("rolloutId", "/rollouts", `{"name":"$mark","distributionSetId":$setId,"targetFilterQuery":"controllerid==$mark*","amountGroups":1}`)
	id, err := json.Number(own["rolloutId"]).Int64()
	must(t, err)
	s.tick(t, rollout.ID(id))
	var groups struct{ Content []struct{ ID json.Number } }
	must(t, json.Unmarshal(s.want(t, http.StatusOK, http.MethodGet, expand("/rollouts/$rolloutId/deploygroups", own), ""), &groups))
	own["groupId"] = groups.Content[0].ID.String()
	make1("filterId", "/targetfilters", `{"name":"$mark","query":"name==$mark"}`)
	make1("autoAssignmentId", "/autoassignments", `{"name":"$mark-2","targetFilterQuery":"name==$mark","distributionSetId":$autoSetId}`)
	s.want(t, http.StatusNoContent, http.MethodPut, "/system/configs", `{"pollingOverdueTime":"00:07:00"}`)
	return own
}

var placeholder = regexp.MustCompile(`\$([a-z]+/)?[A-Za-z]+`)

// expand puts identifiers in the place of their names.
func expand(text string, own refs) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		if v, ok := own[name[1:]]; ok {
			return v
		}
		first, rest, _ := strings.Cut(name[1:], "/")
		if v, ok := own[first]; ok {
			return v + "/" + rest
		}
		return name
	})
}

// sealedRoute is a route with what is to be sent to it.
type sealedRoute struct {
	mgmt.RouteFact
	query, body, contentType string
}

// sealedRoutes lists every route, readers first and removers last, the deepest
// before what they stand on.
func sealedRoutes(t *testing.T) []sealedRoute {
	t.Helper()
	bodies, queries := sealedBodies(), sealedQueries()
	var all []sealedRoute
	for _, f := range mgmt.RouteFacts() {
		r := sealedRoute{RouteFact: f, contentType: "application/json"}
		name := f.Method + " " + strings.TrimPrefix(f.Path, "/rest/v1")
		if f.HasBody {
			body, ok := bodies[name]
			if !ok {
				t.Errorf("%s: sealedBodies does not say what to send to it", name)
			}
			r.body = body
		}
		delete(bodies, name)
		r.query = queries[name]
		delete(queries, name)
		if strings.HasSuffix(name, "/artifacts") && f.HasBody {
			r.body, r.contentType = form(t)
		}
		all = append(all, r)
	}
	for name := range maps.Keys(bodies) {
		t.Errorf("%s: there is no such route, or it has no body", name)
	}
	for name := range maps.Keys(queries) {
		t.Errorf("%s: there is no such route", name)
	}
	order := map[string]int{http.MethodGet: 0, http.MethodPut: 1, http.MethodPost: 2, http.MethodDelete: 3}
	slices.SortStableFunc(all, func(a, b sealedRoute) int {
		return cmp.Or(order[a.Method]-order[b.Method], strings.Count(b.Path, "/")-strings.Count(a.Path, "/"))
	})
	return all
}

func form(t *testing.T) (body, contentType string) {
	t.Helper()
	var b strings.Builder
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "another.bin")
	must(t, err)
	_, err = io.WriteString(part, "content")
	must(t, err)
	must(t, w.Close())
	return b.String(), w.FormDataContentType()
}

// sealedBodies says what is sent to each route that takes a body.
func sealedBodies() map[string]string {
	return map[string]string{
		"POST /softwaremoduletypes":                                 `[{"key":"k","name":"n","maxAssignments":1}]`,
		"PUT /softwaremoduletypes/{typeId}":                         `{"description":"taken"}`,
		"POST /softwaremodules":                                     `[{"name":"n","version":"1","type":"os"}]`,
		"PUT /softwaremodules/{moduleId}":                           `{"description":"taken"}`,
		"POST /softwaremodules/{moduleId}/metadata":                 `[{"key":"k","value":"taken"}]`,
		"PUT /softwaremodules/{moduleId}/metadata/{key}":            `{"value":"taken","targetVisible":true}`,
		"POST /softwaremodules/{moduleId}/artifacts":                "",
		"POST /distributionsettypes":                                `[{"key":"k","name":"n","mandatorymodules":[{"id":$moduleTypeId}],"optionalmodules":[{"id":$optionalTypeId}]}]`,
		"PUT /distributionsettypes/{typeId}":                        `{"description":"taken"}`,
		"POST /distributionsettypes/{typeId}/mandatorymoduletypes":  `{"id":$moduleTypeId}`,
		"POST /distributionsettypes/{typeId}/optionalmoduletypes":   `{"id":$optionalTypeId}`,
		"POST /distributionsets":                                    `[{"name":"n","version":"1","type":"os","modules":[{"id":$moduleId}]}]`,
		"PUT /distributionsets/{setId}":                             `{"description":"taken"}`,
		"POST /distributionsets/{setId}/assignedSM":                 `[{"id":$moduleId}]`,
		"POST /distributionsets/{setId}/metadata":                   `[{"key":"k","value":"taken"}]`,
		"PUT /distributionsets/{setId}/metadata/{key}":              `{"value":"taken"}`,
		"POST /distributionsets/{setId}/assignedTargets":            `[{"id":"$targetId"}]`,
		"POST /distributionsets/{setId}/invalidate":                 `{"actionCancelationType":"force"}`,
		"POST /distributionsettags":                                 `[{"name":"n"}]`,
		"PUT /distributionsettags/{tagId}":                          `{"description":"taken"}`,
		"POST /distributionsettags/{tagId}/assigned":                `[$setId]`,
		"DELETE /distributionsettags/{tagId}/assigned":              `[$setId]`,
		"POST /targets/{targetId}/assignedDS":                       `[{"id":$setId}]`,
		"DELETE /actions":                                           `[$actionId]`,
		"DELETE /targets/{targetId}/actions":                        `[$actionId]`,
		"PUT /targets/{targetId}/actions/{actionId}":                `{"forceType":"forced"}`,
		"PUT /targets/{targetId}/actions/{actionId}/confirmation":   `{"confirmation":"denied"}`,
		"POST /targets/{targetId}/autoConfirm/activate":             `{"remark":"taken"}`,
		"POST /rollouts":                                            `{"name":"n","distributionSetId":$setId,"targetFilterQuery":"assignedds.id==$setId","amountGroups":1}`,
		"PUT /rollouts/{rolloutId}":                                 `{"description":"taken"}`,
		"POST /autoassignments":                                     `{"name":"n","distributionSetId":$setId,"targetFilterQuery":"assignedds.id==$setId"}`,
		"PUT /autoassignments/{autoAssignmentId}":                   `{"description":"taken"}`,
		"POST /targetfilters":                                       `{"name":"n","query":"assignedds.id==$setId"}`,
		"PUT /targetfilters/{filterId}":                             `{"query":"controllerid==taken"}`,
		"POST /targetfilters/{filterId}/autoAssignDS":               `{"id":$setId}`,
		"POST /targets":                                             `[{"controllerId":"n","targetType":$targettypes/typeId}]`,
		"PUT /targets/{targetId}":                                   `{"description":"taken","targetType":$targettypes/typeId}`,
		"POST /targets/{targetId}/targettype":                       `{"id":$targettypes/typeId}`,
		"POST /targets/{targetId}/metadata":                         `[{"key":"k","value":"taken"}]`,
		"PUT /targets/{targetId}/metadata/{key}":                    `{"value":"taken"}`,
		"POST /targettypes":                                         `[{"key":"k","name":"n","compatibledistributionsettypes":[{"id":$setTypeId}]}]`,
		"PUT /targettypes/{typeId}":                                 `{"description":"taken"}`,
		"POST /targettypes/{typeId}/compatibledistributionsettypes": `[{"id":$setTypeId}]`,
		"POST /targettags":                                          `[{"name":"n"}]`,
		"PUT /targettags/{tagId}":                                   `{"description":"taken"}`,
		"POST /targettags/{tagId}/assigned":                         `["$targetId"]`,
		"DELETE /targettags/{tagId}/assigned":                       `["$targetId"]`,
		"PUT /targetgroups/assigned":                                `["$targetId"]`,
		"DELETE /targetgroups/assigned":                             `["$targetId"]`,
		"PUT /targetgroups/{group}/assigned":                        `["$targetId"]`,
		"PUT /system/configs":                                       `{"pollingOverdueTime":"00:09:00","default.ds.type":$setTypeId}`,
		"PUT /system/configs/{key}":                                 `{"value":"00:09:00"}`,
	}
}

// sealedQueries says what routes are asked with.
func sealedQueries() map[string]string {
	const those = "q=controllerid==$targetId,distributionset.id==$setId"
	return map[string]string{
		"GET /events":                                   "?after=0-0&follow=false",
		"PUT /targetgroups":                             "?group=taken&q=controllerid==$targetId",
		"DELETE /targetgroups":                          "?q=controllerid==$targetId",
		"PUT /targetgroups/{group}":                     "?q=controllerid==$targetId",
		"GET /targetgroups/assigned":                    "?group=$group&subgroups=true",
		"DELETE /targets/{targetId}/actions/{actionId}": "?force=false",
		"GET /targets":                                  "?q=controllerid==$targetId,assignedds.id==$setId,tag==$mark",
		"GET /actions":                                  "?representation=full&" + strings.ReplaceAll(those, "controllerid", "target.controllerid"),
		"GET /distributionsets":                         "?q=module.id==$moduleId,name==$mark",
		"GET /rollouts":                                 "?representation=full&q=distributionset.id==$setId",
		"GET /distributionsettags":                      "?q=distributionset.id==$setId",
		"GET /softwaremodules/{moduleId}/artifacts":     "?representation=full",
	}
}

// slots names the identifiers of the route, each once.
func (r sealedRoute) slots() []string {
	var names []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(r.Path, -1) {
		names = append(names, qualified(r.Path, m[1]))
	}
	for _, m := range placeholder.FindAllString(r.query+r.body, -1) {
		names = append(names, m[1:])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// qualified is the name of the identifier that a wildcard of the path stands for.
func qualified(path, wildcard string) string {
	resource := strings.Split(path, "/")[3]
	switch {
	case wildcard == "moduleTypeId" && strings.Contains(path, "/optionalmoduletypes/"):
		return "optionalTypeId"
	case strings.HasSuffix(path, "/invalidate"): // which others of the set would not survive
		return "spareSetId"
	}
	if wildcard == "typeId" || wildcard == "tagId" || wildcard == "key" && resource == "system" {
		return resource + "/" + wildcard
	}
	return wildcard
}

// names reports whether the path holds names alone that any tenant may use.
func (r sealedRoute) names() bool {
	return !strings.Contains(strings.NewReplacer("{group}", "", "system/configs/{key}", "").Replace(r.Path), "{")
}

// path is the route's with these identifiers.
func (r sealedRoute) path(own refs) string {
	path := regexp.MustCompile(`\{\w+\}`).ReplaceAllStringFunc(strings.TrimPrefix(r.Path, "/rest/v1"), func(m string) string {
		return cmp.Or(own[qualified(r.Path, strings.Trim(m, "{}"))], "NO_SEED_FOR_"+m)
	})
	return path + expand(r.query, own)
}

func (r sealedRoute) text(own refs) string {
	return fmt.Sprintf("%s %s with %.200q", r.Method, r.path(own), expand(r.body, own))
}

// drive calls the route. One whose identifiers nobody seeds fails.
func (s *site) drive(t *testing.T, r sealedRoute, own refs) (int, string) {
	t.Helper()
	path, body := r.path(own), r.body
	if r.contentType == "application/json" {
		body = expand(body, own)
	}
	if strings.Contains(path, "NO_SEED") || strings.Contains(path+body, "$") {
		t.Fatalf("%s: possess seeds nothing for it", r.text(own))
	}
	return s.ask(t, r.Method, path, body, r.contentType)
}

// ask is do with a time limit and no other than this type.
func (s *site) ask(t *testing.T, method, path, body, contentType string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, "http://otaria.example/rest/v1"+path, strings.NewReader(body))
	r.SetBasicAuth(s.user, "secret")
	if body != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// A lookout reads a database's rows past the API.
type lookout struct {
	db     *sql.DB
	tables map[string]bool // with a tenant of their own
	links  []link
}

// A link is a reference from one table to a row of another.
type link struct{ table, column, parent, key string }

// newLookout learns the schema from SQLite: both databases have the same.
func newLookout(t *testing.T, at testdb.Database) *lookout {
	t.Helper()
	driver := map[string]string{"sqlite": "sqlite", "postgres": "pgx"}[at.Name]
	look := &lookout{tables: map[string]bool{}}
	look.db = openSQL(t, driver, at.URL)
	schema := look.db
	if at.Name != "sqlite" {
		twin := testdb.SQLite(t)
		db, err := store.Open(t.Context(), store.Options{URL: twin.URL})
		must(t, err)
		must(t, db.Close())
		schema = openSQL(t, "sqlite", twin.URL)
	}
	var names []string
	for _, row := range selected(t, schema, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%' ORDER BY name") {
		names = append(names, row[0])
	}
	for _, name := range names {
		for _, column := range selected(t, schema, "SELECT name FROM pragma_table_info('"+name+"')") {
			look.tables[name] = look.tables[name] || column[0] == "tenant_id"
		}
		for _, fk := range selected(t, schema, "SELECT \"from\", \"table\", COALESCE(\"to\", 'id') FROM pragma_foreign_key_list('"+name+"')") {
			look.links = append(look.links, link{name, fk[0], fk[1], fk[2]})
		}
	}
	return look
}

func openSQL(t *testing.T, driver, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, url)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// selected returns rows as texts.
func selected(t *testing.T, db *sql.DB, text string, args ...any) (rows [][]string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), text, args...)
	must(t, err)
	defer found.Close()
	columns, err := found.Columns()
	must(t, err)
	for found.Next() {
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		must(t, found.Scan(dest...))
		texts := make([]string, len(row))
		for i, v := range row {
			texts[i] = fmt.Sprint(v)
		}
		rows = append(rows, texts)
	}
	must(t, found.Err())
	return rows
}

// rows is everything that is a tenant's: its rows, and rows without a tenant
// that refer to one of its.
func (l *lookout) rows(t *testing.T, tenant int64) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	add := func(table, where string) {
		for _, row := range selected(t, l.db, "SELECT * FROM "+table+" WHERE "+where, tenant) {
			all[table] = append(all[table], strings.Join(row, "|"))
		}
		slices.Sort(all[table])
	}
	for table, owned := range l.tables {
		if owned {
			add(table, "tenant_id = $1")
		}
	}
	add("tenant", "id = $1")
	for _, k := range l.links {
		if !l.tables[k.table] && l.tables[k.parent] {
			add(k.table, k.column+" IN (SELECT "+k.key+" FROM "+k.parent+" WHERE tenant_id = $1)")
		}
	}
	return all
}

// mixed reports rows that refer to another tenant's row.
func (l *lookout) mixed(t *testing.T) {
	t.Helper()
	for _, a := range l.links {
		if !l.tables[a.parent] {
			continue
		}
		if l.tables[a.table] {
			for _, row := range selected(t, l.db, "SELECT c.* FROM "+a.table+" c JOIN "+a.parent+" p ON p."+a.key+" = c."+a.column+" WHERE p.tenant_id <> c.tenant_id") {
				t.Errorf("a row of %s refers to another tenant's %s: %v", a.table, a.parent, row)
			}
			continue
		}
		for _, b := range l.links {
			if b.table == a.table && b.column > a.column && l.tables[b.parent] {
				for _, row := range selected(t, l.db, "SELECT c.* FROM "+a.table+" c JOIN "+a.parent+" p ON p."+a.key+" = c."+a.column+" JOIN "+b.parent+" o ON o."+b.key+" = c."+b.column+" WHERE p.tenant_id <> o.tenant_id") {
					t.Errorf("a row of %s joins two tenants: %v", a.table, row)
				}
			}
		}
	}
}
