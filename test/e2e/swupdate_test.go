//go:build e2e

package e2e_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	controller = "gateway-1"        // the device's id
	gatewayKey = "5e0f8c2b7a9d4e61" // lets any device register
)

// TestSwupdate tells the life of one device: it registers, is updated over a
// bad line, never sees an update that was called off, and refuses images that
// its maker did not release.
func TestSwupdate(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	srv.configure("authentication.gatewaytoken.enabled", true)
	srv.configure("authentication.gatewaytoken.key", gatewayKey)
	maker := newSigner(t, "Release")
	line := startLine(t, srv.addr)
	dev := newDevice(t, line.addr, maker)
	payload := make([]byte, 3<<20)
	if _, err := rand.Read(payload); err != nil {
		t.Fatal(err)
	}
	installed := func() []byte {
		t.Helper()
		b, err := os.ReadFile(dev.app)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}

	t.Run("registers with the gateway token and tells its attributes", func(t *testing.T) {
		srv := srv.in(t)
		stop := dev.start(t)
		defer stop()
		dev.until(t, "the attributes are known", func() bool {
			var got map[string]string
			return srv.find("/rest/v1/targets/"+controller+"/attributes", &got) && len(got) > 0
		})
		var got map[string]string
		srv.get("/rest/v1/targets/"+controller+"/attributes", &got)
		if diff := cmp.Diff(map[string]string{"serial": "4711", "hw": "board 1.0"}, got); diff != "" {
			t.Error(diff)
		}
		if got := srv.target().UpdateStatus; got != "registered" {
			t.Errorf("update status %q, want registered", got)
		}
	})

	var first int64
	t.Run("installs over a line that breaks in the middle", func(t *testing.T) {
		srv := srv.in(t)
		set := srv.release("1.0.0", image{app: payload, path: dev.app, signer: maker}.build(t))
		line.cutOnceAfter(1 << 20)
		action := srv.assign(set)
		first = set

		stop := dev.start(t)
		dev.until(t, "everything is installed", func() bool {
			return srv.says(action, "All Chunks Installed.")
		})
		stop()
		if !line.wasCut() {
			t.Error("the line was never cut")
		}
		if !line.resumed() {
			t.Error("the device did not resume with a range request")
		}
		if !bytes.Equal(installed(), payload) {
			t.Error("the device installed other bytes")
		}
		if got := srv.target().UpdateStatus; got != "pending" {
			t.Errorf("update status before the reboot is %q, want pending", got)
		}

		// After its reboot the device confirms that the new software runs.
		stop = dev.start(t, "-c", "2")
		defer stop()
		dev.until(t, "the target is in sync", func() bool {
			return srv.target().UpdateStatus == "in_sync"
		})
		if got := srv.installedSet(); got != set {
			t.Errorf("installed set %d, want %d", got, set)
		}
		if got := srv.action(action); got != (actionState{Status: "finished"}) {
			t.Errorf("action is %+v, want finished", got)
		}
		for _, want := range []string{"Installing Update Chunk Artifacts.", "Installed Chunk.", "Verified OK"} {
			if !srv.says(action, want) {
				t.Errorf("no message of the device has %q", want)
			}
		}
	})

	t.Run("never sees an update that was canceled", func(t *testing.T) {
		srv := srv.in(t)
		other := bytes.Repeat([]byte("called off\n"), 10000)
		set := srv.release("2.0.0", image{app: other, path: dev.app, signer: maker}.build(t))
		action := srv.assign(set)
		srv.cancel(action)
		if got := srv.action(action); got.Status != "canceling" {
			t.Errorf("the action is %+v, want canceling", got)
		}

		stop := dev.start(t)
		defer stop()
		dev.until(t, "the device acknowledged", func() bool {
			return srv.action(action).Status == "canceled"
		})
		if got := srv.target().UpdateStatus; got != "in_sync" {
			t.Errorf("update status %q, want in_sync", got)
		}
		if got := srv.installedSet(); got != first {
			t.Errorf("installed set %d, want still %d", got, first)
		}
		if !bytes.Equal(installed(), payload) {
			t.Error("the device's software changed")
		}
	})

	stranger := newSigner(t, "Stranger")
	for _, bad := range []struct {
		name, version string
		image         image
		says          string // what swupdate says of it
	}{
		{"refuses an image that was tampered with", "3.0.0", image{app: []byte(strings.Repeat("good", 5000)), path: dev.app, signer: maker, tamper: true}, "HASH mismatch"},
		{"refuses an image that a stranger signed", "4.0.0", image{app: []byte(strings.Repeat("evil", 5000)), path: dev.app, signer: stranger}, "Authentication of all signatures failed"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			srv := srv.in(t)
			action := srv.assign(srv.release(bad.version, bad.image.build(t)))
			stop := dev.start(t)
			defer stop()
			dev.until(t, "the device reported its failure", func() bool {
				return srv.target().UpdateStatus == "error"
			})
			if got := srv.action(action); got != (actionState{Status: "error"}) {
				t.Errorf("action is %+v, want error", got)
			}
			if !srv.says(action, bad.says) {
				t.Errorf("no message of the device has %q; it said:\n%s", bad.says, strings.Join(srv.messages(action), "\n"))
			}
			if !bytes.Equal(installed(), payload) {
				t.Error("the device's software changed")
			}
		})
	}

	t.Run("leaves nothing behind on the device", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(dev.app), "*"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{dev.app}, files); diff != "" {
			t.Error(diff)
		}
	})
}
