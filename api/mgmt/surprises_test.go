package mgmt_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/rollout"
)

// A surprised is a site that tells what it answers to one request after the other.
type surprised struct {
	*site
	t *testing.T
}

// is fails unless the request is answered with the status, and returns the answer.
func (s surprised) is(status int, method, path string, body ...string) document {
	s.t.Helper()
	w := s.do(s.t, method, path, strings.Join(body, ""))
	if w.Code != status {
		s.t.Fatalf("%s %s %s: status %d, want %d: %s", method, path, body, w.Code, status, w.Body)
	}
	d := document{t: s.t, header: w.Header(), text: w.Body.String()}
	if w.Body.Len() > 0 && strings.Contains(w.Header().Get("Content-Type"), "json") {
		must(s.t, json.Unmarshal(w.Body.Bytes(), &d.v))
	}
	return d
}

// A document is an answer.
type document struct {
	t      *testing.T
	header http.Header
	text   string
	v      any
}

// at is what stands at a path of names and places, absent if nothing does.
func (d document) at(path string) any {
	v := d.v
	for name := range strings.SplitSeq(path, " ") {
		switch x := v.(type) {
		case map[string]any:
			inner, ok := x[name]
			if !ok {
				return absent
			}
			v = inner
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(x) {
				return absent
			}
			v = x[i]
		default:
			return absent
		}
	}
	return v
}

const absent = "(absent)"

// has fails unless the values, which follow their paths, are these.
func (d document) has(pairs ...any) {
	d.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		want := pairs[i+1]
		if n, ok := want.(int); ok {
			want = float64(n)
		}
		if diff := cmp.Diff(want, d.at(pairs[i].(string))); diff != "" {
			d.t.Errorf("%s of %s: %s", pairs[i], d.text, diff)
		}
	}
}

// each collects a member of the elements of a list.
func (d document) each(member string) (all []string) {
	list, ok := d.v.([]any)
	if !ok {
		list, _ = d.at("content").([]any)
	}
	for _, e := range list {
		if o, ok := e.(map[string]any); ok {
			e = o[member]
		}
		all = append(all, fmt.Sprint(e))
	}
	return all
}

func (d document) lists(member string, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, d.each(member)); diff != "" {
		d.t.Errorf("%s of %s: %s", member, d.text, diff)
	}
}

// code is the error code without what all have in common.
func (d document) code() string {
	c, _ := d.at("errorCode").(string)
	return strings.TrimPrefix(c, "hawkbit.server.error.")
}

func (d document) fails(code string) {
	d.t.Helper()
	if d.code() != code {
		d.t.Errorf("error code %q, want %q: %s", d.code(), code, d.text)
	}
}

const (
	notReadable = "rest.body.notReadable"
	violation   = "repo.constraintViolation"
)

// Everything that management-api 5 lists as surprising to clients, by its number.
// Most has more tests elsewhere, beside its subject.
func TestSurprises(t *testing.T) {
	t.Parallel()
	list := surprises()
	for n := 1; n <= 37; n++ {
		test, ok := list[n]
		if !ok {
			t.Errorf("surprise %d has no test", n)
			continue
		}
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			fillRollouts(t, s) // set 1 with module 1 and artifact 1, targets dev:1 to dev:3
			test(surprised{s, t})
		})
	}
}

func surprises() map[int]func(s surprised) {
	const oneRollout = `{"name":"r","distributionSetId":1,"targetFilterQuery":"controllerid==dev*","amountGroups":1}`
	assign := func(s surprised) document {
		s.t.Helper()
		return s.is(200, "POST", "/distributionsets/1/assignedTargets", `[{"id":"dev:1"}]`)
	}
	return map[int]func(s surprised){
		1: func(s surprised) { // HAL by default, and taken
			for accept, want := range map[string]string{"": "application/hal+json", "*/*": "application/hal+json", "application/json": "application/json"} {
				if got := s.do(s.t, "GET", "/targets", "", "Accept", accept).Header().Get("Content-Type"); got != want {
					s.t.Errorf("Accept %q gets %q, want %q", accept, got, want)
				}
			}
			if w := s.do(s.t, "POST", "/targettags", `[{"name":"hal"}]`, "Content-Type", "application/hal+json"); w.Code != 201 {
				s.t.Error(w.Code, w.Body)
			}
		},
		2: func(s surprised) { // a list may be one object, and one object no list
			s.is(201, "POST", "/targets", `{"controllerId":"one"}`).has("0 controllerId", "one")
			for path, body := range map[string]string{"/targetfilters": `{"name":"f","query":"name==x"}`, "/autoassignments": `{"name":"a","targetFilterQuery":"name==x","distributionSetId":1}`, "/rollouts": oneRollout} {
				s.is(400, "POST", path, "["+body+"]").fails(notReadable)
				s.is(201, "POST", path, body).has("name", strings.Split(body, `"`)[3])
			}
			s.is(201, "POST", "/distributionsettypes", `[{"key":"t","name":"t"}]`).has("0 id", 5)
			s.is(400, "POST", "/distributionsettypes/5/mandatorymoduletypes", `[{"id":1}]`).fails(notReadable)
			s.is(204, "POST", "/distributionsettypes/5/mandatorymoduletypes", `{"id":1}`)
			s.is(204, "POST", "/distributionsettypes/5/optionalmoduletypes", `{"id":2}`)
		},
		3: func(s surprised) { // paging is moved into its limits
			s.is(200, "GET", "/targets?offset=-5&limit=0").has("size", 3, "total", 3)
			s.is(200, "GET", "/targets?limit=2").has("size", 2, "total", 3)
			s.is(200, "GET", "/targets?limit=100000&offset=2").has("size", 1, "total", 3)
			s.is(200, "GET", "/targets?offset=9").has("size", 0, "total", 3)
			s.is(400, "GET", "/targets?limit=many").fails(notReadable)
			s.is(400, "GET", "/targets?q=").fails("rest.param.rsqlParamSyntax")
		},
		4: func(s surprised) { // nothing there is 204
			for _, path := range []string{"/targets/dev:1/assignedDS", "/targets/dev:1/installedDS", "/targets/dev:1/attributes", "/targets/nobody/assignedDS", "/targets/nobody/installedDS"} {
				s.is(204, "GET", path)
			}
			s.is(404, "GET", "/targets/nobody/attributes")
			s.is(201, "POST", "/targetfilters", `{"name":"f","query":"name==x"}`)
			s.is(204, "GET", "/targetfilters/1/autoAssignDS")
		},
		5: func(s surprised) { // metadata: a conflict on targets alone; PUT makes or replaces
			s.is(201, "POST", "/targets/dev:1/metadata", `[{"key":"k","value":"v"}]`)
			s.is(409, "POST", "/targets/dev:1/metadata", `[{"key":"k","value":"w"}]`).fails("repo.entityAlreadyExists")
			for _, path := range []string{"/distributionsets/1/metadata", "/softwaremodules/1/metadata"} {
				s.is(201, "POST", path, `[{"key":"k","value":"other"}]`)
				s.is(200, "GET", path+"/k").has("value", "other")
			}
			for _, path := range []string{"/targets/dev:1", "/distributionsets/1", "/softwaremodules/1"} {
				s.is(204, "PUT", path+"/metadata/new", `{"value":"1","targetVisible":false}`)
				s.is(204, "PUT", path+"/metadata/new", `{"value":"2","targetVisible":false}`)
				s.is(200, "GET", path+"/metadata/new").has("value", "2")
			}
		},
		6: func(s surprised) { // PUT changes what it names, and takes nothing away
			s.is(201, "POST", "/targettypes", `[{"key":"t","name":"t"}]`)
			s.is(200, "PUT", "/targets/dev:1", `{"description":"d","targetType":1}`).has("description", "d", "targetType", 1)
			s.is(200, "PUT", "/targets/dev:1", `{"description":null,"targetType":null,"group":"ignored"}`).has("description", "d", "targetType", 1, "group", absent)
			s.is(200, "PUT", "/targets/dev:1", `{"targetType":-1}`).has("description", "d", "targetType", absent)
			s.is(204, "PUT", "/targetgroups/g/assigned", `["dev:1"]`)
			s.is(200, "GET", "/targets/dev:1").has("group", "g")
			s.is(204, "DELETE", "/targetgroups/assigned", `["dev:1"]`)
			s.is(200, "GET", "/targets/dev:1").has("group", absent)
		},
		7: func(s surprised) {
			if d := s.is(400, "PUT", "/targets/dev:1", `{"requestAttributes":false}`); d.text != "" {
				s.t.Errorf("the body is %s", d.text)
			}
		},
		8: func(s surprised) { // who waits for a start
			s.is(201, "POST", "/autoassignments", `{"name":"a","targetFilterQuery":"controllerid==dev:1","distributionSetId":1}`).has("status", "ready")
			s.is(201, "POST", "/rollouts", oneRollout)
			s.look(s.t, 1)
			for range 3 {
				s.tick(s.t, 1)
			}
			s.is(200, "GET", "/autoassignments/1").has("status", "running")
			s.is(200, "GET", "/rollouts/1").has("status", "ready")
		},
		9: func(s surprised) { // what life does not allow
			s.is(201, "POST", "/rollouts", oneRollout)
			s.is(400, "POST", "/rollouts/1/pause").fails("rollout.illegalState")
			s.is(201, "POST", "/autoassignments", `{"name":"a","targetFilterQuery":"name==x","distributionSetId":1}`)
			s.is(409, "POST", "/autoassignments/1/pause")
			assign(s)
			s.is(405, "DELETE", "/actions/1001")
		},
		10: func(s surprised) { // filter and auto-assignment know each other by name and query
			s.is(201, "POST", "/targetfilters", `{"name":"f","query":"name==x"}`)
			s.is(201, "POST", "/autoassignments", `{"name":"f","targetFilterQuery":"name==x","distributionSetId":1}`)
			s.is(204, "POST", "/autoassignments/1/start")
			s.is(200, "GET", "/targetfilters/1").has("autoAssignDistributionSet", 1)
			s.is(200, "PUT", "/targetfilters/1", `{"query":"name==y"}`).has("autoAssignDistributionSet", 1)
			s.is(404, "GET", "/autoassignments/1")
			s.is(200, "GET", "/autoassignments/2").has("targetFilterQuery", "name==y", "status", "ready")
			s.is(200, "PUT", "/autoassignments/2", `{"name":"other"}`)
			s.is(200, "GET", "/targetfilters/1").has("autoAssignDistributionSet", nil)
		},
		11: func(s surprised) { // filters count all, and show nulls
			s.is(201, "POST", "/targetfilters", `{"name":"a","query":"name==x"}`).has("autoAssignDistributionSet", nil, "autoAssignWeight", nil)
			s.is(201, "POST", "/targetfilters", `{"name":"b","query":"name==x"}`)
			s.is(200, "GET", "/targetfilters?q=name==a").has("total", 2, "size", 1)
			s.is(200, "GET", "/targets/dev:1").has("description", absent)
		},
		12: func(s surprised) { // a list below another entity sorts by that one's fields
			assign(s)
			s.is(200, "GET", "/distributionsets/1/assignedTargets?sort=name:ASC").has("total", 1)
			s.is(400, "GET", "/distributionsets/1/assignedTargets?sort=controllerid:ASC").fails("rest.param.invalidField")
			s.is(201, "POST", "/rollouts", oneRollout)
			s.is(200, "GET", "/rollouts/1/deploygroups/1/targets?sort=id:DESC")
			s.is(400, "GET", "/rollouts/1/deploygroups/1/targets?sort=controllerid:ASC").fails("rest.param.invalidField")
		},
		13: func(s surprised) { // an assignment locks
			assign(s)
			s.is(200, "GET", "/distributionsets/1").has("locked", true)
			s.is(200, "GET", "/softwaremodules/1").has("locked", true)
			s.is(423, "DELETE", "/distributionsets/1/assignedSM/1")
			s.is(423, "DELETE", "/softwaremodules/1/artifacts/1")
			if w := s.upload(s.t, "/softwaremodules/1/artifacts", "late", "x"); w.Code != 423 {
				s.t.Error(w.Code, w.Body)
			}
			s.is(204, "DELETE", "/distributionsets/1")
			s.is(200, "GET", "/distributionsets/1").has("deleted", true)
		},
		14: func(s surprised) { // what is deleted softly is still there
			s.is(204, "DELETE", "/softwaremodules/1")
			s.is(200, "GET", "/softwaremodules/1").has("deleted", true)
			s.is(404, "PUT", "/softwaremodules/1", `{"description":"d"}`).fails("deleted")
			s.is(201, "POST", "/softwaremodules/1/metadata", `[{"key":"late","value":"v"}]`)
			if w := s.upload(s.t, "/softwaremodules/1/artifacts", "late", "x"); w.Code != 201 {
				s.t.Error(w.Code, w.Body)
			}
			s.is(409, "POST", "/softwaremodules", `[{"type":"firmware","name":"fw","version":"1.0"}]`).fails("repo.entityAlreadyExists")
		},
		15: func(s surprised) { // locked at creation is ignored, and a second module takes the first one's place
			s.is(201, "POST", "/softwaremodules", `[{"type":"os","name":"a","version":"1"},{"type":"os","name":"b","version":"1"}]`)
			s.is(201, "POST", "/distributionsets", `[{"type":"os","name":"s","version":"1","locked":true,"modules":[{"id":2}]}]`).has("0 locked", false)
			s.is(204, "POST", "/distributionsets/2/assignedSM", `[{"id":3}]`)
			s.is(200, "GET", "/distributionsets/2/assignedSM").lists("name", "b")
		},
		16: func(s surprised) { // a role does not approve its own rollout
			s.is(204, "PUT", "/system/configs", `{"rollout.approval.enabled":true}`)
			s.is(201, "POST", "/rollouts", oneRollout)
			s.tick(s.t, 1)
			s.is(200, "GET", "/rollouts/1").has("status", "waiting_for_approval")
		},
		17: func(s surprised) {
			s.is(200, "GET", "/userinfo").has("permissions", []any{identity.RoleTenantAdmin})
		},
		18: func(s surprised) { // who decided is called by two names
			s.is(204, "PUT", "/system/configs", `{"rollout.approval.enabled":true,"auto.assignment.approval.enabled":true}`)
			s.is(201, "POST", "/rollouts", oneRollout)
			s.tick(s.t, 1)
			s.is(204, "POST", "/rollouts/1/approve")
			s.is(200, "GET", "/rollouts/1").has("approveDecidedBy", "admin", "approvalDecidedBy", absent)
			s.is(201, "POST", "/autoassignments", `{"name":"a","targetFilterQuery":"name==x","distributionSetId":1}`)
			s.is(204, "POST", "/autoassignments/1/approve")
			s.is(200, "GET", "/autoassignments/1").has("approvalDecidedBy", "admin", "approveDecidedBy", absent)
		},
		19: func(s surprised) { // upper case in statistics and conditions
			assign(s)
			s.is(201, "POST", "/rollouts", oneRollout)
			s.tick(s.t, 1)
			s.is(200, "GET", "/distributionsets/1/statistics").has("actions RUNNING", 1, "rollouts READY", 1)
			s.is(200, "GET", "/actions/1001").has("status", "running")
			s.is(200, "GET", "/rollouts/1").has("status", "ready", "totalTargetsPerStatus notstarted", 3)
			s.is(200, "GET", "/rollouts/1/deploygroups/1").has("successCondition condition", "THRESHOLD", "successAction action", "NEXTGROUP")
		},
		20: func(s surprised) { // conditions that are not given, counts that are not yet
			create := func(status int, name, more string) document {
				return s.is(status, "POST", "/rollouts", `{"name":"`+name+`","distributionSetId":1,"targetFilterQuery":"controllerid==dev*","amountGroups":1`+more+`}`)
			}
			create(201, "a", "").has("totalTargetsPerStatus notstarted", 3, "totalTargetsPerStatus scheduled", 0)
			s.is(200, "GET", "/rollouts/1/deploygroups").has("content 0 successCondition expression", "50", "content 0 errorCondition expression", "50")
			create(400, "b", `,"successCondition":{"condition":"THRESHOLD"}`).fails(violation)
			create(201, "c", `,"errorCondition":{"condition":"THRESHOLD"}`)
			s.is(200, "GET", "/rollouts/2/deploygroups").has("content 0 errorCondition condition", "THRESHOLD", "content 0 errorCondition expression", absent)
			s.tick(s.t, 1)
			s.is(204, "POST", "/rollouts/1/start")
			s.tick(s.t, 1)
			s.is(200, "GET", "/rollouts/1").has("totalTargetsPerStatus running", 3)
			s.is(200, "PUT", "/rollouts/1", `{"description":"d"}`).has("totalTargetsPerStatus notstarted", 3, "totalTargetsPerStatus running", 0)
		},
		21: func(s surprised) { // the download's own protocol; more in api/download
			const path = "/softwaremodules/1/artifacts/1/download"
			w := s.do(s.t, "GET", path, "", "Range", "bytes=0-1,3-4")
			quoted := w.Header().Get("ETag")
			if got := w.Header().Get("Content-Type"); w.Code != 206 || got != "multipart/byteranges; boundary=THIS_STRING_SEPARATES_MULTIPART" {
				s.t.Error(w.Code, got)
			}
			// The tag that was sent matches, too, on purpose.
			for match, want := range map[string]int{quoted: 200, strings.Trim(quoted, `"`): 200, "x": 412} {
				if w := s.do(s.t, "GET", path, "", "If-Match", match); w.Code != want || !strings.HasPrefix(quoted, `"`) {
					s.t.Errorf("If-Match %s: %d, want %d", match, w.Code, want)
				}
			}
		},
		22: func(s surprised) { // the query language; more in query and store
			s.is(201, "POST", "/targets", `[{"controllerId":"x1","name":"BETA"},{"controllerId":"x2","name":"alpha"},{"controllerId":"x3","name":"beta"},{"controllerId":"x4","name":"st*r"}]`)
			s.is(200, "GET", "/targets?q=controllerid==X*;name%3CB").lists("controllerId", "x1", "x2")
			s.is(400, "GET", "/targets?q=name=li=x").fails("rest.param.rsqlParamSyntax")
			s.is(200, "GET", `/targets?q=name==st%5C*r`).lists("controllerId")
			s.is(200, "GET", `/targets?q=name==s*%5C*r`).lists("controllerId", "x4")
			s.is(200, "GET", "/targets?q=tag=not=null").has("total", 7)
			s.is(201, "POST", "/targets/x1/metadata", `[{"key":"k","value":"v"}]`)
			s.is(200, "GET", "/targets?q=metadata.k!=w").lists("controllerId", "x1")
			s.is(200, "GET", "/targets?q=description!=w").has("total", 7)
		},
		23: func(s surprised) { // tags are assigned by POST, and a target gets one set
			s.is(201, "POST", "/targettags", `[{"name":"t"}]`)
			s.is(405, "PUT", "/targettags/1/assigned", `["dev:1"]`)
			s.is(404, "POST", "/targettags/1/assigned/toggleTagAssignment", `["dev:1"]`)
			s.is(201, "POST", "/distributionsets", `[{"type":"box","name":"second","version":"1","modules":[{"id":1}]}]`)
			s.is(400, "POST", "/targets/dev:1/assignedDS", `[{"id":1},{"id":2}]`).fails("multiAssignmentNotEnabled")
		},
		24: func(s surprised) { // whom an assignment does not know
			s.is(200, "POST", "/distributionsets/1/assignedTargets", `[{"id":"nobody"},{"id":"dev:1"}]`).has("assigned", 1, "total", 1)
			s.is(404, "POST", "/targets/nobody/assignedDS", `{"id":1}`)
			s.is(200, "POST", "/targets/nobody/assignedDS?offline=true", `{"id":1}`).has("total", 0)
			s.is(201, "POST", "/distributionsets", `[{"type":"box","name":"second","version":"1","modules":[{"id":1}]}]`)
			s.is(200, "POST", "/distributionsets/2/assignedTargets?offline=true", `[{"id":"nobody"},{"id":"dev:1"},{"id":"dev:2"}]`).has("assigned", 1, "alreadyAssigned", 1, "total", 2)
		},
		25: func(s surprised) { // settings that nobody knows
			s.is(204, "DELETE", "/system/configs/no.such.key")
			s.is(400, "GET", "/system/configs/no.such.key").fails("configKeyInvalid")
			s.is(400, "PUT", "/system/configs/no.such.key", `{"value":1}`).fails("configKeyInvalid")
		},
		26: func(s surprised) { // the faces of errors
			d := s.is(404, "GET", "/targets/nobody")
			d.fails("repo.entityNotFound")
			d.has("exceptionClass", "org.eclipse.hawkbit.repository.exception.EntityNotFoundException", "info entityId", "nobody")
			s.is(405, "PATCH", "/targets").has("status", 405, "error", "Method Not Allowed", "errorCode", absent)
			s.is(404, "GET", "/nowhere").has("status", 404, "errorCode", absent)
			assign(s)
			if d := s.is(404, "GET", "/targets/dev:2/actions/1001"); d.text != "" {
				s.t.Errorf("the body is %s", d.text)
			}
			s.is(400, "GET", "/targets?q=createdat==soon").fails(notReadable)
			s.is(400, "GET", "/targets?q=nofield==1").fails("rest.param.rsqlInvalidField")
			if w := s.do(s.t, "GET", "/targets", "", "Accept", "image/png"); w.Code != 406 {
				s.t.Error(w.Code)
			}
			if w := s.do(s.t, "POST", "/targets", "[]", "Content-Type", "text/plain"); w.Code != 415 {
				s.t.Error(w.Code)
			}
		},
		27: func(s surprised) { // where links stand
			s.is(200, "GET", "/distributionsets/1").has("_links metadata href", "http://otaria.example/rest/v1/distributionsets/1/metadata")
			s.is(200, "GET", "/distributionsets").has("content 0 _links metadata", absent)
			s.is(200, "GET", "/targets").has("content 0 _links actions", absent)
			s.is(201, "POST", "/rollouts", oneRollout)
			for _, link := range []string{"start", "pause", "resume", "triggerNextGroup", "approve", "deny"} {
				s.is(200, "GET", "/rollouts?representation=full").has("content 0 _links "+link+" href", "http://otaria.example/rest/v1/rollouts/1/"+link)
			}
			s.is(201, "POST", "/autoassignments", `{"name":"a","targetFilterQuery":"name==x","distributionSetId":1}`)
			s.is(200, "GET", "/autoassignments").has("content 0 _links start href", "http://otaria.example/rest/v1/autoassignments/1/start", "content 0 _links pause", absent)
		},
		28: func(s surprised) { // to cancel at once takes two calls
			assign(s)
			s.is(405, "DELETE", "/targets/dev:1/actions/1001?force=true")
			s.is(204, "DELETE", "/targets/dev:1/actions/1001")
			s.is(200, "GET", "/actions/1001").has("status", "canceling", "active", true)
			s.is(204, "DELETE", "/targets/dev:1/actions/1001?force=true")
			s.is(200, "GET", "/actions/1001").has("status", "canceled", "active", false)
		},
		29: func(s surprised) { // how a history is cut
			assign(s)
			s.report(s.t, "dev:1", deployment.OutcomeSuccess)
			s.is(400, "DELETE", "/targets/dev:1/actions?keepLast=1", `[1001]`)
			s.is(400, "DELETE", "/targets/dev:1/actions")
			s.is(204, "DELETE", "/targets/dev:2/actions", `[1001,999]`)
			s.is(200, "GET", "/actions/1001")
			s.is(204, "PUT", "/system/configs", `{"action.delete.allowed.statuses":"CANCELED"}`)
			s.is(405, "DELETE", "/targets/dev:1/actions", `[1001]`)
			s.is(204, "PUT", "/system/configs", `{"action.delete.allowed.statuses":"FINISHED"}`)
			s.is(204, "DELETE", "/targets/dev:1/actions", `[1001,999]`)
			s.is(404, "GET", "/actions/1001")
		},
		30: func(s surprised) { // what is trimmed, and what may hold markup
			s.is(200, "PUT", "/targets/dev:1", `{"name":" n ","address":"http://x/<b>"}`).has("name", "n")
			s.is(400, "PUT", "/targets/dev:1", `{"name":"<b>n</b>"}`).fails(violation)
			s.is(400, "PUT", "/targets/dev:1", `{"description":"<b>n</b>"}`).fails(violation)
			s.is(201, "POST", "/targets/dev:1/metadata", `[{"key":"k","value":" <b> "}]`)
			s.is(200, "GET", "/targets/dev:1/metadata/k").has("value", " <b> ")
			s.is(204, "PUT", "/system/configs/authentication.header.authority", `{"value":" <b> "}`)
			s.is(200, "GET", "/system/configs/authentication.header.authority").has("value", " <b> ")
			if w := s.upload(s.t, "/softwaremodules/1/artifacts", " f ", "x"); w.Code != 201 || !strings.Contains(w.Body.String(), `" f "`) {
				s.t.Error(w.Code, w.Body)
			}
			if w := s.upload(s.t, "/softwaremodules/1/artifacts", "<b>f", "x"); w.Code != 400 {
				s.t.Error(w.Code, w.Body)
			}
		},
		31: func(s surprised) { // no made-up file name, on purpose: X-Content-Type-Options does what it was for
			for _, path := range []string{"/system/configs/rollout.approval.enabled", "/system/configs/pollingTime", "/targets/dev:1"} {
				h := s.is(200, "GET", path).header
				if got := h.Get("Content-Disposition"); got != "" || h.Get("X-Content-Type-Options") != "nosniff" {
					s.t.Errorf("%s: %v", path, h)
				}
			}
		},
		32: func(s surprised) { // how settings show, and what they take
			s.is(200, "GET", "/system/configs").has("pollingTime links 0 rel", "self", "pollingTime _links", absent)
			s.is(200, "GET", "/system/configs/pollingTime").has("_links self href", "http://otaria.example/rest/v1/system/configs/pollingTime", "links", absent)
			for _, c := range []struct {
				key, value string
				want       any
			}{
				{"rollout.approval.enabled", `"yes"`, true},
				{"maintenanceWindowPollCount", `"0x10"`, 16.0},
				{"action.cleanup.auto.status", `["ERROR","CANCELED"]`, "ERROR,CANCELED"},
			} {
				s.is(204, "PUT", "/system/configs/"+c.key, `{"value":`+c.value+`}`)
				s.is(200, "GET", "/system/configs/"+c.key).has("value", c.want)
			}
		},
		33: func(s surprised) { // order by code point
			s.is(201, "POST", "/targettags", `[{"name":"b"},{"name":"B"},{"name":"a"},{"name":"ä"},{"name":"Z"}]`)
			s.is(200, "GET", "/targettags?sort=name:ASC").lists("name", "B", "Z", "a", "b", "ä")
			s.is(201, "POST", "/targets/dev:1/metadata", `[{"key":"b","value":""},{"key":"B","value":""},{"key":"a","value":""}]`)
			s.is(200, "GET", "/targets/dev:1/metadata").lists("key", "B", "a", "b")
		},
		34: func(s surprised) { // what must be read has to be readable
			for path, body := range map[string]string{
				"POST /targets":           `[{"controllerId":"n"}]`,
				"PUT /targets/dev:1":      `{"name":"n"}`,
				"DELETE /targettags/1":    "",
				"DELETE /targetfilters/1": "",
				"POST /distributionsets":  `[{"name":"n","version":"1"}]`,
				"POST /rollouts":          oneRollout,
				"POST /autoassignments":   `{"name":"a","targetFilterQuery":"name==x","distributionSetId":1}`,
			} {
				method, path, _ := strings.Cut(path, " ")
				alone := s.as(s.t, "alone", "CREATE_TARGET", "UPDATE_TARGET", "DELETE_TARGET", "CREATE_DISTRIBUTION_SET", "CREATE_ROLLOUT", "CREATE_AUTO_ASSIGNMENT")
				if w := alone.do(s.t, method, path, body); w.Code != 403 {
					s.t.Errorf("%s %s without READ: %d %s", method, path, w.Code, w.Body)
				}
			}
			creates := s.as(s.t, "creates", "CREATE_AUTO_ASSIGNMENT")
			if w := creates.do(s.t, "POST", "/autoassignments", `{"name":"a","targetFilterQuery":"name==x","distributionSetId":1}`); w.Code != 403 {
				s.t.Errorf("CREATE_AUTO_ASSIGNMENT alone: %d", w.Code)
			}
		},
		35: func(s surprised) { // one that is missing, or several
			plural := []string{"targettypes", "distributionsets", "distributionsettags", "autoassignments"}
			for path, kind := range map[string]string{
				"targettypes": "TargetType", "distributionsets": "DistributionSet", "distributionsettags": "DistributionSetTag", "autoassignments": "AutoAssignment",
				"targets": "Target", "targettags": "TargetTag", "targetfilters": "TargetFilterQuery", "distributionsettypes": "DistributionSetType", "rollouts": "Rollout", "actions": "Action",
			} {
				var id any = 77
				switch {
				case slices.Contains(plural, path):
					id = []any{"77"}
				case path == "targets":
					id = "77"
				}
				s.is(404, "DELETE", "/"+path+"/77").has("info type", kind, "info entityId", id)
			}
		},
		36: func(s surprised) { // order of lists of targets
			s.is(201, "POST", "/targets", `[{"controllerId":"b","group":"g"},{"controllerId":"a","group":"g"}]`)
			s.is(201, "POST", "/targettags", `[{"name":"t"}]`)
			s.is(204, "POST", "/targettags/1/assigned", `["a","b"]`)
			s.is(200, "GET", "/targettags/1/assigned").lists("controllerId", "b", "a")
			s.is(200, "POST", "/distributionsets/1/assignedTargets", `[{"id":"a"},{"id":"b"}]`)
			s.is(200, "GET", "/distributionsets/1/assignedTargets").lists("controllerId", "b", "a")
			s.is(201, "POST", "/rollouts", `{"name":"r","distributionSetId":1,"targetFilterQuery":"group==g","amountGroups":1}`)
			s.tick(s.t, rollout.ID(1))
			s.is(200, "GET", "/rollouts/1/deploygroups/1/targets").lists("controllerId", "b", "a")
			s.is(200, "GET", "/targets?q=group==g").lists("controllerId", "a", "b")
			s.is(200, "GET", "/targetgroups/g/assigned").lists("controllerId", "a", "b")
		},
		37: func(s surprised) { // some quotas hold when something is added
			s.api.Software.Quotas.ModulesPerSet, s.api.Software.Quotas.ModuleTypesPerType, s.api.Fleet.Quotas.SetTypesPerType = 1, 1, 1
			s.is(201, "POST", "/softwaremodules", `[{"type":"application","name":"a","version":"1"},{"type":"application","name":"b","version":"1"},{"type":"application","name":"c","version":"1"}]`)
			s.is(201, "POST", "/distributionsets", `[{"type":"app","name":"s","version":"1","modules":[{"id":2},{"id":3}]}]`)
			s.is(429, "POST", "/distributionsets/2/assignedSM", `[{"id":4}]`).fails("quota.tooManyEntries")
			s.is(201, "POST", "/distributionsettypes", `[{"key":"t","name":"t","mandatorymodules":[{"id":1},{"id":2}]}]`)
			s.is(429, "POST", "/distributionsettypes/5/optionalmoduletypes", `{"id":3}`).fails("quota.tooManyEntries")
			s.is(201, "POST", "/targettypes", `[{"key":"t","name":"t","compatibledistributionsettypes":[{"id":1},{"id":2}]}]`)
			s.is(429, "POST", "/targettypes/1/compatibledistributionsettypes", `[{"id":3}]`).fails("quota.tooManyEntries")
		},
	}
}
