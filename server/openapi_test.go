package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	verrors "github.com/pb33f/libopenapi-validator/errors"

	"github.com/otaria/otaria/api/download"
	"github.com/otaria/otaria/server"
)

// A contract is a running server's API, held against the document that it serves.
type contract struct {
	url       string
	authorize func(*http.Request)
	document  struct {
		Paths map[string]map[string]json.RawMessage
	}
	validator validator.Validator
}

func newContract(t *testing.T, url, name string, authorize func(*http.Request)) *contract {
	t.Helper()
	status, text := get(t, url+"/openapi/"+name+".json", "", "")
	if status != http.StatusOK {
		t.Fatalf("the document %s without credentials: %d", name, status)
	}
	c := &contract{url: url, authorize: authorize}
	if err := json.Unmarshal([]byte(text), &c.document); err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocument(closed(t, text))
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	c.validator, errs = validator.NewValidator(doc, config.WithFormatAssertions())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return c
}

// closed returns a document by which objects have no members but those declared,
// so that what an answer holds beside them is told.
func closed(t *testing.T, document string) []byte {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		t.Fatal(err)
	}
	for _, s := range d["components"].(object)["schemas"].(object) {
		if schema := s.(object); schema["properties"] != nil {
			schema["additionalProperties"] = false
		}
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// call sends a request and reports what in it or in its answer the document
// does not say. It returns the status and the decoded answer.
func (c *contract) call(t *testing.T, method, path, contentType string, body []byte) (int, any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c.authorize(r)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	r.Body = io.NopCloser(bytes.NewReader(body))
	var problems []*verrors.ValidationError
	if strings.HasPrefix(contentType, "multipart/") { // which the validator does not take apart
		_, problems = c.validator.ValidateHttpResponse(r, res)
	} else {
		_, problems = c.validator.ValidateHttpRequestResponse(r, res)
	}
	for _, p := range problems {
		t.Errorf("%s %s: %d %.300s: %s: %s", method, path, res.StatusCode, text, p.Message, p.Reason)
		for _, s := range p.SchemaValidationErrors {
			t.Errorf("  %s at %s", s.Reason, s.FieldPath)
		}
	}
	var v any
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &v); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return res.StatusCode, v
}

// must is call with a JSON body, for a step that has to succeed.
func (c *contract) must(t *testing.T, method, path string, body any) any {
	t.Helper()
	var text []byte
	contentType := ""
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
		contentType = "application/json"
	}
	status, v := c.call(t, method, path, contentType, text)
	if status >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %d %v", method, path, status, v)
	}
	return v
}

// id returns the id of the first element of a list.
func id(t *testing.T, v any) int64 {
	t.Helper()
	if list, ok := v.([]any); ok && len(list) > 0 {
		if o, ok := list[0].(map[string]any); ok {
			if n, ok := o["id"].(float64); ok {
				return int64(n)
			}
		}
	}
	t.Fatalf("no id in %v", v)
	return 0
}

// some bounds how many elements of a list are looked into.
const some = 3

// keys returns what names the first elements of a list in a path below it.
func keys(v any) []string {
	var all []string
	add := func(element any) {
		switch e := element.(type) {
		case string:
			all = append(all, e)
		case map[string]any:
			for _, name := range []string{"controllerId", "id", "key"} {
				if e[name] != nil {
					all = append(all, fmt.Sprint(e[name]))
					break
				}
			}
		}
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			add(e)
		}
	case map[string]any:
		if list, ok := v["content"].([]any); ok {
			for _, e := range list {
				add(e)
			}
		} else {
			all = slices.Sorted(maps.Keys(v))
		}
	}
	return all[:min(len(all), some)]
}

var wildcard = regexp.MustCompile(`\{(\w+)\}`)

// concrete returns paths that a template stands for, found by listing what is
// before each wildcard.
func (c *contract) concrete(t *testing.T, template string) []string {
	t.Helper()
	place := wildcard.FindStringIndex(template)
	if place == nil {
		return []string{template}
	}
	above := template[:place[0]]
	status, list := c.call(t, http.MethodGet, strings.TrimSuffix(above, "/"), "", nil)
	if status != http.StatusOK {
		return nil
	}
	var all []string
	for _, k := range keys(list) {
		all = append(all, c.concrete(t, above+url.PathEscape(k)+template[place[1]:])...)
	}
	return all
}

// Every GET of the management API that seeded data reach answers as its
// document says, and so do the calls that seed them.
func TestManagementKeepsItsDocument(t *testing.T) {
	t.Parallel()
	url, _, _ := start(t, server.Config{DataDir: t.TempDir(), AdminPassword: "secret", Version: "v1"})
	c := newContract(t, url, "management", func(r *http.Request) { r.SetBasicAuth("admin", "secret") })
	seed(t, c)
	unreached := 0
	for template, item := range c.document.Paths {
		if item["get"] == nil {
			continue
		}
		paths := c.concrete(t, template)
		if len(paths) == 0 {
			t.Logf("nothing is seeded that reaches %s", template)
			unreached++
		}
		for _, path := range paths {
			query := ""
			if path == "/rest/v1/targetgroups/assigned" {
				query = "?group=all"
			}
			if path == "/rest/v1/events" { // which would never end
				query = "?follow=false&after=0-0"
			}
			if status, v := c.call(t, http.MethodGet, path+query, "", nil); status >= http.StatusMultipleChoices {
				t.Errorf("GET %s: %d %v", path, status, v)
			}
		}
	}
	t.Logf("%d of %d paths reached", len(c.document.Paths)-unreached, len(c.document.Paths))
	// What is wrong has the documented faces, too.
	for path, want := range map[string]int{
		"/rest/v1/softwaremodules/999":        http.StatusNotFound,
		"/rest/v1/softwaremodules?q=nofield":  http.StatusBadRequest,
		"/rest/v1/softwaremodules?sort=x:ASC": http.StatusBadRequest,
	} {
		if status, v := c.call(t, http.MethodGet, path, "", nil); status != want {
			t.Errorf("GET %s: %d %v, want %d", path, status, v, want)
		}
	}
	// What the document requires is required.
	for path, item := range c.document.Paths {
		if item["post"] == nil || strings.Contains(path, "{") {
			continue
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, strings.NewReader(`[{}]`))
		if err != nil {
			t.Fatal(err)
		}
		c.authorize(r)
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if refuses := bytes.Contains(item["post"], []byte(`Input"`)); refuses && res.StatusCode != http.StatusBadRequest {
			t.Errorf("POST %s without any member: %d", path, res.StatusCode)
		}
	}
	c.authorize = func(r *http.Request) { r.SetBasicAuth("admin", "wrong") }
	if status, _ := c.call(t, http.MethodGet, "/rest/v1/softwaremodules", "", nil); status != http.StatusUnauthorized {
		t.Errorf("with a wrong password: %d", status)
	}
}

type object = map[string]any

// seed makes one of everything, and gives a device something to do.
func seed(t *testing.T, c *contract) {
	t.Helper()
	const rest = "/rest/v1"
	moduleType := id(t, c.must(t, http.MethodPost, rest+"/softwaremoduletypes", []object{{"key": "fw", "name": "Firmware", "maxAssignments": 1}}))
	module := id(t, c.must(t, http.MethodPost, rest+"/softwaremodules", []object{{"type": "fw", "name": "boot", "version": "1", "vendor": "us", "description": "d"}}))
	one := fmt.Sprintf(rest+"/softwaremodules/%d", module)
	c.must(t, http.MethodPost, one+"/metadata", []object{{"key": "k", "value": "v", "targetVisible": true}})
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "boot.bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(part, "bytes"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if status, v := c.call(t, http.MethodPost, one+"/artifacts", w.FormDataContentType(), form.Bytes()); status != http.StatusCreated {
		t.Fatalf("upload: %d %v", status, v)
	}
	setType := id(t, c.must(t, http.MethodPost, rest+"/distributionsettypes", []object{{"key": "sys", "name": "System", "mandatorymodules": []object{{"id": moduleType}}}}))
	optional := id(t, c.must(t, http.MethodPost, rest+"/softwaremoduletypes", []object{{"key": "doc", "name": "Manual", "colour": "#112233", "maxAssignments": 9}}))
	c.must(t, http.MethodPost, fmt.Sprintf(rest+"/distributionsettypes/%d/optionalmoduletypes", setType), object{"id": optional})
	set := id(t, c.must(t, http.MethodPost, rest+"/distributionsets", []object{{"type": "sys", "name": "system", "version": "1", "modules": []object{{"id": module}}}}))
	oneSet := fmt.Sprintf(rest+"/distributionsets/%d", set)
	c.must(t, http.MethodPut, oneSet, object{"description": "changed"})
	c.must(t, http.MethodPost, oneSet+"/metadata", []object{{"key": "k", "value": "v"}})
	tag := id(t, c.must(t, http.MethodPost, rest+"/distributionsettags", []object{{"name": "stable", "colour": "green"}}))
	c.must(t, http.MethodPost, fmt.Sprintf(rest+"/distributionsettags/%d/assigned", tag), []int64{set})

	targetType := id(t, c.must(t, http.MethodPost, rest+"/targettypes", []object{{"key": "gw", "name": "Gateway", "compatibledistributionsettypes": []object{{"id": setType}}}}))
	c.must(t, http.MethodPost, rest+"/targets", []object{
		{"controllerId": "device-1", "name": "first", "targetType": targetType, "group": "all", "securityToken": "token"},
		{"controllerId": "device/2"},
	})
	const target = rest + "/targets/device-1"
	c.must(t, http.MethodPut, target, object{"description": "changed"})
	c.must(t, http.MethodPost, target+"/metadata", []object{{"key": "k", "value": "v"}})
	targetTag := id(t, c.must(t, http.MethodPost, rest+"/targettags", []object{{"name": "lab"}}))
	c.must(t, http.MethodPost, fmt.Sprintf(rest+"/targettags/%d/assigned", targetTag), []string{"device-1"})
	c.must(t, http.MethodPut, rest+"/system/configs", object{"authentication.targettoken.enabled": true})
	c.must(t, http.MethodPost, oneSet+"/assignedTargets", []object{{"id": "device-1", "type": "timeforced", "forcetime": 1, "weight": 5}})
	rollout := c.must(t, http.MethodPost, rest+"/rollouts", object{
		"name": "campaign", "description": "d", "targetFilterQuery": "controllerid==device*", "distributionSetId": set, "type": "soft", "forcetime": 1, "weight": 7, "startAt": 4102444800000,
		"groups": []object{
			{"name": "canary", "targetPercentage": 50, "confirmationRequired": true, "successCondition": object{"condition": "THRESHOLD", "expression": "80"}, "errorCondition": object{"condition": "THRESHOLD"}},
			{"name": "rest", "successAction": object{"action": "PAUSE", "expression": ""}, "errorAction": object{"action": "PAUSE"}},
		},
	})
	c.must(t, http.MethodPut, fmt.Sprintf(rest+"/rollouts/%v", rollout.(object)["id"]), object{"description": "changed"})
	c.must(t, http.MethodPost, rest+"/rollouts", object{
		"name": "growing", "targetFilterQuery": "name==*", "distributionSetId": set, "amountGroups": 1, "dynamic": true, "dynamicGroupTemplate": object{"nameSuffix": "-late", "targetCount": 3},
	})
	c.must(t, http.MethodPost, rest+"/autoassignments", object{
		"name": "new ones", "description": "d", "targetFilterQuery": "name==new*", "distributionSetId": set, "startAt": 4102444800000, "actionType": "soft", "weight": 9, "confirmationRequired": false,
	})
	filter := c.must(t, http.MethodPost, rest+"/targetfilters", object{"name": "lab", "query": "tag==lab"}).(object)["id"]
	c.must(t, http.MethodPost, fmt.Sprintf(rest+"/targetfilters/%v/autoAssignDS", filter), object{"id": set, "type": "downloadonly", "weight": 3, "confirmationRequired": true})
	c.must(t, http.MethodPut, fmt.Sprintf(rest+"/targetfilters/%v", filter), object{"name": "lab devices"})
	c.must(t, http.MethodPost, rest+"/targetfilters", object{"name": "all", "query": "name==*"})
	c.must(t, http.MethodPost, target+"/autoConfirm/activate", object{"initiator": "me", "remark": "sure"})
}

// A device's whole update answers as the device API's document says.
func TestDeviceAPIKeepsItsDocument(t *testing.T) {
	t.Parallel()
	url, _, _ := start(t, server.Config{DataDir: t.TempDir(), AdminPassword: "secret", Version: "v1", ArtifactLinks: download.DefaultLinks()})
	seed(t, newContract(t, url, "management", func(r *http.Request) { r.SetBasicAuth("admin", "secret") }))
	c := newContract(t, url, "ddi", func(r *http.Request) { r.Header.Set("Authorization", "TargetToken token") })
	const device = "/DEFAULT/controller/v1/device-1"
	// follow returns the address that a document leads to.
	follow := func(v any, rel string) string {
		links, _ := v.(object)["_links"].(object)
		link, _ := links[rel].(object)
		href, _ := link["href"].(string)
		if href == "" {
			t.Fatalf("no link %s in %v", rel, v)
		}
		return strings.TrimPrefix(href, url)
	}
	poll := c.must(t, http.MethodGet, device, nil)
	c.must(t, http.MethodPut, follow(poll, "configData"), object{"mode": "merge", "data": object{"os": "linux"}})
	deployment := follow(poll, "deploymentBase")
	doc := c.must(t, http.MethodGet, deployment+"&actionHistory=-1", nil)
	chunk := doc.(object)["deployment"].(object)["chunks"].([]any)[0].(object)
	artifact := chunk["artifacts"].([]any)[0]
	if status, _ := c.call(t, http.MethodGet, follow(artifact, "download-http"), "", nil); status != http.StatusOK {
		t.Errorf("download: %d", status)
	}
	bare, _, _ := strings.Cut(deployment, "?")
	c.must(t, http.MethodPost, bare+"/feedback", object{"status": object{"execution": "proceeding", "result": object{"finished": "none"}, "details": []string{"half way"}}})
	c.must(t, http.MethodPost, bare+"/feedback", object{"status": object{"execution": "closed", "code": 7, "result": object{"finished": "success"}}})
	installed := follow(c.must(t, http.MethodGet, device, nil), "installedBase")
	c.must(t, http.MethodGet, installed+"?actionHistory=10", nil)
	c.must(t, http.MethodGet, device+"/confirmationBase", nil)
	c.must(t, http.MethodPost, device+"/confirmationBase/deactivateAutoConfirm", nil)
	c.must(t, http.MethodPost, device+"/confirmationBase/activateAutoConfirm", object{"initiator": "me"})
	if status, _ := c.call(t, http.MethodGet, device+"/deploymentBase/999", "", nil); status != http.StatusNotFound {
		t.Errorf("an action that is not there: %d", status)
	}
}
