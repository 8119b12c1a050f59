package mgmt_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fleet"
)

// fillFleet makes one of everything around target "dev": type 1, tag 1, set 1
// which is installed on it, and target "bare" which has nothing.
func fillFleet(t *testing.T, s *site) {
	t.Helper()
	fill(t, s)
	s.want(t, 201, "POST", "/targettypes", `[{"key":"gw","name":"Gateway","description":"On the wall","colour":"red","compatibledistributionsettypes":[{"id":4}]}]`)
	s.want(t, 201, "POST", "/targettags", `[{"name":"beta","description":"Early","colour":"green"}]`)
	s.want(t, 201, "POST", "/targets", `[{"controllerId":"dev:1","name":"Device","description":"In the hall","securityToken":"secret","address":"http://10.0.0.9:80/","targetType":1,"group":"Europe/North"},{"controllerId":"bare"}]`)
	s.want(t, 204, "POST", "/targettags/1/assigned/dev:1", "")
	s.want(t, 201, "POST", "/targets/dev:1/metadata", `[{"key":"rack","value":"7"},{"key":"a.b","value":""}]`)
	s.want(t, 200, "POST", "/targets/dev:1/assignedDS?offline=true", `{"id":1}`)
	ctx := caller.With(t.Context(), caller.Caller{Tenant: s.tenant, TenantName: "DEFAULT", User: "dev:1"})
	serial := "42"
	must(t, s.api.Fleet.UpdateAttributes(ctx, "dev:1", fleet.AttributeUpdate{Values: map[string]*string{"serial": &serial}}))
	x, err := s.api.Fleet.Target(ctx, "dev:1")
	must(t, err)
	s.api.Fleet.Visits.Note(x.ID, s.now.Add(-time.Minute))
}

// TestFleetDocuments shows what each resource looks like, in each view.
func TestFleetDocuments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillFleet(t, s)
	for name, path := range map[string]string{
		"targets":                 "/targets",
		"target":                  "/targets/dev:1",
		"target_bare":             "/targets/bare",
		"target_attributes":       "/targets/dev:1/attributes",
		"target_tags_of":          "/targets/dev:1/tags",
		"target_metadata":         "/targets/dev:1/metadata",
		"target_metadatum":        "/targets/dev:1/metadata/a.b",
		"target_installed_set":    "/targets/dev:1/installedDS",
		"target_types":            "/targettypes",
		"target_type":             "/targettypes/1",
		"target_type_compatible":  "/targettypes/1/compatibledistributionsettypes",
		"target_tags":             "/targettags",
		"target_tag":              "/targettags/1",
		"target_tag_assigned":     "/targettags/1/assigned",
		"target_groups":           "/targetgroups",
		"target_group_assigned":   "/targetgroups/assigned?group=europe&subgroups=true",
		"set_installed_targets":   "/distributionsets/1/installedTargets",
		"config":                  "/system/configs/pollingTime",
		"userinfo":                "/userinfo",
		"target_no_tags":          "/targets/bare/tags",
		"target_group_empty_list": "/targetgroups/nowhere/assigned",
	} {
		w := s.do(t, "GET", path, "")
		if w.Code != http.StatusOK || w.Header().Get("Etag") == "" {
			t.Errorf("GET %s: status %d, etag %s: %s", path, w.Code, w.Header().Get("Etag"), w.Body)
			continue
		}
		golden(t, name, w.Body.Bytes())
	}
	for _, path := range []string{"/targets/bare/attributes", "/targets/bare/assignedDS", "/targets/bare/installedDS", "/targets/unknown/assignedDS", "/targets/unknown/installedDS"} {
		if w := s.do(t, "GET", path, ""); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
			t.Errorf("GET %s: status %d, want 204: %s", path, w.Code, w.Body)
		}
	}
	for name, c := range map[string]struct{ method, path, body string }{
		"error_target_missing":        {"GET", "/targets/unknown", ""},
		"error_target_exists":         {"POST", "/targets", `[{"controllerId":"new"},{"controllerId":"bare"}]`},
		"error_target_metadata":       {"POST", "/targets/dev:1/metadata", `[{"key":"rack","value":"8"}]`},
		"error_target_metadatum":      {"GET", "/targets/dev:1/metadata/unknown", ""},
		"error_target_type_used":      {"DELETE", "/targettypes/1", ""},
		"error_target_type_nameless":  {"POST", "/targettypes", `[{"description":"d"}]`},
		"error_target_type_missing":   {"DELETE", "/targettypes/77", ""},
		"error_target_tag_targets":    {"POST", "/targettags/1/assigned", `["bare","a","b"]`},
		"error_target_type_null":      {"POST", "/targets/dev:1/targettype", `{"id":null}`},
		"error_group_without_targets": {"PUT", "/targetgroups/x/assigned", `[]`},
		"error_config_key":            {"GET", "/system/configs/pollingtime", ""},
		"error_config_value":          {"PUT", "/system/configs/pollingTime", `{"value":"abc"}`},
		"error_config_reset":          {"DELETE", "/system/configs/default.ds.type", ""},
	} {
		w := s.do(t, c.method, c.path, c.body)
		if w.Code < 400 {
			t.Errorf("%s: status %d", name, w.Code)
		}
		golden(t, name, fmt.Appendf(nil, `{"status":%d,"body":%s}`, w.Code, w.Body))
	}
}

// TestFleetCalls walks the calls that change something and answer with nothing
// worth a picture.
func TestFleetCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillFleet(t, s)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/targets/dev:1", `{"requestAttributes":false,"name":"not stored"}`, 400},
		{"PUT", "/targets/unknown", `{"requestAttributes":false}`, 400},
		{"PUT", "/targets/dev:1", `{"requestAttributes":true,"group":"ignored"}`, 200},
		{"PUT", "/targets/dev:1", `{"targetType":-1}`, 200},
		{"POST", "/targets/dev:1/targettype", `{"id":1}`, 204},
		{"POST", "/targets/dev:1/targettype", `{"id":-1}`, 404},
		{"DELETE", "/targets/dev:1/targettype", "", 204},
		{"DELETE", "/targets/dev:1/targettype", "", 204},
		{"POST", "/targets/dev:1/metadata", `[{"key":"novalue"}]`, 400},
		{"PUT", "/targets/dev:1/metadata/rack", `{"value":"9"}`, 204},
		{"PUT", "/targets/dev:1/metadata/rack", `{}`, 400},
		{"DELETE", "/targets/dev:1/metadata/rack", "", 204},
		{"DELETE", "/targets/dev:1/metadata/rack", "", 404},
		{"PUT", "/targettags/1", `{"colour":"blue"}`, 200},
		{"POST", "/targettags/1/assigned?onNotFoundPolicy=ON_WHAT_FOUND_AND_SUCCESS", `["bare","unknown"]`, 204},
		{"POST", "/targettags/1/assigned?onNotFoundPolicy=ON_WHAT_FOUND_AND_FAIL", `["bare","unknown"]`, 404},
		{"POST", "/targettags/1/assigned?onNotFoundPolicy=on_what_found_and_fail", `["bare"]`, 400},
		{"DELETE", "/targettags/1/assigned", `["bare"]`, 204},
		{"DELETE", "/targettags/1/assigned", ``, 415},
		{"DELETE", "/targettags/1/assigned/bare", ``, 204},
		{"PUT", "/targettypes/1", `{"name":"Gate"}`, 200},
		{"POST", "/targettypes/1/compatibledistributionsettypes", `[{"id":1}]`, 204},
		{"DELETE", "/targettypes/1/compatibledistributionsettypes/1", ``, 204},
		{"DELETE", "/targettypes/1/compatibledistributionsettypes/77", ``, 404},
		{"PUT", "/targetgroups?group=a%2Fb&q=controllerid==bare", ``, 204},
		{"PUT", "/targetgroups?q=controllerid==bare", ``, 400},
		{"PUT", "/targetgroups?group=a", ``, 400},
		{"PUT", "/targetgroups?group=a&q=", ``, 400},
		{"PUT", "/targetgroups/c?q=controllerid==bare", ``, 204},
		{"DELETE", "/targetgroups?q=controllerid==bare", ``, 204},
		{"DELETE", "/targetgroups", ``, 400},
		{"PUT", "/targetgroups/assigned?group=a%2Fb", `["bare","unknown"]`, 204},
		{"PUT", "/targetgroups/d/assigned", `"bare"`, 204},
		{"DELETE", "/targetgroups/assigned", `["bare"]`, 204},
		{"DELETE", "/targetgroups/assigned", ``, 400},
		{"GET", "/targetgroups/assigned", ``, 400},
		{"GET", "/targetgroups/assigned?group=", ``, 400},
		{"GET", "/targetgroups/assigned?group=a&subgroups=perhaps", ``, 400},
		{"GET", "/distributionsets/77/assignedTargets", ``, 404},
		{"PUT", "/system/configs", `{"rollout.approval.enabled":"yes","pollingTime":"00:01:00"}`, 204},
		{"PUT", "/system/configs", `{"rollout.approval.enabled":false,"pollingTime":"x"}`, 400},
		{"PUT", "/system/configs/rollout.approval.enabled", `{}`, 400},
		{"PUT", "/system/configs/default.ds.type", `{"value":77}`, 404},
		{"DELETE", "/system/configs/pollingTime", ``, 204},
		{"DELETE", "/system/configs/unknown", ``, 204},
		{"DELETE", "/targettags/1", ``, 204},
		{"DELETE", "/targettypes/1", ``, 204},
		{"DELETE", "/targets/dev:1", ``, 204},
		{"DELETE", "/targets/dev:1", ``, 404},
	} {
		if w := s.do(t, c.method, c.path, c.body); w.Code != c.want {
			t.Errorf("%s %s %s: status %d, want %d: %s", c.method, c.path, c.body, w.Code, c.want, w.Body)
		}
	}
	var left struct {
		Value  any
		Global bool
	}
	must(t, json.Unmarshal(s.want(t, 200, "GET", "/system/configs/rollout.approval.enabled", ""), &left))
	if left.Value != true || left.Global {
		t.Errorf("the setting is %+v, want the value of the call that was not refused", left)
	}
}

// TestConfirmationFlowShows: only while the flow is on does a target say whether
// it consents in advance.
func TestConfirmationFlowShows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.want(t, 201, "POST", "/targets", `{"controllerId":"x"}`)
	shows := func() (active *bool, link bool) {
		t.Helper()
		var b struct {
			AutoConfirmActive *bool
			Links             map[string]any `json:"_links"`
		}
		must(t, json.Unmarshal(s.want(t, 200, "GET", "/targets/x", ""), &b))
		return b.AutoConfirmActive, b.Links["autoConfirm"] != nil
	}
	if active, link := shows(); active != nil || link {
		t.Error("it shows while the flow is off")
	}
	s.want(t, 204, "PUT", "/system/configs/user.confirmation.flow.enabled", `{"value":true}`)
	if active, link := shows(); active == nil || *active || !link {
		t.Error("the flow is on, the target does not consent, and that is not what shows")
	}
	s.want(t, 204, "POST", "/targets/x/autoConfirm/activate", "")
	if active, _ := shows(); active == nil || !*active {
		t.Error("the target consents, and that does not show")
	}
}

// TestFleetPermissions: who may see and do what.
func TestFleetPermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillFleet(t, s)
	reader := s.as(t, "reader", "READ_TARGET")
	keeper := s.as(t, "keeper", "READ_TARGET", "READ_TARGET_SECURITY_TOKEN")
	settings := s.as(t, "settings", "READ_TENANT_CONFIGURATION")
	gateway := s.as(t, "gateway", "TENANT_CONFIGURATION")
	maker := s.as(t, "maker", "CREATE_TARGET", "CREATE_TARGET_TYPE")
	nobody := s.as(t, "nobody")
	for _, c := range []struct {
		who          *site
		method, path string
		body         string
		want         int
	}{
		{reader, "GET", "/targets/dev:1", "", 200},
		{reader, "PUT", "/targets/dev:1", "{}", 403},
		{reader, "GET", "/distributionsets/1/installedTargets", "", 403},
		{reader, "GET", "/targettypes", "", 200},
		{reader, "DELETE", "/targettags/1", "", 403},
		{reader, "GET", "/system/configs/default.ds.type", "", 200},
		{reader, "GET", "/system/configs/pollingTime", "", 403},
		{reader, "PUT", "/system/configs/pollingTime", `{"value":"x"}`, 403},
		{settings, "GET", "/system/configs/authentication.gatewaytoken.key", "", 403},
		{settings, "DELETE", "/system/configs/pollingTime", "", 403},
		{settings, "DELETE", "/system/configs/default.ds.type", "", 404},
		{gateway, "GET", "/system/configs/authentication.gatewaytoken.key", "", 200},
		{maker, "POST", "/targets", `{"controllerId":"not made"}`, 403},
		{maker, "POST", "/targettypes", `{"key":"a","compatibledistributionsettypes":[{"id":1}]}`, 403},
		{maker, "POST", "/targettypes", `{"key":"a"}`, 201},
		{nobody, "GET", "/system/configs", "", 403},
		{nobody, "GET", "/targets/unknown", "", 403},
		{nobody, "GET", "/userinfo", "", 200},
	} {
		if w := c.who.do(t, c.method, c.path, c.body); w.Code != c.want {
			t.Errorf("%s: %s %s: status %d, want %d: %s", c.who.user, c.method, c.path, w.Code, c.want, w.Body)
		}
	}
	token := func(s *site) string {
		t.Helper()
		var b struct{ SecurityToken string }
		must(t, json.Unmarshal(s.want(t, 200, "GET", "/targets/dev:1", ""), &b))
		return b.SecurityToken
	}
	if d := cmp.Diff([]string{"", "secret"}, []string{token(reader), token(keeper)}); d != "" {
		t.Error("tokens as they are shown:", d)
	}
	keys := func(s *site) []string {
		t.Helper()
		var all map[string]any
		must(t, json.Unmarshal(s.want(t, 200, "GET", "/system/configs", ""), &all))
		var list []string
		for k := range all {
			list = append(list, k)
		}
		slices.Sort(list)
		return list
	}
	if d := cmp.Diff([]string{"default.ds.type"}, keys(reader)); d != "" {
		t.Error("settings that a reader of targets sees:", d)
	}
	if list := keys(settings); len(list) != 19 || slices.Contains(list, "authentication.gatewaytoken.key") {
		t.Error("settings that a reader of settings sees:", list)
	}
	if list := keys(gateway); len(list) != 20 {
		t.Error("settings that the holder of all of them sees:", list)
	}
}

// TestListOfManyTargets: a page is cut, and complete.
func TestListOfManyTargets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var list []string
	for i := range 120 {
		list = append(list, fmt.Sprintf(`{"controllerId":"t%03d"}`, i))
	}
	s.want(t, 201, "POST", "/targets", "["+strings.Join(list, ",")+"]")
	var page struct {
		Content     []struct{ ControllerID string }
		Total, Size int
	}
	must(t, json.Unmarshal(s.want(t, 200, "GET", "/targets?offset=100&limit=7&q=name==t*", ""), &page))
	if page.Total != 120 || page.Size != 7 || page.Content[0].ControllerID != "t100" {
		t.Errorf("got %+v", page)
	}
}
