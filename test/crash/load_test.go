package crash_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A load is clients that write without pause, each keeping a journal of what it
// was answered. What was sent and not answered may have happened or not.
type load struct {
	s    *server
	http *http.Client

	stopping chan struct{}
	workers  sync.WaitGroup

	sets    []int64 // complete sets to assign
	devices []string
	quiet   []string          // devices that the load leaves alone
	tokens  map[string]string // of devices that have their own

	mu        sync.Mutex
	ids       map[string]map[int64]string // by kind: what each id was given to
	modules   map[string]*module          // by name
	artifacts map[string]*artifact        // by file name, which is never used twice
	actions   map[int64]*action
	facts     map[string]*attribute // by device
	visits    map[string]time.Time  // devices that came a second time and never again
	answered  map[string]int        // requests by status, for the report
}

type fate int

const (
	notAsked fate = iota
	unanswered
	acknowledged
)

type module struct {
	id      int64 // 0: creation unanswered
	deleted fate
}

type artifact struct {
	module, id int64 // id 0: upload unanswered
	sha256     string
}

// attribute is a number that its device raises and reports.
type attribute struct{ sent, acknowledged int }

type action struct {
	device   string
	set      int64           // 0: its assignment was not answered
	messages map[string]fate // that the device reported
	canceled fate            // by the operator
	ends     map[string]fate // status that the device's last word leads to
}

func newLoad(s *server) *load {
	return &load{
		s:         s,
		http:      &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		stopping:  make(chan struct{}),
		ids:       map[string]map[int64]string{},
		modules:   map[string]*module{},
		artifacts: map[string]*artifact{},
		actions:   map[int64]*action{},
		facts:     map[string]*attribute{},
		visits:    map[string]time.Time{},
		tokens:    map[string]string{},
		answered:  map[string]int{},
	}
}

// prepare makes what the load builds on, while the server is not yet harmed.
func (l *load) prepare() {
	l.s.t.Helper()
	l.must(http.MethodPut, "/rest/v1/system/configs", map[string]any{"authentication.gatewaytoken.enabled": true, "authentication.gatewaytoken.key": gateway, "authentication.targettoken.enabled": true}, nil)
	for i := range 4 {
		name := fmt.Sprintf("base-%d", i)
		id := l.createModule(name)
		if id == 0 {
			l.s.t.Fatal("the first module was not created")
		}
		l.upload(id, name+".bin", 64<<10)
		var sets []struct {
			ID       int64 `json:"id"`
			Complete bool  `json:"complete"`
		}
		l.must(http.MethodPost, "/rest/v1/distributionsets", []any{map[string]any{"name": name, "version": "1", "type": "os", "modules": []any{map[string]any{"id": id}}}}, &sets)
		if len(sets) != 1 || !sets[0].Complete {
			l.s.t.Fatalf("the first sets are not complete: %+v", sets)
		}
		l.sets = append(l.sets, sets[0].ID)
	}
	for i := range 10 {
		d := fmt.Sprintf("dev-%d", i)
		if status := l.device(http.MethodGet, d, "", nil, nil); status != http.StatusOK {
			l.s.t.Fatalf("the first poll of %s: %d", d, status)
		}
		l.devices = append(l.devices, d)
		if i%2 == 0 {
			var target struct {
				Token string `json:"securityToken"`
			}
			l.must(http.MethodGet, "/rest/v1/targets/"+d, nil, &target)
			l.tokens[d] = target.Token
		}
		l.facts[d] = &attribute{}
	}
}

// run starts all clients.
func (l *load) run() {
	l.each(func() { l.createModules("a") })
	l.each(func() { l.createModules("b") })
	l.each(func() { l.uploadArtifacts("a") })
	l.each(func() { l.uploadArtifacts("b") })
	l.each(l.assign)
	l.each(l.assign)
	for _, d := range l.devices {
		l.each(func() { l.play(d) })
	}
}

// each runs f again and again until the load stops.
func (l *load) each(f func()) {
	l.workers.Go(func() { f() })
}

// on reports whether the load goes on, after a breath.
func (l *load) on(breath time.Duration) bool {
	select {
	case <-l.stopping:
		return false
	case <-time.After(breath):
		return true
	}
}

func (l *load) stop() {
	close(l.stopping)
	l.workers.Wait()
}

// createModules creates software modules, and deletes every fourth.
func (l *load) createModules(worker string) {
	for i := 0; l.on(5 * time.Millisecond); i++ {
		name := fmt.Sprintf("module-%s-%d", worker, i)
		if id := l.createModule(name); id != 0 && i%4 == 0 {
			l.note(func() { l.modules[name].deleted = unanswered })
			if status := l.manage(http.MethodDelete, fmt.Sprintf("/rest/v1/softwaremodules/%d", id), nil, nil); status == http.StatusNoContent {
				l.note(func() { l.modules[name].deleted = acknowledged })
			}
		}
	}
}

// createModule returns the id of the new module, or 0 without an answer.
func (l *load) createModule(name string) int64 {
	l.note(func() { l.modules[name] = &module{} })
	var made []struct {
		ID int64 `json:"id"`
	}
	if l.manage(http.MethodPost, "/rest/v1/softwaremodules", []any{map[string]any{"name": name, "version": "1", "type": "os"}}, &made) != http.StatusCreated {
		return 0
	}
	l.note(func() { l.modules[name].id = made[0].ID })
	l.claim("software module", made[0].ID, name)
	return made[0].ID
}

// uploadArtifacts fills one module after another with files of all sizes.
func (l *load) uploadArtifacts(worker string) {
	var id int64
	for i := 0; l.on(5 * time.Millisecond); i++ {
		if id == 0 || i%40 == 0 {
			if id = l.createModule(fmt.Sprintf("files-%s-%d", worker, i)); id == 0 {
				continue
			}
		}
		size := 1 + rand.IntN(64<<10)
		if i%25 == 0 {
			size = 1 + rand.IntN(2<<20)
		}
		l.upload(id, fmt.Sprintf("%s-%d.bin", worker, i), size)
	}
}

// upload sends a file; every fifth has a content that others have, too.
func (l *load) upload(module int64, name string, size int) {
	seed := [32]byte{byte(size % 3)}
	if size%5 == 0 {
		size = 10_000 + size%3
	} else {
		copy(seed[:], name)
	}
	content := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(content) // never fails
	sum := sha256.Sum256(content)
	a := &artifact{module: module, sha256: hex.EncodeToString(sum[:])}
	l.note(func() { l.artifacts[name] = a })

	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		l.s.t.Error(err)
		return
	}
	var made struct {
		ID     int64 `json:"id"`
		Hashes struct {
			SHA256 string `json:"sha256"`
		} `json:"hashes"`
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, *l.s.url.Load()+fmt.Sprintf("/rest/v1/softwaremodules/%d/artifacts", module), &form)
	if err != nil {
		return // between two servers
	}
	req.SetBasicAuth(user, password)
	req.Header.Set("Content-Type", w.FormDataContentType())
	if l.do(req, &made) != http.StatusCreated {
		return
	}
	if made.Hashes.SHA256 != a.sha256 {
		l.s.t.Errorf("upload of %s: the server says SHA-256 %s, it is %s", name, made.Hashes.SHA256, a.sha256)
	}
	l.note(func() { a.id = made.ID })
	l.claim("artifact", made.ID, name)
}

// assign assigns sets to devices, and now and then cancels what it assigned.
func (l *load) assign() {
	for l.on(10 * time.Millisecond) {
		device, set := l.devices[rand.IntN(len(l.devices))], l.sets[rand.IntN(len(l.sets))]
		var assigned struct {
			Actions []struct {
				ID int64 `json:"id"`
			} `json:"assignedActions"`
		}
		if l.manage(http.MethodPost, fmt.Sprintf("/rest/v1/distributionsets/%d/assignedTargets", set), []any{map[string]any{"id": device, "type": "forced"}}, &assigned) != http.StatusOK {
			continue
		}
		for _, a := range assigned.Actions {
			l.claim("action", a.ID, device)
			l.note(func() { l.action(a.ID, device).set = set })
			if rand.IntN(8) > 0 || !l.on(10*time.Millisecond) {
				continue
			}
			l.note(func() { l.action(a.ID, device).canceled = unanswered })
			switch l.manage(http.MethodDelete, fmt.Sprintf("/rest/v1/targets/%s/actions/%d", device, a.ID), nil, nil) {
			case http.StatusNoContent:
				l.note(func() { l.action(a.ID, device).canceled = acknowledged })
			case http.StatusMethodNotAllowed: // closed or canceled meanwhile
				l.note(func() { l.action(a.ID, device).canceled = notAsked })
			}
		}
	}
}

// action returns the journal of an action; l.mu is held.
func (l *load) action(id int64, device string) *action {
	a := l.actions[id]
	if a == nil {
		a = &action{messages: map[string]fate{}, ends: map[string]fate{}}
		l.actions[id] = a
	}
	a.device = device
	return a
}

// play is one device: it polls, tells of itself, and does as it is told.
func (l *load) play(device string) {
	for i := 0; l.on(5 * time.Millisecond); i++ {
		if i%5 == 0 {
			l.tell(device)
		}
		var poll struct {
			Links map[string]struct {
				Href string `json:"href"`
			} `json:"_links"`
		}
		if l.device(http.MethodGet, device, "", nil, &poll) != http.StatusOK {
			continue
		}
		if link, ok := poll.Links["cancelAction"]; ok {
			path, id := resource(link.Href)
			l.cancel(device, path, id)
		}
		if link, ok := poll.Links["deploymentBase"]; ok {
			path, id := resource(link.Href)
			l.install(device, path, id)
		}
	}
}

// resource returns the path of a link below the device's own, and the id at its end.
func resource(href string) (path string, id int64) {
	u, err := url.Parse(href)
	if err != nil {
		return "", 0
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) < 2 {
		return "", 0
	}
	_, _ = fmt.Sscan(parts[len(parts)-1], &id) // 0 is never an id
	return "/" + strings.Join(parts[len(parts)-2:], "/"), id
}

func (l *load) tell(device string) {
	var n int
	l.note(func() {
		l.facts[device].sent++
		n = l.facts[device].sent
	})
	if l.device(http.MethodPut, device, "/configData", map[string]any{"mode": "merge", "data": map[string]string{"n": fmt.Sprint(n)}}, nil) == http.StatusOK {
		l.note(func() { l.facts[device].acknowledged = n })
	}
}

func (l *load) install(device, path string, id int64) {
	l.note(func() { l.action(id, device) })
	switch l.device(http.MethodGet, device, path, nil, nil) {
	case http.StatusOK, http.StatusNotFound: // canceled meanwhile
	default:
		return
	}
	for i := range rand.IntN(3) {
		if !l.report(device, path, id, "proceeding", "none", fmt.Sprintf("step %d", i), "") {
			return
		}
	}
	switch rand.IntN(6) {
	case 0: // comes back later
	case 1:
		l.report(device, path, id, "closed", "failure", "broken", "error")
	default:
		l.report(device, path, id, "closed", "success", "done", "finished")
	}
}

func (l *load) cancel(device, path string, id int64) {
	l.note(func() { l.action(id, device) })
	switch rand.IntN(4) {
	case 0: // comes back later
	case 1:
		l.report(device, path, id, "rejected", "none", "not now", "")
	default:
		l.report(device, path, id, "closed", "success", "gave up", "canceled")
	}
}

// report sends feedback with a message that is used once. It reports false when
// the device should poll again.
func (l *load) report(device, path string, id int64, execution, finished, text, end string) bool {
	text = fmt.Sprintf("%s %016x", text, rand.Uint64())
	var before fate
	l.note(func() {
		a := l.action(id, device)
		a.messages[text] = unanswered
		before = a.ends[end]
		a.ends[end] = max(before, unanswered)
	})
	status := l.device(http.MethodPost, device, path+"/feedback", map[string]any{"status": map[string]any{
		"execution": execution, "result": map[string]string{"finished": finished}, "details": []string{text},
	}}, nil)
	l.note(func() {
		a := l.action(id, device)
		switch status {
		case http.StatusOK:
			a.messages[text], a.ends[end] = acknowledged, acknowledged
		case http.StatusGone, http.StatusMethodNotAllowed, http.StatusNotFound: // closed, or not being canceled any more
			a.messages[text], a.ends[end] = notAsked, before
		}
	})
	return status == http.StatusOK
}

// visit lets a device come that is seen twice and never again.
func (l *load) visit(device string) {
	if l.device(http.MethodGet, device, "", nil, nil) != http.StatusOK {
		return
	}
	before := time.Now()
	if l.device(http.MethodGet, device, "", nil, nil) == http.StatusOK {
		l.note(func() { l.visits[device] = before })
	}
}

// device makes a request of a device. The status is 0 without a whole answer.
func (l *load) device(method, device, path string, in, out any) int {
	token := "GatewayToken " + gateway
	if own := l.tokens[device]; own != "" {
		token = "TargetToken " + own
	}
	return l.send(method, "/DEFAULT/controller/v1/"+device+path, token, in, out)
}

// manage makes a request of an operator.
func (l *load) manage(method, path string, in, out any) int {
	return l.send(method, path, "", in, out)
}

func (l *load) must(method, path string, in, out any) {
	l.s.t.Helper()
	if status := l.manage(method, path, in, out); status/100 != 2 {
		l.s.t.Fatalf("%s %s: %d", method, path, status)
	}
}

func (l *load) send(method, path, authorization string, in, out any) int {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			l.s.t.Error(err)
			return 0
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, *l.s.url.Load()+path, body)
	if err != nil {
		return 0 // between two servers
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	} else {
		req.SetBasicAuth(user, password)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return l.do(req, out)
}

// do makes the request. A server that answers is never allowed to fail by
// itself, or to refuse what it took before.
func (l *load) do(req *http.Request, out any) int {
	what := req.Method + " " + req.URL.Path
	resp, err := l.http.Do(req)
	if err != nil {
		l.count("cut off")
		return 0
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		l.count("cut off")
		return 0
	}
	l.count(resp.Status)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone: // races of device and operator
	case http.StatusServiceUnavailable:
	default:
		l.s.t.Errorf("%s: %s %s", what, resp.Status, answer)
	}
	if out != nil && resp.StatusCode/100 == 2 && resp.StatusCode != http.StatusNoContent {
		if err := json.Unmarshal(answer, out); err != nil {
			l.s.t.Errorf("%s: %v in %q", what, err, answer)
			return 0
		}
	}
	return resp.StatusCode
}

func (l *load) count(what string) { l.note(func() { l.answered[what]++ }) }

// claim notes that the server gave out an id, which must not happen twice.
func (l *load) claim(kind string, id int64, to string) {
	l.note(func() {
		if l.ids[kind] == nil {
			l.ids[kind] = map[int64]string{}
		}
		if other, taken := l.ids[kind][id]; taken {
			l.s.t.Errorf("%s %d was given to %s, and before that to %s", kind, id, to, other)
		}
		l.ids[kind][id] = to
	})
}

func (l *load) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}
