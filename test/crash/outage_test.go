package crash_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/otaria/otaria/internal/testdb"
)

// TestDatabaseOutage takes PostgreSQL away from under two servers that share it.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	db := testdb.OwnPostgres(t)
	dir := t.TempDir() // artifacts are shared
	s := newServer(t, dir, "OTARIA_DATABASE_URL="+db.URL)
	s.start()
	l := newLoad(s)
	l.prepare()
	for i := range 4 {
		l.quiet = append(l.quiet, fmt.Sprintf("quiet-%d", i))
		if status, _ := l.poll(l.quiet[i]); status != http.StatusOK {
			t.Fatal(status)
		}
	}
	other := newServer(t, dir, "OTARIA_DATABASE_URL="+db.URL)
	other.start()
	operator := newLoad(other)
	l.run()
	time.Sleep(time.Second)

	for round := range rounds() {
		before := s.out.size()
		db.Stop()
		down := time.Now()
		for time.Since(down) < 3*time.Second {
			asked := time.Since(down)
			polled, _ := l.poll(l.quiet[0])
			if polled != http.StatusServiceUnavailable && asked > time.Second {
				t.Errorf("a poll %v after the database stopped: %d, want 503", asked, polled)
			}
			for what, status := range map[string]int{
				"creation":  l.manage(http.MethodPost, "/rest/v1/softwaremodules", []any{map[string]any{"name": "never", "version": "1", "type": "os"}}, nil),
				"reading":   l.manage(http.MethodGet, "/rest/v1/softwaremodules", nil, nil),
				"readiness": l.manage(http.MethodGet, "/readyz", nil, nil),
			} {
				if status != http.StatusServiceUnavailable {
					t.Errorf("%s without a database: %d, want 503", what, status)
				}
			}
			if status := l.manage(http.MethodGet, "/livez", nil, nil); status != http.StatusOK {
				t.Errorf("liveness without a database: %d", status)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if said := append(s.out.logged(before, "ERROR"), s.out.logged(before, "WARN")...); len(said) != 1 || !strings.Contains(said[0], "reachable") {
			t.Errorf("a database that is gone, round %d: want one line that says what to do, got %d:\n%s", round, len(said), strings.Join(said, "\n"))
		}

		db.Start()
		device, set := l.quiet[round], l.sets[round]
		assigned := func() bool {
			return operator.manage(http.MethodPost, fmt.Sprintf("/rest/v1/distributionsets/%d/assignedTargets", set), []any{map[string]any{"id": device, "type": "forced"}}, nil) == http.StatusOK
		}
		if !eventually(10*time.Second, assigned) {
			t.Fatal("the other server does not recover")
		}
		known := time.Now()
		for {
			asked := time.Now()
			status, offers := l.poll(device)
			if status == http.StatusOK && offers {
				break
			}
			if asked.Sub(known) > time.Second {
				t.Fatalf("a poll %v after the assignment at another server: %d, and it offers nothing", asked.Sub(known), status)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if !eventually(10*time.Second, func() bool { return l.manage(http.MethodGet, "/readyz", nil, nil) == http.StatusOK }) {
			t.Error("the server does not become ready again")
		}
		eventually(5*time.Second, func() bool { return len(again(s, before)) > 0 }) // whoever ended the outage says so a moment later
		if said := again(s, before); len(said) != 1 {
			t.Errorf("the log does not say once that all is well again: %q", said)
		}
	}
	l.stop()
	t.Logf("answers: %v; %d modules, %d artifacts, %d actions", l.answered, len(l.modules), len(l.artifacts), len(l.actions))
	l.prove()
	other.stop()
	s.stop()
}

// poll lets a device ask, and reports whether it is offered an update.
func (l *load) poll(device string) (status int, offers bool) {
	var answer struct {
		Links map[string]any `json:"_links"`
	}
	status = l.device(http.MethodGet, device, "", nil, &answer)
	_, offers = answer.Links["deploymentBase"]
	return status, offers
}
