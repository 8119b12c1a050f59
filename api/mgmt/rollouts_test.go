package mgmt_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/store"
)

// fillRollouts makes a set that can be rolled out, the set 1, and three targets
// that are called dev:1 to dev:3.
func fillRollouts(t *testing.T, s *site) {
	t.Helper()
	fill(t, s)
	s.want(t, 201, "POST", "/targets", `[{"controllerId":"dev:1"},{"controllerId":"dev:2"},{"controllerId":"dev:3"}]`)
}

// tick gives a rollout a turn of the engine.
func (s *site) tick(tb testing.TB, id rollout.ID) {
	tb.Helper()
	settings, err := s.api.Tenants.Settings(tb.Context(), s.tenant)
	must(tb, err)
	turn := &rollout.Turn{}
	for more := true; more; {
		more, err = store.Rollouts{DB: s.db}.Advance(tb.Context(), s.tenant, id, rollout.Advance{
			Turn: turn, Policy: deployment.PolicyOf(settings, s.quotas), Approval: settings.RolloutApproval,
			MaxGroups: s.quotas.GroupsPerRollout, Moment: query.Moment{Now: s.now.UnixMilli()}, Now: s.now,
		})
		must(tb, err)
	}
}

// rolloutBody is what tests look at.
type rolloutBody struct {
	ID                    rollout.ID
	Status                string
	Description           string
	Deleted               bool
	LastModifiedBy        string
	LastModifiedAt        int64
	ApproveDecidedBy      string
	ApprovalRemark        string
	TotalTargetsPerStatus map[string]int
}

// rollout reads a rollout, or makes one of a body.
func (s *site) rollout(tb testing.TB, status int, method, path, body string) (x rolloutBody) {
	tb.Helper()
	must(tb, json.Unmarshal(s.want(tb, status, method, path, body), &x))
	return x
}

// report is how a device's newest action ends.
func (s *site) report(tb testing.TB, device fleet.ControllerID, outcome deployment.Outcome) {
	tb.Helper()
	var list struct {
		Content []struct{ ID deployment.ActionID }
	}
	must(tb, json.Unmarshal(s.want(tb, 200, "GET", "/targets/"+string(device)+"/actions?limit=1", ""), &list))
	if len(list.Content) == 0 {
		tb.Fatalf("%s has no action", device)
	}
	ctx := caller.With(tb.Context(), caller.Caller{Tenant: s.tenant, TenantName: "DEFAULT", User: string(device)})
	must(tb, s.api.Deployment.Report(ctx, device, list.Content[0].ID, deployment.Report{Execution: deployment.ExecClosed, Outcome: outcome}))
}

func TestRolloutDocuments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	golden(t, "rollout_created", s.want(t, 201, "POST", "/rollouts", `{"name":" Spring ","description":"For all","targetFilterQuery":"controllerid==dev*","distributionSetId":1,"type":"timeforced","forcetime":1800000000000,
		"weight":7,"startAt":1900000000000,"confirmationRequired":true,"groups":[
		{"name":"canary","description":"Brave","targetFilterQuery":"controllerid==dev:1","confirmationRequired":false,"successCondition":{"condition":"THRESHOLD","expression":"80"},"errorCondition":{"condition":"THRESHOLD"}},
		{"name":"rest","successAction":{"action":"PAUSE"},"errorAction":{"action":"PAUSE","expression":"stop"}}]}`))
	s.now = s.now.Add(time.Second)
	s.tick(t, 1)
	s.want(t, 200, "PUT", "/rollouts/1", `{"name":"Summer"}`)
	x, err := s.api.Fleet.Target(caller.With(t.Context(), caller.Caller{Tenant: s.tenant}), "dev:1")
	must(t, err)
	s.api.Fleet.Visits.Note(x.ID, s.now)
	s.now = s.now.Add(time.Second)
	s.tick(t, 1)
	for name, path := range map[string]string{
		"rollout":                "/rollouts/1",
		"rollouts":               "/rollouts",
		"rollouts_full":          "/rollouts?representation=full",
		"rollout_groups":         "/rollouts/1/deploygroups",
		"rollout_groups_full":    "/rollouts/1/deploygroups?representation=FULL&sort=status:ASC,name:DESC",
		"rollout_group":          "/rollouts/1/deploygroups/1",
		"rollout_group_targets":  "/rollouts/1/deploygroups/1/targets",
		"set_rollout_statistics": "/distributionsets/1/statistics",
	} {
		golden(t, name, s.want(t, 200, "GET", path, ""))
	}
	// While devices are asked for consent, groups say so.
	s.want(t, 204, "PUT", "/system/configs", `{"user.confirmation.flow.enabled":true}`)
	golden(t, "rollout_group_consent", s.want(t, 200, "GET", "/rollouts/1/deploygroups/2", ""))
	for name, path := range map[string]string{"error_rollout_missing": "/rollouts/2", "error_rollout_group_missing": "/rollouts/1/deploygroups/9"} {
		golden(t, name, s.want(t, 404, "GET", path, ""))
	}
}

// What is refused, and in which order: the filter, the set, the texts, the groups.
func TestCreateRolloutRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	const good = `"name":"n","targetFilterQuery":"controllerid==dev*","distributionSetId":1`
	const (
		unreadable = "rest.body.notReadable"
		invalid    = "repo.constraintViolation"
	)
	for _, test := range []struct {
		body, code string
		status     int
	}{
		{`{"distributionSetId":"x"}`, unreadable, 400},
		{`[{` + good + `}]`, unreadable, 400},
		{`{` + good + `,"dynamic":null}`, unreadable, 400},
		{`{` + good + `,"dynamic":true,"dynamicGroupTemplate":{}}`, unreadable, 400},
		{`{` + good + `,"groups":[null]}`, unreadable, 400},
		{`{` + good + `,"successAction":{}}`, unreadable, 400},
		{`{` + good + `,"errorCondition":{"expression":"5"}}`, unreadable, 400},
		{`{` + good + `,"errorAction":{"action":"NEXTGROUP"}}`, unreadable, 400},
		{`{}`, "rest.param.rsqlParamSyntax", 400},
		{`{"targetFilterQuery":"","distributionSetId":99}`, "rest.param.rsqlParamSyntax", 400},
		{`{"targetFilterQuery":"failedrollout==1","distributionSetId":1,"name":"n"}`, "rest.param.rsqlInvalidField", 400},
		{`{"targetFilterQuery":"name==*"}`, "repo.entityNotFound", 404},
		{`{"targetFilterQuery":"name==*","distributionSetId":1}`, invalid, 400},
		{`{"targetFilterQuery":"name==*","distributionSetId":1,"name":"  "}`, invalid, 400},
		{`{"targetFilterQuery":"name==*","distributionSetId":1,"name":"<b>n</b>"}`, invalid, 400},
		{`{"targetFilterQuery":"name==*","distributionSetId":1,"name":"` + strings.Repeat("n", 129) + `"}`, invalid, 400},
		{`{` + good + `,"weight":1001}`, invalid, 400},
		{`{` + good + `,"successCondition":{"condition":"THRESHOLD"}}`, invalid, 400},
		{`{` + good + `,"dynamic":true,"dynamicGroupTemplate":{"targetCount":1,"nameSuffix":"` + strings.Repeat("s", 111) + `"}}`, invalid, 400},
		{`{` + good + `,"amountGroups":0}`, invalid, 400},
		{`{` + good + `,"amountGroups":-1}`, invalid, 400},
		{`{` + good + `,"amountGroups":501}`, "quota.tooManyEntries", 429},
		{`{` + good + `,"amountGroups":1,"groups":[{"name":"g"}]}`, invalid, 400},
		{`{` + good + `,"dynamic":true,"groups":[{"name":"g"}]}`, invalid, 400},
		{`{` + good + `,"dynamicGroupTemplate":{"targetCount":1}}`, invalid, 400},
		{`{` + good + `,"groups":[]}`, invalid, 400},
		{`{` + good + `,"groups":[{"name":" "}]}`, invalid, 400},
		{`{` + good + `,"groups":[{"name":"g","targetPercentage":0.5}]}`, invalid, 400},
		{`{` + good + `,"groups":[{"name":"g","targetPercentage":50}]}`, invalid, 400},
		{`{` + good + `,"groups":[{"name":"g","targetFilterQuery":"name="}]}`, "rest.param.rsqlParamSyntax", 400},
		{`{` + good + `,"groups":[{"name":"g","targetPercentage":50},{"name":"g"}]}`, "repo.entityAlreadyExists", 409},
		{`{"name":"n","targetFilterQuery":"name==nobody","distributionSetId":1}`, invalid, 400},
	} {
		var got struct{ ErrorCode string }
		must(t, json.Unmarshal(s.want(t, test.status, "POST", "/rollouts", test.body), &got))
		if got.ErrorCode != "hawkbit.server.error."+test.code {
			t.Errorf("%s: %s, want %s", test.body, got.ErrorCode, test.code)
		}
	}
	s.want(t, 201, "POST", "/rollouts", `{`+good+`,"groups":{"name":"g"}}`)
	s.want(t, 409, "POST", "/rollouts", `{`+good+`}`)
}

const oneRollout = `{"name":"n","description":"d","targetFilterQuery":"controllerid==dev*","distributionSetId":1}`

// Who changed a rollout last, and when, is told; what changes nothing leaves no trace.
func TestRolloutUpdates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	s.want(t, 201, "POST", "/rollouts", oneRollout)
	s.tick(t, 1)
	ready := s.rollout(t, 200, "GET", "/rollouts/1", "")
	if ready.Status != "ready" || ready.LastModifiedBy != "system" {
		t.Errorf("after the engine's turn: %+v", ready)
	}
	s.now = s.now.Add(time.Minute)
	if d := cmp.Diff(ready, s.rollout(t, 200, "PUT", "/rollouts/1", `{"name":" n ","status":"running","weight":1}`)); d != "" {
		t.Errorf("a change of nothing: %s", d)
	}
	changed := s.rollout(t, 200, "PUT", "/rollouts/1", `{"description":""}`)
	want := ready
	want.Description, want.LastModifiedBy, want.LastModifiedAt = "", "admin", s.now.UnixMilli()
	if d := cmp.Diff(want, changed); d != "" {
		t.Errorf("a change: %s", d)
	}
	s.want(t, 400, "PUT", "/rollouts/1", `{"name":" "}`)
	s.want(t, 404, "PUT", "/rollouts/9", `{"name":"x"}`)
	s.want(t, 204, "DELETE", "/rollouts/1", "")
	golden(t, "error_rollout_deleting", s.want(t, 403, "PUT", "/rollouts/1", `{"name":"x"}`))
	s.want(t, 204, "DELETE", "/rollouts/1", "")
	s.tick(t, 1)
	s.want(t, 404, "GET", "/rollouts/1", "")
	s.want(t, 404, "DELETE", "/rollouts/1", "")
}

// A rollout's life by the calls that operators make.
func TestRolloutLife(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	call := func(status int, verb string) {
		t.Helper()
		s.want(t, status, "POST", "/rollouts/1/"+verb, "")
	}
	expect := func(want string) {
		t.Helper()
		if got := s.rollout(t, 200, "GET", "/rollouts/1", "").Status; got != want {
			t.Fatalf("the rollout is %s, want %s", got, want)
		}
	}
	s.want(t, 201, "POST", "/rollouts", strings.Replace(oneRollout, "}", `,"amountGroups":3}`, 1))
	call(400, "start") // still creating
	s.tick(t, 1)
	for _, verb := range []string{"pause", "resume", "triggerNextGroup", "approve", "deny", "retry"} {
		call(400, verb)
	}
	call(204, "start")
	expect("starting")
	s.tick(t, 1)
	expect("running")
	call(204, "pause")
	call(400, "pause")
	call(204, "resume")
	call(204, "triggerNextGroup")
	call(204, "triggerNextGroup")
	call(400, "triggerNextGroup")
	s.report(t, "dev:1", deployment.OutcomeFailure)
	s.tick(t, 1) // one failed of one in its group
	expect("paused")
	call(204, "resume")
	s.report(t, "dev:2", deployment.OutcomeSuccess)
	s.report(t, "dev:3", deployment.OutcomeSuccess)
	s.tick(t, 1)
	expect("finished")
	want := map[string]int{"notstarted": 0, "scheduled": 0, "running": 0, "finished": 2, "error": 1, "cancelled": 0}
	if d := cmp.Diff(want, s.rollout(t, 200, "GET", "/rollouts/1", "").TotalTargetsPerStatus); d != "" {
		t.Errorf("progress: %s", d)
	}
	call(400, "stop")
	golden(t, "rollout_retried", s.want(t, 201, "POST", "/rollouts/1/retry", ""))
	call(409, "retry")
	s.tick(t, 2)
	s.want(t, 204, "POST", "/rollouts/2/stop", "")
	s.tick(t, 2)
	if got := s.rollout(t, 200, "GET", "/rollouts/2", "").Status; got != "stopped" {
		t.Errorf("stopped: %s", got)
	}
	// What has a history is kept.
	s.want(t, 204, "DELETE", "/rollouts/1", "")
	s.tick(t, 1)
	if x := s.rollout(t, 200, "GET", "/rollouts/1", ""); x.Status != "deleted" || !x.Deleted {
		t.Errorf("deleted: %+v", x)
	}
	s.want(t, 404, "POST", "/rollouts/1/retry", "")
	s.want(t, 403, "PUT", "/rollouts/1", "{}")
	for mode, n := range map[string]int{"": 1, "INCLUDE_SOFT_DELETED": 2, "ONLY_SOFT_DELETED": 1} {
		var list struct{ Total int }
		must(t, json.Unmarshal(s.want(t, 200, "GET", "/rollouts?soft_deleted_mode="+mode, ""), &list))
		if list.Total != n {
			t.Errorf("soft_deleted_mode=%s: %d rollouts, want %d", mode, list.Total, n)
		}
	}
	// So is the set.
	s.want(t, 204, "DELETE", "/distributionsets/1", "")
	s.want(t, 200, "GET", "/distributionsets/1", "")
}

// Approval is for whoever was not granted it directly; a role does not count.
func TestRolloutApproval(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	s.want(t, 204, "PUT", "/system/configs", `{"rollout.approval.enabled":true}`)
	create := func(as *site, want string) string {
		t.Helper()
		x := as.rollout(t, 201, "POST", "/rollouts", strings.Replace(oneRollout, `"n"`, `"`+as.user+`"`, 1))
		s.tick(t, x.ID)
		path := fmt.Sprintf("/rollouts/%d", x.ID)
		if got := s.rollout(t, 200, "GET", path, "").Status; got != want {
			t.Errorf("the rollout of %s is %s, want %s", as.user, got, want)
		}
		return path
	}
	approver := s.as(t, "approver", "CREATE_ROLLOUT", "READ_ROLLOUT", "READ_TARGET", "READ_DISTRIBUTION_SET", "APPROVE_ROLLOUT")
	create(approver, "ready")
	path := create(s, "waiting_for_approval")
	s.want(t, 400, "POST", path+"/start", "")
	golden(t, "error_rollout_remark", s.want(t, 400, "POST", path+"/deny?remark="+strings.Repeat("r", 256), ""))
	s.want(t, 204, "POST", path+"/approve?remark=%20%3Cb%3Ea&remark=b", "ignored")
	s.want(t, 400, "POST", path+"/deny?remark="+strings.Repeat("r", 256), "") // by now because it is ready
	if x := s.rollout(t, 200, "GET", path, ""); x.Status != "ready" || x.ApproveDecidedBy != "admin" || x.ApprovalRemark != " <b>a,b" {
		t.Errorf("approved: %+v", x)
	}
}

// A rollout that starts by itself needs the right to start it.
func TestRolloutPermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	planner := s.as(t, "planner", "CREATE_ROLLOUT", "READ_ROLLOUT", "READ_TARGET", "READ_DISTRIBUTION_SET", "UPDATE_ROLLOUT")
	named := func(name, more string) string {
		return strings.Replace(strings.Replace(oneRollout, `"n"`, `"`+name+`"`, 1), "}", more+"}", 1)
	}
	planner.want(t, 403, "POST", "/rollouts", named("a", `,"startAt":1`))
	planner.want(t, 403, "POST", "/rollouts", named("a", `,"startAt":1,"groups":[{"name":"g"}]`))
	planner.want(t, 201, "POST", "/rollouts", named("a", `,"startAt":9223372036854775807`))
	s.want(t, 201, "POST", "/rollouts", named("b", `,"startAt":1`))
	planner.want(t, 403, "POST", "/rollouts/1/start", "")
	planner.want(t, 403, "POST", "/rollouts/2/retry", "") // it would start by itself
	planner.want(t, 400, "POST", "/rollouts/1/retry", "")
	planner.want(t, 403, "DELETE", "/rollouts/1", "")
	s.as(t, "viewer", string(identity.ReadRollout)).want(t, 403, "GET", "/rollouts/1/deploygroups/1/targets", "")
	s.tick(t, 1)
	if got := s.rollout(t, 200, "GET", "/rollouts/1", "").Status; got != "ready" {
		t.Errorf("a rollout that is to start at the end of time is %s", got)
	}
}

// A set stays as long as a rollout uses it, which deleting does not stop.
func TestRolloutKeepsItsSet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fillRollouts(t, s)
	s.want(t, 201, "POST", "/rollouts", oneRollout)
	s.tick(t, 1)
	s.want(t, 204, "DELETE", "/distributionsets/1", "")
	if x := s.rollout(t, 200, "GET", "/distributionsets/1", ""); !x.Deleted {
		t.Errorf("the set is not deleted: %+v", x)
	}
	s.want(t, 404, "POST", "/rollouts", strings.Replace(oneRollout, `"n"`, `"other"`, 1))
	s.want(t, 204, "POST", "/rollouts/1/start", "")
	s.tick(t, 1)
	if x := s.rollout(t, 200, "GET", "/rollouts/1", ""); x.Status != "running" {
		t.Errorf("the rollout is %s, want running", x.Status)
	}
}
