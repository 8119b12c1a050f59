package crash_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// prove holds what the server says now against the journals.
func (l *load) prove() {
	l.s.t.Helper()
	l.proveModules()
	l.proveArtifacts()
	l.proveTargets(l.proveActions())
}

// listed reads all pages of a list.
func listed[T any](l *load, path string) (all []T) {
	l.s.t.Helper()
	for {
		var page struct {
			Content []T   `json:"content"`
			Total   int64 `json:"total"`
		}
		l.must(http.MethodGet, fmt.Sprintf("%s?limit=500&offset=%d&sort=id:ASC", path, len(all)), nil, &page)
		all = append(all, page.Content...)
		if len(page.Content) == 0 || int64(len(all)) >= page.Total {
			return all
		}
	}
}

func (l *load) proveModules() {
	l.s.t.Helper()
	found := map[string]int64{}
	for _, m := range listed[struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}](l, "/rest/v1/softwaremodules") {
		if _, sent := l.modules[m.Name]; !sent {
			l.s.t.Errorf("software module %d %q came out of nowhere", m.ID, m.Name)
		}
		if other, twice := found[m.Name]; twice {
			l.s.t.Errorf("software module %q is there twice: %d and %d", m.Name, other, m.ID)
		}
		found[m.Name] = m.ID
		l.claimAgain("software module", m.ID, m.Name)
	}
	for name, m := range l.modules {
		switch id, ok := found[name]; {
		case m.id != 0 && !ok && m.deleted == notAsked:
			l.s.t.Errorf("software module %d %q was acknowledged and is gone", m.id, name)
		case ok && m.deleted == acknowledged:
			l.s.t.Errorf("software module %d %q is back although its deletion was acknowledged", id, name)
		case m.id != 0 && ok && id != m.id:
			l.s.t.Errorf("software module %q has id %d, acknowledged was %d", name, id, m.id)
		}
	}
}

// claimAgain checks an id that the server shows: nobody else has it.
func (l *load) claimAgain(kind string, id int64, name string) {
	if l.ids[kind][id] != name {
		l.claim(kind, id, name)
	}
}

func (l *load) proveArtifacts() {
	l.s.t.Helper()
	byModule := map[int64][]string{}
	for name, a := range l.artifacts {
		byModule[a.module] = append(byModule[a.module], name)
	}
	for module, names := range byModule {
		var found []struct {
			ID       int64  `json:"id"`
			Filename string `json:"providedFilename"`
			Size     int64  `json:"size"`
			Hashes   struct {
				SHA256 string `json:"sha256"`
			} `json:"hashes"`
		}
		path := fmt.Sprintf("/rest/v1/softwaremodules/%d/artifacts", module)
		l.must(http.MethodGet, path, nil, &found)
		var got []string
		for _, f := range found {
			got = append(got, f.Filename)
			l.claimAgain("artifact", f.ID, f.Filename)
			a := l.artifacts[f.Filename]
			if a == nil || a.module != module || a.id != 0 && a.id != f.ID || a.sha256 != f.Hashes.SHA256 {
				l.s.t.Errorf("artifact %+v of module %d is not what was uploaded: %+v", f, module, a)
				continue
			}
			sum, size, err := l.download(fmt.Sprintf("%s/%d/download", path, f.ID))
			if err != nil || sum != a.sha256 || size != f.Size {
				l.s.t.Errorf("artifact %d %q: %d bytes of SHA-256 %s, %v; want %d of %s", f.ID, f.Filename, size, sum, err, f.Size, a.sha256)
			}
		}
		for _, name := range names {
			if a := l.artifacts[name]; a.id != 0 && !slices.Contains(got, name) {
				l.s.t.Errorf("artifact %d %q was acknowledged and is gone", a.id, name)
			}
		}
	}
}

func (l *load) download(path string) (sum string, size int64, err error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, *l.s.url.Load()+path, http.NoBody)
	if err != nil {
		return "", 0, err
	}
	req.SetBasicAuth(user, password)
	resp, err := l.http.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("status %s", resp.Status)
	}
	h := sha256.New()
	size, err = io.Copy(h, resp.Body)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

type shownAction struct {
	ID     int64  `json:"id"`
	Active bool   `json:"active"`
	Status string `json:"status"`
	Links  map[string]struct {
		Href string `json:"href"`
	} `json:"_links"`
}

func (a shownAction) device() string {
	_, rest, _ := strings.Cut(a.Links["self"].Href, "/targets/")
	d, _, _ := strings.Cut(rest, "/")
	d, _ = url.PathUnescape(d) // a wrong one is nobody's
	return d
}

type shownEntry struct {
	ID       int64    `json:"id"`
	Type     string   `json:"type"`
	Messages []string `json:"messages"`
}

// told is what a device was told and did.
type told struct {
	active   bool           // it has something to do
	finished map[int64]bool // sets that it installed; 0: one whose assignment was not answered
}

func (l *load) proveActions() map[string]told {
	l.s.t.Helper()
	found := map[int64]bool{}
	devices := map[string]told{}
	for _, d := range l.devices {
		devices[d] = told{finished: map[int64]bool{}}
	}
	running := map[string][]int64{} // what each device is told to do, unless it refused to give it up
	entries := map[int64]int64{}    // of whom
	for _, shown := range listed[shownAction](l, "/rest/v1/actions") {
		found[shown.ID] = true
		device := shown.device()
		l.claimAgain("action", shown.ID, device)
		history := listed[shownEntry](l, fmt.Sprintf("/rest/v1/targets/%s/actions/%d/status", device, shown.ID))
		if shown.Active && shown.Status != "canceling" && !slices.ContainsFunc(history, func(e shownEntry) bool { return e.Type == "cancel_rejected" }) {
			running[device] = append(running[device], shown.ID)
		}
		for _, e := range history {
			if other, taken := entries[e.ID]; taken {
				l.s.t.Errorf("entry %d is in the histories of actions %d and %d", e.ID, other, shown.ID)
			}
			entries[e.ID] = shown.ID
		}
		if why := impossible(shown, history); why != "" {
			l.s.t.Errorf("action %d of %s, %s: %s; its history: %+v", shown.ID, device, shown.Status, why, history)
		}
		a := l.actions[shown.ID]
		if a != nil {
			l.proveAction(a, shown, history)
		}
		if d, ok := devices[device]; ok {
			d.active = d.active || shown.Active
			if shown.Status == "finished" {
				set := int64(0)
				if a != nil {
					set = a.set
				}
				d.finished[set] = true
			}
			devices[device] = d
		}
	}
	for id, a := range l.actions {
		if !found[id] {
			l.s.t.Errorf("action %d of %s is gone, its journal: %+v", id, a.device, a)
		}
	}
	for device, ids := range running {
		if len(ids) > 1 {
			l.s.t.Errorf("%s is told to do actions %v at once: the older ones should be canceled", device, ids)
		}
	}
	return devices
}

func (l *load) proveAction(a *action, shown shownAction, history []shownEntry) {
	l.s.t.Helper()
	if d := shown.device(); d != a.device {
		l.s.t.Errorf("action %d belongs to %s, it was made for %s", shown.ID, d, a.device)
	}
	count := map[string]int{}
	canceling := false
	for _, e := range history {
		canceling = canceling || e.Type == "canceling"
		for _, m := range e.Messages {
			count[m]++
		}
	}
	for text, fate := range a.messages {
		switch n := count[text]; {
		case fate == acknowledged && n != 1, fate == notAsked && n != 0, n > 1:
			l.s.t.Errorf("action %d: its history has %d times %q (fate %d): %+v", shown.ID, n, text, fate, history)
		}
	}
	if a.canceled == acknowledged && !canceling {
		l.s.t.Errorf("action %d was canceled by the operator, its history does not know: %+v", shown.ID, history)
	}
	for _, end := range []string{"finished", "error", "canceled"} {
		if a.ends[end] == acknowledged && shown.Status != end {
			l.s.t.Errorf("action %d is %s, acknowledged was %s", shown.ID, shown.Status, end)
		}
		if a.ends[end] == notAsked && shown.Status == end {
			l.s.t.Errorf("action %d is %s, and nobody said so: %+v", shown.ID, end, history)
		}
	}
}

// impossible plays an action's history and says what about the action cannot
// have come from it, or "".
func impossible(a shownAction, history []shownEntry) string {
	if len(history) == 0 || history[0].Type != "running" {
		return "the history does not begin with the assignment"
	}
	status, closed := "running", false
	for i, e := range history {
		if i > 0 && e.ID <= history[i-1].ID {
			return "the history is out of order"
		}
		if closed && e.Type != "retrieved" && e.Type != "download" {
			return "something was taken after the end"
		}
		switch e.Type {
		case "running", "download":
		case "retrieved":
			if !closed && status != "canceling" {
				status = "retrieved"
			}
		case "canceling":
			if status == "canceling" {
				return "it was canceled twice"
			}
			status = "canceling"
		case "cancel_rejected":
			if status != "canceling" {
				return "a cancellation was rejected that nobody asked for"
			}
			status = "running"
		case "canceled":
			if status != "canceling" {
				return "a cancellation was confirmed that nobody asked for"
			}
			status, closed = "canceled", true
		case "finished", "error":
			status, closed = e.Type, true
		default:
			return "nobody reported " + e.Type
		}
	}
	switch {
	case a.Status != status:
		return "its history leads to " + status
	case a.Active == closed:
		return fmt.Sprintf("active is %t", a.Active)
	}
	return ""
}

func (l *load) proveTargets(devices map[string]told) {
	l.s.t.Helper()
	for device, d := range devices {
		var target struct {
			Status string `json:"updateStatus"`
		}
		l.must(http.MethodGet, "/rest/v1/targets/"+device, nil, &target)
		if target.Status == "pending" && !d.active {
			l.s.t.Errorf("%s is pending and has nothing to do", device)
		}
		if target.Status == "registered" && (d.active || len(d.finished) > 0) {
			l.s.t.Errorf("%s looks as if it had never been told anything: %+v", device, d)
		}
		var installed struct {
			ID int64 `json:"id"`
		}
		l.must(http.MethodGet, "/rest/v1/targets/"+device+"/installedDS", nil, &installed)
		if installed.ID != 0 && !d.finished[installed.ID] && !d.finished[0] {
			l.s.t.Errorf("%s has set %d installed, it finished %v", device, installed.ID, d.finished)
		}
	}
	for device, fact := range l.facts {
		var attributes map[string]string
		l.must(http.MethodGet, "/rest/v1/targets/"+device+"/attributes", nil, &attributes)
		var n int
		_, _ = fmt.Sscan(attributes["n"], &n) // none is 0
		if n < fact.acknowledged || n > fact.sent {
			l.s.t.Errorf("%s told %d, acknowledged was %d of %d sent", device, n, fact.acknowledged, fact.sent)
		}
	}
	for device, at := range l.visits {
		var target struct {
			Seen int64 `json:"lastControllerRequestAt"`
		}
		l.must(http.MethodGet, "/rest/v1/targets/"+device, nil, &target)
		if seen := time.UnixMilli(target.Seen); seen.Before(at.Truncate(time.Millisecond)) {
			l.s.t.Errorf("%s was last seen %v, it was answered after %v", device, seen, at)
		}
	}
}

// sumOf returns the SHA-256 of a file.
func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}
