package ddi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/tenant"
)

// TestFirstContact goes through device-apis A.17: a device registers itself,
// sends its attributes, and is left alone then.
func TestFirstContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.poll("dev")
	equal(t, a.body, `{"config":{"polling":{"sleep":"00:05:00"}},"_links":{"configData":{"href":"http://ota.example/DEFAULT/controller/v1/dev/configData"}}}`)
	equal(t, a.header.Get("Content-Type"), "application/hal+json")
	w.wantEmpty(200, w.do(http.MethodPut, path("dev", "configData"), `{"mode":"merge","data":{"hw":"1"}}`))
	equal(t, w.poll("dev").body, `{"config":{"polling":{"sleep":"00:05:00"}}}`)
}

// TestUpdate is a forced update from the link to the end (A.5, A.6, A.17).
func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	m := w.module("application", "app", "f ü~*.swu", "abc")
	id := w.assign("dev", w.releaseOf("app", "set", m), deployment.Order{})

	p := w.poll("dev")
	equal(t, p.rels(t), []string{"deploymentBase", "configData"})
	link := p.href(t, "deploymentBase")
	if !regexp.MustCompile(`^http://ota\.example/DEFAULT/controller/v1/dev/deploymentBase/\d+\?c=-?\d+$`).MatchString(link) {
		t.Errorf("link %s", link)
	}
	if again := w.poll("dev").href(t, "deploymentBase"); again != link {
		t.Errorf("the link changed from %s to %s though nothing happened", link, again)
	}

	a := w.want(200, w.do(http.MethodGet, strings.TrimPrefix(link, "http://ota.example"), ""))
	artifact := `http://ota.example/DEFAULT/controller/v1/dev/softwaremodules/` + number(m) + `/artifacts/f%20%C3%BC~%2A.swu`
	equal(t, a.body, `{"id":"`+number(id)+`","deployment":{"download":"forced","update":"forced","chunks":[{"part":"bApp","version":"1.0","name":"app","artifacts":[{"filename":"f ü~*.swu","hashes":{"sha1":"a9993e364706816aba3e25717850c26c9cd0d89d","md5":"900150983cd24fb0d6963f7d28e17f72","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},"size":3,"_links":{"download-http":{"href":"`+artifact+`"},"md5sum-http":{"href":"`+artifact+`.MD5SUM"}}}]}]}}`)
	if w.action(id).Status != deployment.Retrieved {
		t.Errorf("status %s after the deployment was read", w.action(id).Status)
	}
	if w.poll("dev").href(t, "deploymentBase") == link {
		t.Error("the link stayed the same though the deployment was read")
	}
	w.want(200, w.do(http.MethodGet, strings.TrimPrefix(artifact, "http://ota.example"), ""))

	w.report("dev", id, "proceeding", "none")
	w.report("dev", id, "closed", "success")
	equal(t, w.poll("dev").rels(t), []string{"installedBase", "configData"})
	equal(t, w.poll("dev").href(t, "installedBase"), "http://ota.example/DEFAULT/controller/v1/dev/installedBase/"+number(id))
	w.want(200, w.do(http.MethodGet, path("dev", "installedBase/%d", id), ""))
	w.wantEmpty(410, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), feedback("proceeding", "none", "")))
	equal(t, w.history(id), []string{
		"running: Assignment initiated by user 'ann'",
		"retrieved: Update Server: The device fetched the update.",
		"download: Update Server: The device downloads /DEFAULT/controller/v1/dev/softwaremodules/" + number(m) + "/artifacts/f%20%C3%BC~%2A.swu",
		"running: Update Server: The device reported that it is at work.",
		"finished: Update Server: The device reported that the update is finished.",
	})
}

// TestEndedDeployment: the document of an ended action can still be read, and
// stays what it ended as (A.5, surprise 2; other than hawkBit).
func TestEndedDeployment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	failed := w.updated("dev")
	w.report("dev", failed, "closed", "failure")
	equal(t, w.poll("dev").rels(t), []string{"configData"})
	done := w.assign("dev", w.firmware("next"), deployment.Order{})
	w.report("dev", done, "closed", "none") // counts as success
	for _, id := range []deployment.ActionID{failed, done} {
		before := w.action(id).Status
		w.want(200, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), ""))
		w.want(200, w.do(http.MethodGet, path("dev", "installedBase/%d", id), ""))
		equal(t, w.action(id).Status, before)
	}
	equal(t, w.poll("dev").rels(t), []string{"installedBase", "configData"})
}

// TestCancel: only closed and success at cancelAction ends a cancellation
// (A.7, surprises 1, 3, 6, 7).
func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.updated("dev")
	w.wantError(405, "action.notCancelable", w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", id), feedback("closed", "success", "")))
	w.wantEmpty(404, w.do(http.MethodGet, path("dev", "cancelAction/%d", id), ""))
	cancel := func() {
		t.Helper()
		if err := w.deployment.Cancel(w.ctx, "dev", id); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	equal(t, w.poll("dev").href(t, "cancelAction"), "http://ota.example/DEFAULT/controller/v1/dev/cancelAction/"+number(id)) // no query
	equal(t, w.want(200, w.do(http.MethodGet, path("dev", "cancelAction/%d", id), "")).body, `{"id":"`+number(id)+`","cancelAction":{"stopId":"`+number(id)+`"}}`)
	for _, at := range []string{"deploymentBase/%d/feedback", "cancelAction/%d/feedback"} {
		w.wantEmpty(200, w.do(http.MethodPost, path("dev", at, id), feedback("canceled", "none", "")))
	}
	equal(t, w.poll("dev").rels(t)[0], "cancelAction")
	w.wantEmpty(404, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), ""))

	link := w.poll("dev").href(t, "cancelAction")
	w.wantEmpty(200, w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", id), feedback("rejected", "none", "")))
	equal(t, w.poll("dev").rels(t)[0], "deploymentBase")
	cancel()
	equal(t, w.poll("dev").href(t, "cancelAction"), link)
	w.wantEmpty(200, w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", id), feedback("closed", "failure", "")))
	equal(t, w.poll("dev").rels(t)[0], "deploymentBase")

	cancel()
	w.wantEmpty(200, w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", id), feedback("closed", "none", `,"code":7,"details":["first","second"]`)))
	equal(t, w.action(id).Status, deployment.Canceled)
	h := w.history(id)
	equal(t, h[len(h)-1], "canceled: Update Server: The device confirmed the cancellation. | first | second | Device reported status code: 7 | Update Server: The cancellation is complete.")
	equal(t, w.poll("dev").rels(t), []string{"configData"})

	lost := w.assign("dev", w.firmware("lost race"), deployment.Order{})
	id = lost
	cancel()
	w.report("dev", lost, "closed", "success")
	equal(t, w.action(lost).Status, deployment.Finished)
	w.wantError(405, "action.notCancelable", w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", lost), feedback("closed", "success", "")))
}

// TestSuperseded: one link a poll, the oldest first (surprises 8, 9).
func TestSuperseded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.updated("dev")
	next := w.assign("dev", w.firmware("next"), deployment.Order{})
	p := w.poll("dev")
	equal(t, p.rels(t), []string{"cancelAction", "configData"})
	equal(t, p.href(t, "cancelAction"), "http://ota.example/DEFAULT/controller/v1/dev/cancelAction/"+number(old))
	w.wantEmpty(200, w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", old), feedback("closed", "success", "")))
	if p := w.poll("dev"); !strings.Contains(p.href(t, "deploymentBase"), "/deploymentBase/"+number(next)+"?c=") {
		t.Errorf("poll %s, want the newer action", p.body)
	}
}

// TestDownloadOnly: the device fetches and installs nothing (A.4, A.6).
func TestDownloadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	w.want(200, w.do(http.MethodPut, path("dev", "configData"), `{"data":{"a":"b"}}`))
	id := w.assign("dev", w.firmware("set"), deployment.Order{Type: deployment.DownloadOnly})
	d := w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), "").json(t)["deployment"].(map[string]any)
	equal(t, []any{d["download"], d["update"]}, []any{"forced", "skip"})
	w.report("dev", id, "downloaded", "none")
	equal(t, w.action(id).Status, deployment.Downloaded)
	equal(t, w.poll("dev").rels(t), []string{"configData"})
	w.wantEmpty(410, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), feedback("closed", "success", "")))
	w.want(200, w.do(http.MethodGet, path("dev", "installedBase/%d", id), ""))
}

// TestHistory: actionHistory shows what is not the server's own (A.5, surprise 26).
func TestHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.updated("dev")
	w.clock.pass(time.Second) // of entries at the same time, the older comes first
	w.want(200, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), feedback("proceeding", "none", `,"code":3,"details":["one",null,"Update Server: hidden","two"]`)))
	for query, want := range map[string]any{
		"":                      nil,
		"?actionHistory=":       nil,
		"?actionHistory=0":      nil,
		"?actionHistory=1":      []any{"one"},
		"?actionHistory=2&c=-7": []any{"one", "two"},
		"?actionHistory=-1":     []any{"one", "two", "Device reported status code: 3", "Assignment initiated by user 'ann'"},
		"?actionHistory=900":    []any{"one", "two", "Device reported status code: 3", "Assignment initiated by user 'ann'"},
	} {
		h, _ := w.want(200, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id)+query, "")).json(t)["actionHistory"].(map[string]any)
		equal(t, h["messages"], want)
	}
	for _, query := range []string{"?actionHistory=x", "?actionHistory=3000000000", "?c=x", "?c=2147483648"} {
		w.wantError(400, "rest.body.notReadable", w.do(http.MethodGet, path("dev", "deploymentBase/%d", id)+query, ""))
	}
}

// TestConsent goes through A.8.
func TestConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(map[tenant.Key]any{tenant.KeyConfirmationFlow: true})
	w.poll("dev")
	id := w.assign("dev", w.firmware("set"), deployment.Order{})
	p := w.poll("dev")
	equal(t, p.rels(t), []string{"confirmationBase", "configData"})
	link := p.href(t, "confirmationBase")
	w.wantEmpty(404, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), ""))
	w.wantEmpty(404, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), feedback("closed", "success", "")))
	doc := w.want(200, w.do(http.MethodGet, strings.TrimPrefix(link, "http://ota.example"), "")).json(t)
	if doc["deployment"] != nil || doc["confirmation"].(map[string]any)["update"] != "forced" {
		t.Errorf("document %v", doc)
	}
	equal(t, w.want(200, w.do(http.MethodGet, path("dev", "confirmationBase"), "")).body,
		`{"autoConfirm":{"active":false,"activatedAt":0},"_links":{"activateAutoConfirm":{"href":"http://ota.example/DEFAULT/controller/v1/dev/confirmationBase/activateAutoConfirm"},"confirmationBase":{"href":"`+link+`"}}}`)

	answer := path("dev", "confirmationBase/%d/feedback", id)
	w.wantError(400, "rest.body.notReadable", w.do(http.MethodPost, answer, `{"confirmation":"maybe"}`))
	w.wantEmpty(200, w.do(http.MethodPost, answer, `{"confirmation":"denied","code":5,"details":["<b>no</b>"]}`)) // markup is not looked for
	h := w.history(id)
	equal(t, h[len(h)-1], "wait_for_confirmation: <b>no</b> | Update Server: The device denied the update; it goes on waiting for consent. | Device reported status code: 5")
	w.wantEmpty(200, w.do(http.MethodPost, answer, `{"confirmation":"confirmed"}`))
	w.wantEmpty(404, w.do(http.MethodPost, answer, `{"confirmation":"confirmed"}`))
	w.wantEmpty(404, w.do(http.MethodGet, path("dev", "confirmationBase/%d", id), ""))
	equal(t, w.poll("dev").rels(t), []string{"deploymentBase", "configData"})
	w.wantEmpty(200, w.do(http.MethodPost, answer, `{"confirmation":"denied"}`)) // takes it back
	equal(t, w.poll("dev").rels(t), []string{"confirmationBase", "configData"})
	w.wantEmpty(200, w.do(http.MethodPost, answer, `{"confirmation":"confirmed"}`))
	w.report("dev", id, "closed", "success")
	w.wantEmpty(410, w.do(http.MethodPost, answer, `{"confirmation":"denied"}`))
	w.wantError(404, "repo.entityNotFound", w.do(http.MethodPost, path("dev", "confirmationBase/%d/feedback", 9999), `{"confirmation":"denied"}`))
}

// TestAutoConfirm: consent to everything (A.8).
func TestAutoConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(map[tenant.Key]any{tenant.KeyConfirmationFlow: true})
	w.poll("dev")
	id := w.assign("dev", w.firmware("set"), deployment.Order{})
	activate, deactivate := path("dev", "confirmationBase/activateAutoConfirm"), path("dev", "confirmationBase/deactivateAutoConfirm")
	w.wantError(400, "repo.constraintViolation", w.do(http.MethodPost, activate, `{"initiator":"`+strings.Repeat("i", 65)+`"}`))
	w.wantError(400, "repo.constraintViolation", w.do(http.MethodPost, activate, `{"remark":"`+strings.Repeat("r", 513)+`"}`))
	w.wantEmpty(200, w.do(http.MethodPost, activate, `{"initiator":"me","remark":"so"}`))
	w.wantError(409, "repo.autoConfAlreadyActive", w.do(http.MethodPost, activate, ``))
	equal(t, w.poll("dev").rels(t), []string{"deploymentBase", "configData"})
	h := w.history(id)
	equal(t, h[len(h)-1], "running: Assignment confirmed by auto-confirmation. Initiator: me, activated by: CONTROLLER_PLUG_AND_PLAY, remark: so")
	state := func() string { return w.want(200, w.do(http.MethodGet, path("dev", "confirmationBase"), "")).body }
	equal(t, state(), `{"autoConfirm":{"active":true,"initiator":"me","remark":"so","activatedAt":1800000000000},"_links":{"deactivateAutoConfirm":{"href":"http://ota.example/DEFAULT/controller/v1/dev/confirmationBase/deactivateAutoConfirm"}}}`)
	for range 2 {
		w.wantEmpty(200, w.do(http.MethodPost, deactivate, "anything", "Content-Type", "text/plain"))
	}
	equal(t, w.poll("dev").rels(t), []string{"deploymentBase", "configData"}) // what runs goes on
	for body, want := range map[string]string{
		"":     `"remark":"Initiated using the Device Direct Integration API without providing a remark.",`,
		"null": `"remark":"Initiated using the Device Direct Integration API without providing a remark.",`,
		"{}":   ``,
	} {
		w.wantEmpty(200, w.do(http.MethodPost, activate, body))
		if got := state(); !strings.Contains(got, `{"active":true,`+want+`"activatedAt"`) {
			t.Errorf("body %q makes %s", body, got)
		}
		w.wantEmpty(200, w.do(http.MethodPost, deactivate, ""))
	}
	w.wantError(404, "repo.entityNotFound", w.do(http.MethodPost, path("nobody", "confirmationBase/activateAutoConfirm"), ""))
	w.wantError(404, "repo.entityNotFound", w.do(http.MethodPost, path("nobody", "confirmationBase/deactivateAutoConfirm"), ""))
	w.wantError(400, "rest.body.notReadable", w.do(http.MethodGet, activate, "")) // read as an action's id
}

// TestReportInstalled: a device tells what it runs (A.2, row 11).
func TestReportInstalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	w.firmware("set")
	here := path("dev", "installedBase")
	for _, body := range []string{`{}`, `{"name":"set"}`, `{"version":"1.0"}`, `{"name":["set"],"version":"1.0"}`} {
		w.wantError(400, "rest.body.notReadable", w.do(http.MethodPut, here, body))
	}
	for _, body := range []string{`{"name":"","version":"1.0"}`, `{"name":"set","version":null}`} {
		w.wantError(400, "repo.constraintViolation", w.do(http.MethodPut, here, body))
	}
	a := w.want(404, w.do(http.MethodPut, path("nobody", "installedBase"), `{"name":"other","version":"1.0"}`))
	equal(t, a.json(t)["info"], any(map[string]any{"entityId": map[string]any{"other": "1.0"}, "type": "DistributionSet"}))
	w.wantError(404, "repo.entityNotFound", w.do(http.MethodPut, path("nobody", "installedBase"), `{"name":"set","version":"1.0"}`))
	w.wantEmpty(201, w.do(http.MethodPut, here, `{"name":"set","version":"1.0"}`))
	w.wantEmpty(200, w.do(http.MethodPut, here, `{"name":"set","version":"1.0"}`))
	equal(t, w.poll("dev").rels(t), []string{"installedBase", "configData"})
	w.assign("dev", w.firmware("next"), deployment.Order{})
	w.wantEmpty(200, w.do(http.MethodPut, here, `{"name":"set","version":"1.0"}`)) // pending: left alone
}
