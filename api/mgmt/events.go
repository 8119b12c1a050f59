package mgmt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
)

func eventRoutes() []route {
	const base = "/rest/v1/events"
	stream := get(base, nil, "Follow what happens, as a stream of CloudEvents", eventBody{}, (*API).streamEvents).with(
		openapi.Parameter{Name: "type", Description: "Only types that begin with this, such as otaria.rollout; several joined by commas."},
		openapi.Parameter{Name: "after", Description: "The id of an event: begin behind it. 0-0: with the oldest that is kept. Without it, and without Last-Event-ID, which counts first: with what happens from now on."},
		openapi.Parameter{Name: "follow", Description: "false: end with what has happened so far, rather than wait for more.", Type: true, Default: true},
	)
	stream.produces = []string{eventStream}
	return []route{stream}
}

const (
	eventStream = "text/event-stream"

	// typePrefix begins every type of ours.
	typePrefix = "otaria."

	// gapType is the event that tells of events that are not kept any more.
	gapType = typePrefix + "events.gap"

	// What API.Heartbeat and API.TakeWithin are unless something else is said.
	heartbeat  = 15 * time.Second
	takeWithin = 30 * time.Second

	// proveEvery is how often a stream makes sure that its user still may read
	// it; it does so at once when an account changes.
	proveEvery = time.Minute

	// reconnectAfter is what browsers are told to wait before they come back.
	reconnectAfter = 2 * time.Second

	maxChunk = 64 << 10 // bytes written at once
)

// An eventType is a kind of event as users see it.
type eventType struct {
	kind    event.Kind
	needs   []identity.Permission
	subject string // where it can be read, below /rest/v1: with {id}, {target}, {rollout}, {module}; empty: nowhere
}

// eventTypes are all that are streamed (docs/events.md). A type keeps its name,
// its permissions only grow fewer, and its data only gains members.
func eventTypes() []eventType {
	target, rollout, auto := needs(identity.ReadTarget), needs(identity.ReadRollout), needs(identity.ReadAutoAssignment)
	module, moduleType := needs(identity.ReadSoftwareModule), needs(identity.ReadSoftwareModuleType)
	set, setType := needs(identity.ReadDistributionSet), needs(identity.ReadDistributionSetType)
	targetType, config := needs(identity.ReadTargetType), needs(identity.ReadConfiguration)
	return []eventType{
		{event.TargetCreated, target, "targets/{target}"},
		{event.TargetChanged, target, "targets/{target}"},
		{event.TargetAttributes, target, "targets/{target}"},
		{event.TargetDeleted, target, "targets/{target}"},
		{event.TargetTypeCreated, targetType, "targettypes/{id}"},
		{event.TargetTypeChanged, targetType, "targettypes/{id}"},
		{event.TargetTypeDeleted, targetType, "targettypes/{id}"},
		{event.TargetTagCreated, target, "targettags/{id}"},
		{event.TargetTagChanged, target, "targettags/{id}"},
		{event.TargetTagDeleted, target, "targettags/{id}"},
		{event.TargetFilterCreated, target, "targetfilters/{id}"},
		{event.TargetFilterChanged, target, "targetfilters/{id}"},
		{event.TargetFilterDeleted, target, "targetfilters/{id}"},
		{event.ActionAssigned, target, "actions/{id}"},
		{event.ActionChanged, target, "actions/{id}"},
		{event.ActionDeleted, target, "actions/{id}"},
		{event.ActionDownload, target, "actions/{id}"},
		{event.RolloutCreated, rollout, "rollouts/{id}"},
		{event.RolloutChanged, rollout, "rollouts/{id}"},
		{event.RolloutDeleted, rollout, "rollouts/{id}"},
		{event.ActionsScheduled, rollout, "rollouts/{id}"},
		{event.ActionsDropped, rollout, "rollouts/{id}"},
		{event.RolloutGroupChanged, rollout, "rollouts/{rollout}/deploygroups/{id}"},
		{event.AutoAssignmentCreated, auto, "autoassignments/{id}"},
		{event.AutoAssignmentChanged, auto, "autoassignments/{id}"},
		{event.AutoAssignmentDeleted, auto, "autoassignments/{id}"},
		{event.SetCreated, set, "distributionsets/{id}"},
		{event.SetChanged, set, "distributionsets/{id}"},
		{event.SetDeleted, set, "distributionsets/{id}"},
		{event.SetTypeCreated, setType, "distributionsettypes/{id}"},
		{event.SetTypeChanged, setType, "distributionsettypes/{id}"},
		{event.SetTypeDeleted, setType, "distributionsettypes/{id}"},
		{event.SetTagCreated, set, "distributionsettags/{id}"},
		{event.SetTagChanged, set, "distributionsettags/{id}"},
		{event.SetTagDeleted, set, "distributionsettags/{id}"},
		{event.ModuleCreated, module, "softwaremodules/{id}"},
		{event.ModuleChanged, module, "softwaremodules/{id}"},
		{event.ModuleDeleted, module, "softwaremodules/{id}"},
		{event.ModuleTypeCreated, moduleType, "softwaremoduletypes/{id}"},
		{event.ModuleTypeChanged, moduleType, "softwaremoduletypes/{id}"},
		{event.ModuleTypeDeleted, moduleType, "softwaremoduletypes/{id}"},
		{event.ArtifactCreated, module, "softwaremodules/{module}/artifacts/{id}"},
		{event.ArtifactDeleted, module, "softwaremodules/{module}/artifacts/{id}"},
		{event.SettingsChanged, config, "system/configs"},
		{event.AccountChanged, needs(identity.TenantConfiguration), ""},
	}
}

// eventBody is an event on the wire: a CloudEvent 1.0 in its JSON form.
type eventBody struct {
	SpecVersion     string          `json:"specversion" enum:"1.0"`
	ID              string          `json:"id"`     // its place in the stream
	Source          string          `json:"source"` // the tenant
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"` // where to read what it happened to, below /rest/v1
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype" enum:"application/json"`
	Data            json.RawMessage `json:"data"`
}

// A watcher is one stream of events.
type watcher struct {
	api    *API
	r      *http.Request
	w      http.ResponseWriter
	out    *http.ResponseController
	source string
	types  map[event.Kind]eventType // what it shows
	buf    bytes.Buffer
	proven time.Time
}

func (a *API) streamEvents(w http.ResponseWriter, r *http.Request) error {
	types, err := chosenTypes(r)
	if err != nil {
		return err
	}
	after, err := resumeAfter(r)
	if err != nil {
		return err
	}
	follow, err := readFollow(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	c := caller.From(r.Context())
	reader, err := a.Events.Open(r.Context(), c.Tenant, after, func(k event.Kind) bool {
		_, shown := types[k]
		return shown || k == event.AccountChanged
	})
	if err != nil {
		if fault.Is(err, fault.Quota) {
			w.Header().Set("Retry-After", retryAfter)
		}
		return err
	}
	defer reader.Close()
	s := &watcher{api: a, r: r, w: w, out: http.NewResponseController(w), source: "/tenants/" + url.PathEscape(c.TenantName), types: types, proven: a.Events.Now()}
	w.Header().Set("X-Accel-Buffering", "no") // of nginx, which holds back what it can
	defer func() { _ = s.out.SetWriteDeadline(time.Time{}) }()
	if err := s.run(reader, follow); err != nil {
		a.Log.DebugContext(r.Context(), "a stream of events ended", slog.String("user", c.User), slog.String("tenant", c.TenantName), slog.Any("error", err))
	}
	return nil // the answer has begun: nothing else can be said
}

// run writes the stream until the client leaves, may not read any more, or is
// too slow. What it has to say about its end is a comment.
func (s *watcher) run(reader *event.Reader, follow bool) error {
	ctx := s.r.Context()
	s.buf.WriteString("retry: " + strconv.FormatInt(reconnectAfter.Milliseconds(), 10) + "\n: events of " + s.source + "\n")
	if at, ok := reader.Place(); ok { // a client that is cut off before the first event goes on from here
		s.buf.WriteString("id: " + at.String() + "\n")
	}
	s.buf.WriteString("\n")
	if err := s.flush(); err != nil {
		return err
	}
	for {
		b, last, err := next(ctx, reader, follow, cmp.Or(s.api.Heartbeat, heartbeat))
		switch {
		case errors.Is(err, event.ErrClosed):
			return s.end("the server is stopping: connect again")
		case err != nil && ctx.Err() != nil:
			return nil // the client is gone
		case err != nil:
			return errors.Join(err, s.end("events cannot be read right now: connect again later"))
		}
		if err := s.write(b); err != nil {
			return err
		}
		if last {
			return nil
		}
		if s.toProve(b) {
			if why := s.prove(); why != "" {
				return s.end(why)
			}
		}
	}
}

func next(ctx context.Context, reader *event.Reader, follow bool, beat time.Duration) (b event.Batch, last bool, err error) {
	if follow {
		b, err = reader.Next(ctx, beat)
		return b, false, err
	}
	return reader.Rest(ctx)
}

// write writes what a batch holds, and at its end where the stream is, so that a
// client who wants few events does not begin far back.
func (s *watcher) write(b event.Batch) error {
	if b.Gap {
		data, err := json.Marshal(map[string]string{"after": b.Asked.String(), "continuesAfter": b.End.String()})
		if err != nil {
			return err
		}
		if err := s.append(eventBody{ID: b.End.String(), Type: gapType, Time: stamp(s.api.Events.Now()), Data: data}); err != nil {
			return err
		}
	}
	var at event.Position
	for i := range b.Entries {
		e := &b.Entries[i]
		t, shown := s.types[e.Kind]
		if !shown {
			continue
		}
		at = e.Position
		if err := s.append(newEventBody(e, t)); err != nil {
			return err
		}
		if s.buf.Len() > maxChunk {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	if at != b.End && !b.Gap {
		s.buf.WriteString(":\nid: " + b.End.String() + "\n\n")
	}
	return s.flush()
}

func (s *watcher) append(e eventBody) error {
	e.SpecVersion, e.Source, e.DataContentType = "1.0", s.source, httpjson.JSON
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	s.buf.WriteString("id: " + e.ID + "\ndata: ")
	s.buf.Write(text)
	s.buf.WriteString("\n\n")
	return nil
}

// flush sends what is gathered. It fails when the client does not take it.
func (s *watcher) flush() error {
	if err := s.out.SetWriteDeadline(s.api.Events.Now().Add(cmp.Or(s.api.TakeWithin, takeWithin))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := s.w.Write(s.buf.Bytes())
	s.buf.Reset()
	if err != nil {
		return err
	}
	return s.out.Flush()
}

// end says why the stream ends.
func (s *watcher) end(why string) error {
	s.buf.WriteString(": " + why + "\n\n")
	return s.flush()
}

func (s *watcher) toProve(b event.Batch) bool {
	return b.Gap || s.api.Events.Now().Sub(s.proven) >= proveEvery ||
		slices.ContainsFunc(b.Entries, func(e event.Entry) bool { return e.Kind == event.AccountChanged })
}

// prove returns why the user may not read the stream any more, or "".
func (s *watcher) prove() (why string) {
	s.proven = s.api.Events.Now()
	user, password, _ := s.r.BasicAuth()
	p, err := s.api.Identity.Authenticate(s.r.Context(), user, password)
	switch {
	case fault.Is(err, fault.Unauthenticated):
		return "these credentials do not count any more"
	case err != nil:
		return "" // nobody can tell right now
	}
	for _, t := range s.types {
		if p.Permissions.Missing(t.needs...) != "" {
			return "the permissions of this user have changed: connect again"
		}
	}
	return ""
}

// newEventBody is the wire form of an event, without what all have alike.
func newEventBody(e *event.Entry, t eventType) eventBody {
	b := eventBody{ID: e.Position.String(), Type: typePrefix + string(e.Kind), Time: stamp(time.UnixMilli(e.At))}
	var said struct {
		ControllerID     string `json:"controllerId"`
		RolloutID        int64  `json:"rolloutId"`
		SoftwareModuleID int64  `json:"softwareModuleId"`
	}
	stored := []byte(e.Data)
	if err := json.Unmarshal(stored, &said); err != nil {
		stored = nil // nothing of ours; the rest is still true
	}
	if said.ControllerID == "" {
		said.ControllerID = e.Target
	}
	b.Subject = strings.NewReplacer(
		"{id}", strconv.FormatInt(e.Subject, 10), "{target}", segment(said.ControllerID),
		"{rollout}", strconv.FormatInt(said.RolloutID, 10), "{module}", strconv.FormatInt(said.SoftwareModuleID, 10),
	).Replace(t.subject)
	if said.ControllerID == "" && strings.Contains(t.subject, "{target}") {
		b.Subject = "" // it is gone, and its name with it
	}
	data := strconv.AppendInt([]byte(`{"id":`), e.Subject, 10)
	if e.Target != "" {
		name, _ := json.Marshal(e.Target) // texts always can be
		data = append(append(data, `,"controllerId":`...), name...)
	}
	if e.Set != 0 {
		data = strconv.AppendInt(append(data, `,"distributionSetId":`...), e.Set, 10)
	}
	if e.Rollout != 0 {
		data = strconv.AppendInt(append(data, `,"rolloutId":`...), e.Rollout, 10)
	}
	if len(stored) > len("{}") && stored[0] == '{' {
		data = append(append(data, ','), stored[1:]...)
	} else {
		data = append(data, '}')
	}
	b.Data = data
	return b
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// resumeAfter reads where a stream begins: behind what the client got last,
// else behind what its address says, else now.
func resumeAfter(r *http.Request) (*event.Position, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text, _ = httpjson.Param(r, "after")
	}
	if text == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	p, err := event.ParsePosition(text)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func readFollow(r *http.Request) (bool, error) {
	switch v, _ := httpjson.Param(r, "follow"); v {
	case "", "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, fault.New(fault.Unreadable, "follow=%q is neither true nor false.", v)
	}
}

// chosenTypes returns the types that the caller wants and may see: all that they
// may see, or those below what the parameter type says, which must be some.
func chosenTypes(r *http.Request) (map[event.Kind]eventType, error) {
	text, _ := httpjson.Param(r, "type")
	var prefixes []string
	for p := range strings.SplitSeq(text, ",") {
		if p = strings.TrimSpace(p); p != "" {
			prefixes = append(prefixes, p)
		}
	}
	known := make([]bool, len(prefixes))
	types := map[event.Kind]eventType{}
	missing := identity.Permission("")
	for _, t := range eventTypes() {
		wanted := len(prefixes) == 0
		for i, p := range prefixes {
			if strings.HasPrefix(typePrefix+string(t.kind), p) {
				wanted, known[i] = true, true
			}
		}
		if !wanted {
			continue
		}
		if m := principal(r.Context()).Permissions.Missing(t.needs...); m != "" {
			missing = m
			continue
		}
		types[t.kind] = t
	}
	for i, p := range prefixes {
		if !known[i] && !strings.HasPrefix(gapType, p) {
			return nil, fault.New(fault.Invalid, "No type of event begins with %.60q; otaria.action, otaria.target and otaria.rollout are some that do.", p)
		}
	}
	if len(types) == 0 && missing != "" {
		return nil, fault.New(fault.Forbidden, "This needs the permission %s, which user %s does not have.", missing, principal(r.Context()).User)
	}
	return types, nil
}
