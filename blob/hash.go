package blob

import (
	"crypto/md5"  //nolint:gosec // the contract names MD5 and SHA-1; contents are known by their SHA-256
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"
)

// Hashes computes the three hashes of a Digest in one pass. For stores; the
// zero value will not do, use NewHashes.
type Hashes struct {
	sha256, sha1, md5 hash.Hash
	size              int64
}

// NewHashes returns the hashes of no bytes.
func NewHashes() *Hashes {
	//nolint:gosec // the contract names MD5 and SHA-1; contents are known by their SHA-256
	return &Hashes{sha256: sha256.New(), sha1: sha1.New(), md5: md5.New()}
}

// Digest returns the digest of the bytes so far.
func (h *Hashes) Digest() Digest {
	return Digest{
		SHA256: hex.EncodeToString(h.sha256.Sum(nil)),
		SHA1:   hex.EncodeToString(h.sha1.Sum(nil)),
		MD5:    hex.EncodeToString(h.md5.Sum(nil)),
		Size:   h.size,
	}
}

// WriteTo hashes p and writes it to w, at once where p is large enough to gain
// by it: MD5 alone takes as long as everything else together, and so one core
// computes it while another does the rest. It returns w's error; the hashes
// are of no use then.
func (h *Hashes) WriteTo(w io.Writer, p []byte) (int, error) {
	const worthwhile = 16 << 10
	var other sync.WaitGroup
	if len(p) >= worthwhile {
		other.Go(func() { h.md5.Write(p) })
	} else {
		h.md5.Write(p)
	}
	n, err := w.Write(p)
	h.sha256.Write(p)
	h.sha1.Write(p)
	h.size += int64(len(p))
	other.Wait()
	return n, err
}
