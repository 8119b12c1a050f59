// Package ddi is the device API (Direct Device Integration) below
// /{tenant}/controller/v1/{controllerId}, compatible with Eclipse hawkBit's
// (spec device-apis, part A; authentication in part B). Devices are strict and
// old: what is written here byte by byte is so because a client in the field
// reads it so (part D).
package ddi

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/otaria/otaria/api/download"
	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// API serves the device API.
type API struct {
	Tenants    *tenant.Service
	Software   *software.Service
	Fleet      *fleet.Service
	Deployment *deployment.Service
	Identity   []IdentityHeaders
	Log        *slog.Logger
	Now        func() time.Time

	// ArtifactLinks are the addresses of artifacts in device documents.
	ArtifactLinks []download.Link
}

// maxBody bounds what a device may send: log lines by the hundred fit.
const maxBody = 4 << 20

// Serves reports whether the path belongs to this API.
func Serves(path string) bool {
	_, rest, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return ok && (rest == "controller/v1" || strings.HasPrefix(rest, "controller/v1/"))
}

// Handler returns the handler of every path that Serves reports.
func (a *API) Handler() http.Handler {
	var list []httpjson.Route
	for _, rt := range routes() {
		list = append(list, rt.http(a))
	}
	mux := httpjson.NewMux(list, httpjson.Options{OnError: a.fail})
	usual := httpjson.Hygiene(httpjson.DeviceStrict, a.authenticated(mux))
	return httpjson.SecurityHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.quickPoll(w, r) {
			usual.ServeHTTP(w, r)
		}
	}))
}

// A device is who a request came from, once it proved it.
type device struct {
	tenant   *tenant.Tenant
	typed    string // the tenant as the device wrote it
	id       fleet.ControllerID
	known    bool // there is such a target
	standing deployment.Standing
	window   deployment.Window
}

type deviceKey struct{}

func deviceOf(ctx context.Context) *device { return ctx.Value(deviceKey{}).(*device) }

// authenticated stands before routing, so that a stranger does not learn which
// tenants, targets and paths exist: whatever is wrong, the answer is an empty
// 401.
func (a *API) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := a.authenticate(r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		ctx := caller.With(r.Context(), caller.Caller{Tenant: d.tenant.ID, TenantName: d.tenant.Name, User: string(d.id)})
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, deviceKey{}, d)))
	})
}

// segments takes tenant and controller id from the path.
func segments(r *http.Request) (tenantName string, id fleet.ControllerID, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/", 5)
	if len(parts) < 4 {
		return "", "", false
	}
	name, err1 := url.PathUnescape(parts[0])
	cid, err2 := url.PathUnescape(parts[3])
	return name, fleet.ControllerID(cid), err1 == nil && err2 == nil && name != "" && cid != ""
}

// base returns the address of the device's own resources, with the tenant as
// the device typed it. Everything but letters, digits and -._~ is escaped.
func (d *device) base(r *http.Request) string {
	return httpjson.BaseURL(r) + "/" + download.Escape(d.typed) + "/controller/v1/" + download.Escape(string(d.id))
}

// chance is the source of the random spread of polls.
func chance() float64 { return rand.Float64() } //nolint:gosec // spreads load, guards nothing
