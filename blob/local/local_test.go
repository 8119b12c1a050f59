package local_test

import (
	"testing"
	"time"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/blob/blobtest"
	"github.com/otaria/otaria/blob/local"
)

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T, now func() time.Time) blob.Store {
		t.Helper()
		s, err := local.Open(t.TempDir(), local.Options{Grace: blobtest.Grace, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
