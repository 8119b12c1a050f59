package store

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

//go:embed migrations
var migrations embed.FS

func migrationsFor(name string) fs.FS {
	sub, err := fs.Sub(migrations, "migrations/"+name)
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sub
}

func sqliteDialect() dialect {
	return dialect{
		name:       "sqlite",
		driver:     "sqlite",
		migrations: migrationsFor("sqlite"),
		lock:       sqliteLock,
		table:      sqliteTable,
		ids:        sqliteIDs,
		among:      sqliteAmong,
		heaviest:   sqliteHeaviest,
		perTarget:  sqlitePerTarget,
		events:     sqliteEvents(),
		replanned:  sqliteReplanned,
		stepTime:   50 * time.Millisecond,
		behind:     onOwnThread,
		classify:   classifySQLite,
	}
}

// sqliteDSN returns the data source name of the file. What is acknowledged
// survives a power cut: synchronous(FULL) syncs the log at every commit. The
// order of pragmas matters: the busy timeout comes first, so that the others
// wait their turn.
//
// What a connection caches is memory that the process keeps for good, once for
// each of them, and nearly twice as much as cache_size says: the allocator rounds a
// page and what belongs to it up to 8 KiB. Pages that are only read come from the
// mapping, which the kernel can take back at any time; the writer's cache has to
// hold what a transaction changes, some megabytes, and the pages that each second's
// check-ins change again.
func sqliteDSN(path string, readOnly bool) string {
	pragmas := []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "temp_store(MEMORY)", "mmap_size(1073741824)"}
	if readOnly {
		pragmas = append(pragmas, "cache_size(-2048)", "query_only(ON)")
	} else {
		// A checkpoint writes each page once that changed since the last one, wherever
		// it stands, and waits for the disk. The later, the more often the same page
		// changed: with 16,000 a million devices bring in a fifth more reports than
		// with 4,000. The log takes 64 MB of disk.
		pragmas = append(pragmas, "cache_size(-16384)", "wal_autocheckpoint(16000)", "journal_size_limit(67108864)")
	}
	return fmt.Sprintf("file:%s?%s", (&url.URL{Path: path}).EscapedPath(), url.Values{"_pragma": pragmas}.Encode())
}

func classifySQLite(err error) failure {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return failureOther
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return failureDuplicate
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return failureReference
	case lib.SQLITE_CONSTRAINT_CHECK, lib.SQLITE_CONSTRAINT_NOTNULL, lib.SQLITE_CONSTRAINT_DATATYPE, lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH:
		return failureValue
	}
	switch e.Code() & 0xff {
	// Busy is another program that holds the file for longer than busy_timeout: our
	// own changes wait for each other.
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_PROTOCOL, lib.SQLITE_NOMEM:
		return failureUnavailable
	}
	return failureOther
}
