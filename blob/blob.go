// Package blob keeps the bytes of artifacts. It knows contents by their
// SHA-256 and nothing of names, tenants or rows: equal content is stored once,
// whoever uploads it.
//
// # Who may call what
//
// The order of things keeps bytes that a row refers to from being lost:
//
//   - Whoever adds a row first commits the upload, then inserts the row, soon:
//     within half the store's grace time. The grace is what protects the bytes
//     in between; it begins anew with every commit, of known content too.
//   - Whoever deletes rows deletes them first, and calls [Store.Remove] after
//     that transaction has ended. Remove keeps what is younger than the grace
//     time or what stillUsed says is used, so nothing breaks when it is called
//     too early, twice, or not at all after a crash: [Sweep] gets the rest.
//   - Neither Commit nor Remove may be called inside a database transaction:
//     Remove asks the database while it holds the lock of a digest, and would
//     wait for a transaction that waits for that lock.
package blob

import (
	"context"
	"io"
	"time"
)

// DefaultGrace is the grace time of a store that is not told another: far more
// than any pause between a commit and the row that refers to it.
const DefaultGrace = time.Hour

// A Digest says what a content is: its hashes in lower-case hex, and its size
// in bytes.
type Digest struct {
	SHA256 string
	SHA1   string
	MD5    string
	Size   int64
}

// A Store keeps contents under their SHA-256. It may be used by many
// goroutines at once, and several processes may share what lies beneath.
//
// Errors that concern the client are faults: BinaryMissing where Open finds
// nothing, Unavailable while the place of the store is full or cannot be used.
// A later try may work then, and what is stored is not harmed.
type Store interface {
	// Create begins an upload. It must end in Commit or Abort. What a crash
	// leaves of it is never seen by the other methods and is removed later.
	Create(ctx context.Context) (Upload, error)

	// Open opens the content for reading. The reader stays good even if the
	// content is removed meanwhile.
	Open(ctx context.Context, sha256 string) (Blob, error)

	// Remove removes the content unless it was committed within the grace time
	// or stillUsed, asked under the lock of the content, says that a row refers
	// to it. It reports whether the store is now without the content, which it
	// also is if it never had it. An error of stillUsed keeps the content and is
	// returned. After a crash the content is there whole or gone.
	Remove(ctx context.Context, sha256 string, stillUsed func() (bool, error)) (gone bool, err error)

	// List returns up to limit contents, in the order of their SHA-256, from the
	// first behind after on (empty: the first of all). What is committed or
	// removed meanwhile may show or not.
	List(ctx context.Context, after string, limit int) ([]Info, error)
}

// An Upload takes one content. It is for one goroutine. The hashes are made
// while the bytes stream through, in memory that does not grow with the
// content; io.Copy to it reads ahead while it hashes.
type Upload interface {
	io.Writer

	// Digest returns the digest of what was written so far. It may be compared
	// with what the client announced before anything is committed.
	Digest() Digest

	// Commit makes the content durable and visible, as a whole, and only then
	// returns. Of known content the new copy is dropped and the grace time of the
	// old begins anew. After an error nothing of the upload is left.
	Commit(ctx context.Context) (Digest, error)

	// Abort drops what was written. After Commit, or a second time, it does
	// nothing, so that it can be deferred.
	Abort()
}

// A Blob is an opened content. Content of a local store is an *os.File: hand it
// on as it is, so that the kernel can send it without copying.
type Blob struct {
	Content io.ReadSeekCloser
	Size    int64
}

// Info says what List knows of a content.
type Info struct {
	SHA256    string
	Size      int64
	Committed time.Time // last time; the grace time counts from here
}

// Sweep takes one bounded step of looking for contents that no row refers to:
// it lists limit contents behind after, asks unused which of them look unused
// (one query for all), and removes those, asking stillUsed for each under its
// lock. It returns the place to go on from, empty at the end, and how many
// contents and bytes it removed. After an error the same step can be repeated.
func Sweep(ctx context.Context, s Store, after string, limit int,
	unused func(ctx context.Context, sha256 []string) ([]string, error),
	stillUsed func(ctx context.Context, sha256 string) (bool, error),
) (next string, removed Swept, err error) {
	page, err := s.List(ctx, after, limit)
	if err != nil || len(page) == 0 {
		return "", Swept{}, err
	}
	sizes := make(map[string]int64, len(page))
	sums := make([]string, len(page))
	for i, info := range page {
		sums[i], sizes[info.SHA256] = info.SHA256, info.Size
	}
	candidates, err := unused(ctx, sums)
	if err != nil {
		return after, Swept{}, err
	}
	for _, sum := range candidates {
		gone, err := s.Remove(ctx, sum, func() (bool, error) { return stillUsed(ctx, sum) })
		if err != nil {
			return after, removed, err
		}
		if gone {
			removed.Contents++
			removed.Bytes += sizes[sum]
		}
	}
	if len(page) < limit {
		return "", removed, nil
	}
	return sums[len(sums)-1], removed, nil
}

// Swept counts what Sweep removed.
type Swept struct {
	Contents int
	Bytes    int64
}
