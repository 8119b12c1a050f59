//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// device is a swupdate in suricatta mode with directories of its own.
type device struct {
	app    string // the file that images install
	config string
	tmp    string // its sockets and scratch files
}

func newDevice(t *testing.T, addr string, trusted signer) device {
	t.Helper()
	dir := t.TempDir()
	d := device{app: filepath.Join(dir, "root", "app.bin"), config: filepath.Join(dir, "swupdate.cfg"), tmp: filepath.Join(dir, "tmp")}
	for _, made := range []string{filepath.Dir(d.app), d.tmp} {
		if err := os.Mkdir(made, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`globals: { verbose = true; loglevel = 5; public-key-file = %q; };
identify: ( { name = "serial"; value = "4711"; }, { name = "hw"; value = "board 1.0"; } );
suricatta: {
  tenant = "DEFAULT"; id = %q; url = "http://%s"; gatewaytoken = %q;
  polldelay = 1; retry = 5; retrywait = 1; enable = true;
};
`, trusted.cert, controller, addr, gatewayKey)
	if err := os.WriteFile(d.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

// start boots the device and returns what switches it off. Its log is shown
// when the test fails.
func (d device) start(t *testing.T, suricatta ...string) (stop func()) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "swupdate", "-f", d.config, "-H", "board:1.0", "-u", strings.Join(suricatta, " "))
	cmd.Env = append(os.Environ(), "TMPDIR="+d.tmp)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its children, too
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start swupdate (Debian's package swupdate): %v", err)
	}
	stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait() // killed by us: not an error
		if t.Failed() {
			t.Logf("the device's log:\n%s", &log)
		}
	})
	t.Cleanup(stop)
	return stop
}

// until waits for something to become true, waking the device meanwhile: the
// server's shortest polling interval is longer than a test should take.
func (d device) until(t *testing.T, what string, true func() bool) {
	t.Helper()
	const patience = 60 * time.Second
	for end := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		if true() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
		wake := exec.CommandContext(t.Context(), "swupdate-ipc", "hawkbitcfg", "--trigger")
		wake.Env = append(os.Environ(), "TMPDIR="+d.tmp)
		_ = wake.Run() // it may be booting, or busy
	}
}
