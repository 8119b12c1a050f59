package ddi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/ddi"
	"github.com/otaria/otaria/api/download"
	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/blob/local"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/tenant"
)

// A world is a server's device API over a database of its own, put together as
// package server does it, and what an operator can do to it.
type world struct {
	t          testing.TB
	ctx        context.Context // of an operator
	tenant     tenant.ID
	tenants    *tenant.Service
	software   *software.Service
	fleet      *fleet.Service
	deployment *deployment.Service
	api        *ddi.API
	handler    http.Handler
	clock      *clock
	events     *events
}

// events is what was told since the world began.
type events struct {
	mu  sync.Mutex
	all []event.Event
}

// clock is the time, which passes when a test says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// gatewayToken lets every device in.
const gatewayToken = "GatewayToken gw"

// newWorld has the gateway token switched on.
func newWorld(tb testing.TB) *world {
	tb.Helper()
	db, err := store.Open(tb.Context(), store.Options{URL: testdb.SQLite(tb).URL})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	w := &world{t: tb, clock: &clock{now: time.UnixMilli(1_800_000_000_000)}, events: &events{}}
	blobs, err := local.Open(tb.TempDir(), local.Options{Now: w.clock.Now})
	if err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(tb.Output(), nil))
	quotas := tenant.DefaultQuotas()
	rules := tenant.Rules{CheckQuery: func(text string) error {
		_, err := query.Parse(text, fleet.TargetFields())
		return err
	}}
	w.tenants = &tenant.Service{Store: store.Tenants{DB: db}, Now: w.clock.Now, Log: log, Rules: rules}
	keepFleet, keepDeployment, keepSoftware := store.Fleet{DB: db}, store.Deployment{DB: db}, store.Software{DB: db}
	polls := deployment.NewPollIndex(keepDeployment, 1000, w.clock.Now)
	polls.TrustAlways()
	db.Listen(func(list []event.Event) {
		polls.Drop(list)
		for _, e := range list {
			if e.Kind == event.SettingsChanged {
				w.tenants.Forget()
			}
		}
		w.events.mu.Lock()
		w.events.all = append(w.events.all, list...)
		w.events.mu.Unlock()
	})
	w.fleet = &fleet.Service{Store: keepFleet, Tenants: w.tenants, Visits: &fleet.Visits{Store: keepFleet, Log: log}, Quotas: quotas, Now: w.clock.Now, NewToken: fleet.NewToken}
	w.software = &software.Service{Store: keepSoftware, Blobs: blobs, Tenants: w.tenants, Quotas: quotas, Now: w.clock.Now}
	w.deployment = &deployment.Service{
		Store: keepDeployment, Polls: polls, Tenants: w.tenants, Software: keepSoftware, Quotas: quotas, Now: w.clock.Now,
		Limits: deployment.Limits{Entries: quotas.EntriesPerAction, Messages: quotas.MessagesPerEntry},
	}
	w.api = &ddi.API{
		Tenants: w.tenants, Software: w.software, Fleet: w.fleet, Deployment: w.deployment,
		Identity: ddi.DefaultIdentityHeaders(), ArtifactLinks: download.DefaultLinks(), Log: log, Now: w.clock.Now,
	}
	forwarding := httpjson.Forwarding{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, ProxyHeaders: ddi.Headers(w.api.Identity)}
	w.handler = forwarding.Handler(w.api.Handler())

	if err := (store.Tenants{DB: db}).EnsureTenant(tb.Context(), "DEFAULT", w.clock.Now()); err != nil {
		tb.Fatal(err)
	}
	first, err := w.tenants.ByName(tb.Context(), "DEFAULT")
	if err != nil {
		tb.Fatal(err)
	}
	w.tenant = first.ID
	w.ctx = caller.With(tb.Context(), caller.Caller{Tenant: first.ID, TenantName: first.Name, User: "ann"})
	w.set(map[tenant.Key]any{tenant.KeyGatewayToken: true, tenant.KeyGatewayTokenKey: "gw"})
	return w
}

// set changes settings of the tenant.
func (w *world) set(values map[tenant.Key]any) {
	w.t.Helper()
	if err := w.tenants.Put(w.ctx, w.tenant, values); err != nil {
		w.t.Fatal(err)
	}
}

// module makes a module with files, given as name and content.
func (w *world) module(kind, name string, files ...string) software.ModuleID {
	w.t.Helper()
	list, err := w.software.CreateModules(w.ctx, []software.NewModule{{TypeKey: kind, Name: name, Version: "1.0"}})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(files); i += 2 {
		in, err := w.software.Receive(w.ctx, list[0].ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := in.Take(strings.NewReader(files[i+1])); err != nil {
			w.t.Fatal(err)
		}
		if _, err := in.Finish(w.ctx, files[i], software.Sums{}); err != nil {
			w.t.Fatal(err)
		}
	}
	return list[0].ID
}

// release makes a set of modules, the first of which is an operating system.
func (w *world) release(name string, modules ...software.ModuleID) software.SetID {
	w.t.Helper()
	return w.releaseOf("os_app", name, modules...)
}

// releaseOf is release of a type.
func (w *world) releaseOf(kind, name string, modules ...software.ModuleID) software.SetID {
	w.t.Helper()
	n := software.NewSet{TypeKey: &kind, Name: name, Version: "1.0"}
	for i := range modules {
		n.Modules = append(n.Modules, &modules[i])
	}
	list, err := w.software.CreateSets(w.ctx, []software.NewSet{n})
	if err != nil {
		w.t.Fatal(err)
	}
	return list[0].ID
}

// firmware makes a set of one module with one file.
func (w *world) firmware(name string) software.SetID {
	w.t.Helper()
	return w.release(name, w.module("os", name, name+".bin", "content of "+name))
}

// assign tells a device to install a set and returns the action.
func (w *world) assign(device string, set software.SetID, o deployment.Order) deployment.ActionID {
	w.t.Helper()
	o.Target = fleet.ControllerID(device)
	if o.Weight == 0 {
		o.Weight = deployment.DefaultWeight
	}
	made, err := w.deployment.AssignSet(w.ctx, set, []deployment.Order{o}, false)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(made.New) != 1 {
		w.t.Fatalf("the assignment to %s made %d actions, want 1", device, len(made.New))
	}
	return made.New[0].ID
}

// updated registers a device and tells it to install a new set of one file.
func (w *world) updated(device string) deployment.ActionID {
	w.t.Helper()
	w.poll(device)
	return w.assign(device, w.firmware("set for "+device), deployment.Order{})
}

// action reads an action.
func (w *world) action(id deployment.ActionID) *deployment.Action {
	w.t.Helper()
	a, err := w.deployment.Action(w.ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// history is an action's history, oldest first, as "STATUS: message | message".
func (w *world) history(id deployment.ActionID) []string {
	w.t.Helper()
	list, _, err := w.deployment.History(w.ctx, w.action(id).ControllerID, id, query.List{Limit: 5000})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Status.String()+": "+strings.Join(e.Messages, " | "))
	}
	return out
}

// An answer is what a device got.
type answer struct {
	status int
	header http.Header
	body   string
}

// json decodes the body.
func (a answer) json(tb testing.TB) map[string]any {
	tb.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		tb.Fatalf("%v in %q", err, a.body)
	}
	return m
}

// href returns the address that a link leads to; "" when there is none.
func (a answer) href(tb testing.TB, rel string) string {
	tb.Helper()
	links, _ := a.json(tb)["_links"].(map[string]any)
	l, _ := links[rel].(map[string]any)
	h, _ := l["href"].(string)
	return h
}

// rels are the links of a poll, in order.
func (a answer) rels(tb testing.TB) []string {
	tb.Helper()
	var b struct {
		Links json.RawMessage `json:"_links"`
	}
	if err := json.Unmarshal([]byte(a.body), &b); err != nil {
		tb.Fatal(err)
	}
	if b.Links == nil {
		return nil
	}
	var rels []string
	d := json.NewDecoder(bytes.NewReader(b.Links))
	for depth := 0; ; {
		tok, err := d.Token()
		if err != nil {
			return rels
		}
		switch tok := tok.(type) {
		case json.Delim:
			depth += map[json.Delim]int{'{': 1, '}': -1}[tok]
		case string:
			if depth == 1 {
				rels = append(rels, tok)
			}
		}
	}
}

// do sends a request as a device behind the gateway; headers come in pairs and
// come last.
func (w *world) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	r.Host, r.RemoteAddr = "ota.example", "192.0.2.7:4711"
	r.Header.Set("Authorization", gatewayToken)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "peer":
			r.RemoteAddr = headers[i+1]
		case headers[i+1] == "":
			r.Header.Del(headers[i])
		default:
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// path is the address of a device's resource.
func path(device, format string, args ...any) string {
	return strings.TrimSuffix("/DEFAULT/controller/v1/"+device+"/"+fmt.Sprintf(format, args...), "/")
}

func (w *world) poll(device string) answer {
	w.t.Helper()
	a := w.do(http.MethodGet, path(device, ""), "")
	if a.status != http.StatusOK {
		w.t.Fatalf("poll of %s: %d %s", device, a.status, a.body)
	}
	return a
}

// report sends feedback and wants 200.
func (w *world) report(device string, id deployment.ActionID, execution, finished string) {
	w.t.Helper()
	w.want(200, w.do(http.MethodPost, path(device, "deploymentBase/%d/feedback", id), feedback(execution, finished, "")))
}

// feedback is a report; more goes into its status.
func feedback(execution, finished, more string) string {
	return `{"status":{"execution":` + strconv.Quote(execution) + `,"result":{"finished":` + strconv.Quote(finished) + `}` + more + `}}`
}

// want checks a status, and returns the answer.
func (w *world) want(status int, a answer) answer {
	w.t.Helper()
	if a.status != status {
		w.t.Errorf("status %d, want %d; body %s", a.status, status, a.body)
	}
	return a
}

// wantEmpty checks a status, and that there is no body.
func (w *world) wantEmpty(status int, a answer) {
	w.t.Helper()
	if w.want(status, a).body != "" {
		w.t.Errorf("body %q, want none", a.body)
	}
}

// wantError checks status and error code.
func (w *world) wantError(status int, code string, a answer) {
	w.t.Helper()
	if w.want(status, a); !strings.Contains(a.body, `"errorCode":"hawkbit.server.error.`+code+`"`) {
		w.t.Errorf("body %s, want the code %s", a.body, code)
	}
}

func equal(tb testing.TB, got, want any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("-want +got:\n%s", d)
	}
}

// number writes an id.
func number[N ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }
