package ddi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/tenant"
)

// tokenOf reads a device's token.
func (w *world) tokenOf(device string) string {
	w.t.Helper()
	target, err := w.fleet.Target(w.ctx, fleet.ControllerID(device))
	if err != nil {
		w.t.Fatal(err)
	}
	return target.Token
}

// proxy is a peer whose headers count.
const proxy = "127.0.0.1:5000"

// TestAuthentication goes through device-apis B.7.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	w.poll("other")
	own, foreign := w.tokenOf("dev"), w.tokenOf("other")
	w.set(map[tenant.Key]any{tenant.KeyTargetToken: true, tenant.KeyHeader: true, tenant.KeyHeaderAuthority: "2e:24:AA; bbccdd ,;"})
	for _, tt := range []struct {
		name    string
		device  string
		headers []string
		want    int
	}{
		{"nothing", "dev", []string{"Authorization", ""}, 401},
		{"operator", "dev", []string{"Authorization", "Basic YWRtaW46YWRtaW4="}, 401},
		{"own token", "dev", []string{"Authorization", "TargetToken " + own}, 200},
		{"another device's token", "dev", []string{"Authorization", "TargetToken " + foreign}, 401},
		{"unknown device", "nobody", []string{"Authorization", "TargetToken " + own}, 401},
		{"unknown device, no token", "nobody", []string{"Authorization", "TargetToken "}, 401},
		{"lower case", "dev", []string{"Authorization", "targettoken " + own}, 401},
		{"two blanks", "dev", []string{"Authorization", "TargetToken  " + own}, 401},
		{"gateway", "dev", nil, 200},
		{"wrong gateway", "dev", []string{"Authorization", "GatewayToken g"}, 401},
		{"gateway's token as a device's", "dev", []string{"Authorization", "TargetToken gw"}, 401},
		{"certificate", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority", "bbccdd"}, 200},
		{"certificate, nobody's proxy", "dev", []string{"Authorization", "", "X-Controller-Id", "dev", "X-Authority", "bbccdd"}, 401},
		{"issuer's case", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority", "2E:24:aa"}, 200},
		{"issuer's colons", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority", "2e24aa"}, 401},
		{"another one's certificate", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "other", "X-Authority", "bbccdd"}, 401},
		{"name's case", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "DEV", "X-Authority", "bbccdd"}, 401},
		{"another one's certificate, own token", "dev", []string{"peer", proxy, "Authorization", "TargetToken " + own, "X-Controller-Id", "other", "X-Authority", "bbccdd"}, 200},
		{"a list", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority", "x; bbccdd"}, 200},
		{"numbered, from 0", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority-0", "x", "X-Authority-1", "bbccdd"}, 200},
		{"numbered, from 1", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority-1", "x", "X-Authority-2", "bbccdd"}, 200},
		{"a gap", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority-0", "x", "X-Authority-2", "bbccdd"}, 401},
		{"a list in a numbered one", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority-1", "x;bbccdd"}, 401},
		{"the unnumbered one counts alone", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority", "x", "X-Authority-1", "bbccdd"}, 401},
		{"nothing presented", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev"}, 401},
		{"blank presented", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority", " "}, 401},
		{"older family", "dev", []string{"peer", proxy, "Authorization", "", "X-Ssl-Client-Cn", "dev", "X-Ssl-Issuer-Hash-1", "bbccdd"}, 200},
		{"older family, chain", "dev", []string{"peer", proxy, "Authorization", "", "X-Ssl-Client-Cn", "dev", "X-Ssl-Issuer-Hash-1", "x", "X-Ssl-Issuer-Hash-2", "bbccdd"}, 200},
		{"older family, from 0", "dev", []string{"peer", proxy, "Authorization", "", "X-Ssl-Client-Cn", "dev", "X-Ssl-Issuer-Hash-0", "bbccdd"}, 401},
		{"older family, unnumbered", "dev", []string{"peer", proxy, "Authorization", "", "X-Ssl-Client-Cn", "dev", "X-Ssl-Issuer-Hash", "bbccdd"}, 401},
		{"families mixed", "dev", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Ssl-Issuer-Hash-1", "bbccdd"}, 401},
		{"unknown device by certificate", "plugged", []string{"peer", proxy, "Authorization", "", "X-Controller-Id", "plugged", "X-Authority", "bbccdd"}, 200},
	} {
		a := w.do(http.MethodGet, path(tt.device, ""), "", tt.headers...)
		if a.status != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, a.status, tt.want)
		}
		if a.status == 401 && (a.body != "" || a.header.Get("WWW-Authenticate") != "" || a.header.Get("X-Frame-Options") != "DENY") {
			t.Errorf("%s: body %q, header %v; want an empty body, no challenge, the fixed headers", tt.name, a.body, a.header)
		}
	}

	w.set(map[tenant.Key]any{tenant.KeyTargetToken: false, tenant.KeyHeader: false, tenant.KeyGatewayToken: false})
	for name, headers := range map[string][]string{
		"token":       {"Authorization", "TargetToken " + own},
		"gateway":     nil,
		"certificate": {"peer", proxy, "Authorization", "", "X-Controller-Id", "dev", "X-Authority", "bbccdd"},
	} {
		if a := w.do(http.MethodGet, path("dev", ""), "", headers...); a.status != 401 {
			t.Errorf("%s, switched off: status %d", name, a.status)
		}
	}
	w.set(map[tenant.Key]any{tenant.KeyGatewayToken: true, tenant.KeyGatewayTokenKey: ""})
	w.wantEmpty(401, w.do(http.MethodGet, path("dev", ""), "", "Authorization", "GatewayToken "))
}

// TestStranger: whatever is wrong, a stranger learns nothing of what there is
// (A.1, B.1).
func TestStranger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.updated("dev")
	for _, tt := range []struct{ method, path string }{
		{http.MethodGet, path("dev", "")},
		{http.MethodGet, path("nobody", "")},
		{http.MethodGet, "/NOSUCHTENANT/controller/v1/dev"},
		{http.MethodGet, path("dev", "no/such/resource")},
		{http.MethodDelete, path("dev", "configData")},
		{http.MethodOptions, path("dev", "")},
		{http.MethodPut, path("dev", "configData")},
		{http.MethodGet, path("dev", "deploymentBase/%d", id)},
		{http.MethodGet, path("dev", "deploymentBase/x")},
	} {
		w.wantEmpty(401, w.do(tt.method, tt.path, "", "Authorization", "GatewayToken wrong"))
	}
	w.wantEmpty(401, w.do(http.MethodGet, "/NOSUCHTENANT/controller/v1/dev", ""))
	w.want(400, w.do(http.MethodGet, "/DEFAULT/controller/v1/a%2Fb", "", "Authorization", ""))
	w.want(400, w.do(http.MethodGet, "/DEFAULT/controller//v1/dev", "", "Authorization", ""))
}

// TestPlugAndPlay: which requests make a target (A.2, B.7).
func TestPlugAndPlay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, tt := range []struct {
		method, tail, body string
		want               int
	}{
		{http.MethodGet, "", "", 200},
		{http.MethodHead, "", "", 200},
		{http.MethodGet, "confirmationBase", "", 200},
		{http.MethodPut, "configData", `{"data":{"a":"b"}}`, 404},
		{http.MethodPut, "configData", `{}`, 400},
		{http.MethodGet, "deploymentBase/1", "", 404},
		{http.MethodPost, "deploymentBase/1/feedback", feedback("closed", "success", ""), 404},
		{http.MethodPost, "deploymentBase/1/feedback", "{}", 400},
		{http.MethodGet, "cancelAction/1", "", 404},
		{http.MethodPost, "cancelAction/1/feedback", feedback("closed", "success", ""), 404},
		{http.MethodGet, "installedBase/1", "", 404},
		{http.MethodGet, "confirmationBase/1", "", 404},
		{http.MethodPost, "confirmationBase/1/feedback", `{"confirmation":"denied"}`, 404},
		{http.MethodPost, "confirmationBase/activateAutoConfirm", "", 404},
		{http.MethodPost, "confirmationBase/deactivateAutoConfirm", "", 404},
		{http.MethodGet, "softwaremodules/1/artifacts", "", 404},
		{http.MethodGet, "softwaremodules/1/artifacts/f", "", 404},
		{http.MethodGet, "softwaremodules/1/artifacts/f.MD5SUM", "", 404},
	} {
		device := "dev" + number(int64(i))
		a := w.want(tt.want, w.do(tt.method, path(device, "%s", tt.tail), tt.body))
		target, err := w.fleet.Target(w.ctx, fleet.ControllerID(device))
		if made := err == nil; made != (tt.want == 200) {
			t.Errorf("%s %s: a target was made: %v", tt.method, tt.tail, made)
		}
		if tt.want == 404 && !strings.Contains(a.body, `"info":{"entityId":"`+device+`","type":"Target"}`) {
			t.Errorf("%s %s: body %s", tt.method, tt.tail, a.body)
		}
		if err == nil && (target.Name != device || *target.Description != "Plug and Play target: "+device || target.Status != fleet.StatusRegistered || target.CreatedBy != "CONTROLLER_PLUG_AND_PLAY" || *target.Address != "http://192.0.2.7" || len(target.Token) != 32) {
			t.Errorf("target %+v", target)
		}
	}
	for id, want := range map[string]int{"a%20b": 400, strings.Repeat("x", 129): 400, strings.Repeat("x", 128): 200, "%C3%BC(!)": 200} {
		a := w.want(want, w.do(http.MethodGet, path(id, ""), ""))
		if want == 400 && !strings.Contains(a.body, "repo.constraintViolation") {
			t.Errorf("%s: body %s", id, a.body)
		}
	}
	equal(t, w.poll("%C3%BC(!)").href(t, "configData"), "http://ota.example/DEFAULT/controller/v1/%C3%BC%28%21%29/configData")
}

// TestAddress: a poll brings the device's address, a proxy's word counts from
// proxies alone (A.3).
func TestAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := func(headers ...string) string {
		t.Helper()
		w.want(200, w.do(http.MethodGet, path("dev", ""), "", headers...))
		target, err := w.fleet.Target(w.ctx, "dev")
		if err != nil {
			t.Fatal(err)
		}
		return *target.Address
	}
	equal(t, address(), "http://192.0.2.7")
	equal(t, address("X-Forwarded-For", "198.51.100.1"), "http://192.0.2.7")
	equal(t, address("peer", proxy, "X-Forwarded-For", "198.51.100.1"), "http://198.51.100.1")
	equal(t, address("peer", proxy, "X-Forwarded-For", "203.0.113.9, 198.51.100.1"), "http://198.51.100.1") // what a client wrote itself does not count
	equal(t, address("peer", proxy, "X-Forwarded-For", "<nonsense>"), "http://127.0.0.1")
	equal(t, address("peer", "[2001:db8::1]:99"), "http://[2001:db8::1]")
}

// TestLinks: links follow what the client called (A.1, surprises 13, 20, 23, 24).
func TestLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		headers []string
		want    string
	}{
		{nil, "http://ota.example/default/controller/v1/dev"},
		{[]string{"peer", proxy, "X-Forwarded-Proto", "https"}, "https://ota.example/default/controller/v1/dev"},
		{[]string{"peer", proxy, "X-Forwarded-Proto", "https", "X-Forwarded-Host", "pub.example:8443"}, "https://pub.example:8443/default/controller/v1/dev"},
		{[]string{"peer", proxy, "X-Forwarded-Proto", "https", "X-Forwarded-Host", "pub.example:443"}, "https://pub.example/default/controller/v1/dev"},
		{[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example"}, "http://ota.example/default/controller/v1/dev"},
	} {
		a := w.want(200, w.do(http.MethodGet, "/default/controller/v1/dev", "", tt.headers...))
		equal(t, a.href(t, "configData"), tt.want+"/configData")
	}
	id := w.assign("dev", w.firmware("set"), deployment.Order{})
	a := w.do(http.MethodGet, "/default/controller/v1/dev/deploymentBase/"+number(id), "", "peer", proxy, "X-Forwarded-Proto", "https", "X-Forwarded-Host", "pub.example:8443")
	if !strings.Contains(a.body, `"download-http":{"href":"https://pub.example:8443/DEFAULT/controller/v1/dev/softwaremodules/`) {
		t.Errorf("document %s; want artifact links with the canonical tenant and the client's address", a.body)
	}
}
