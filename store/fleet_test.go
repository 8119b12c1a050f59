package store_test

import (
	"testing"

	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/store/storetest"
)

func TestFleet(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) testdb.Database{"sqlite": testdb.SQLite, "postgres": testdb.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Fleet(t, func(t *testing.T) *store.DB { t.Helper(); return open(t, fresh(t)) })
		})
	}
}
