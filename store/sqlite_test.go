package store

import (
	"database/sql"
	"testing"

	"github.com/otaria/otaria/internal/testdb"
)

// Another program that holds the file is an outage, no conflict of two changes.
func TestAnotherProgramHoldsTheFile(t *testing.T) {
	t.Parallel()
	d := testdb.SQLite(t)
	open(t, d)
	holder, err := sql.Open("sqlite", d.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := holder.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil { // the pool keeps it open
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", d.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err = other.ExecContext(t.Context(), "UPDATE tenant SET name = name"); classifySQLite(err) != failureUnavailable {
		t.Errorf("%v is of class %d", err, classifySQLite(err))
	}
}
