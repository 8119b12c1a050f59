package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otaria/otaria/internal/testdb"
)

// A campaign is a rollout, or an auto-assignment, over targets of its own.
type campaign struct {
	kind    string // what is done with it, and so how it ends
	name    string
	devices []string
	id      int64
}

const (
	steady  = "steady"  // all devices succeed
	failing = "failing" // all devices fail
	stopped = "stopped"
	deleted = "deleted"
	auto    = "auto"
)

// endOf is the state that each kind ends in, killed or not.
func endOf(kind string) string {
	return map[string]string{steady: "finished", failing: "paused", stopped: "stopped", deleted: "deleted", auto: "running"}[kind]
}

func (c *campaign) path() string {
	if c.kind == auto {
		return "/rest/v1/autoassignments"
	}
	return "/rest/v1/rollouts"
}

// one is the path of the campaign itself.
func (c *campaign) one() string { return fmt.Sprintf("%s/%d", c.path(), c.id) }

// TestBackgroundWorkIsShared kills either of two servers on one PostgreSQL at
// random moments while rollouts and auto-assignments run, and proves that every
// target got each action once, and that every rollout ended as it would have
// without the kills.
func TestBackgroundWorkIsShared(t *testing.T) {
	t.Parallel()
	db := testdb.OwnPostgres(t)
	dir := t.TempDir()
	var servers [2]*server
	var loads [2]*load
	for i := range servers {
		servers[i] = newServer(t, dir, "OTARIA_DATABASE_URL="+db.URL, "OTARIA_BACKGROUND_EVERY=200ms")
		servers[i].start()
		loads[i] = newLoad(servers[i])
	}
	loads[0].prepare()
	w := &twins{t: t, loads: loads}
	var campaigns []*campaign
	for _, kind := range []string{steady, failing, stopped, deleted, auto} {
		for n := range 3 {
			c := &campaign{kind: kind, name: fmt.Sprintf("%s-%d", kind, n)}
			for i := range 20 {
				c.devices = append(c.devices, fmt.Sprintf("%s-%02d", c.name, i))
			}
			campaigns = append(campaigns, c)
			for _, d := range c.devices {
				if status := loads[0].device(http.MethodGet, d, "", nil, nil); status != http.StatusOK {
					t.Fatalf("the first poll of %s: %d", d, status)
				}
			}
		}
	}

	stop := make(chan struct{})
	var players sync.WaitGroup
	for _, c := range campaigns {
		players.Go(func() { w.play(c, stop) })
	}
	var killer sync.WaitGroup
	killer.Go(func() {
		for end := time.Now().Add(killFor(t)); time.Now().Before(end); {
			time.Sleep(time.Duration(200+rand.IntN(900)) * time.Millisecond)
			s := servers[rand.IntN(2)]
			s.kill()
			s.start()
		}
	})
	var operators sync.WaitGroup
	for i, c := range campaigns {
		operators.Go(func() { w.operate(c, loads[0].sets[i%4]) })
	}
	operators.Wait()
	killer.Wait()
	for _, c := range campaigns {
		w.await(c, endOf(c.kind))
	}
	if !eventually(20*time.Second, func() bool { return w.autoAssigned(campaigns) }) {
		t.Error("an auto-assignment does not reach all of its targets")
	}
	close(stop)
	players.Wait()
	for _, c := range campaigns {
		w.prove(c)
	}
}

// twins are two servers that share everything.
type twins struct {
	t     *testing.T
	loads [2]*load
}

// ask repeats a request, of either server, until one answers with something
// else than that it cannot now.
func (w *twins) ask(do func(*load) int) int {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if status := do(w.loads[rand.IntN(2)]); status != 0 && status != http.StatusServiceUnavailable {
			return status
		}
	}
	w.t.Error("no server answers")
	return 0
}

// operate makes and starts a campaign, and does with it what its kind wants.
func (w *twins) operate(c *campaign, set int64) {
	body := map[string]any{"name": c.name, "distributionSetId": set, "targetFilterQuery": "controllerid==" + c.name + "-*"}
	if c.kind != auto {
		body["amountGroups"] = 4
	}
	c.id = w.create(c, body)
	if c.kind == auto {
		return
	}
	w.await(c, "ready")
	w.until(c, "/start", "starting", "running", "finished", "paused")
	if c.kind == stopped || c.kind == deleted {
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
	}
	switch c.kind {
	case stopped:
		w.until(c, "/stop", "stopping", "stopped")
	case deleted:
		w.ask(func(l *load) int { return l.manage(http.MethodDelete, c.one(), nil, nil) })
	}
}

// create makes the campaign, whether or not the answer arrives, and returns its id.
func (w *twins) create(c *campaign, body any) int64 {
	var list struct {
		Content []struct {
			ID int64 `json:"id"`
		} `json:"content"`
	}
	for len(list.Content) == 0 && !w.t.Failed() {
		w.ask(func(l *load) int { return l.quietly(http.MethodPost, c.path(), body) })
		w.ask(func(l *load) int {
			return l.manage(http.MethodGet, c.path()+"?q="+url.QueryEscape("name=="+c.name), nil, &list)
		})
	}
	if len(list.Content) != 1 {
		return 0
	}
	return list.Content[0].ID
}

// until repeats a call until the campaign is in one of the states: it is not
// known of one that was cut off whether it was heard.
func (w *twins) until(c *campaign, call string, states ...string) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		w.ask(func(l *load) int { return l.quietly(http.MethodPost, c.one()+call, nil) })
		now := w.state(c)
		for _, s := range states {
			if now == s {
				return
			}
		}
	}
	w.t.Errorf("%s does not come to %v", c.name, states)
}

func (w *twins) state(c *campaign) string {
	var shown struct {
		Status string `json:"status"`
	}
	if w.ask(func(l *load) int { return l.manage(http.MethodGet, c.one(), nil, &shown) }) == http.StatusNotFound {
		return "gone"
	}
	return shown.Status
}

// await waits for a state. A rollout whose deletion came before its first group
// started is gone.
func (w *twins) await(c *campaign, state string) {
	var now string
	if !eventually(time.Minute, func() bool {
		now = w.state(c)
		return now == state || state == "deleted" && now == "gone"
	}) {
		w.t.Errorf("%s is %s, want %s", c.name, now, state)
	}
}

// play lets the devices of a campaign do what they are told.
func (w *twins) play(c *campaign, stop <-chan struct{}) {
	finished := "success"
	if c.kind == failing {
		finished = "failure"
	}
	for {
		for _, d := range c.devices {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			l := w.loads[rand.IntN(2)]
			var poll struct {
				Links map[string]struct {
					Href string `json:"href"`
				} `json:"_links"`
			}
			if l.device(http.MethodGet, d, "", nil, &poll) != http.StatusOK {
				continue
			}
			for _, kind := range []string{"deploymentBase", "cancelAction"} {
				if link, ok := poll.Links[kind]; ok {
					path, id := resource(link.Href)
					l.device(http.MethodPost, d, path+"/feedback", map[string]any{
						"id": fmt.Sprint(id), "status": map[string]any{"execution": "closed", "result": map[string]string{"finished": finished}},
					}, nil)
				}
			}
		}
	}
}

// actions are those of the campaign's targets, by device.
func (w *twins) actions(c *campaign) map[string][]shownAction {
	var list struct {
		Content []shownAction `json:"content"`
	}
	w.ask(func(l *load) int {
		return l.manage(http.MethodGet, "/rest/v1/actions?limit=500&q="+url.QueryEscape("target.controllerid=="+c.name+"-*"), nil, &list)
	})
	byDevice := map[string][]shownAction{}
	for _, a := range list.Content {
		byDevice[a.device()] = append(byDevice[a.device()], a)
	}
	return byDevice
}

func (w *twins) autoAssigned(campaigns []*campaign) bool {
	for _, c := range campaigns {
		if c.kind == auto && len(w.actions(c)) < len(c.devices) {
			return false
		}
	}
	return true
}

// prove checks that each target of a campaign got its action once, and that no
// action is in a state that does not follow from its history.
func (w *twins) prove(c *campaign) {
	w.t.Helper()
	byDevice := w.actions(c)
	begun := 0
	for _, d := range c.devices {
		list := byDevice[d]
		begun += len(list)
		if whole := c.kind == steady || c.kind == auto || c.kind == failing; len(list) > 1 || whole && len(list) != 1 {
			w.t.Errorf("%s has %d actions", d, len(list))
		}
		for _, a := range list {
			if c.kind == steady && a.Status != "finished" {
				w.t.Errorf("the action %d of %s is %s", a.ID, d, a.Status)
			}
			if c.kind == failing && a.Status == "scheduled" { // its group was never started
				continue
			}
			var history struct {
				Content []shownEntry `json:"content"`
			}
			w.ask(func(l *load) int {
				return l.manage(http.MethodGet, fmt.Sprintf("/rest/v1/targets/%s/actions/%d/status?limit=500&sort=id:asc", d, a.ID), nil, &history)
			})
			if c.kind == deleted { // ended without being canceled first
				continue
			}
			if why := impossible(a, history.Content); why != "" {
				w.t.Errorf("the action %d of %s is %s: %s", a.ID, d, a.Status, why)
			}
		}
	}
	if c.kind == auto || w.state(c) == "gone" {
		return
	}
	w.proveGroups(c, begun)
}

// proveGroups holds the figures of a rollout against its actions.
func (w *twins) proveGroups(c *campaign, actions int) {
	w.t.Helper()
	var groups struct {
		Content []struct {
			Name   string           `json:"name"`
			Status string           `json:"status"`
			Total  int64            `json:"totalTargets"`
			Counts map[string]int64 `json:"totalTargetsPerStatus"`
		} `json:"content"`
	}
	w.ask(func(l *load) int {
		return l.manage(http.MethodGet, c.one()+"/deploygroups?representation=full", nil, &groups)
	})
	var states []string
	total, counted := int64(0), int64(0)
	for _, g := range groups.Content {
		states = append(states, g.Status)
		total += g.Total
		for what, n := range g.Counts {
			if what != "notstarted" {
				counted += n
			}
		}
	}
	want := map[string]string{steady: "finished finished finished finished", failing: "error scheduled scheduled scheduled"}[c.kind]
	if got := strings.Join(states, " "); want != "" && got != want {
		w.t.Errorf("the groups of %s are %s, want %s", c.name, got, want)
	}
	if int(total) != len(c.devices) || int(counted) != actions {
		w.t.Errorf("%s has %d targets and counts %d actions, want %d and %d", c.name, total, counted, len(c.devices), actions)
	}
}

// quietly makes a request of an operator that may be refused, since it may have
// been heard before.
func (l *load) quietly(method, path string, in any) int {
	body, err := json.Marshal(in)
	if err != nil {
		l.s.t.Error(err)
		return 0
	}
	req, err := http.NewRequestWithContext(context.Background(), method, *l.s.url.Load()+path, bytes.NewReader(body))
	if err != nil {
		return 0 // between two servers
	}
	req.SetBasicAuth(user, password)
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.http.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close() // what it says does not matter
	if resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusServiceUnavailable {
		l.s.t.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return resp.StatusCode
}
