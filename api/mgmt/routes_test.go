package mgmt_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/store"
)

func TestEveryRouteNamesItsPermission(t *testing.T) {
	t.Parallel()
	for _, r := range mgmt.RouteFacts() {
		if len(r.Needs) == 0 && r.Path != "/rest/v1/userinfo" && !strings.HasPrefix(r.Path, "/rest/v1/system/configs") {
			t.Errorf("%s %s can be called by every operator", r.Method, r.Path)
		}
	}
}

func TestEveryKindOfFaultHasAFace(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		if !mgmt.HasReply(k) {
			t.Errorf("kind %d has no reply", k)
		}
	}
}

// An operator without permissions gets nowhere, whatever the route.
func TestNobodyWithoutPermissionGetsIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nobody := s.as(t, "nobody")
	id := regexp.MustCompile(`\{[^}]*\}`)
	for _, r := range mgmt.RouteFacts() {
		if r.Path == "/rest/v1/userinfo" {
			continue
		}
		body := ""
		if r.HasBody {
			body = "[]"
		}
		path := strings.TrimPrefix(id.ReplaceAllString(r.Path, "1"), "/rest/v1")
		headers := []string{}
		if strings.HasSuffix(r.Path, "/artifacts") && r.Method == http.MethodPost {
			headers = []string{"Content-Type", "multipart/form-data; boundary=b"}
		}
		if w := nobody.do(t, r.Method, path, body, headers...); w.Code < 400 || w.Code == http.StatusNotFound {
			t.Errorf("%s %s without any permission: %d %s", r.Method, path, w.Code, w.Body)
		}
	}
}

// Every route is driven with the identifiers of another tenant: it must answer
// as for identifiers that nobody has, show nothing, and change nothing.
func TestTenantsAreSealed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	seed(t, s)
	before := everything(t, s)

	must(t, (store.Tenants{DB: s.db}).EnsureTenant(t.Context(), "OTHER", s.now))
	record, err := store.Tenants{DB: s.db}.TenantByName(t.Context(), "OTHER")
	must(t, err)
	must(t, store.Accounts{DB: s.db}.CreateAccount(t.Context(), identity.Account{Tenant: record.ID, Name: "eve", PasswordHash: identity.HashPassword("secret"), Authorities: []string{identity.RoleTenantAdmin}}, s.now))
	eve := *s
	eve.user = `OTHER\eve`

	id := regexp.MustCompile(`\{[^}]*\}`)
	for _, r := range mgmt.RouteFacts() {
		if !strings.Contains(r.Path, "{") || strings.HasPrefix(r.Path, "/rest/v1/system/configs") {
			continue
		}
		for _, n := range []string{"1", "2", "3", "1001", "secret-device"} {
			path := strings.TrimPrefix(id.ReplaceAllString(r.Path, n), "/rest/v1")
			for _, body := range []string{"", "{}", `[{"id":1}]`, `[{"id":"secret-device"}]`, `{"id":1}`, `["secret-device"]`, `[1]`, `{"name":"taken","value":"taken","description":"taken","locked":true,"forceType":"forced","confirmation":"confirmed","actionCancelationType":"force"}`} {
				w := eve.do(t, r.Method, path, body)
				if w.Code < 300 && strings.Contains(w.Body.String(), "secret") {
					t.Errorf("%s %s with %s shows another tenant's data: %s", r.Method, path, body, w.Body)
				}
				if !r.HasBody && body != "" {
					break
				}
			}
		}
	}
	for path, want := range before {
		if got := string(s.want(t, http.StatusOK, http.MethodGet, path, "")); got != want {
			t.Errorf("%s was changed by another tenant:\nbefore %s\nafter  %s", path, want, got)
		}
	}
	for _, path := range lists() {
		if body := string(eve.want(t, http.StatusOK, http.MethodGet, path, "")); strings.Contains(body, "secret") {
			t.Errorf("the list %s shows another tenant's data: %s", path, body)
		}
	}
}

func lists() []string {
	return []string{"/targets", "/softwaremodules", "/softwaremoduletypes", "/distributionsets", "/distributionsettypes", "/distributionsettags", "/targettypes", "/targettags", "/actions", "/rollouts", "/autoassignments", "/targetfilters"}
}

// seed gives the tenant one of everything, each named secret.
func seed(t *testing.T, s *site) {
	t.Helper()
	for _, c := range [][2]string{
		{"/softwaremodules", `[{"name":"secret","version":"1","type":"os"}]`},
		{"/softwaremodules/1/metadata", `[{"key":"1","value":"secret"}]`},
		{"/distributionsets", `[{"name":"secret","version":"1","type":"os","modules":[{"id":1}]}]`},
		{"/distributionsets/1/metadata", `[{"key":"1","value":"secret"}]`},
		{"/distributionsettags", `[{"name":"secret"}]`},
		{"/targettypes", `[{"name":"secret","compatibledistributionsettypes":[{"id":1}]}]`},
		{"/targettags", `[{"name":"secret"}]`},
		{"/targets", `[{"controllerId":"1","name":"secret"},{"controllerId":"secret-device"}]`},
		{"/targets/1/metadata", `[{"key":"1","value":"secret"}]`},
		{"/targettags/1/assigned/1", ``},
		{"/distributionsettags/1/assigned/1", ``},
		{"/distributionsets/1/assignedTargets", `[{"id":"1"}]`},
		{"/autoassignments", `{"name":"secret","targetFilterQuery":"name==secret*","distributionSetId":1}`},
		{"/targetfilters", `{"name":"secret","query":"name==secret*"}`},
		{"/rollouts", `{"name":"secret","targetFilterQuery":"name==secret*","distributionSetId":1}`},
	} {
		if w := s.do(t, http.MethodPost, c[0], c[1]); w.Code >= 300 {
			t.Fatalf("POST %s: %d %s", c[0], w.Code, w.Body)
		}
	}
}

// everything reads all that the tenant has.
func everything(t *testing.T, s *site) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range append(lists(), "/targets/1", "/targets/1/metadata", "/targets/1/tags", "/targets/1/assignedDS", "/targets/1/actions/1001/status", "/distributionsets/1/metadata", "/distributionsets/1", "/softwaremodules/1/metadata", "/rollouts/1", "/rollouts/1/deploygroups", "/rollouts/1/deploygroups/1", "/system/configs") {
		all[path] = string(s.want(t, http.StatusOK, http.MethodGet, path, ""))
	}
	return all
}
