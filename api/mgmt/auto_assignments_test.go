package mgmt_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/store"
)

// look lets an auto-assignment look through all targets, as the engine does.
func (s *site) look(tb testing.TB, id rollout.AutoAssignmentID) {
	tb.Helper()
	settings, err := s.api.Tenants.Settings(tb.Context(), s.tenant)
	must(tb, err)
	_, err = store.Rollouts{DB: s.db}.AdvanceAutoAssignment(tb.Context(), s.tenant, id, rollout.AutoAdvance{
		Policy: deployment.PolicyOf(settings, s.quotas), Moment: query.Moment{Now: s.now.UnixMilli()}, Limit: 100, Now: s.now,
	})
	must(tb, err)
}

const oneRule = `{"name":"new","description":"Who comes","targetFilterQuery":"name==dev*","distributionSetId":1,"startAt":4102444800000,"actionType":"soft","weight":7,"confirmationRequired":true}`

// What auto-assignments and saved filters look like, in each state and view.
func TestAutoAssignmentDocuments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	golden(t, "auto_assignment_created", s.want(t, 201, "POST", "/autoassignments", oneRule))
	s.want(t, 201, "POST", "/targetfilters", `{"name":"new","query":"name==dev*"}`) // to which it belongs
	golden(t, "target_filter_created", s.want(t, 201, "POST", "/targetfilters", `{"name":"lab","query":" tag==lab "}`))
	golden(t, "target_filter_none", s.want(t, 200, "GET", "/targetfilters/2", ""))
	golden(t, "target_filter_assigned", s.want(t, 200, "POST", "/targetfilters/2/autoAssignDS", `{"id":1,"type":"downloadonly"}`))
	s.now = s.now.Add(time.Minute)
	s.look(t, 2) // starts
	s.want(t, 204, "POST", "/autoassignments/2/pause", "")
	s.want(t, 204, "PUT", "/system/configs", `{"auto.assignment.approval.enabled":true}`)
	s.want(t, 201, "POST", "/autoassignments", `{"name":"denied","targetFilterQuery":"name==x","distributionSetId":1}`)
	s.want(t, 204, "POST", "/autoassignments/3/deny?remark=%3Cb%3Eno%3C/b%3E", "")
	s.want(t, 201, "POST", "/autoassignments", `{"name":"waits","targetFilterQuery":"name==x","distributionSetId":1}`)
	s.want(t, 201, "POST", "/autoassignments", `{"name":"runs","targetFilterQuery":"name==x","distributionSetId":1}`)
	s.want(t, 204, "POST", "/autoassignments/5/approve", "")
	s.look(t, 5)
	for name, path := range map[string]string{
		"auto_assignments":            "/autoassignments",
		"auto_assignment":             "/autoassignments/1",
		"auto_assignments_of_set":     "/distributionsets/1/autoAssignments?q=name==new",
		"target_filters_of_set":       "/distributionsets/1/autoAssignTargetFilters",
		"target_filters":              "/targetfilters",
		"target_filters_full":         "/targetfilters?representation=full",
		"target_filter":               "/targetfilters/2",
		"target_filter_set":           "/targetfilters/2/autoAssignDS",
		"set_statistics_auto":         "/distributionsets/1/statistics",
		"set_statistics_auto_assigns": "/distributionsets/1/statistics/autoassignments",
	} {
		golden(t, name, s.want(t, 200, "GET", path, ""))
	}
	s.want(t, 204, "PUT", "/system/configs", `{"user.confirmation.flow.enabled":true}`)
	golden(t, "target_filter_flow", s.want(t, 200, "GET", "/targetfilters/1", ""))
	for name, c := range map[string]struct{ method, path, body string }{
		"error_auto_assignment_missing": {"GET", "/autoassignments/77", ""},
		"error_auto_assignment_delete":  {"DELETE", "/autoassignments/77", ""},
		"error_auto_assignment_exists":  {"POST", "/autoassignments", oneRule},
		"error_auto_assignment_state":   {"POST", "/autoassignments/3/start", ""},
		"error_auto_assignment_type":    {"POST", "/autoassignments", strings.Replace(oneRule, `"soft"`, `"timeforced"`, 1)},
		"error_target_filter_missing":   {"DELETE", "/targetfilters/77", ""},
		"error_target_filter_exists":    {"POST", "/targetfilters", `{"name":"lab","query":"name==x"}`},
	} {
		w := s.do(t, c.method, c.path, c.body)
		if w.Code < 400 {
			t.Errorf("%s: status %d", name, w.Code)
		}
		golden(t, name, fmt.Appendf(nil, `{"status":%d,"body":%s}`, w.Code, w.Body))
	}
}

// Each call in turn, with what it answers (management-api 2.6 and 2.7).
func TestAutoAssignmentCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	long := strings.Repeat("r", 256)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/autoassignments", `{}`, 400},
		{"POST", "/autoassignments", `{"name":"n","targetFilterQuery":"name==x"}`, 400},
		{"POST", "/autoassignments", `{"name":"n","targetFilterQuery":"name==x","distributionSetId":null}`, 400},
		{"POST", "/autoassignments", `{"name":"n","targetFilterQuery":"","distributionSetId":1}`, 400},
		{"POST", "/autoassignments", `{"name":"n","targetFilterQuery":"name==x","distributionSetId":77}`, 404},
		{"POST", "/autoassignments", `[{"name":"n","targetFilterQuery":"name==x","distributionSetId":1}]`, 400},
		{"POST", "/autoassignments", `{"name":"<b>n</b>","targetFilterQuery":"name==x","distributionSetId":1,"links":[]}`, 201},
		{"PUT", "/autoassignments/1", `{"name":"m","description":"<i>d</i>","weight":1,"links":[]}`, 200},
		{"PUT", "/autoassignments/1", `{"name":""}`, 400},
		{"GET", "/autoassignments?q=", ``, 200},
		{"GET", "/autoassignments?q=status==ready;distributionset.name==*", ``, 200},
		{"GET", "/autoassignments?q=description==x", ``, 400},
		{"POST", "/autoassignments/1/pause", ``, 409},
		{"POST", "/autoassignments/1/resume", ``, 409},
		{"POST", "/autoassignments/1/approve", ``, 409},
		{"POST", "/autoassignments/1/approve?remark=" + long, ``, 400},
		{"POST", "/autoassignments/1/start", ``, 204},
		{"POST", "/autoassignments/1/start", ``, 409},
		{"POST", "/autoassignments/1/pause", ``, 204},
		{"POST", "/autoassignments/1/resume", ``, 204},
		{"DELETE", "/autoassignments/1", ``, 204},
		{"DELETE", "/autoassignments/1", ``, 404},
		{"POST", "/autoassignments/-1/approve", ``, 404},
		{"GET", "/autoassignments/x", ``, 400},
		{"POST", "/targetfilters", `{"name":"f","query":"name==x"}`, 201},
		{"GET", "/targetfilters/1/autoAssignDS", ``, 204},
		{"DELETE", "/targetfilters/1/autoAssignDS", ``, 204},
		{"POST", "/targetfilters/1/autoAssignDS", `{}`, 400},
		{"POST", "/targetfilters/1/autoAssignDS", `{"id":1}`, 200},
		{"GET", "/targetfilters/1/autoAssignDS", ``, 200},
		{"PUT", "/targetfilters/1", `{"query":"name=="}`, 400},
		{"PUT", "/targetfilters/1", `{"query":"name==y"}`, 200},
		{"GET", "/autoassignments/3", ``, 200}, // begun anew
		{"DELETE", "/targetfilters/1", ``, 204},
		{"GET", "/autoassignments/3", ``, 404},
		{"GET", "/distributionsets/1/autoAssignments?sort=version:ASC", ``, 400},
		{"GET", "/distributionsets/1/autoAssignments?sort=status:ASC", ``, 400},
		{"GET", "/distributionsets/77/autoAssignments", ``, 404},
	} {
		if w := s.do(t, c.method, c.path, c.body); w.Code != c.want {
			t.Errorf("%s %s %s: status %d, want %d: %s", c.method, c.path, c.body, w.Code, c.want, w.Body)
		}
	}
}

// Each call works with exactly the permissions that the specification names, and
// with any one of them missing it is refused.
func TestAutoAssignmentPermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	s.want(t, 201, "POST", "/autoassignments", oneRule)
	s.want(t, 201, "POST", "/targetfilters", `{"name":"f","query":"name==x"}`)
	rule := strings.Replace(oneRule, `"new"`, `"other"`, 1)
	for i, c := range []struct {
		needs              []identity.Permission
		method, path, body string
		want               int
	}{
		{[]identity.Permission{identity.ReadAutoAssignment}, "GET", "/autoassignments/1", "", 200},
		{[]identity.Permission{identity.UpdateTarget, identity.ReadDistributionSet}, "POST", "/autoassignments", rule, 201},
		{[]identity.Permission{identity.UpdateAutoAssignment}, "PUT", "/autoassignments/1", `{"description":"d"}`, 200},
		{[]identity.Permission{identity.HandleAutoAssignment}, "POST", "/autoassignments/1/start", "", 204},
		{[]identity.Permission{identity.ApproveAutoAssignment}, "POST", "/autoassignments/1/approve", "", 409},
		{[]identity.Permission{identity.ReadAutoAssignment, identity.ReadDistributionSet}, "GET", "/distributionsets/1/autoAssignments", "", 200},
		{[]identity.Permission{identity.ReadTarget, identity.ReadDistributionSet}, "GET", "/distributionsets/1/autoAssignTargetFilters", "", 200},
		{[]identity.Permission{identity.DeleteAutoAssignment}, "DELETE", "/autoassignments/2", "", 204},
		{[]identity.Permission{identity.CreateTarget}, "POST", "/targetfilters", `{"name":"g","query":"name==x"}`, 201},
		{[]identity.Permission{identity.ReadTarget}, "GET", "/targetfilters/1", "", 200},
		{[]identity.Permission{identity.UpdateTarget, identity.ReadTarget}, "PUT", "/targetfilters/1", `{"name":"h"}`, 200},
		{[]identity.Permission{identity.UpdateTarget, identity.ReadTarget, identity.ReadDistributionSet}, "POST", "/targetfilters/1/autoAssignDS", `{"id":1}`, 200},
		{[]identity.Permission{identity.ReadTarget}, "GET", "/targetfilters/1/autoAssignDS", "", 200},
		{[]identity.Permission{identity.UpdateTarget, identity.ReadTarget}, "DELETE", "/targetfilters/1/autoAssignDS", "", 204},
		{[]identity.Permission{identity.DeleteTarget, identity.ReadTarget}, "DELETE", "/targetfilters/1", "", 204},
	} {
		for j := range c.needs {
			var others []string
			for k, p := range c.needs {
				if k != j {
					others = append(others, string(p))
				}
			}
			if w := s.as(t, fmt.Sprintf("lacks-%d-%d", i, j), others...).do(t, c.method, c.path, c.body); w.Code != http.StatusForbidden {
				t.Errorf("%s %s without %s: %d", c.method, c.path, c.needs[j], w.Code)
			}
		}
		var all []string
		for _, p := range c.needs {
			all = append(all, string(p))
		}
		s.as(t, fmt.Sprintf("has-%d", i), all...).want(t, c.want, c.method, c.path, c.body)
	}
	s.as(t, "creator", string(identity.CreateAutoAssignment)).want(t, 403, "POST", "/autoassignments", rule)
}

// An invalidated set is used by nothing any more (management-api 2.8).
func TestInvalidatedSet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	s.want(t, 201, "POST", "/autoassignments", oneRule)
	s.want(t, 201, "POST", "/rollouts", oneRollout)
	s.tick(t, 1)
	s.want(t, 200, "POST", "/distributionsets/1/assignedTargets", `[{"id":"dev:1"}]`)
	limited := s.as(t, "limited", "UPDATE_DISTRIBUTION_SET", "READ_DISTRIBUTION_SET", "UPDATE_TARGET")
	limited.want(t, 403, "POST", "/distributionsets/1/invalidate", `{"actionCancelationType":"soft"}`)
	limited.want(t, 204, "POST", "/distributionsets/1/invalidate", `{"actionCancelationType":"none"}`)
	if x := s.rollout(t, 200, "GET", "/rollouts/1", ""); x.Status != "ready" {
		t.Errorf("the rollout is %s", x.Status)
	}
	s.want(t, 404, "GET", "/autoassignments/1", "")
	s.want(t, 400, "POST", "/autoassignments", oneRule)
	s.want(t, 204, "POST", "/distributionsets/1/invalidate", `{"actionCancelationType":"soft"}`)
	if x := s.rollout(t, 200, "GET", "/rollouts/1", ""); x.Status != "stopping" || x.LastModifiedBy != "admin" {
		t.Errorf("the rollout is %s by %s", x.Status, x.LastModifiedBy)
	}
	if body := string(s.want(t, 200, "GET", "/targets/dev:1/actions", "")); !strings.Contains(body, `"status":"canceling"`) {
		t.Errorf("the action: %s", body)
	}
	s.want(t, 204, "POST", "/distributionsets/1/invalidate", `{"actionCancelationType":"force"}`)
	if body := string(s.want(t, 200, "GET", "/targets/dev:1/actions", "")); !strings.Contains(body, `"status":"canceled"`) {
		t.Errorf("the action after force: %s", body)
	}
}
