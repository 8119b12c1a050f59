// Package testdb gives a test databases of its own: a SQLite file and a
// database on a private PostgreSQL server.
//
// The PostgreSQL server is made from the programs of the operating system's
// package (initdb, pg_ctl) in a directory under [os.TempDir], listens on a Unix
// socket there and nowhere else, and is shared by every test process of the
// machine's user: the first test that asks starts it, and it stops by itself
// some seconds after the last one. It does not fsync, so nothing about
// surviving a power cut can be learned from it.
package testdb

import (
	"path/filepath"
	"testing"
)

// A Database is fresh, empty and for one test alone.
type Database struct {
	Name string // "sqlite" or "postgres"
	URL  string // what store.Open takes
}

// All returns one database of each kind. They are gone when the test ends.
func All(tb testing.TB) []Database {
	tb.Helper()
	return []Database{SQLite(tb), Postgres(tb)}
}

// Each runs f as a parallel subtest on a database of each kind.
func Each(t *testing.T, f func(t *testing.T, db Database)) {
	t.Helper()
	for name, fresh := range map[string]func(testing.TB) Database{"sqlite": SQLite, "postgres": Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, fresh(t))
		})
	}
}

// SQLite returns a database file that does not exist yet, in a directory of
// its own.
func SQLite(tb testing.TB) Database {
	tb.Helper()
	return Database{Name: "sqlite", URL: filepath.Join(tb.TempDir(), "otaria.db")}
}
