// Package mgmt is the management REST API below /rest/v1, compatible with
// Eclipse hawkBit's (spec management-api). All its routes stand in one table
// (routes.go), each with its permission; all errors get their face in another
// (errors.go). There is one file per resource, with the wire types beside the
// handlers. A handler decodes, calls the domain, encodes, and returns its error.
package mgmt

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// API serves the management API.
type API struct {
	Identity   *identity.Service
	Tenants    *tenant.Service
	Software   *software.Service
	Fleet      *fleet.Service
	Deployment *deployment.Service
	Rollout    *rollout.Service
	Events     *event.Feed
	Quotas     tenant.Quotas // as the services have them, to be told
	Log        *slog.Logger

	// MaxUpload is the largest file that a multipart form may bring, in bytes; 0:
	// any. A quota may be lower.
	MaxUpload int64

	// Heartbeat is how often a quiet stream of events says that it is there, and
	// TakeWithin how long a client may take for some tens of kilobytes of it
	// before its connection is dropped. 0: 15 and 30 seconds.
	Heartbeat, TakeWithin time.Duration
}

// maxBody bounds every JSON body: 5,000 assignments with all their fields fit.
const maxBody = 16 << 20

// Handler returns the handler of everything below /rest/.
func (a *API) Handler() http.Handler {
	var list []httpjson.Route
	for _, r := range routes() {
		list = append(list, httpjson.Route{
			Method:       r.method,
			Path:         r.path,
			Produces:     r.produces,
			Consumes:     r.consumes,
			BodyOptional: r.bodyOptional,
			Handle:       func(w http.ResponseWriter, req *http.Request) error { return a.serve(r, w, req) },
		})
	}
	mux := httpjson.NewMux(list, httpjson.Options{OnError: a.fail, RepeatCharset: true, CheckMultipart: true})
	return httpjson.SecurityHeaders(httpjson.Hygiene(httpjson.ManagementStrict, a.authenticated(mux)))
}

type principalKey struct{}

// authenticated lets in who proves to be an operator. It stands before routing,
// so that a stranger does not learn which paths exist.
func (a *API) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		var p *identity.Principal
		err := error(fault.New(fault.Unauthenticated, "Credentials are needed."))
		if ok {
			p, err = a.Identity.Authenticate(r.Context(), user, password)
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		ctx := caller.With(r.Context(), caller.Caller{Tenant: p.Tenant, TenantName: p.TenantName, User: p.User})
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, principalKey{}, p)))
	})
}

// principal returns who asks. Every handler runs behind authenticated.
func principal(ctx context.Context) *identity.Principal {
	return ctx.Value(principalKey{}).(*identity.Principal)
}

// serve is the one gate: no handler runs without the permissions of its route.
func (a *API) serve(rt route, w http.ResponseWriter, r *http.Request) error {
	if err := a.require(r, rt.needs...); err != nil {
		return err
	}
	return rt.handle(a, w, r)
}

// require refuses a caller who lacks one of the permissions; for what a route
// needs only when its body asks for more.
func (a *API) require(r *http.Request, needs ...identity.Permission) error {
	if m := principal(r.Context()).Permissions.Missing(needs...); m != "" {
		return fault.New(fault.Forbidden, "This needs the permission %s, which user %s does not have.", m, principal(r.Context()).User)
	}
	return nil
}

// may reports whether the caller has the permission, where an answer shows more to some.
func may(r *http.Request, p identity.Permission) bool {
	return principal(r.Context()).Permissions[p]
}
