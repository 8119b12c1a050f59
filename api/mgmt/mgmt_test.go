package mgmt_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/blob/local"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/tenant"
)

// A site is the management API on a fresh SQLite database. Its clock moves only
// when a test moves it, so that documents can be compared as a whole.
type site struct {
	http.Handler
	db      *store.DB
	tenant  tenant.ID
	now     time.Time
	quotas  tenant.Quotas
	api     *mgmt.API
	user    string // who asks, with the password "secret"
	created map[string]bool
}

func newSite(tb testing.TB) *site {
	tb.Helper()
	return newSiteOn(tb, testdb.SQLite(tb))
}

// newSiteOn is newSite on another database.
func newSiteOn(tb testing.TB, at testdb.Database) *site {
	tb.Helper()
	db, err := store.Open(tb.Context(), store.Options{URL: at.URL})
	must(tb, err)
	tb.Cleanup(func() { must(tb, db.Close()) })
	s := &site{db: db, now: time.UnixMilli(1_700_000_000_000), quotas: tenant.DefaultQuotas(), user: "admin", created: map[string]bool{}}
	clock := func() time.Time { return s.now }
	blobs, err := local.Open(filepath.Join(tb.TempDir(), "artifacts"), local.Options{Now: clock})
	must(tb, err)
	log := slog.New(slog.DiscardHandler)
	tenants := &tenant.Service{Store: store.Tenants{DB: db}, Now: clock, Log: log}
	modules := &software.Service{Store: store.Software{DB: db}, Blobs: blobs, Tenants: tenants, Quotas: s.quotas, Now: clock}
	s.api = &mgmt.API{
		Identity: &identity.Service{Store: store.Accounts{DB: db}, DefaultTenant: "DEFAULT", Now: clock},
		Tenants:  tenants,
		Software: modules,
		Fleet: &fleet.Service{
			Store: store.Fleet{DB: db}, Visits: &fleet.Visits{Store: store.Fleet{DB: db}}, Tenants: tenants, Quotas: s.quotas, Now: clock,
			NewToken: func() string { return "a-new-token" },
		},
		Deployment: &deployment.Service{
			Store: store.Deployment{DB: db}, Software: modules.Store, Tenants: tenants, Quotas: s.quotas, Now: clock,
			Limits: deployment.Limits{Entries: s.quotas.EntriesPerAction, Messages: s.quotas.MessagesPerEntry},
		},
		Rollout: &rollout.Service{Store: store.Rollouts{DB: db}, Tenants: tenants, Quotas: s.quotas, Now: clock, Log: log},
		Events:  &event.Feed{Store: db, Log: log, Now: time.Now},
		Quotas:  s.quotas,
		Log:     log,
	}
	must(tb, (store.Tenants{DB: db}).EnsureTenant(tb.Context(), "DEFAULT", s.now))
	record, err := tenants.ByName(tb.Context(), "DEFAULT")
	must(tb, err)
	s.tenant = record.ID
	s.account(tb, "admin", identity.RoleTenantAdmin)
	db.Listen(func(events []event.Event) {
		if slices.ContainsFunc(events, func(e event.Event) bool { return e.Kind == event.SettingsChanged }) {
			tenants.Forget()
		}
	})
	s.Handler = s.api.Handler()
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// account makes a user with these authorities.
func (s *site) account(tb testing.TB, name string, authorities ...string) {
	tb.Helper()
	must(tb, store.Accounts{DB: s.db}.CreateAccount(tb.Context(), identity.Account{Tenant: s.tenant, Name: name, PasswordHash: identity.HashPassword("secret"), Authorities: authorities}, s.now))
}

// as returns the site as another user sees it, made with these authorities the
// first time.
func (s *site) as(tb testing.TB, name string, authorities ...string) *site {
	tb.Helper()
	if !s.created[name] {
		s.account(tb, name, authorities...)
		s.created[name] = true
	}
	other := *s
	other.user = name
	return &other
}

// do sends a request; body is JSON text, or empty.
func (s *site) do(tb testing.TB, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	tb.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(tb.Context(), method, "http://otaria.example/rest/v1"+path, content)
	r.SetBasicAuth(s.user, "secret")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// want sends a request whose status is known, and returns the body.
func (s *site) want(tb testing.TB, status int, method, path, body string) []byte {
	tb.Helper()
	w := s.do(tb, method, path, body)
	if w.Code != status {
		tb.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	return w.Body.Bytes()
}

// upload sends a form with a file and the fields, which are names and values
// in turn.
func (s *site) upload(tb testing.TB, path, filename, content string, fields ...string) *httptest.ResponseRecorder {
	tb.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		must(tb, form.WriteField(fields[i], fields[i+1]))
	}
	file, err := form.CreateFormFile("file", filename)
	must(tb, err)
	_, err = io.WriteString(file, content)
	must(tb, err)
	must(tb, form.Close())
	return s.do(tb, http.MethodPost, path, b.String(), "Content-Type", form.FormDataContentType())
}

// golden compares a document with testdata/NAME.golden.json. UPDATE_GOLDEN=1
// writes it instead; read the difference as a client would.
func golden(tb testing.TB, name string, document []byte) {
	tb.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, document, "", "  "); err != nil {
		tb.Fatalf("%s is no JSON: %v: %s", name, err, document)
	}
	pretty.WriteByte('\n')
	file := filepath.Join("testdata", name+".golden.json")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		must(tb, os.MkdirAll(filepath.Dir(file), 0o755))
		must(tb, os.WriteFile(file, pretty.Bytes(), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	must(tb, err)
	if d := cmp.Diff(string(want), pretty.String()); d != "" {
		tb.Errorf("%s is not as it was promised (UPDATE_GOLDEN=1 accepts it): %s", name, d)
	}
}
