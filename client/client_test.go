package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/client"
)

// serve answers every request alike and returns what was asked.
func serve(t *testing.T, status int, answer string) (*client.Client, *string) {
	t.Helper()
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body) // may be broken off
		asked = fmt.Sprintf("%s:%s %s %s %s", user, password, r.Method, r.URL.RequestURI(), body)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return &client.Client{URL: server.URL + "/", User: "admin", Password: "secret"}, &asked
}

func TestCalls(t *testing.T) {
	t.Parallel()
	weight := 7
	tests := []struct {
		answer string
		call   func(*client.Client) (any, error)
		asks   string
		want   any
	}{
		{
			`[{"controllerId":"a","securityToken":"t","updateStatus":"unknown"}]`,
			func(c *client.Client) (any, error) {
				return c.CreateTargets(t.Context(), []client.Target{{ControllerID: "a"}})
			},
			`POST /rest/v1/targets [{"controllerId":"a"}]`,
			[]client.Target{{ControllerID: "a", SecurityToken: "t", UpdateStatus: "unknown"}},
		},
		{
			`{"content":[{"controllerId":"a"}],"total":9,"size":1}`,
			func(c *client.Client) (any, error) {
				return c.Targets(t.Context(), client.Query{Q: "name==x y", Offset: 3, Limit: 1, Sort: "id:DESC"})
			},
			`GET /rest/v1/targets?limit=1&offset=3&q=name%3D%3Dx+y&sort=id%3ADESC `,
			client.Page[client.Target]{Content: []client.Target{{ControllerID: "a"}}, Total: 9, Size: 1},
		},
		{
			`{"controllerId":"a b"}`,
			func(c *client.Client) (any, error) { return c.Target(t.Context(), "a b") },
			`GET /rest/v1/targets/a%20b `,
			client.Target{ControllerID: "a b"},
		},
		{
			``,
			func(c *client.Client) (any, error) { return c.Attributes(t.Context(), "a") },
			`GET /rest/v1/targets/a/attributes `,
			map[string]string(nil),
		},
		{
			`[{"id":3,"type":"os","name":"n","version":"1"}]`,
			func(c *client.Client) (any, error) {
				return c.CreateModule(t.Context(), client.Module{Type: "os", Name: "n", Version: "1"})
			},
			`POST /rest/v1/softwaremodules [{"type":"os","name":"n","version":"1"}]`,
			client.Module{ID: 3, Type: "os", Name: "n", Version: "1"},
		},
		{
			`{"assigned":1,"alreadyAssigned":0,"total":1,"assignedActions":[{"id":5}]}`,
			func(c *client.Client) (any, error) {
				a, err := c.Assign(t.Context(), 4, []client.Assignment{{Target: "a", Type: "soft", Weight: &weight}})
				return a.Actions[0].ID, err
			},
			`POST /rest/v1/distributionsets/4/assignedTargets [{"id":"a","type":"soft","weight":7}]`,
			int64(5),
		},
		{
			`{"content":[{"id":12,"type":"running","messages":["x"],"timestamp":1,"code":7}],"total":1,"size":1}`,
			func(c *client.Client) (any, error) { return c.History(t.Context(), "a", 5, client.Query{}) },
			`GET /rest/v1/targets/a/actions/5/status `,
			client.Page[client.Report]{
				Content: []client.Report{{ID: 12, Type: "running", Messages: []string{"x"}, Timestamp: 1, Code: &weight}}, Total: 1, Size: 1,
			},
		},
		{
			``,
			func(c *client.Client) (any, error) { return nil, c.CancelAction(t.Context(), "a", 5, true) },
			`DELETE /rest/v1/targets/a/actions/5?force=true `,
			nil,
		},
		{
			`{"value":true}`,
			func(c *client.Client) (any, error) {
				var on bool
				err := c.Setting(t.Context(), "k", &on)
				return on, err
			},
			`GET /rest/v1/system/configs/k `,
			true,
		},
	}
	for _, test := range tests {
		c, asked := serve(t, http.StatusOK, test.answer)
		got, err := test.call(c)
		if err != nil {
			t.Errorf("%s: %v", test.asks, err)
			continue
		}
		if want := "admin:secret " + test.asks; *asked != want {
			t.Errorf("asked %q, want %q", *asked, want)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.asks, diff)
		}
	}
}

func TestUploadStreams(t *testing.T) {
	t.Parallel()
	c, asked := serve(t, http.StatusCreated, `{"id":9,"providedFilename":"app.bin","size":3,"hashes":{"sha256":"ab"}}`)
	a, err := c.Upload(t.Context(), 3, "app.bin", strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	if a.ID != 9 || a.Hashes.SHA256 != "ab" {
		t.Errorf("answer read as %+v", a)
	}
	for _, part := range []string{"POST /rest/v1/softwaremodules/3/artifacts", `name="file"; filename="app.bin"`, "\r\n\r\nabc\r\n"} {
		if !strings.Contains(*asked, part) {
			t.Errorf("the upload has no %q: %s", part, *asked)
		}
	}
	c, _ = serve(t, http.StatusCreated, `{}`)
	broken := errors.New("the file cannot be read")
	if _, err := c.Upload(t.Context(), 3, "app.bin", io.MultiReader(bytes.NewReader([]byte("a")), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("uploading what cannot be read: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestRefusals(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, http.StatusConflict, `{"errorCode":"code","message":"it exists"}`)
	_, err := c.Target(t.Context(), "a")
	if client.StatusOf(err) != 409 || err.Error() != "GET /rest/v1/targets/a: 409 Conflict: it exists (code)" {
		t.Errorf("%v", err)
	}
	c, _ = serve(t, http.StatusBadGateway, `<html>`)
	if _, err = c.Target(t.Context(), "a"); err == nil || err.Error() != "GET /rest/v1/targets/a: 502 Bad Gateway" {
		t.Errorf("%v", err)
	}
	c, _ = serve(t, http.StatusOK, `<html>`)
	if _, err = c.Target(t.Context(), "a"); err == nil || client.StatusOf(err) != 0 {
		t.Errorf("HTML is taken for JSON: %v", err)
	}
}
