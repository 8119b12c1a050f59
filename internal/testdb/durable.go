package testdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Durable is a PostgreSQL server of one's own that writes to disk what it
// acknowledges, unlike the one that tests share.
type Durable struct{ cluster cluster }

// OpenDurable starts the server whose files are in dir, and makes them first if
// there are none. Its settings are those of a small server of its own: the
// defaults of PostgreSQL, with a quarter of a gigabyte of memory and room for
// checkpoints to be rare. dir must not be longer than a socket's path may be.
func OpenDurable(ctx context.Context, dir string) (*Durable, error) {
	c, err := locate(func(string) string { return dir })
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(c.data(), "PG_VERSION")); err != nil {
		if err := c.create(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.launch(ctx, "-c shared_buffers=256MB -c max_wal_size=4GB -c checkpoint_timeout=15min -c wal_compression=lz4"); err != nil {
		return nil, err
	}
	return &Durable{c}, nil
}

// Close stops the server after it has saved everything.
func (d *Durable) Close(ctx context.Context) error {
	return d.cluster.run(ctx, "pg_ctl", "stop", "--wait", "--silent", "--mode", "fast", "--pgdata", d.cluster.data())
}

// Database returns the address of the database of this name, which is created
// if there is none.
func (d *Durable) Database(ctx context.Context, name string) (url string, err error) {
	conn, err := pgx.Connect(ctx, d.cluster.url("postgres"))
	if err != nil {
		return "", fmt.Errorf("reach PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return "", fmt.Errorf("look for the database %s: %w", name, err)
	}
	if !there {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
			return "", fmt.Errorf("create the database %s: %w", name, err)
		}
	}
	return d.cluster.url(name), nil
}

// PID returns the process that all of the server's processes descend from.
func (d *Durable) PID() (int, error) {
	text, err := os.ReadFile(filepath.Join(d.cluster.data(), "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("find PostgreSQL's process: %w", err)
	}
	var pid int
	first, _, _ := strings.Cut(string(text), "\n")
	if _, err := fmt.Sscan(first, &pid); err != nil {
		return 0, fmt.Errorf("find PostgreSQL's process: %w", err)
	}
	return pid, nil
}
