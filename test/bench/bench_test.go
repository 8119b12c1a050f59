package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBench measures both databases for a moment: the figures mean nothing, but
// every one of them has to be there.
func TestBench(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+"/", "../../cmd/otaria", "../../cmd/otactl", ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	// A socket's path is short, and PostgreSQL's user has to get there.
	dir, err := os.MkdirTemp("", "bench-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("above\n"+begin+"old\n"+end+"below\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "bench"), "-bin", bin, "-keep", dir, "-fleets", "50,100", "-rounds", "1", "-time", "1200ms", "-warmup", "200ms", "-connections", "4", "-rate", "200", "-rollout-rate", "200", "-feedback", "10", "-reports", "2", "-finish=false", "-only", "`tag==field", "-write", page)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "above\n"+begin) || !strings.HasSuffix(string(text), end+"below\n") || strings.Contains(string(text), "old\n") {
		t.Errorf("the page is\n%s", text)
	}
	rows, queries := map[string]int{}, 0
	for line := range strings.SplitSeq(stdout.String(), "\n") {
		switch {
		case !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| database") || strings.HasPrefix(line, "| filter"):
		case strings.HasPrefix(line, "| `"):
			queries++
			if strings.Contains(line, " 0.0 |") {
				t.Errorf("nothing was measured: %s", line)
			}
		default:
			rows[strings.Fields(line)[1]]++
			if strings.Contains(line, "NaN") || strings.Contains(line, "| 0 |") {
				t.Errorf("nothing was measured: %s", line)
			}
		}
	}
	if queries == 0 {
		t.Error("no queries were measured")
	}
	if diff := cmp.Diff(map[string]int{"ceiling": 2, "sqlite": 7, "postgres": 7}, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s\n%s", diff, stdout.String())
	}
}

func TestMedianAndRatio(t *testing.T) {
	t.Parallel()
	a := []sample{{perSecond: 50}, {perSecond: 90}, {perSecond: 20}}
	b := []sample{{perSecond: 100}, {perSecond: 100}, {perSecond: 100}}
	if got := median(a, perSecond); got != 50 {
		t.Errorf("median: %v", got)
	}
	if got := ratio(a, b, perSecond); got != 0.5 {
		t.Errorf("ratio: %v", got)
	}
	if got := ratio(a, nil, perSecond); got != 0 {
		t.Errorf("ratio without the other: %v", got)
	}
}

// TestCPU: time that this process spends is seen.
func TestCPU(t *testing.T) {
	t.Parallel()
	before, err := cpu(os.Getpid(), true)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for after := before; after-before < 2*tick; {
		if time.Now().After(deadline) {
			t.Fatal("no time was spent in ten seconds of computing")
		}
		if after, err = cpu(os.Getpid(), true); err != nil {
			t.Fatal(err)
		}
	}
	if m, _, err := memory(os.Getpid()); err != nil || m < 1 {
		t.Errorf("memory: %v MiB, %v", m, err)
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}
