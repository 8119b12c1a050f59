package crash_test

import (
	"database/sql"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // registers sqlite

	"github.com/otaria/otaria/internal/testdb"
)

// longer names the environment variable that makes the tests longer.
const longer = "OTARIA_CRASH_FOR"

// killFor is how long the server is killed again and again on each database.
func killFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(longer)
	if text == "" {
		return 12 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", longer, err)
	}
	return d
}

// rounds is how often a disk is filled and a database stopped.
func rounds() int {
	if os.Getenv(longer) == "" {
		return 1
	}
	return 3
}

// TestNothingIsLost kills the server at random moments under load and then
// proves that everything acknowledged is there and nothing is half done.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db testdb.Database) {
		dir := t.TempDir()
		var env []string
		if db.Name == "postgres" {
			env = append(env, "OTARIA_DATABASE_URL="+db.URL)
		}
		s := newServer(t, dir, env...)
		for range 3 { // it may die while it makes its database
			s.launch()
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
			s.kill()
		}
		s.start()
		l := newLoad(s)
		l.prepare()
		l.run()

		kills := 0
		for end := time.Now().Add(killFor(t)); time.Now().Before(end); kills++ {
			began := time.Now()
			l.visit(fmt.Sprintf("visitor-%d", kills))
			// What a device was told more than a second before is saved.
			if kills%3 == 0 {
				time.Sleep(2500*time.Millisecond - time.Since(began))
			} else {
				delete(l.visits, fmt.Sprintf("visitor-%d", kills))
				time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
			}
			s.kill()
			for range rand.IntN(3) { // again, while it starts
				s.launch()
				time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
				s.kill()
				kills++
			}
			s.start()
		}
		l.stop()
		t.Logf("killed %d times; answers: %v; %d modules, %d artifacts, %d actions", kills, l.answered, len(l.modules), len(l.artifacts), len(l.actions))
		l.prove()

		// Once more from what is on disk, after a regular end.
		s.stop()
		s.start()
		l.prove()
		s.stop()
		proveFiles(t, dir)
	})
}

// proveFiles looks at the data directory of a server that has ended.
func proveFiles(t *testing.T, dir string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(dir, "artifacts", "tmp", "*")); err != nil || len(left) > 0 {
		t.Errorf("unfinished uploads were left behind: %v %v", left, err)
	}
	contents := 0
	err := filepath.WalkDir(filepath.Join(dir, "artifacts"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || len(d.Name()) != 64 {
			return err
		}
		contents++
		if sum, err := sumOf(path); err != nil || sum != d.Name() {
			t.Errorf("%s holds the content %s, %v", path, sum, err)
		}
		return nil
	})
	if err != nil || contents == 0 {
		t.Errorf("%d contents, %v", contents, err)
	}

	file := filepath.Join(dir, "otaria.db")
	if _, err := os.Stat(file); err != nil {
		return // on PostgreSQL
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %q %v", verdict, err)
	}
	rows, err := db.QueryContext(t.Context(), "PRAGMA foreign_key_check")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, parent string
		var row, key sql.NullInt64
		if err := rows.Scan(&table, &row, &parent, &key); err != nil {
			t.Fatal(err)
		}
		t.Errorf("row %v of %s refers to nothing in %s", row, table, parent)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
