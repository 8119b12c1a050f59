package software

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/tenant"
)

// An Artifact is one file of a module. Its bytes are in the blob store, under
// their SHA-256; artifacts of equal content share them.
type Artifact struct {
	ID       ArtifactID
	Module   ModuleID
	Filename string
	Digest   blob.Digest
	caller.Stamps
}

// NameKey returns the file name without regard to case: within a module no two
// artifacts have the same.
func (a *Artifact) NameKey() string { return nameKey(a.Filename) }

func nameKey(filename string) string { return strings.ToLower(strings.ToUpper(filename)) }

// Room says how a module stands to one artifact more.
type Room struct {
	Module    *Module // nil: there is none
	Artifacts int     // that it has
	NameTaken bool    // by one of them
	Stored    int64   // bytes of all artifacts of the tenant, of equal content too, but not those of deleted modules
}

// Admit says why the artifact cannot be added, in the order that management-api
// 2.11 gives: quota, module, lock, name, sizes.
func (r Room) Admit(a *Artifact, q tenant.Quotas) error {
	if err := r.open(a.Module, q); err != nil {
		return err
	}
	if r.NameTaken {
		return fault.New(fault.Exists, "Software module %s:%s (%d) has an artifact with the file name %q already (case does not matter). Delete it first, or choose another name.", r.Module.Name, r.Module.Version, a.Module, a.Filename)
	}
	if limit := q.ArtifactSize; limit > 0 && a.Digest.Size > limit {
		return tooLarge(limit)
	}
	if limit := q.ArtifactStorage; limit > 0 && r.Stored+a.Digest.Size > limit {
		return noRoom(limit - r.Stored)
	}
	return nil
}

// open says why the module takes no artifact, whatever its name and size.
func (r Room) open(id ModuleID, q tenant.Quotas) error {
	if limit := q.ArtifactsPerModule; limit > 0 && r.Artifacts >= limit {
		return fault.New(fault.Quota, "Software module %d has %d artifacts; at most %d are allowed.", id, r.Artifacts, limit)
	}
	if r.Module == nil {
		return fault.Missing("SoftwareModule", int64(id))
	}
	return r.Module.artifactsChangeable()
}

// artifactsChangeable refuses changes of a locked module's artifacts. A
// soft-deleted module takes them (management-api 1.8).
func (m *Module) artifactsChangeable() error {
	if m.Locked {
		return fault.New(fault.Locked, "Software module %s:%s (%d) is locked, so its artifacts cannot change. Unlock it first, or create a new version.", m.Name, m.Version, m.ID)
	}
	return nil
}

func tooLarge(limit int64) error {
	return fault.New(fault.QuotaFileSize, "The file is larger than %s, the most that an artifact may have.", size(limit))
}

func noRoom(left int64) error {
	return fault.New(fault.QuotaStorage, "The file does not fit: %s of the storage for artifacts is left. Delete artifacts that are not needed any more.", size(max(left, 0)))
}

// size writes a number of bytes in whole KB, from 1024 KB on in whole MB
// (management-api 4.3).
func size(bytes int64) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MB", bytes>>20)
	}
	return fmt.Sprintf("%d KB", bytes>>10)
}

// ArtifactStore keeps artifacts, without their bytes.
type ArtifactStore interface {
	// Artifacts returns the artifacts of a module in order of id;
	// fault.NotFound when there is no such module.
	Artifacts(ctx context.Context, t tenant.ID, module ModuleID) ([]Artifact, error)

	// Artifact returns one artifact and its module; fault.NotFound for the
	// module, then for the artifact.
	Artifact(ctx context.Context, t tenant.ID, module ModuleID, id ArtifactID) (*Artifact, *Module, error)

	// ArtifactNamed returns the artifact of a module that has the name key, nil
	// when none has, and the module; fault.NotFound when there is no such module.
	ArtifactNamed(ctx context.Context, t tenant.ID, module ModuleID, nameKey string) (*Artifact, *Module, error)

	// Room says how a module, which may not exist, stands to an artifact with
	// the name key.
	Room(ctx context.Context, t tenant.ID, module ModuleID, nameKey string) (Room, error)

	// Stored returns what Room.Stored tells.
	Stored(ctx context.Context, t tenant.ID) (int64, error)

	// CreateArtifact adds an artifact that admit lets in, and sets its id.
	// admit may run more than once. Uploads at the same time may together
	// exceed the tenant's storage by what they bring, and nothing else.
	CreateArtifact(ctx context.Context, t tenant.ID, a *Artifact, admit func(Room) error) error

	// DeleteArtifact removes an artifact unless check refuses, and returns it.
	DeleteArtifact(ctx context.Context, t tenant.ID, module ModuleID, id ArtifactID, now time.Time, check func(*Module) error) (*Artifact, error)

	// ContentUsed reports whether an artifact of a module that is not deleted,
	// of whatever tenant, has the content.
	ContentUsed(ctx context.Context, sha256 string) (bool, error)

	// ContentUnused returns those of the contents that ContentUsed denies.
	ContentUnused(ctx context.Context, sha256 []string) ([]string, error)
}

// Artifacts returns the artifacts of a module in order of id.
func (s *Service) Artifacts(ctx context.Context, module ModuleID) ([]Artifact, error) {
	return s.Store.Artifacts(ctx, caller.From(ctx).Tenant, module)
}

// Stored returns how many bytes count against the tenant's quota of storage.
func (s *Service) Stored(ctx context.Context) (int64, error) {
	return s.Store.Stored(ctx, caller.From(ctx).Tenant)
}

// Artifact returns one artifact of a module, and the module.
func (s *Service) Artifact(ctx context.Context, module ModuleID, id ArtifactID) (*Artifact, *Module, error) {
	return s.Store.Artifact(ctx, caller.From(ctx).Tenant, module, id)
}

// Downloadable returns an artifact whose bytes can be read. They are gone for
// good (fault.BinaryGone) with the module, even if it is deleted softly.
func (s *Service) Downloadable(ctx context.Context, module ModuleID, id ArtifactID) (*Artifact, error) {
	m, err := s.Module(ctx, module)
	if err != nil {
		return nil, err
	}
	if m.Deleted {
		return nil, binaryGone(m)
	}
	a, _, err := s.Artifact(ctx, module, id)
	return a, err
}

// Open opens the bytes of an artifact.
func (s *Service) Open(ctx context.Context, a *Artifact) (blob.Blob, error) {
	b, err := s.Blobs.Open(ctx, a.Digest.SHA256)
	if err != nil {
		return blob.Blob{}, fmt.Errorf("open artifact %d: %w", a.ID, err)
	}
	return b, nil
}

// DeleteArtifact deletes an artifact, and its bytes when nothing else needs them.
func (s *Service) DeleteArtifact(ctx context.Context, module ModuleID, id ArtifactID) error {
	a, err := s.Store.DeleteArtifact(ctx, caller.From(ctx).Tenant, module, id, s.Now(), (*Module).artifactsChangeable)
	if err != nil {
		return err
	}
	s.release(ctx, []string{a.Digest.SHA256})
	return nil
}

// release removes contents that no artifact has any more. What it does not get
// (a content younger than the blob store's grace time, a store that cannot be
// used right now, a crash) Sweep gets later, so nothing has to be reported.
func (s *Service) release(ctx context.Context, contents []string) {
	for _, sha256 := range contents {
		_, _ = s.Blobs.Remove(ctx, sha256, func() (bool, error) { return s.Store.ContentUsed(ctx, sha256) })
	}
}

// Sweep takes one bounded step of removing contents that no artifact has: what
// refused or crashed uploads and deletions left. It goes on from after (empty:
// the beginning) and returns where the next step goes on, empty at the end.
func (s *Service) Sweep(ctx context.Context, after string, limit int) (next string, removed blob.Swept, err error) {
	return blob.Sweep(ctx, s.Blobs, after, limit, s.Store.ContentUnused, s.Store.ContentUsed)
}

// Sums are the hashes that a client says its file has, in hex of any case; nil:
// not given.
type Sums struct {
	SHA1   *string
	MD5    *string
	SHA256 *string
}

// check compares in the order of management-api 2.11.
func (s Sums) check(d blob.Digest) error {
	for _, h := range []struct {
		kind fault.Kind
		name string
		want *string
		have string
	}{
		{fault.HashSHA1, "SHA-1", s.SHA1, d.SHA1},
		{fault.HashMD5, "MD5", s.MD5, d.MD5},
		{fault.HashSHA256, "SHA-256", s.SHA256, d.SHA256},
	} {
		if h.want != nil && strings.ToLower(*h.want) != h.have {
			return fault.New(h.kind, "The %s of the file is %s, but the request says %q: the upload was damaged, or the hash is that of another file.", h.name, h.have, *h.want)
		}
	}
	return nil
}

// An Intake takes the bytes of one artifact. It must end in Finish or Abort.
type Intake struct {
	s       *Service
	module  ModuleID
	quotas  tenant.Quotas
	room    Room
	refused error // why the bytes are not even kept; told by Finish, in its turn
	upload  blob.Upload
	size    int64
}

// Receive begins the upload of an artifact to a module.
func (s *Service) Receive(ctx context.Context, module ModuleID) (*Intake, error) {
	room, err := s.Store.Room(ctx, caller.From(ctx).Tenant, module, "")
	if err != nil {
		return nil, err
	}
	in := &Intake{s: s, module: module, quotas: s.Quotas, room: room, refused: room.open(module, s.Quotas)}
	if in.refused == nil {
		if in.upload, err = s.Blobs.Create(ctx); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// Size is the number of bytes that were taken.
func (in *Intake) Size() int64 { return in.size }

// Take reads r to its end, in memory that does not depend on the size. It stops
// as soon as a quota is exceeded. That r cannot be read is
// fault.UploadMalformed.
func (in *Intake) Take(r io.Reader) error {
	to := io.Discard // what is refused is read all the same, so that faults are told in their order
	if in.upload != nil {
		to = in.upload
	}
	limit, exceeded := in.limit()
	from := &source{r: r}
	var body io.Reader = from
	if limit >= 0 {
		body = io.LimitReader(from, limit+1)
	}
	n, err := io.Copy(to, body)
	in.size += n
	switch {
	case from.err != nil:
		return fault.Wrap(fault.UploadMalformed, from.err, "The upload ended before the multipart form was complete.")
	case err != nil:
		return fmt.Errorf("take artifact: %w", err)
	case limit >= 0 && n > limit:
		return exceeded
	}
	return nil
}

// limit returns how many bytes may come, -1 for any number, and what to say of more.
func (in *Intake) limit() (int64, error) {
	limit, exceeded := int64(-1), error(nil)
	if q := in.quotas.ArtifactSize; q > 0 {
		limit, exceeded = q, tooLarge(q)
	}
	if q := in.quotas.ArtifactStorage; q > 0 {
		if left := max(q-in.room.Stored, 0); limit < 0 || left < limit {
			limit, exceeded = left, noRoom(left)
		}
	}
	if in.refused != nil {
		exceeded = in.refused
	}
	return limit, exceeded
}

// source remembers what went wrong with a reader, to tell it from what went
// wrong with a writer.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		s.err = err
	}
	return n, err
}

// Finish makes the bytes an artifact of this name. When it returns without
// error, the artifact and its bytes survive a crash; after an error nothing of
// it is left, and bytes that other artifacts share are untouched.
func (in *Intake) Finish(ctx context.Context, filename string, sums Sums) (*Artifact, error) {
	defer in.Abort()
	var v freetext.Violations
	if filename == "" || freetext.HasMarkup(filename) {
		v.Text("The file name", filename, 1, maxFilename)
		return nil, v.Err()
	}
	if in.refused != nil {
		return nil, in.refused
	}
	s, t := in.s, caller.From(ctx).Tenant
	a := &Artifact{Module: in.module, Filename: filename, Digest: in.upload.Digest(), Stamps: caller.Stamp(ctx, s.Now())}
	admit := func(r Room) error {
		if err := r.Admit(a, in.quotas); err != nil {
			return err
		}
		if err := sums.check(a.Digest); err != nil {
			return err
		}
		v.Length("The file name", filename, 1, maxFilename)
		return v.Err()
	}
	room, err := s.Store.Room(ctx, t, in.module, a.NameKey())
	if err != nil {
		return nil, err
	}
	if err := admit(room); err != nil {
		return nil, err
	}
	if _, err := in.upload.Commit(ctx); err != nil {
		return nil, fmt.Errorf("store artifact: %w", err)
	}
	// When the row is refused now, Sweep removes the bytes if nothing else has them.
	if err := s.Store.CreateArtifact(ctx, t, a, admit); err != nil {
		return nil, err
	}
	return a, nil
}

// Abort drops what was taken. After Finish it does nothing.
func (in *Intake) Abort() {
	if in.upload != nil {
		in.upload.Abort()
	}
}
