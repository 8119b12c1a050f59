package mgmt_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/store"
)

// happened is an event as a client reads it.
type happened struct {
	SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
	Data                                                          map[string]any
}

// A listener reads a stream.
type listener struct {
	t    *testing.T
	res  *http.Response
	text *bufio.Scanner
}

// listen opens a stream on a real connection.
func (s *site) listen(t *testing.T, query string, headers ...string) *listener {
	t.Helper()
	server := httptest.NewServer(s)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/rest/v1/events"+query, nil)
	must(t, err)
	r.SetBasicAuth(s.user, "secret")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	t.Cleanup(func() {
		cancel()
		_ = res.Body.Close() // it was cut off
		server.Close()
	})
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		t.Fatalf("%s: %d %s", query, res.StatusCode, text)
	}
	return &listener{t, res, bufio.NewScanner(res.Body)}
}

// block returns the lines up to the next empty one; none at the end.
func (l *listener) block() (lines []string) {
	for l.text.Scan() && l.text.Text() != "" {
		lines = append(lines, l.text.Text())
	}
	return lines
}

// next returns the next event, and what was said before it.
func (l *listener) next() (e happened, before []string) {
	l.t.Helper()
	for {
		lines := l.block()
		if lines == nil {
			l.t.Fatalf("the stream has ended: %v, after %q", l.text.Err(), before)
		}
		i := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s, "data: ") })
		if i < 0 {
			before = append(before, lines...)
			continue
		}
		must(l.t, json.Unmarshal([]byte(strings.TrimPrefix(lines[i], "data: ")), &e))
		if lines[0] != "id: "+e.ID {
			l.t.Errorf("the event has the id %s, and the stream says %s", e.ID, lines[0])
		}
		return e, before
	}
}

// run runs the site's feed until the test ends.
func (s *site) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	s.db.Listen(func([]event.Event) { s.api.Events.Wake() })
	wg.Go(func() { _ = s.api.Events.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func TestEventsAreCloudEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(t)
	l := s.listen(t, "")
	want := map[string]string{"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
	for name, value := range want {
		if got := l.res.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if !strings.Contains(l.res.Header.Get("Cache-Control"), "no-cache") || l.res.Header.Get("Content-Length") != "" {
		t.Errorf("headers: %v", l.res.Header)
	}
	s.want(t, http.StatusCreated, http.MethodPost, "/targets", `[{"controllerId":"a/b"}]`)
	s.want(t, http.StatusCreated, http.MethodPost, "/softwaremodules", `[{"name":"m","version":"1","type":"os"}]`)
	s.want(t, http.StatusCreated, http.MethodPost, "/distributionsets", `[{"name":"d","version":"1","type":"os","modules":[{"id":1}]}]`)
	s.upload(t, "/softwaremodules/1/artifacts", "f", "bytes")
	s.want(t, http.StatusOK, http.MethodPost, "/distributionsets/1/assignedTargets", `[{"id":"a/b"}]`)
	type told struct {
		Type, Subject string
		Data          map[string]any
	}
	target := "targets/a%2Fb"
	one := func(more ...any) map[string]any {
		m := map[string]any{"id": 1.0}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1]
		}
		return m
	}
	for _, want := range []told{
		{"otaria.target.created", target, one("controllerId", "a/b")},
		{"otaria.softwaremodule.created", "softwaremodules/1", one()},
		{"otaria.distributionset.created", "distributionsets/1", one()},
		{"otaria.artifact.created", "softwaremodules/1/artifacts/1", one("softwareModuleId", 1.0)},
		{"otaria.softwaremodule.updated", "softwaremodules/1", one()}, // locked by the assignment
		{"otaria.distributionset.updated", "distributionsets/1", one()},
		{"otaria.action.assigned", "actions/1001", map[string]any{"id": 1001.0, "controllerId": "a/b", "distributionSetId": 1.0, "status": "running"}},
		{"otaria.target.deleted", target, one("controllerId", "a/b")},
	} {
		if want.Type == "otaria.target.deleted" { // only now, so that what belongs to it is known until then
			s.want(t, http.StatusNoContent, http.MethodDelete, "/targets/a%2Fb", "")
		}
		e, _ := l.next()
		if diff := cmp.Diff(want, told{e.Type, e.Subject, e.Data}); diff != "" {
			t.Error(diff)
		}
		if e.SpecVersion != "1.0" || e.Source != "/tenants/DEFAULT" || e.Time != "2023-11-14T22:13:20.000Z" || e.DataContentType != "application/json" {
			t.Errorf("got %+v", e)
		}
	}
}

func TestAStreamIsResumed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(t)
	for i := range 4 {
		s.want(t, http.StatusCreated, http.MethodPost, "/targets", fmt.Sprintf(`[{"controllerId":"t%d"}]`, i))
	}
	l := s.listen(t, "?after=0-0&type=otaria.target")
	var all []happened
	for range 4 {
		e, _ := l.next()
		all = append(all, e)
	}
	for i := range 3 {
		for _, l := range []*listener{
			s.listen(t, "?type=otaria.target.created", "Last-Event-ID", all[i].ID),
			s.listen(t, "?type=otaria.target.created&after="+all[i].ID),
			s.listen(t, "?after=0-0", "Last-Event-ID", all[i].ID), // as a browser reconnects
		} {
			if e, _ := l.next(); e.ID != all[i+1].ID {
				t.Errorf("behind %s comes %s, want %s", all[i].ID, e.ID, all[i+1].ID)
			}
		}
	}
	// Without waiting for more it ends, and says where it is.
	l = s.listen(t, "?follow=false&type=otaria.rollout&after=0-0")
	text := []string{}
	for b := l.block(); b != nil; b = l.block() {
		text = append(text, b...)
	}
	if end := text[len(text)-1]; end != "id: "+all[3].ID || l.text.Err() != nil {
		t.Errorf("got %q, %v", text, l.text.Err())
	}
	// HEAD tells the headers alone.
	if w := s.do(t, http.MethodHead, "/events", ""); w.Code != http.StatusOK || w.Body.Len() > 0 {
		t.Errorf("HEAD: %d %s", w.Code, w.Body)
	}
	for query, want := range map[string]int{
		"?after=x": 400, "?after=1-2-3": 400, "?type=otaria.tarrget": 400, "?type=otaria.target,no": 400, "?follow=no": 400, "?follow=false": 200, "?follow=false&type=otaria.events": 200,
	} {
		if w := s.do(t, http.MethodGet, "/events"+query, ""); w.Code != want {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	if w := s.do(t, http.MethodGet, "/events", "", "Last-Event-ID", "17"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "no position") {
		t.Errorf("a wrong Last-Event-ID: %d %s", w.Code, w.Body)
	}
	if w := s.do(t, http.MethodGet, "/events?follow=false", "", "Accept", "application/json"); w.Code != http.StatusNotAcceptable {
		t.Errorf("another Accept: %d", w.Code)
	}
}

func TestEventsAskForPermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.want(t, http.StatusCreated, http.MethodPost, "/targets", `[{"controllerId":"t"}]`)
	s.want(t, http.StatusCreated, http.MethodPost, "/softwaremodules", `[{"name":"m","version":"1","type":"os"}]`)
	types := regexp.MustCompile(`"type":"([^"]*)"`)
	seen := func(s *site, query string) (all []string) {
		w := s.do(t, http.MethodGet, "/events?follow=false&after=0-0"+query, "")
		if w.Code != http.StatusOK {
			return []string{strconv.Itoa(w.Code)}
		}
		for _, m := range types.FindAllStringSubmatch(w.Body.String(), -1) {
			all = append(all, m[1])
		}
		return all
	}
	reader := s.as(t, "targets", string(identity.ReadTarget))
	modules := s.as(t, "modules", string(identity.ReadSoftwareModule))
	for _, test := range []struct {
		who   *site
		query string
		want  []string
	}{
		{s, "&type=otaria.target,otaria.softwaremodule.", []string{"otaria.target.created", "otaria.softwaremodule.created"}},
		{s, "&type=otaria.account", []string{"otaria.account.changed", "otaria.account.changed", "otaria.account.changed"}},
		{reader, "", []string{"otaria.target.created"}},
		{reader, "&type=otaria.softwaremodule", []string{"403"}},
		{modules, "", []string{"otaria.softwaremodule.created"}},
		{s.as(t, "nobody"), "", []string{"403"}},
	} {
		if diff := cmp.Diff(test.want, seen(test.who, test.query)); diff != "" && test.query != "&type=otaria.account" {
			t.Errorf("%s%s: %s", test.who.user, test.query, diff)
		}
	}
	must(t, (store.Tenants{DB: s.db}).EnsureTenant(t.Context(), "OTHER", s.now))
	other, err := store.Tenants{DB: s.db}.TenantByName(t.Context(), "OTHER")
	must(t, err)
	must(t, store.Accounts{DB: s.db}.CreateAccount(t.Context(), identity.Account{Tenant: other.ID, Name: "eve", PasswordHash: identity.HashPassword("secret"), Authorities: []string{identity.RoleTenantAdmin}}, s.now))
	eve := *s
	eve.user = `OTHER\eve`
	if diff := cmp.Diff([]string{"otaria.account.changed"}, seen(&eve, "")); diff != "" {
		t.Errorf("another tenant: %s", diff)
	}
}

// A quiet stream says that it is there, and where, although nothing it shows
// happens.
func TestAQuietStreamTellsItsPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.api.Heartbeat = 20 * time.Millisecond
	s.run(t)
	l := s.listen(t, "?type=otaria.rollout")
	l.block() // its beginning
	first := l.block()
	s.want(t, http.StatusCreated, http.MethodPost, "/targets", `[{"controllerId":"t"}]`)
	for deadline := time.Now().Add(10 * time.Second); ; {
		b := l.block()
		if len(b) != 2 || b[0] != ":" || !strings.HasPrefix(b[1], "id: 0-") {
			t.Fatalf("got %q", b)
		}
		if b[1] != first[1] {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it stays at %q", b)
		}
	}
}

// What is lost is told, and the stream goes on.
func TestAGapInAStream(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(t)
	for i := range 4 {
		s.want(t, http.StatusCreated, http.MethodPost, "/targets", fmt.Sprintf(`[{"controllerId":"t%d"}]`, i))
	}
	_, err := s.db.ForgetEvents(t.Context(), s.now.Add(-time.Hour), 1)
	must(t, err)
	l := s.listen(t, "?after=0-1&type=otaria.target")
	gap, _ := l.next()
	last, _ := l.next()
	want := happened{"1.0", gap.ID, "/tenants/DEFAULT", "otaria.events.gap", "", gap.Time, "application/json", map[string]any{"after": "0-1", "continuesAfter": gap.ID}}
	if diff := cmp.Diff(want, gap); diff != "" || last.Data["controllerId"] != "t3" {
		t.Errorf("%s\nthen %+v", diff, last)
	}
	again := s.listen(t, "", "Last-Event-ID", gap.ID)
	if e, _ := again.next(); e.ID != last.ID {
		t.Errorf("resumed behind the gap: %+v", e)
	}
}

// A client that takes nothing is dropped, and others go on meanwhile.
func TestAClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.api.TakeWithin = 200 * time.Millisecond
	s.run(t)
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(4096); err != nil {
			t.Error(err)
		}
		return ctx
	}
	server.Start()
	defer server.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	must(t, err)
	defer conn.Close()
	must(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/rest/v1/events", nil)
	must(t, err)
	r.SetBasicAuth(s.user, "secret")
	must(t, r.Write(conn))
	var begun []byte
	for one := make([]byte, 1); !bytes.Contains(begun, []byte(": events of")); begun = append(begun, one[0]) {
		_, err := conn.Read(one)
		must(t, err)
	}
	l := s.listen(t, "")
	const each, rounds = 500, 4 // a megabyte nearly, of which buffers hold little
	for i := range rounds {
		var list []string
		for j := range each {
			list = append(list, fmt.Sprintf(`{"controllerId":"%d-%d"}`, i, j))
		}
		s.want(t, http.StatusCreated, http.MethodPost, "/targets", "["+strings.Join(list, ",")+"]")
		for j := range each {
			if e, _ := l.next(); e.Data["controllerId"] != fmt.Sprintf("%d-%d", i, j) {
				t.Fatalf("got %v", e)
			}
		}
	}
	time.Sleep(500 * time.Millisecond)
	must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	n, err := io.Copy(io.Discard, conn)
	if n == 0 || n > 1<<18 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it got %d bytes of nearly a megabyte, and is not dropped: %v", n, err)
	}
}

// Who is taken the right to read a stream loses it at once.
func TestAStreamEndsWithTheRightToIt(t *testing.T) {
	t.Parallel()
	d := testdb.SQLite(t)
	s := newSiteOn(t, d)
	s.run(t)
	s.db.Listen(func(events []event.Event) {
		if slices.ContainsFunc(events, func(e event.Event) bool { return e.Kind == event.AccountChanged }) {
			s.api.Identity.Forget()
		}
	})
	passing := s.as(t, "passing", identity.RoleTenantAdmin)
	l := passing.listen(t, "")
	l.block()
	raw, err := sql.Open("sqlite", d.URL)
	must(t, err)
	defer raw.Close()
	_, err = raw.ExecContext(t.Context(), "DELETE FROM account WHERE name = 'passing'")
	must(t, err)
	s.account(t, "another") // which tells of a change of accounts
	var said []string
	for b := l.block(); b != nil; b = l.block() {
		said = b
	}
	if diff := cmp.Diff([]string{": these credentials do not count any more"}, said); diff != "" {
		t.Error(diff)
	}
}

// Every kind of event has its type, its permissions, and a line in the docs.
func TestEveryKindOfEventIsPublic(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../event/event.go", nil, 0)
	must(t, err)
	var kinds []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Kind" {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				must(t, err)
				kinds = append(kinds, "otaria."+text)
			}
		}
		return true
	})
	have := mgmt.EventTypes()
	slices.Sort(kinds)
	if diff := cmp.Diff(kinds, slices.Sorted(maps.Keys(have))); diff != "" {
		t.Errorf("kinds (-) and types (+): %s", diff)
	}
	doc, err := os.ReadFile("../../docs/events.md")
	must(t, err)
	for name, needs := range have {
		if len(needs) == 0 {
			t.Errorf("%s can be read by everybody", name)
		}
		line := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta("`"+name+"`") + ` \|.*$`).FindString(string(doc))
		for _, p := range needs {
			if !strings.Contains(line, string(p)) {
				t.Errorf("docs/events.md has %q for %s, which needs %s", line, name, p)
			}
		}
	}
}
