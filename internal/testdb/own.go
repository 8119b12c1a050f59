package testdb

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Server is a PostgreSQL server for one test alone, which may take it away.
// Unlike the shared one it keeps what it acknowledged when it is.
type Server struct {
	Database

	tb testing.TB
	c  cluster
}

// OwnPostgres starts a PostgreSQL server with an empty database. It is gone
// when the test ends.
func OwnPostgres(tb testing.TB) *Server {
	tb.Helper()
	c, err := locate(func(string) string {
		return filepath.Join(os.TempDir(), "otaria-testdb-own-"+strings.ToLower(rand.Text())) // the server's user must reach it
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(c.dir); err != nil {
			tb.Error(err)
		}
	})
	release, err := lock(c.inUse(), syscall.LOCK_SH) // a watcher stops the server if this process is killed
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)

	s := &Server{Database{"postgres", c.url("postgres")}, tb, c}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	if err := c.create(ctx); err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(s.Stop)
	if err := c.watch(); err != nil {
		tb.Fatal(err)
	}
	return s
}

// Start starts the server again and returns when it can be used.
func (s *Server) Start() {
	s.tb.Helper()
	s.pgCtl(func(ctx context.Context) error { return s.c.launch(ctx, "") })
}

// Stop ends the server at once, as a crash would.
func (s *Server) Stop() {
	s.tb.Helper()
	s.pgCtl(func(ctx context.Context) error {
		return s.c.run(ctx, "pg_ctl", "stop", "--wait", "--silent", "--mode", "immediate", "--pgdata", s.c.data())
	})
}

func (s *Server) pgCtl(f func(context.Context) error) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.tb.Context()), time.Minute)
	defer cancel()
	if err := f(ctx); err != nil {
		s.tb.Fatal(err)
	}
}
