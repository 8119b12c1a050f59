package simulator_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A ddi is a server that knows just enough of the device API to play with. It
// has one action for each device, and notes what it was asked and told.
type ddi struct {
	*httptest.Server
	authorized func(*http.Request) bool // nil: everybody

	consent  bool // ask before an update
	cancel   bool // call the update off
	download string
	update   string
	broken   bool // serve other bytes than announced
	deaf     bool // take no closing report at the first time
	artifact []byte

	asked  atomic.Int64
	enough int64 // requests, after which to call end
	end    func()

	mu      sync.Mutex
	devices map[string]*conversation
}

// A conversation is what one device said.
type conversation struct {
	asked                         []string
	described, confirmed, stopped bool
	deafened                      bool
	closed                        bool
}

func newDDI(t *testing.T) *ddi {
	t.Helper()
	s := &ddi{devices: map[string]*conversation{}, artifact: []byte("new software"), download: "forced", update: "forced"}
	mux := http.NewServeMux()
	const base = "/DEFAULT/controller/v1/{id}"
	mux.HandleFunc("GET "+base, s.handle("poll", s.poll))
	mux.HandleFunc("PUT "+base+"/configData", s.handle("attributes", func(_ http.ResponseWriter, _ *http.Request, c *conversation) {
		c.described = true
	}))
	mux.HandleFunc("GET "+base+"/deploymentBase/7", s.handle("deployment", s.deployment))
	mux.HandleFunc("POST "+base+"/deploymentBase/7/feedback", s.handle("", s.feedback))
	mux.HandleFunc("GET "+base+"/softwaremodules/1/artifacts/app.bin", s.handle("artifact", func(w http.ResponseWriter, _ *http.Request, _ *conversation) {
		content := slices.Clone(s.artifact)
		if s.broken {
			content[0]++
		}
		_, _ = w.Write(content)
	}))
	mux.HandleFunc("GET "+base+"/cancelAction/7", s.handle("cancellation", func(w http.ResponseWriter, _ *http.Request, _ *conversation) {
		answer(w, `{"id":"7","cancelAction":{"stopId":"7"}}`)
	}))
	mux.HandleFunc("POST "+base+"/cancelAction/7/feedback", s.handle("", func(_ http.ResponseWriter, r *http.Request, c *conversation) {
		c.note(r, "stop")
		c.stopped = true
	}))
	mux.HandleFunc("GET "+base+"/confirmationBase/7", s.handle("question", s.deployment))
	mux.HandleFunc("POST "+base+"/confirmationBase/7/feedback", s.handle("", func(w http.ResponseWriter, r *http.Request, c *conversation) {
		var in struct{ Confirmation string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), 400)
		}
		c.asked = append(c.asked, in.Confirmation)
		c.confirmed = in.Confirmation == "confirmed"
	}))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *ddi) handle(what string, f func(http.ResponseWriter, *http.Request, *conversation)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.asked.Add(1) == s.enough {
			defer s.end()
		}
		if s.authorized != nil && !s.authorized(r) {
			w.WriteHeader(401)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.devices[r.PathValue("id")]
		if c == nil {
			c = &conversation{}
			s.devices[r.PathValue("id")] = c
		}
		if what != "" {
			c.asked = append(c.asked, what)
		}
		f(w, r, c)
	}
}

func answer(w http.ResponseWriter, document string) {
	w.Header().Set("Content-Type", "application/hal+json")
	_, _ = w.Write([]byte(document))
}

func (s *ddi) poll(w http.ResponseWriter, r *http.Request, c *conversation) {
	var links []string
	link := func(rel, tail string) {
		links = append(links, fmt.Sprintf(`%q:{"href":"%s%s/%s"}`, rel, s.URL, r.URL.EscapedPath(), tail))
	}
	switch {
	case c.closed || c.stopped:
	case s.cancel:
		link("cancelAction", "cancelAction/7")
	case s.consent && !c.confirmed:
		link("confirmationBase", "confirmationBase/7?c=-5")
	default:
		link("deploymentBase", "deploymentBase/7?c=12")
	}
	if !c.described {
		link("configData", "configData")
	}
	text := `{"config":{"polling":{"sleep":"00:00:01"}}`
	if len(links) > 0 {
		text += `,"_links":{` + strings.Join(links, ",") + `}`
	}
	answer(w, text+"}")
}

func (s *ddi) deployment(w http.ResponseWriter, r *http.Request, _ *conversation) {
	base, _, _ := strings.Cut(r.URL.EscapedPath(), "/deploymentBase")
	answer(w, fmt.Sprintf(`{"id":"7","deployment":{"download":%q,"update":%q,"chunks":[{"part":"os","version":"1","name":"os","artifacts":[
		{"filename":"app.bin","size":%d,"hashes":{"sha1":"%x","md5":"%x","sha256":"%x"},
		 "_links":{"download-http":{"href":"%s%s/softwaremodules/1/artifacts/app.bin"}}}]}]}}`,
		s.download, s.update, len(s.artifact), sha1.Sum(s.artifact), md5.Sum(s.artifact), sha256.Sum256(s.artifact), s.URL, base))
}

func (s *ddi) feedback(w http.ResponseWriter, r *http.Request, c *conversation) {
	if c.closed {
		w.WriteHeader(410)
		return
	}
	closing := c.note(r, "")
	if s.deaf && closing && !c.deafened {
		c.deafened = true
		w.WriteHeader(503)
		return
	}
	c.closed = closing
}

// note keeps a report and tells whether it closes the action.
func (c *conversation) note(r *http.Request, prefix string) (closing bool) {
	var in struct {
		Status struct {
			Execution string
			Result    struct{ Finished string }
			Details   []string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		c.asked = append(c.asked, err.Error())
		return false
	}
	said := strings.TrimSpace(prefix + " " + in.Status.Execution + " " + in.Status.Result.Finished)
	c.asked = append(c.asked, said)
	return in.Status.Execution == "closed"
}

// waiting is how devices pass the time until the last of them is done.
var waiting = regexp.MustCompile(`(, poll(, deployment)?)+$`)

// said returns what the devices said, each line once, with how many said it.
func (s *ddi) said() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string]int{}
	for _, c := range s.devices {
		m[waiting.ReplaceAllString(strings.Join(c.asked, ", "), "")]++
	}
	return m
}
