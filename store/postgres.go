package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// openPostgres opens a pool of connections. They do without just-in-time
// compilation: it takes a quarter of a second before a statement of a few
// milliseconds whose cost the planner thinks high, as it does of steps over a
// million targets. A transaction whose process went silent is ended after a while,
// which is longer than patience: a host that is gone without closing its
// connections would keep its leases and rows locked for hours.
//
// They read whole tables only where no index leads anywhere. PostgreSQL keeps a plan
// until statistics are made anew: one of the day when there were no actions would
// read all of them for each target of a rollout, and for each poll, for minutes.
func openPostgres(url, settings string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET jit = off; SET idle_in_transaction_session_timeout = '45s'; SET enable_seqscan = off; "+settings)
		return err
	})), nil
}

// alongKeys makes statements that find rows by keys go from the keys to the rows,
// by one plan for good. PostgreSQL keeps a plan until statistics are made anew:
// one that was right for a table of a hundred rows would read a million of them
// for each batch, for a minute after a rollout began. For lists shorter than it
// guesses it would make a plan each time, which takes longer than to run it.
const alongKeys = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET plan_cache_mode = force_generic_plan"

func postgresDialect() dialect {
	return dialect{
		name:       "postgres",
		driver:     "pgx",
		migrations: migrationsFor("postgres"),
		forUpdate:  " FOR UPDATE",
		skipLocked: " FOR UPDATE SKIP LOCKED",
		forShare:   " FOR SHARE",
		lock:       postgresLock,
		table:      postgresTable,
		ids:        postgresIDs,
		among:      postgresAmong,
		heaviest:   postgresHeaviest,
		perTarget:  postgresPerTarget,
		events:     postgresEvents(),
		replanned:  postgresReplanned,
		perRow:     " OFFSET 0",
		orLooksUp:  true,
		stepTime:   200 * time.Millisecond,
		behind:     inPlace,
		twoSteps:   true,
		classify:   classifyPostgres,
	}
}

func classifyPostgres(err error) failure {
	// Whatever keeps us from connecting (also a changed password, a database that
	// was renamed): nobody can be served.
	var c *pgconn.ConnectError
	if errors.As(err, &c) {
		return failureUnavailable
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case "23505":
			return failureDuplicate
		case "23503":
			return failureReference
		case "23502", "23514", "22001", "22003", "22021", "22P05":
			return failureValue
		case "40001", "40P01", "55P03":
			return failureRetry
		}
		switch e.Code[:2] {
		case "08", "53", "57", "58", "XX", "25": // connection, resources, operator, system, internal, read-only
			return failureUnavailable
		}
		return failureOther
	}
	var n net.Error
	// What is safe to retry never reached PostgreSQL: the connection had broken before.
	if pgconn.SafeToRetry(err) || errors.As(err, &n) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return failureUnavailable
	}
	return failureOther
}
