package local_test

import (
	"io"
	"testing"
	"time"

	"github.com/otaria/otaria/blob/local"
)

// BenchmarkUpload streams 64 MB in the pieces in which a multipart form hands
// them out, hashes included, without the commit.
func BenchmarkUpload(b *testing.B) {
	s, err := local.Open(b.TempDir(), local.Options{Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	const size = 64 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		u, err := s.Create(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(u, io.LimitReader(pieces{}, size)); err != nil || n != size {
			b.Fatal(n, err)
		}
		u.Abort()
	}
}

// pieces is a stream that gives 4 KB at a time.
type pieces struct{}

func (pieces) Read(p []byte) (int, error) { return min(len(p), 4096), nil }
