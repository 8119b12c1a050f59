package testdb_test

import (
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // registers pgx
	_ "modernc.org/sqlite"             // registers sqlite

	"github.com/otaria/otaria/internal/testdb"
)

func TestEach_gives_an_empty_database_that_can_be_written(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db testdb.Database) {
		write(t, db)
	})
}

func TestAll_gives_every_caller_databases_of_its_own(t *testing.T) {
	t.Parallel()
	for range 3 {
		for _, db := range testdb.All(t) {
			write(t, db) // would fail on a database that has the table already
		}
	}
}

func TestPostgres_is_gone_when_its_test_ends(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("uses it", func(t *testing.T) {
		db := testdb.Postgres(t)
		write(t, db)
		url = db.URL
	})
	pool, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.PingContext(t.Context()); err == nil {
		t.Fatal("the database is still there")
	}
}

func write(t *testing.T, db testdb.Database) {
	t.Helper()
	driver := map[string]string{"sqlite": "sqlite", "postgres": "pgx"}[db.Name]
	pool, err := sql.Open(driver, db.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := pool.ExecContext(t.Context(), "CREATE TABLE probe (id integer)"); err != nil {
		t.Fatal(err)
	}
}

func TestOwnPostgres_keeps_what_it_has_when_it_is_taken_away(t *testing.T) {
	t.Parallel()
	s := testdb.OwnPostgres(t)
	write(t, s.Database)
	s.Stop()
	pool, err := sql.Open("pgx", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.PingContext(t.Context()); err == nil {
		t.Error("a stopped server answers")
	}
	s.Start()
	if _, err := pool.ExecContext(t.Context(), "INSERT INTO probe VALUES (1)"); err != nil {
		t.Error(err)
	}
}
