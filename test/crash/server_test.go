package crash_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// programVariable names the environment variable that tells the tests where the
// built server is. Set beforehand, it makes them use one that was built
// otherwise, such as with -race.
const programVariable = "OTARIA_CRASH_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		os.Exit(m.Run())
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "otaria-crash-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		program := filepath.Join(dir, "otaria")
		build := exec.Command("go", "build", "-o", program, "github.com/otaria/otaria/cmd/otaria")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		if err := os.Setenv(programVariable, program); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

const (
	user     = "admin"
	password = "secret"
	gateway  = "gateway-token-of-the-test"
)

// A server is one process of the built program after another, on the same data.
type server struct {
	t    *testing.T
	data string
	env  []string
	out  *output

	url  atomic.Pointer[string] // of the process that runs now
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

// newServer prepares a server that is not started yet. The environment adds to
// the test's own.
func newServer(t *testing.T, data string, env ...string) *server {
	t.Helper()
	s := &server{t: t, data: data, env: env, out: &output{}}
	none := ""
	s.url.Store(&none)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the server's own words:\n%s", s.out.tail(3000))
		}
	})
	return s
}

// launch starts a process without waiting for it.
func (s *server) launch() (ready <-chan string) {
	s.t.Helper()
	cmd := exec.Command(os.Getenv(programVariable), "serve", "--listen", "127.0.0.1:0", "--data", s.data)
	cmd.Env = append(append(os.Environ(), "OTARIA_ADMIN_USER="+user, "OTARIA_ADMIN_PASSWORD="+password), s.env...)
	words := &notice{ready: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(s.out, words), s.out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		s.err = cmd.Wait()
		close(done)
	}(s.done)
	return words.ready
}

// start starts a process and waits until it serves.
func (s *server) start() {
	s.t.Helper()
	select {
	case url := <-s.launch():
		s.url.Store(&url)
	case <-s.done:
		s.t.Fatalf("the server did not start: %v\n%s", s.err, s.out.tail(4000))
	case <-time.After(time.Minute):
		s.t.Fatalf("the server did not become ready\n%s", s.out.tail(4000))
	}
}

// kill ends the process as a power cut would end it, if it runs.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.done
	s.cmd = nil
}

// signal sends the process a signal.
func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// ended waits for the process to end and returns how it did.
func (s *server) ended(within time.Duration) error {
	s.t.Helper()
	select {
	case <-s.done:
		s.cmd = nil
		return s.err
	case <-time.After(within):
		s.t.Fatalf("the server still runs after %v\n%s", within, s.out.tail(4000))
		return nil
	}
}

// stop ends the process in the regular way, which must succeed.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if err := s.ended(time.Minute); err != nil {
		s.t.Fatalf("the server did not end well: %v\n%s", err, s.out.tail(4000))
	}
}

// killedBy reports whether err says that the process was ended by the signal.
func killedBy(err error, sig syscall.Signal) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == sig
}

// output keeps what all processes of a server wrote.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// since returns what was written after the first n bytes.
func (o *output) since(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf.Bytes()[min(n, o.buf.Len()):])
}

func (o *output) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Len()
}

func (o *output) tail(n int) string { return o.since(max(0, o.size()-n)) }

// logged returns the lines of a level that were written after the first n bytes.
func (o *output) logged(n int, level string) (lines []string) {
	for line := range strings.Lines(o.since(n)) {
		if strings.Contains(line, "level="+level) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// notice waits for the line that tells a server's address.
type notice struct {
	buf   []byte
	ready chan string
}

func (n *notice) Write(p []byte) (int, error) {
	n.buf = append(n.buf, p...)
	if m := regexp.MustCompile(`is ready at (\S+),`).FindSubmatch(n.buf); m != nil {
		n.ready <- string(m[1])
		n.buf = nil
	}
	return len(p), nil
}
