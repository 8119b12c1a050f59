package server_test

import (
	"net"
	"testing"

	"github.com/otaria/otaria/server"
)

// TestProfilesAreServedApart: profiles stand at the address for them alone.
func TestProfilesAreServedApart(t *testing.T) {
	t.Parallel()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	url, _, _ := start(t, server.Config{DataDir: t.TempDir(), Pprof: address})
	if status, _ := get(t, "http://"+address+"/debug/pprof/goroutine?debug=1", "", ""); status != 200 {
		t.Errorf("profile at its own address: %d", status)
	}
	if status, _ := get(t, url+"/debug/pprof/goroutine?debug=1", "", ""); status != 404 {
		t.Errorf("profile at the server's address: %d", status)
	}
}
