package crash_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a disk of so many bytes in memory.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("this test mounts a small disk, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all space of a disk, also what others give up meanwhile, and
// returns what gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 10 {
		for size := 1 << 20; size > 0; {
			if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
				size /= 2
			} else if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 384<<20)
	s := newServer(t, filepath.Join(disk, "data"))
	s.start()
	l := newLoad(s)
	l.prepare()
	l.run()
	time.Sleep(time.Second)
	for round := range rounds() {
		before := s.out.size()
		free := fill(t, disk)
		refusals := 0
		for i, end := 0, time.Now().Add(2500*time.Millisecond); time.Now().Before(end); i++ { // check-ins fail to be saved meanwhile
			// A small change may find room in what the database's files have already.
			if l.createModule(fmt.Sprintf("full-%d-%d", round, i)) == 0 {
				refusals++
				if status := l.manage(http.MethodGet, "/readyz", nil, nil); status != http.StatusServiceUnavailable {
					t.Errorf("round %d, readiness on a full disk: %d, want 503", round, status)
				}
			}
			if status := l.manage(http.MethodGet, "/rest/v1/softwaremodules", nil, nil); status != http.StatusOK {
				t.Errorf("reading on a full disk: %d", status)
			}
			if status := l.device(http.MethodGet, l.devices[0], "", nil, nil); status != http.StatusOK {
				t.Errorf("a poll on a full disk: %d", status)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if refusals == 0 {
			t.Errorf("round %d: nothing was refused", round)
		}
		said := append(s.out.logged(before, "ERROR"), s.out.logged(before, "WARN")...)
		if len(said) != 2 || !strings.Contains(said[0], "space") || !strings.Contains(said[1], "space") {
			t.Errorf("a full disk, round %d: want a line each for database and artifacts that says what to do, got %d:\n%s", round, len(said), strings.Join(said, "\n"))
		}

		free()
		back := time.Now()
		if !eventually(10*time.Second, func() bool { return l.manage(http.MethodGet, "/readyz", nil, nil) == http.StatusOK }) {
			t.Fatal("the server does not recover")
		}
		if l.createModule(fmt.Sprintf("after-%d", round)) == 0 {
			t.Errorf("no module can be created although there is space again since %v", time.Since(back))
		}
		if !eventually(20*time.Second, func() bool { return len(again(s, before)) == 2 }) {
			t.Errorf("the log does not say that all is well again: %q", again(s, before))
		}
	}
	l.stop()
	t.Logf("answers: %v; %d modules, %d artifacts, %d actions", l.answered, len(l.modules), len(l.artifacts), len(l.actions))
	l.prove()
	s.kill()
	s.start()
	l.prove()
	s.stop()
	proveFiles(t, s.data)
}

// again returns the lines that tell the end of an outage.
func again(s *server, since int) (lines []string) {
	for _, line := range s.out.logged(since, "INFO") {
		if strings.Contains(line, "again\"") {
			lines = append(lines, line)
		}
	}
	return lines
}

// eventually waits until ok.
func eventually(within time.Duration, ok func() bool) bool {
	for end := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
