package store_test

import (
	"testing"

	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/store/storetest"
)

func TestSoftware(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) testdb.Database{"sqlite": testdb.SQLite, "postgres": testdb.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Software(t, func(t *testing.T) *store.DB { return open(t, fresh(t)) })
		})
	}
}

func open(t *testing.T, at testdb.Database) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: at.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
