//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is the built program, and an operator who uses its Management API.
type server struct {
	t    *testing.T
	addr string
}

// startServer builds otaria and starts it on an empty data directory.
func startServer(t *testing.T) server {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "otaria")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "github.com/otaria/otaria/cmd/otaria")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	s := server{t: t, addr: freeAddr(t)}
	var log bytes.Buffer
	cmd := exec.Command(program, "serve", "--listen", s.addr, "--data", filepath.Join(dir, "data")) // ends in its own way, below
	cmd.Env = append(os.Environ(), "OTARIA_ADMIN_USER=admin", "OTARIA_ADMIN_PASSWORD=admin")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server did not end well: %v", err)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", &log)
		}
	})

	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(end) {
			t.Fatal("the server did not become ready")
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// in returns the same server for a subtest, which then fails by itself.
func (s server) in(t *testing.T) server {
	t.Helper()
	s.t = t
	return s
}

// send makes a request as the administrator.
func (s server) send(method, path, contentType string, body io.Reader) (status int, answer []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("admin", "admin")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// call sends JSON and decodes what comes back into out, unless out is nil.
func (s server) call(method, path string, in, out any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	status, answer := s.send(method, path, "application/json", bytes.NewReader(body))
	s.decode(method, path, status, answer, out)
}

func (s server) decode(method, path string, status int, answer []byte, out any) {
	s.t.Helper()
	if status/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer, out); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
	}
}

func (s server) get(path string, out any) {
	s.t.Helper()
	status, answer := s.send(http.MethodGet, path, "", http.NoBody)
	s.decode(http.MethodGet, path, status, answer, out)
}

// find is get for what may not be there yet.
func (s server) find(path string, out any) bool {
	s.t.Helper()
	status, answer := s.send(http.MethodGet, path, "", http.NoBody)
	if status == http.StatusNotFound || status == http.StatusNoContent {
		return false
	}
	s.decode(http.MethodGet, path, status, answer, out)
	return true
}

func (s server) configure(key string, value any) {
	s.t.Helper()
	s.call(http.MethodPut, "/rest/v1/system/configs/"+key, map[string]any{"value": value}, nil)
}

type identified struct {
	ID int64 `json:"id"`
}

// release makes a distribution set of one module with the image, and returns its id.
func (s server) release(version string, swu []byte) int64 {
	s.t.Helper()
	var modules, sets []identified
	s.call(http.MethodPost, "/rest/v1/softwaremodules", []any{map[string]any{"name": "firmware", "version": version, "type": "os"}}, &modules)

	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "firmware-"+version+".swu")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := part.Write(swu); err != nil {
		s.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	path := fmt.Sprintf("/rest/v1/softwaremodules/%d/artifacts", modules[0].ID)
	status, answer := s.send(http.MethodPost, path, w.FormDataContentType(), &form)
	s.decode(http.MethodPost, path, status, answer, nil)

	s.call(http.MethodPost, "/rest/v1/distributionsets", []any{map[string]any{"name": "firmware", "version": version, "type": "os", "modules": modules}}, &sets)
	return sets[0].ID
}

// assign tells the device to install the set and returns the action's id.
func (s server) assign(set int64) int64 {
	s.t.Helper()
	var out struct {
		AssignedActions []identified `json:"assignedActions"`
	}
	s.call(http.MethodPost, fmt.Sprintf("/rest/v1/distributionsets/%d/assignedTargets", set), []any{map[string]any{"id": controller, "type": "forced"}}, &out)
	if len(out.AssignedActions) != 1 {
		s.t.Fatalf("%d actions were made, want 1", len(out.AssignedActions))
	}
	return out.AssignedActions[0].ID
}

func (s server) cancel(action int64) {
	s.t.Helper()
	path := fmt.Sprintf("/rest/v1/targets/%s/actions/%d", controller, action)
	status, answer := s.send(http.MethodDelete, path, "", http.NoBody)
	s.decode(http.MethodDelete, path, status, answer, nil)
}

type target struct {
	UpdateStatus string `json:"updateStatus"`
}

func (s server) target() (t target) {
	s.t.Helper()
	s.get("/rest/v1/targets/"+controller, &t)
	return t
}

func (s server) installedSet() int64 {
	s.t.Helper()
	var set identified
	s.get("/rest/v1/targets/"+controller+"/installedDS", &set)
	return set.ID
}

type actionState struct {
	Status string `json:"status"`
	Active bool   `json:"active"`
}

func (s server) action(id int64) (a actionState) {
	s.t.Helper()
	s.get(fmt.Sprintf("/rest/v1/targets/%s/actions/%d", controller, id), &a)
	return a
}

// messages returns everything in the action's history, oldest first.
func (s server) messages(action int64) (all []string) {
	s.t.Helper()
	var page struct {
		Content []struct {
			Messages []string `json:"messages"`
		} `json:"content"`
	}
	s.get(fmt.Sprintf("/rest/v1/targets/%s/actions/%d/status?limit=500&sort=id:ASC", controller, action), &page)
	for _, row := range page.Content {
		all = append(all, row.Messages...)
	}
	return all
}

// says reports whether a message in the action's history contains the text.
func (s server) says(action int64, text string) bool {
	s.t.Helper()
	return slices.ContainsFunc(s.messages(action), func(m string) bool { return strings.Contains(m, text) })
}
