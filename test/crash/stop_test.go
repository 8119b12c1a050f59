package crash_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A download is one that its client does not hurry to read.
type download struct {
	resp *http.Response
	want string // SHA-256
}

// startDownload uploads a file that no buffer on the way can hold, and asks for it.
func startDownload(t *testing.T, l *load) download {
	t.Helper()
	l.upload(l.createModule("large"), "large.bin", 48<<20)
	a := l.artifacts["large.bin"]
	if a.id == 0 {
		t.Fatal("the large file was not uploaded")
	}
	resp := begin(t, l, http.MethodGet, fmt.Sprintf("/rest/v1/softwaremodules/%d/artifacts/%d/download", a.module, a.id), "", http.NoBody)
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	return download{resp, a.sha256}
}

// finish reads the rest.
func (d download) finish() error {
	h := sha256.New()
	if _, err := io.Copy(h, d.resp.Body); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != d.want {
		return fmt.Errorf("SHA-256 is %s, want %s", sum, d.want)
	}
	return nil
}

// begin makes a request whose answer is read later.
func begin(t *testing.T, l *load, method, path, contentType string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, *l.s.url.Load()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// stopping asks the server to stop and waits until it has understood.
func stopping(t *testing.T, s *server) {
	t.Helper()
	n := s.out.size()
	s.signal(syscall.SIGTERM)
	if !eventually(20*time.Second, func() bool { return strings.Contains(s.out.since(n), "stopping") }) {
		t.Fatalf("the server does not say that it stops: %s", s.out.since(n))
	}
}

func TestTermination_lets_requests_end(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	s.start()
	l := newLoad(s)
	l.prepare()
	d := startDownload(t, l)
	l.visit("visitor")

	// An upload that is half sent.
	module := l.createModule("late")
	body, send := io.Pipe()
	form := multipart.NewWriter(send)
	uploaded := make(chan int, 1)
	go func() {
		resp := begin(t, l, http.MethodPost, fmt.Sprintf("/rest/v1/softwaremodules/%d/artifacts", module), form.FormDataContentType(), body)
		if resp == nil {
			uploaded <- 0
			return
		}
		uploaded <- resp.StatusCode
	}()
	part, err := form.CreateFormFile("file", "late.bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}

	arrived := func() bool {
		half, err := filepath.Glob(filepath.Join(s.data, "artifacts", "tmp", "*"))
		return err == nil && len(half) > 0
	}
	if !eventually(10*time.Second, arrived) {
		t.Fatal("the upload does not begin")
	}

	stopping(t, s)
	refused := func() bool {
		fresh := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := fresh.Get(*s.url.Load() + "/livez")
		if err == nil {
			resp.Body.Close()
		}
		return err != nil
	}
	if !eventually(10*time.Second, refused) {
		t.Fatal("new connections are still taken")
	}
	_, err = part.Write(make([]byte, 1<<20))
	if err := errors.Join(err, form.Close(), send.Close()); err != nil {
		t.Errorf("the upload was cut off: %v", err)
	}
	if status := <-uploaded; status != http.StatusCreated {
		t.Errorf("the upload: %d", status)
	}
	if err := d.finish(); err != nil {
		t.Errorf("the download: %v", err)
	}
	if err := s.ended(20 * time.Second); err != nil {
		t.Errorf("how it ended: %v", err)
	}
	s.start()
	l.prove()
}

func TestTermination_has_a_deadline(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir(), "OTARIA_SHUTDOWN_TIMEOUT=1s")
	s.start()
	l := newLoad(s)
	l.prepare()
	d := startDownload(t, l) // and nobody reads it
	began := time.Now()
	s.signal(syscall.SIGTERM)
	if err := s.ended(20 * time.Second); err != nil {
		t.Errorf("how it ended: %v", err)
	}
	if took := time.Since(began); took < 900*time.Millisecond || took > 6*time.Second {
		t.Errorf("it ended after %v, the deadline was 1s", took)
	}
	if err := d.finish(); err == nil {
		t.Error("the download came to its end")
	}
	s.start()
	l.prove()
}

func TestTermination_twice_ends_at_once(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	s.start()
	l := newLoad(s)
	l.prepare()
	startDownload(t, l) // and nobody reads it
	stopping(t, s)
	s.signal(syscall.SIGTERM)
	if err := s.ended(5 * time.Second); !killedBy(err, syscall.SIGTERM) {
		t.Errorf("how it ended: %v", err)
	}
	s.start()
	l.prove()
}

func TestTermination_while_it_starts(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	for i := range 12 {
		s.launch()
		time.Sleep(time.Duration(i) * 12 * time.Millisecond)
		s.signal(syscall.SIGTERM)
		if err := s.ended(20 * time.Second); err != nil && !killedBy(err, syscall.SIGTERM) {
			t.Errorf("how it ended: %v\n%s", err, s.out.tail(1000))
		}
	}
	s.start()
	l := newLoad(s)
	l.prepare()
	l.prove()
	s.stop()
}
