package ddi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// What device-apis E lists and no test named after its subject shows.

// TestErrorOfSuperseded is surprise 8: a failure clears what is assigned and
// does not ask for attributes; when it is that of a superseded action, the
// newer one can finish, and the target still stays in error.
func TestErrorOfSuperseded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.updated("dev")
	w.want(200, w.do(http.MethodPut, path("dev", "configData"), `{"data":{"a":"b"}}`))
	next := w.assign("dev", w.firmware("next"), deployment.Order{})
	w.report("dev", old, "closed", "failure")
	target := func() *fleet.Target {
		t.Helper()
		x, err := w.fleet.Target(w.ctx, "dev")
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	equal(t, []any{target().Status, target().AssignedSet, target().RequestAttributes}, []any{fleet.StatusError, software.SetID(0), false})
	equal(t, w.poll("dev").rels(t), []string{"deploymentBase"})
	w.report("dev", next, "closed", "success")
	equal(t, []any{target().Status, target().InstalledSet, target().RequestAttributes}, []any{fleet.StatusError, w.action(next).Set, true})
}

// TestRefusedCancellationKeepsConsent is surprise 7, other than hawkBit: a
// refused cancellation does not skip the consent that was still awaited.
func TestRefusedCancellationKeepsConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(map[tenant.Key]any{tenant.KeyConfirmationFlow: true})
	id := w.updated("dev")
	if err := w.deployment.Cancel(w.ctx, "dev", id); err != nil {
		t.Fatal(err)
	}
	w.want(200, w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", id), feedback("closed", "failure", "")))
	equal(t, w.poll("dev").rels(t), []string{"confirmationBase", "configData"})
}

// TestClosedCancellation: reports on a cancellation that is over are kept and
// move nothing (A.7, other than hawkBit).
func TestClosedCancellation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.updated("dev")
	if err := w.deployment.Cancel(w.ctx, "dev", id); err != nil {
		t.Fatal(err)
	}
	if err := w.deployment.ForceQuit(w.ctx, "dev", id); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]string{{"closed", "success"}, {"closed", "failure"}, {"rejected", "none"}, {"proceeding", "none"}} {
		entries := len(w.history(id))
		w.wantEmpty(200, w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", id), feedback(r[0], r[1], "")))
		a := w.action(id)
		equal(t, []any{a.Status, a.Active, len(w.history(id))}, []any{deployment.Canceled, false, entries + 1})
	}
	w.want(200, w.do(http.MethodGet, path("dev", "cancelAction/%d", id), ""))
	w.wantEmpty(404, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), ""))
	w.wantEmpty(404, w.do(http.MethodGet, path("dev", "installedBase/%d", id), ""))
	w.wantEmpty(410, w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), feedback("closed", "success", "")))
}

// TestHTMLStays is surprise 29: small parsers do not undo \u0026.
func TestHTMLStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	m := w.module("os", "R&D", "a&b.bin", "x")
	value := "1 < 2 & 3 > 2"
	if err := w.software.SaveModuleMetadata(w.ctx, m, []software.ModuleMetadatum{{Key: "k", Value: &value, TargetVisible: true}, {Key: "hidden", Value: &value}, {Key: "without", TargetVisible: true}}); err != nil {
		t.Fatal(err)
	}
	id := w.assign("dev", w.release("set", m), deployment.Order{Type: deployment.Soft})
	body := w.want(200, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), "")).body
	for _, want := range []string{`"name":"R&D"`, `"filename":"a&b.bin"`, `"metadata":[{"key":"k","value":"1 < 2 & 3 > 2"},{"key":"without"}]`, `"download":"attempt","update":"attempt"`, `/artifacts/a%26b.bin"`} {
		if !strings.Contains(body, want) {
			t.Errorf("body %s lacks %s", body, want)
		}
	}
}

// TestMarkupInConsent is surprise 21's exception, and a quota that consent is
// held to (A.6, A.8).
func TestMarkupInConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(map[tenant.Key]any{tenant.KeyConfirmationFlow: true})
	w.deployment.Limits.Entries = 2
	id := w.updated("dev")
	answer := path("dev", "confirmationBase/%d/feedback", id)
	w.wantError(429, "quota.tooManyEntries", w.do(http.MethodPost, answer, `{"confirmation":"denied","details":["`+strings.Repeat(`x","`, 50)+`"]}`))
	w.wantEmpty(200, w.do(http.MethodPost, answer, `{"confirmation":"denied","details":"<script>"}`))
	w.wantError(429, "quota.tooManyEntries", w.do(http.MethodPost, answer, `{"confirmation":"confirmed"}`))
	w.wantEmpty(200, w.do(http.MethodPost, path("dev", "confirmationBase/activateAutoConfirm"), "")) // no quota holds it back
	equal(t, w.poll("dev").rels(t), []string{"deploymentBase", "configData"})
}
