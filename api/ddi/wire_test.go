package ddi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/tenant"
)

// TestFeedback: what each report makes of the action (A.6, surprises 5, 6).
func TestFeedback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, tt := range []struct {
		execution, finished string
		entry               string // of the history
		status              deployment.Status
		active              bool
	}{
		{"closed", "success", "finished", deployment.Finished, false},
		{"closed", "none", "finished", deployment.Finished, false},
		{"closed", "failure", "error", deployment.Error, false},
		{"proceeding", "failure", "running", deployment.Running, true},
		{"canceled", "success", "canceled", deployment.Running, true},
		{"scheduled", "none", "running", deployment.Running, true},
		{"rejected", "none", "warning", deployment.Running, true},
		{"resumed", "none", "running", deployment.Running, true},
		{"downloaded", "success", "downloaded", deployment.Running, true},
		{"download", "none", "download", deployment.Running, true},
	} {
		device := fmt.Sprintf("dev%d", i)
		id := w.updated(device)
		a := w.do(http.MethodPost, path(device, "deploymentBase/%d/feedback", id), feedback(tt.execution, tt.finished, ""))
		if w.wantEmpty(200, a); a.header.Get("Content-Length") != "0" {
			t.Errorf("Content-Length %q", a.header.Get("Content-Length"))
		}
		h, act := w.history(id), w.action(id)
		if entry, _, _ := strings.Cut(h[len(h)-1], ":"); entry != tt.entry || act.Status != tt.status || act.Active != tt.active {
			t.Errorf("%s %s: entry %s, action %s, active %v; want %s, %s, %v", tt.execution, tt.finished, entry, act.Status, act.Active, tt.entry, tt.status, tt.active)
		}
	}
}

// TestFeedbackBodies: what a report may look like (A.1, A.6, surprises 21, 22, 33).
func TestFeedbackBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.updated("dev")
	const result = `"result":{"finished":"none"}`
	for _, tt := range []struct {
		body string
		want int
		says string // the messages of the entry
	}{
		{`{"status":{"execution":"proceeding",` + result + `}}`, 200, "Update Server: The device reported that it is at work."},
		{`{"id":[1],"time":{},"more":1,"status":{"execution":"proceeding","more":1,` + result + `}}`, 200, "Update Server: The device reported that it is at work."},
		{`{"status":{"execution":" proceeding ","details":"text",` + result + `}}`, 200, "text"},
		{`{"status":{"execution":"proceeding","details":[1.50,true,"x",null,""],` + result + `}}`, 200, "1.50 | true | x | "},
		{`{"status":{"execution":"proceeding","code":"7","details":["x"],` + result + `}}`, 200, "x | Device reported status code: 7"},
		{`{"status":{"execution":"proceeding","result":{"finished":"none","progress":{"cnt":"many","x":[]}}}}`, 200, "Update Server: The device reported that it is at work."},
		{`{"status":{"execution":"proceeding","result":{"finished":"none","progress":99.5}}}`, 200, "Update Server: The device reported that it is at work."},
		{`{"timestamp":null,"status":{"execution":"proceeding",` + result + `}}`, 200, "Update Server: The device reported that it is at work."},
		{`{"timestamp":"1600000000000","status":{"execution":"proceeding",` + result + `}}`, 200, "Update Server: The device reported that it is at work."},
		{`{"status":{"execution":"proceeding","details":["a < b","</b>","&lt;b&gt;","<1>"],` + result + `}}`, 200, "a < b | </b> | &lt;b&gt; | <1>"},
		{`{"status":{"execution":"proceeding","details":["` + strings.Repeat("ä", 513) + `"],` + result + `}}`, 200, strings.Repeat("ä", 512) + " | ä"},
		{`{"status":{"execution":"proceeding","details":["` + strings.Repeat("x", 50*512+1) + `"],` + result + `}}`, 429, "quota.tooManyEntries"},
		{`{"status":{"execution":"proceeding","details":["fine","<b>bold</b>"],` + result + `}}`, 400, "repo.constraintViolation"},
		{`{"status":{"execution":"proceeding","details":["<!-- x"],` + result + `}}`, 400, "repo.constraintViolation"},
		{`{"status":{"execution":"proceeding","details":{"a":1},` + result + `}}`, 400, "rest.body.notReadable"},
		{`{"timestamp":"2026-01-01T00:00:00Z","status":{"execution":"proceeding",` + result + `}}`, 400, "rest.body.notReadable"},
		{`{"status":{"execution":"Proceeding",` + result + `}}`, 400, "rest.body.notReadable"},
		{`{"status":{"execution":"proceeding","result":{}}}`, 400, "rest.body.notReadable"},
		{`{"status":{"execution":"proceeding"}}`, 400, "rest.body.notReadable"},
		{`{"status":{` + result + `}}`, 400, "rest.body.notReadable"},
		{`{"status":null}`, 400, "rest.body.notReadable"},
		{`{}`, 400, "rest.body.notReadable"},
		{`null`, 400, "rest.body.notReadable"},
		{`{"status":{"execution":"proceeding",` + result + `}} x`, 400, "rest.body.notReadable"},
		{`{"status":{"execution":"proceeding",` + result + `,}}`, 400, "rest.body.notReadable"},
	} {
		a := w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), tt.body)
		switch h := w.history(id); {
		case tt.want != 200:
			w.wantError(tt.want, tt.says, a)
		case a.status != 200 || !strings.HasSuffix(h[len(h)-1], ": "+tt.says):
			t.Errorf("%.120s: %d %s; entry %.200q", tt.body, a.status, a.body, h[len(h)-1])
		}
	}
	for contentType, want := range map[string]int{"": 415, "text/plain": 415, "application/hal+json": 415, "*/*": 415, "application/json;charset=utf-8": 200, "application/json; x=y": 200, "application/json;charset=x-nonsense": 415} {
		a := w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), feedback("proceeding", "none", ""), "Content-Type", contentType, "Accept", "text/nonsense")
		if a.status != want || want == 415 && a.header.Get("Accept") != "application/json, application/cbor" {
			t.Errorf("Content-Type %q: %d, Accept %q", contentType, a.status, a.header.Get("Accept"))
		}
	}
}

// TestOrder: what is wrong first is told (A.1, A.6, surprise 4).
func TestOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := w.updated("dev")
	w.poll("other")
	good := feedback("closed", "success", "")
	w.wantError(400, "rest.body.notReadable", w.do(http.MethodPost, path("nobody", "deploymentBase/%d/feedback", mine), `{}`))
	a := w.do(http.MethodPost, path("nobody", "deploymentBase/%d/feedback", mine), good)
	w.wantError(404, "repo.entityNotFound", a)
	equal(t, a.json(t)["info"], any(map[string]any{"entityId": "nobody", "type": "Target"}))
	a = w.do(http.MethodPost, path("other", "deploymentBase/9999/feedback"), good)
	w.wantError(404, "repo.entityNotFound", a)
	equal(t, a.json(t)["info"], any(map[string]any{"entityId": 9999.0, "type": "Action"}))
	a = w.do(http.MethodPost, path("other", "deploymentBase/%d/feedback", mine), good)
	w.wantError(404, "repo.entityNotFound", a)
	equal(t, a.json(t)["info"], nil)
	for _, id := range []string{"x", "1.5", "0x1", "9223372036854775808", "%20"} {
		w.wantError(400, "rest.body.notReadable", w.do(http.MethodGet, path("dev", "deploymentBase/%s", id), ""))
	}
}

// TestProtocol: methods, types, headers, ETags (A.1, surprises 17, 30, 32, 38).
func TestProtocol(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.updated("dev")
	for _, tt := range []struct {
		name, method, path string
		headers            []string
		want               int
		more               map[string]string
	}{
		{"default type", "GET", path("dev", ""), nil, 200, map[string]string{"Content-Type": "application/hal+json"}},
		{"JSON", "GET", path("dev", ""), []string{"Accept", "application/json"}, 200, map[string]string{"Content-Type": "application/json"}},
		{"best quality", "GET", path("dev", ""), []string{"Accept", "application/hal+json;q=0.5, application/json"}, 200, map[string]string{"Content-Type": "application/json"}},
		{"wildcard", "GET", path("dev", ""), []string{"Accept", "*/*"}, 200, map[string]string{"Content-Type": "application/hal+json"}},
		{"nothing that we have", "GET", path("dev", ""), []string{"Accept", "text/html"}, 406, map[string]string{"Accept": "application/hal+json, application/json, application/cbor"}},
		{"before anything is looked up", "GET", path("nobody", "deploymentBase/1"), []string{"Accept", "text/html"}, 406, nil},
		{"trailing slash", "GET", path("dev", "") + "/", nil, 404, nil},
		{"no such resource", "GET", path("dev", "configData/x"), nil, 404, nil},
		{"another spelling", "GET", path("dev", "deploymentbase/%d", id), nil, 404, nil},
		{"method", "DELETE", path("dev", "configData"), nil, 405, map[string]string{"Allow": "PUT"}},
		{"options", "OPTIONS", path("dev", ""), nil, 200, map[string]string{"Allow": "GET, HEAD, OPTIONS"}},
		{"no such method", "BREW", path("dev", ""), nil, 400, nil},
		{"HEAD", "HEAD", path("dev", ""), nil, 200, nil},
		{"two slashes", "GET", "/DEFAULT/controller/v1//dev", nil, 400, nil},
		{"dots", "GET", "/DEFAULT/controller/v1/../dev", nil, 400, nil},
		{"matrix", "GET", "/DEFAULT/controller/v1/dev;x=1", nil, 400, nil},
		{"encoded percent", "GET", "/DEFAULT/controller/v1/de%25v", nil, 400, nil},
		{"over-encoded", "GET", "/DEFAULT/controller/v1/%64ev", nil, 200, nil},
	} {
		a := w.do(tt.method, tt.path, "", tt.headers...)
		if a.status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.want)
		}
		for k, v := range tt.more {
			if a.header.Get(k) != v {
				t.Errorf("%s: %s is %q, want %q", tt.name, k, a.header.Get(k), v)
			}
		}
		if a.header.Get("Location") != "" || a.header.Get("Set-Cookie") != "" || a.header.Get("Vary") != "" {
			t.Errorf("%s: headers %v", tt.name, a.header)
		}
		for k, v := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Xss-Protection": "0", "X-Frame-Options": "DENY", "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate", "Pragma": "no-cache", "Expires": "0"} {
			if a.header.Get(k) != v {
				t.Errorf("%s: %s is %q, want %q", tt.name, k, a.header.Get(k), v)
			}
		}
	}
	a := w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), "")
	if a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
		t.Errorf("Content-Length %q of %d bytes", a.header.Get("Content-Length"), len(a.body))
	}
	tag := a.header.Get("Etag")
	for match, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 200, strings.Trim(tag, `"`): 200} {
		w.want(want, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), "", "If-None-Match", match, "If-Match", `"x"`))
	}
	last := w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), "", "Accept", "application/json").body
	if strings.Contains(last, `\u`) {
		t.Errorf("body %s has HTML escapes", last)
	}
}

// TestPollChanges: what c and the links follow (A.3, surprises 10, 12).
func TestPollChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	w.want(200, w.do(http.MethodPut, path("dev", "configData"), `{"data":{"a":"b"}}`))
	id := w.assign("dev", w.firmware("set"), deployment.Order{Type: deployment.TimeForced, ForcedAt: w.clock.Now().Add(time.Minute)})
	link := func() string { t.Helper(); return w.poll("dev").href(t, "deploymentBase") }
	first := link()
	w.clock.pass(time.Minute)
	forced := link()
	if forced == first {
		t.Error("the link stayed the same though the action became forced")
	}
	w.report("dev", id, "proceeding", "none")
	if link() != forced {
		t.Error("the link changed though the report changed nothing")
	}
	w.want(200, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), feedback("proceeding", "none", `,"code":1`)))
	coded := link()
	if coded == forced {
		t.Error("the link stayed the same though the code changed")
	}
	w.want(200, w.do(http.MethodHead, path("dev", "deploymentBase/%d", id), ""))
	if link() == coded {
		t.Error("the link stayed the same though the deployment was read")
	}

	// The clock of the device decides about what is installed.
	at := func(ms int64) string {
		return fmt.Sprintf(`{"timestamp":%d,"status":{"execution":"closed","result":{"finished":"success"}}}`, ms)
	}
	w.want(200, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), at(2_000_000_000_000)))
	equal(t, w.poll("dev").rels(t), []string{"installedBase", "configData"})
	w.want(200, w.do(http.MethodPut, path("dev", "configData"), `{"data":{"a":"b"}}`)) // changes nothing, but is an answer
	equal(t, w.poll("dev").rels(t), []string{"installedBase"})
	older := w.assign("dev", w.firmware("older"), deployment.Order{})
	w.want(200, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", older), at(1_000_000_000_000)))
	if got := w.poll("dev").href(t, "installedBase"); !strings.HasSuffix(got, "/installedBase/"+number(id)) {
		t.Errorf("installedBase leads to %s, want the installation with the later time", got)
	}
}

// TestWindow: polls and documents around a maintenance window (A.3, A.13, A.14,
// surprise 11).
func TestWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev") // the clock stands at 2027-01-15 08:00:00
	id := w.assign("dev", w.firmware("set"), deployment.Order{Window: deployment.Window{Schedule: "0 10 8 15 1 ? 2027", Duration: "00:05", Timezone: "+00:00"}})
	seen := func() (sleep, update, window, link string) {
		t.Helper()
		p := w.poll("dev")
		sleep, _ = p.json(t)["config"].(map[string]any)["polling"].(map[string]any)["sleep"].(string)
		d, _ := w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), "").json(t)["deployment"].(map[string]any)
		update, _ = d["update"].(string)
		window, _ = d["maintenanceWindow"].(string)
		return sleep, update, window, w.poll("dev").href(t, "deploymentBase")
	}
	sleep, update, window, closed := seen()
	equal(t, []string{sleep, update, window}, []string{"00:03:20", "skip", "unavailable"}) // a third of ten minutes
	w.clock.pass(9*time.Minute + 40*time.Second)
	sleep, _, _, same := seen()
	equal(t, sleep, "00:00:30") // never less
	equal(t, same, closed)
	w.clock.pass(30 * time.Second)
	sleep, update, window, open := seen()
	equal(t, []string{sleep, update, window}, []string{"00:05:00", "forced", "available"})
	if open == closed {
		t.Error("the link stayed the same though the window opened")
	}
	w.clock.pass(10 * time.Minute)
	equal(t, w.poll("dev").rels(t), []string{"cancelAction", "configData"})
	equal(t, w.action(id).Status, deployment.Canceling)
	h := w.history(id)
	if last := h[len(h)-1]; strings.HasPrefix(last, "canceling: "+deployment.ServerPrefix) {
		t.Errorf("entry %q, want no prefix", last)
	}

	for _, flow := range []bool{false, true} { // the documents notice it as well
		w.set(map[tenant.Key]any{tenant.KeyConfirmationFlow: flow})
		device := fmt.Sprintf("flow-%v", flow)
		w.poll(device)
		at := w.clock.Now().UTC().Add(time.Minute)
		lapsing := w.assign(device, w.firmware(device), deployment.Order{Window: deployment.Window{Schedule: at.Format("5 4 15 2 1 ? 2006"), Duration: "00:01", Timezone: "Z"}})
		w.clock.pass(3 * time.Minute)
		resource := map[bool]string{false: "deploymentBase", true: "confirmationBase"}[flow]
		w.wantEmpty(404, w.do(http.MethodGet, path(device, "%s/%d", resource, lapsing), ""))
		equal(t, w.action(lapsing).Status, deployment.Canceling)
	}
}

// TestSleep: the interval of a poll (A.13, surprise 25).
func TestSleep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct{ setting, least, most string }{
		{"00:01:00", "00:01:00", "00:01:00"},
		{"23:59:59~10%", "21:30:00", "23:59:59"}, // never a day
		{"90", "00:01:30", "00:01:30"},
		{"00:01:00, controllerid==dev -> 45", "00:00:45", "00:00:45"},
		{"00:01:00, controllerid==x -> 45", "00:01:00", "00:01:00"},
	} {
		w.set(map[tenant.Key]any{tenant.KeyPollingTime: tt.setting})
		got, _ := w.poll("dev").json(t)["config"].(map[string]any)["polling"].(map[string]any)["sleep"].(string)
		if got < tt.least || got > tt.most {
			t.Errorf("setting %s: sleep %s, want from %s to %s", tt.setting, got, tt.least, tt.most)
		}
	}
}

// TestCBOR: the same documents in CBOR, where links are lists (A.15).
func TestCBOR(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.updated("dev")
	read := func(path string) any {
		t.Helper()
		a := w.want(200, w.do(http.MethodGet, path, "", "Accept", "application/cbor"))
		if a.header.Get("Content-Type") != "application/cbor" {
			t.Errorf("Content-Type %q", a.header.Get("Content-Type"))
		}
		mode, err := cbor.DecOptions{DefaultMapType: nil}.DecMode()
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := mode.Unmarshal([]byte(a.body), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	type m = map[any]any
	link := func(rel, href string) m { return m{"rel": rel, "href": "http://ota.example" + href} }
	poll := read(path("dev", "")).(m)
	equal(t, poll["config"], any(m{"polling": m{"sleep": "00:05:00"}}))
	links := poll["links"].([]any)
	equal(t, links[1], any(link("configData", path("dev", "configData"))))
	if len(links) != 2 || poll["_links"] != nil {
		t.Errorf("poll %v", poll)
	}
	module := w.moduleOf(id)
	files := path("dev", "softwaremodules/%d/artifacts", module)
	artifact := m{
		"filename": "set for dev.bin", "size": uint64(22),
		"hashes": m{"sha1": "a4ea9a8d4d10dd7cd22d7e6d5b5b1ee1c4bd1fe5", "md5": "x", "sha256": "x"},
		"links":  []any{link("download-http", files+"/set%20for%20dev.bin"), link("md5sum-http", files+"/set%20for%20dev.bin.MD5SUM")},
	}
	hashes := cmp.FilterPath(func(p cmp.Path) bool { return strings.Contains(p.GoString(), `"hashes"`) }, cmp.Ignore())
	want := m{"id": number(id), "links": []any{}, "deployment": m{"download": "forced", "update": "forced", "chunks": []any{
		m{"part": "os", "version": "1.0", "name": "set for dev", "artifacts": []any{artifact}},
	}}}
	if d := cmp.Diff(any(want), read(path("dev", "deploymentBase/%d", id)), hashes); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff(any([]any{artifact}), read(files), hashes); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	equal(t, read(path("dev", "confirmationBase")), any(m{
		"autoConfirm": m{"active": false, "activatedAt": uint64(0), "links": []any{}},
		"links":       []any{link("activateAutoConfirm", path("dev", "confirmationBase/activateAutoConfirm"))},
	}))
	if err := w.deployment.Cancel(w.ctx, "dev", id); err != nil {
		t.Fatal(err)
	}
	equal(t, read(path("dev", "cancelAction/%d", id)), any(m{"id": number(id), "cancelAction": m{"stopId": number(id)}}))

	encode := func(v any) string {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	w.want(200, w.do(http.MethodPut, path("dev", "configData"), encode(m{"mode": "merge", "data": m{"a": "b", "n": 5}}), "Content-Type", "application/cbor"))
	status := m{"execution": "proceeding", "result": m{"finished": "none"}, "details": []any{"said in CBOR"}}
	w.want(200, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), encode(m{"status": status}), "Content-Type", "application/cbor"))
	h := w.history(id)
	equal(t, h[len(h)-1], "running: said in CBOR")
	status["details"] = "no list"
	a := w.want(400, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), encode(m{"status": status}), "Content-Type", "application/cbor", "Accept", "application/cbor"))
	if a.header.Get("Content-Type") != "application/cbor" {
		t.Errorf("error in %q", a.header.Get("Content-Type"))
	}
}

// moduleOf returns the module of an action with one.
func (w *world) moduleOf(id deployment.ActionID) int64 {
	w.t.Helper()
	chunks, err := w.deployment.Software.Chunks(w.ctx, w.tenant, w.action(id).Set)
	if err != nil || len(chunks) != 1 {
		w.t.Fatal(chunks, err)
	}
	return int64(chunks[0].Module)
}

// TestAttributes is A.9 on the wire; fleet tests the rules.
func TestAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	put := func(body string) answer { return w.do(http.MethodPut, path("dev", "configData"), body) }
	for _, body := range []string{`{}`, `{"data":null}`, `{"data":{}}`, `{"data":[]}`, `{"data":{"a":{}}}`, `{"data":{"a":["b"]}}`, `{"data":{"a":"b"},"mode":"MERGE"}`, `{"data":{"a":"b"},"mode":[]}`} {
		w.wantError(400, "rest.body.notReadable", put(body))
	}
	for _, body := range []string{`{"data":{"a":"ü"}}`, `{"data":{"a~":"b"}}`, `{"mode":"remove","data":{"a":"~"}}`, `{"data":{"a":"` + strings.Repeat("x", 129) + `"}}`} {
		w.wantError(400, "repo.invalidTargetAttributes", put(body))
	}
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf(`"k%d":%d`, i, i))
	}
	w.wantError(429, "quota.tooManyEntries", put(`{"data":{`+strings.Join(many, ",")+`}}`))
	equal(t, w.poll("dev").rels(t), []string{"configData"}) // nothing was accepted so far
	attributes := func() map[string]string {
		t.Helper()
		m, err := w.fleet.Attributes(w.ctx, "dev")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	w.wantEmpty(200, put(`{"id":1,"time":"x","status":[],"mode":null,"data":{"a":1.50,"b":true,"c":"x","d":null}}`))
	equal(t, attributes(), map[string]string{"a": "1.50", "b": "true", "c": "x"})
	w.wantEmpty(200, put(`{"mode":"merge","data":{"a":null,"e":""}}`))
	equal(t, attributes(), map[string]string{"b": "true", "c": "x", "e": ""})
	w.wantEmpty(200, put(`{"mode":"remove","data":{"b":"whatever"}}`))
	equal(t, attributes(), map[string]string{"c": "x", "e": ""})
	w.wantEmpty(200, put(`{"mode":"replace","data":{"z":"1"}}`))
	equal(t, attributes(), map[string]string{"z": "1"})
}
