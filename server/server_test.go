package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/server"
)

// notice gathers what the server tells whoever started it, and finds its address.
type notice struct {
	mu  sync.Mutex
	buf bytes.Buffer
	url chan string
}

func (n *notice) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buf.Write(p)
	if m := regexp.MustCompile(`ready at (\S+),`).FindSubmatch(p); m != nil {
		n.url <- string(m[1])
	}
	return len(p), nil
}

func (n *notice) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

// start runs a server until stop is called, which returns how it ended.
func start(t *testing.T, c server.Config) (url string, said *notice, stop func() error) {
	t.Helper()
	said = &notice{url: make(chan string, 1)}
	c.Listen, c.AdminUser, c.ShutdownTimeout, c.Log, c.Notice = "127.0.0.1:0", "admin", 10*time.Second, slog.New(slog.DiscardHandler), said
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, c) }()
	select {
	case url = <-said.url:
	case err := <-ended:
		cancel()
		t.Fatalf("the server did not start: %v", err)
	}
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return url, said, stop
}

func get(t *testing.T, url, user, password string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestFirstStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, said, stop := start(t, server.Config{DataDir: dir})
	m := regexp.MustCompile(`user admin, password (\S+) `).FindStringSubmatch(said.String())
	if m == nil {
		t.Fatalf("no password in %q", said)
	}
	for path, want := range map[string]int{"/": 200, "/livez": 200, "/readyz": 200, "/healthz": 200, "/nothing": 404, "/rest/v1/softwaremoduletypes": 401, "/DEFAULT/controller/v1/d": 401} {
		if got, _ := get(t, url+path, "", ""); got != want {
			t.Errorf("%s without credentials: %d, want %d", path, got, want)
		}
	}
	if status, body := get(t, url+"/rest/v1/softwaremoduletypes", "admin", m[1]); status != 200 || !strings.Contains(body, `"key":"os"`) {
		t.Errorf("with the printed password: %d %s", status, body)
	}
	// The directory is taken: a second server on it is refused.
	if err := server.Run(t.Context(), server.Config{DataDir: dir, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Notice: io.Discard}); err == nil || !strings.Contains(err.Error(), "another otaria") {
		t.Errorf("a second server on the same directory: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// The next start finds the account and makes up nothing.
	url, said, _ = start(t, server.Config{DataDir: dir, AdminPassword: "other"})
	if strings.Contains(said.String(), "First administrator") {
		t.Errorf("a second first administrator: %q", said)
	}
	if status, _ := get(t, url+"/rest/v1/softwaremoduletypes", "admin", m[1]); status != 200 {
		t.Errorf("the first password does not work any more: %d", status)
	}
}

func TestTwoServersOnOnePostgres(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	one, _, _ := start(t, server.Config{DataDir: t.TempDir(), DatabaseURL: d.URL, AdminPassword: "secret"})
	two, _, _ := start(t, server.Config{DataDir: t.TempDir(), DatabaseURL: d.URL, AdminPassword: "ignored"})
	for _, url := range []string{one, two} {
		if status, body := get(t, url+"/rest/v1/softwaremoduletypes", "admin", "secret"); status != 200 {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
}

// A stream of events hears of what another server did, and ends at once when its
// own is told to stop.
func TestAStreamOfEventsAcrossServers(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	one, _, _ := start(t, server.Config{DataDir: t.TempDir(), DatabaseURL: d.URL, AdminPassword: "secret"})
	two, _, stop := start(t, server.Config{DataDir: t.TempDir(), DatabaseURL: d.URL, AdminPassword: "ignored"})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, two+"/rest/v1/events?type=otaria.target", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", "secret")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, one+"/rest/v1/targets", strings.NewReader(`[{"controllerId":"device"}]`)); err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", "secret")
	r.Header.Set("Content-Type", "application/json")
	created, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := created.Body.Close(); err != nil || created.StatusCode != http.StatusCreated {
		t.Fatalf("%d, %v", created.StatusCode, err)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "device") {
		continue
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	last := ""
	for lines.Scan() {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if lines.Err() != nil || !strings.Contains(last, "the server is stopping") {
		t.Errorf("the stream ended with %q, %v", last, lines.Err())
	}
}
