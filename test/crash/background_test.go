package crash_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // registers pgx

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/rollout"
)

// A campaign is a rollout, or an auto-assignment, over targets of its own.
type campaign struct {
	kind    kind
	name    string
	devices []string
	id      int64
}

// kind is what is done with a campaign, and so how it ends.
type kind string

const (
	steady  kind = "steady"  // all devices succeed
	uneven  kind = "uneven"  // some devices of each group fail, fewer than it takes to pause
	failing kind = "failing" // the devices of the first group fail
	resumed kind = "resumed" // those, too; it is resumed
	stopped kind = "stopped"
	deleted kind = "deleted"
	auto    kind = "auto" // an auto-assignment
)

const (
	groupsOfEach = 4
	perGroup     = 8
	// stepOfEach is how many targets a step takes: no group fits into one.
	stepOfEach = 3
	// lookEvery makes the lease of background work end after five times as long.
	lookEvery = 100 * time.Millisecond
	// settingsReachOthers is how long a server may go by settings that another one
	// has changed (tenant.Service).
	settingsReachOthers = time.Second
)

// fails reports whether a device of a campaign fails. Groups take targets in the
// order in which they came.
func (k kind) fails(device int) bool {
	switch k {
	case uneven:
		return device%4 == 0
	case failing, resumed:
		return device < perGroup
	default:
		return false
	}
}

// An outcome is how a rollout ended.
type outcome struct {
	Status string
	Total  int64
	Counts map[string]int64 // of targets, without those that nobody is in
	Groups []groupOutcome
}

type groupOutcome struct {
	Status string
	Total  int64
	Counts map[string]int64
}

// outcome is how rollouts of that kind end, killed or not. How far one came
// that was stopped or deleted is left to chance.
func (k kind) outcome() outcome {
	o := outcome{Status: "finished", Total: groupsOfEach * perGroup, Counts: map[string]int64{}}
	if k == failing {
		o.Status = "paused"
	}
	for i := range groupsOfEach {
		g := groupOutcome{Status: "finished", Total: perGroup, Counts: map[string]int64{}}
		for n := range perGroup {
			what := "finished"
			switch {
			case k == failing && i > 0:
				what, g.Status = "scheduled", "scheduled"
			case k.fails(i*perGroup + n):
				what = "error"
			}
			g.Counts[what]++
			o.Counts[what]++
		}
		if g.Counts["error"] == perGroup {
			g.Status = "error"
		}
		o.Groups = append(o.Groups, g)
	}
	return o
}

// chancy reports whether outcome does not know how the kind ends.
func (k kind) chancy() bool { return k == stopped || k == deleted || k == auto }

func (c *campaign) path() string {
	if c.kind == auto {
		return "/rest/v1/autoassignments"
	}
	return "/rest/v1/rollouts"
}

// one is the path of the campaign itself.
func (c *campaign) one() string { return fmt.Sprintf("%s/%d", c.path(), c.id) }

// TestBackgroundWorkIsShared kills either of two servers on one PostgreSQL at
// random moments while rollouts, auto-assignments and the clean-up of old actions
// run in small steps, and proves that every target got each action once, that
// every rollout ended as it would have without the kills, and that the living
// took over from the dead.
func TestBackgroundWorkIsShared(t *testing.T) {
	t.Parallel()
	db := testdb.OwnPostgres(t)
	dir := t.TempDir()
	w := &twins{t: t}
	for i := range w.servers {
		w.servers[i] = newServer(t, dir, "OTARIA_DATABASE_URL="+db.URL, "OTARIA_BACKGROUND_EVERY="+lookEvery.String(),
			fmt.Sprint("OTARIA_BACKGROUND_STEP=", stepOfEach), "OTARIA_CLEANUP_EVERY="+lookEvery.String())
		w.servers[i].start()
		w.loads[i] = newLoad(w.servers[i])
	}
	w.loads[0].prepare()
	w.loads[0].must(http.MethodPut, "/rest/v1/system/configs", map[string]any{"action.cleanup.auto.expiry": (24 * time.Hour).Milliseconds(), "action.cleanup.auto.status": "FINISHED,ERROR,CANCELED"}, nil)
	time.Sleep(2 * settingsReachOthers) // until then the other one may refuse the gateway's token
	pool, err := sql.Open("pgx", db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	w.db = pool

	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { w.watchLeases(stop) })
	kills := 0
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(100+rand.IntN(800)) * time.Millisecond):
			}
			s := w.servers[rand.IntN(2)]
			s.kill()
			if rand.IntN(3) == 0 { // the other one has to go on alone
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
			}
			s.start()
			kills++
		}
	})
	waves := 0
	for end := time.Now().Add(killFor(t)); (waves == 0 || time.Now().Before(end)) && !t.Failed(); waves++ {
		w.wave(waves)
	}
	close(stop)
	others.Wait()
	t.Logf("%d waves, killed %d times; holders of the leases: %v", waves, kills, w.holders)
	for _, name := range []string{rollout.LeaseName, rollout.AutoLeaseName, deployment.CleanupLease} {
		if kills > 10 && w.holders[name] < 3 {
			t.Errorf("the lease %s had %d holders, while servers were killed %d times", name, w.holders[name], kills)
		}
	}
	w.proveTakeover()
}

// wave runs campaigns of all kinds at once, and proves them.
func (w *twins) wave(number int) {
	var campaigns []*campaign
	for _, k := range []kind{steady, uneven, failing, resumed, stopped, deleted, auto} {
		campaigns = append(campaigns, &campaign{kind: k, name: fmt.Sprintf("%s-%d", k, number)})
	}
	old := &campaign{kind: steady, name: fmt.Sprintf("old-%d", number)}
	var visitors sync.WaitGroup
	for _, c := range append(campaigns, old) {
		visitors.Go(func() { w.register(c) })
	}
	visitors.Wait()
	stop := make(chan struct{})
	var players, operators sync.WaitGroup
	for i, c := range campaigns {
		players.Go(func() { w.play(c, stop) })
		operators.Go(func() {
			w.operate(c, w.loads[0].sets[i%len(w.loads[0].sets)])
			w.awaitEnd(c)
		})
	}
	players.Go(func() { w.play(old, stop) })
	operators.Go(func() { w.cleanUp(old) })
	operators.Wait()
	close(stop)
	players.Wait()
	for _, c := range campaigns {
		w.prove(c)
	}
}

// register lets the devices of a campaign come, one after the other.
func (w *twins) register(c *campaign) {
	for i := range groupsOfEach * perGroup {
		d := fmt.Sprintf("%s-%02d", c.name, i)
		c.devices = append(c.devices, d)
		if status := w.ask(func(l *load) int { return l.device(http.MethodGet, d, "", nil, nil) }); status != http.StatusOK {
			w.t.Errorf("the first poll of %s: %d", d, status)
		}
	}
}

// twins are two servers that share everything.
type twins struct {
	t       *testing.T
	servers [2]*server
	loads   [2]*load
	db      *sql.DB
	holders map[string]int // how many each lease had
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
		body["amountGroups"] = groupsOfEach
		body["successCondition"] = map[string]any{"condition": "THRESHOLD", "expression": "50"}
		body["errorCondition"] = map[string]any{"condition": "THRESHOLD", "expression": "50"}
	}
	c.id = w.create(c, body)
	if c.kind == auto || w.t.Failed() {
		return
	}
	w.await(c, "ready")
	w.until(c, "/start", "starting", "running", "finished", "paused")
	if c.kind == stopped || c.kind == deleted {
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
	}
	switch c.kind {
	case resumed:
		w.await(c, "paused")
		w.until(c, "/resume", "running", "finished")
	case stopped:
		w.until(c, "/stop", "stopping", "stopped")
	case steady, uneven, failing, auto: // left alone
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

// awaitEnd waits until nothing more will become of a campaign.
func (w *twins) awaitEnd(c *campaign) {
	if w.t.Failed() {
		return
	}
	if !c.kind.chancy() {
		var diff string
		if !eventually(time.Minute, func() bool {
			diff = cmp.Diff(c.kind.outcome(), w.outcome(c))
			return diff == ""
		}) {
			w.t.Errorf("%s does not end as it would without the kills (-want +got):\n%s", c.name, diff)
		}
		return
	}
	if c.kind != auto {
		w.await(c, string(c.kind))
	}
	var left int
	if !eventually(time.Minute, func() bool {
		left = 0
		byDevice := w.actions(c)
		for _, list := range byDevice {
			for _, a := range list {
				if a.Active {
					left++
				}
			}
		}
		return left == 0 && (c.kind != auto || len(byDevice) == len(c.devices))
	}) {
		w.t.Errorf("%s does not come to an end: %d actions are active", c.name, left)
	}
}

// play lets the devices of a campaign do what they are told.
func (w *twins) play(c *campaign, stop <-chan struct{}) {
	for {
		for i, d := range c.devices {
			finished := "success"
			if c.kind.fails(i) {
				finished = "failure"
			}
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

// prove checks that each target of a campaign got its action once, and that no
// action is in a state that does not follow from its history.
func (w *twins) prove(c *campaign) {
	w.t.Helper()
	byDevice := w.actions(c)
	begun := 0
	for _, d := range c.devices {
		list := byDevice[d]
		begun += len(list)
		if whole := c.kind != stopped && c.kind != deleted; len(list) > 1 || whole && len(list) != 1 {
			w.t.Errorf("%s has %d actions", d, len(list))
		}
		for _, a := range list {
			if c.kind == auto && a.Status != "finished" {
				w.t.Errorf("the action %d of %s is %s", a.ID, d, a.Status)
			}
			if c.kind == deleted || c.kind == failing && a.Status == "scheduled" {
				continue // ended without being canceled first, or never started
			}
			var history struct {
				Content []shownEntry `json:"content"`
			}
			w.ask(func(l *load) int {
				return l.manage(http.MethodGet, fmt.Sprintf("/rest/v1/targets/%s/actions/%d/status?limit=500&sort=id:asc", d, a.ID), nil, &history)
			})
			if why := impossible(a, history.Content); why != "" {
				w.t.Errorf("the action %d of %s is %s: %s", a.ID, d, a.Status, why)
			}
		}
	}
	if c.kind != stopped {
		return
	}
	// How far it came is left to chance, but its figures are those of its actions.
	o := w.outcome(c)
	ended := o.Counts["finished"] + o.Counts["cancelled"]
	if o.Total != int64(len(c.devices)) || ended != int64(begun) || ended+o.Counts["notstarted"] != o.Total {
		w.t.Errorf("%s counts %+v, it has %d targets and %d actions", c.name, o, len(c.devices), begun)
	}
	for _, g := range o.Groups {
		if g.Status != "finished" || g.Total != perGroup {
			w.t.Errorf("%s has a group that is %+v", c.name, g)
		}
	}
}

// outcome reads how a rollout is doing.
func (w *twins) outcome(c *campaign) (o outcome) {
	type progress struct {
		Status string           `json:"status"`
		Total  int64            `json:"totalTargets"`
		Counts map[string]int64 `json:"totalTargetsPerStatus"`
	}
	var whole progress
	var groups struct {
		Content []progress `json:"content"`
	}
	w.ask(func(l *load) int { return l.manage(http.MethodGet, c.one(), nil, &whole) })
	w.ask(func(l *load) int {
		return l.manage(http.MethodGet, c.one()+"/deploygroups?representation=full", nil, &groups)
	})
	none := func(_ string, n int64) bool { return n == 0 }
	maps.DeleteFunc(whole.Counts, none)
	o = outcome{Status: whole.Status, Total: whole.Total, Counts: whole.Counts}
	for _, g := range groups.Content {
		maps.DeleteFunc(g.Counts, none)
		o.Groups = append(o.Groups, groupOutcome(g))
	}
	return o
}

// cleanUp gives each device an action, makes every other one old, and proves
// that the old ones are removed and nothing else.
func (w *twins) cleanUp(c *campaign) {
	for _, d := range c.devices {
		w.ask(func(l *load) int {
			return l.manage(http.MethodPost, fmt.Sprintf("/rest/v1/distributionsets/%d/assignedTargets", w.loads[0].sets[0]), []any{map[string]any{"id": d, "type": "forced"}}, nil)
		})
	}
	w.awaitEnd(&campaign{kind: auto, name: c.name, devices: c.devices})
	for i, d := range c.devices {
		if i%2 > 0 {
			continue
		}
		for _, change := range []string{
			"UPDATE action_status SET reported_at = 1 WHERE action_id IN (SELECT a.id FROM action a JOIN target t ON t.id = a.target_id WHERE t.controller_id = $1)",
			"UPDATE action SET modified_at = 1 WHERE target_id = (SELECT id FROM target WHERE controller_id = $1)",
		} {
			if _, err := w.db.ExecContext(w.t.Context(), change, d); err != nil {
				w.t.Errorf("%s: %v", change, err)
			}
		}
	}
	var left map[string][]shownAction
	if !eventually(time.Minute, func() bool {
		left = w.actions(c)
		return len(left) <= len(c.devices)/2
	}) {
		w.t.Errorf("the old actions of %s are not removed, %d devices have some", c.name, len(left))
	}
	for i, d := range c.devices {
		if want := i % 2; len(left[d]) != want {
			w.t.Errorf("%s has %d actions after the clean-up, want %d", d, len(left[d]), want)
		}
	}
}

// watchLeases counts the holders of each lease. Its fence grows with each.
func (w *twins) watchLeases(stop <-chan struct{}) {
	last := map[string]lease.Held{}
	w.holders = map[string]int{}
	for {
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
		list, err := w.leases()
		if err != nil {
			w.t.Errorf("read the leases: %v", err)
			return
		}
		for _, now := range list {
			before, known := last[now.Name]
			if known && (now.Fence < before.Fence || now.Fence == before.Fence && now.Holder != before.Holder) {
				w.t.Errorf("the lease %s went from %+v to %+v", now.Name, before, now)
			}
			if now.Holder != before.Holder {
				w.holders[now.Name]++
			}
			last[now.Name] = now
		}
	}
}

func (w *twins) leases() (list []lease.Held, err error) {
	rows, err := w.db.QueryContext(w.t.Context(), "SELECT name, holder, fence FROM lease")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var h lease.Held
		if err := rows.Scan(&h.Name, &h.Holder, &h.Fence); err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, rows.Err()
}

// proveTakeover kills each server for good in turn: a rollout that was begun
// before goes on once the lease of the dead one is over.
func (w *twins) proveTakeover() {
	w.t.Helper()
	for i, s := range w.servers {
		c := &campaign{kind: steady, name: fmt.Sprintf("taken-over-%d", i)}
		w.register(c)
		w.operate(c, w.loads[0].sets[0])
		s.kill()
		killed := time.Now()
		stop := make(chan struct{})
		var players sync.WaitGroup
		players.Go(func() { w.play(c, stop) })
		w.awaitEnd(c)
		close(stop)
		players.Wait()
		// Five looks for the lease, and some for each group.
		if took := time.Since(killed); took > 20*time.Second {
			w.t.Errorf("%s took %v to go on without the server that was killed", c.name, took)
		}
		w.prove(c)
		s.start()
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
