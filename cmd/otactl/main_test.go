package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"otactl": func() {
			os.Exit(run(&terminal{Context: context.Background(), in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:]))
		},
	})
}

// Each script has a server of its own, which knows what otactl asks for. The
// user is admin with the password secret.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			server := httptest.NewServer(newFake())
			e.Defer(server.Close)
			e.Setenv("OTARIA_URL", server.URL)
			e.Setenv("OTARIA_PASSWORD", "secret")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": func(ts *testscript.TestScript, neg bool, args []string) { // status CODE COMMAND…: ends with that code
				if neg || len(args) < 2 {
					ts.Fatalf("usage: status CODE COMMAND...")
				}
				err := ts.Exec(args[1], args[2:]...)
				code := 0
				if exit, ok := err.(interface{ ExitCode() int }); ok {
					code = exit.ExitCode()
				} else if err != nil {
					ts.Fatalf("%v", err)
				}
				if strconv.Itoa(code) != args[0] {
					ts.Fatalf("exit code %d, want %s", code, args[0])
				}
			},
		},
	})
}

// A fake is as much of a server as the command line needs.
type fake struct {
	*http.ServeMux

	mu      sync.Mutex
	targets []string // their tokens are made of their ids
	open    bool     // target tokens are accepted
}

func newFake() *fake {
	f := &fake{ServeMux: http.NewServeMux()}
	manage := func(pattern string, handle http.HandlerFunc) {
		f.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if user, password, _ := r.BasicAuth(); user != "admin" || password != "secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			handle(w, r)
		})
	}
	target := func(id string) map[string]any {
		return map[string]any{"controllerId": id, "securityToken": "token-of-" + id}
	}
	manage("POST /rest/v1/targets", func(w http.ResponseWriter, r *http.Request) {
		var in []struct{ ControllerID string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			reply(w, http.StatusBadRequest, map[string]any{"errorCode": "hawkbit.server.error.rest.body.notReadable", "message": "bad JSON"})
			return
		}
		made := []any{}
		for _, one := range in {
			if slices.Contains(f.targets, one.ControllerID) {
				reply(w, http.StatusConflict, map[string]any{"errorCode": "hawkbit.server.error.repo.entityAlreadyExists", "message": "it exists"})
				return
			}
			made = append(made, target(one.ControllerID))
		}
		for _, one := range in {
			f.targets = append(f.targets, one.ControllerID)
		}
		reply(w, http.StatusCreated, made)
	})
	manage("GET /rest/v1/targets", func(w http.ResponseWriter, r *http.Request) {
		found := []any{}
		for _, id := range f.targets {
			if q := r.URL.Query().Get("q"); q == "" || strings.Contains(q, "'"+id+"'") {
				found = append(found, target(id))
			}
		}
		total := len(found)
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		found = found[min(offset, total):]
		found = found[:min(limit, len(found))]
		reply(w, http.StatusOK, map[string]any{"content": found, "total": total, "size": len(found)})
	})
	manage("GET /rest/v1/targets/{id}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusNotFound, map[string]any{"errorCode": "hawkbit.server.error.repo.entityNotFound", "message": "no target " + r.PathValue("id")})
	})
	manage("DELETE /rest/v1/targets/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	})
	manage("GET /rest/v1/system/configs/{key}", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"value": f.open})
	})
	manage("PUT /rest/v1/system/configs", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		f.open = json.NewDecoder(r.Body).Decode(&in) == nil && in["authentication.targettoken.enabled"] == true
		w.WriteHeader(http.StatusNoContent)
	})
	manage("GET /rest/v1/events", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if t := q.Get("type"); t != "" && t != "otaria.target,otaria.action" {
			reply(w, http.StatusBadRequest, map[string]any{"message": "no type begins with " + t})
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		send := func(n int) {
			fmt.Fprintf(w, "id: 0-%[1]d\ndata: {\"id\":\"0-%[1]d\",\"type\":\"otaria.target.created\",\"subject\":\"targets/%[1]d\",\"time\":\"2026-01-02T03:04:05.006Z\",\"data\":{\"id\":%[1]d}}\n\n", n)
		}
		fmt.Fprint(w, "retry: 2000\n: events\nid: 0-3\n\n")
		switch q.Get("after") {
		case "": // the connection breaks behind the second
			send(4)
			send(5)
			fmt.Fprint(w, "id: 0-6\ndata: {")
			_ = http.NewResponseController(w).Flush() // the client may be gone
			panic(http.ErrAbortHandler)
		case "0-5":
			send(6)
			fmt.Fprint(w, ":\nid: 0-9\n\n")
		default:
			reply(w, http.StatusForbidden, nil)
		}
	})
	f.HandleFunc("GET /DEFAULT/controller/v1/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if auth := r.Header.Get("Authorization"); !f.open || auth != "TargetToken token-of-"+r.PathValue("id") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(w, http.StatusOK, map[string]any{"config": map[string]any{"polling": map[string]any{"sleep": "00:00:30"}}})
	})
	return f
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/hal+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
