package store

import (
	"context"
	"fmt"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

const artifactColumns = "a.id, a.module_id, a.filename, a.sha256, a.sha1, a.md5, a.size, a.created_by, a.created_at, a.modified_by, a.modified_at"

func scanArtifact(r scanner) (a software.Artifact, err error) {
	s := audit{to: &a.Stamps}
	err = r.Scan(append([]any{&a.ID, &a.Module, &a.Filename, &a.Digest.SHA256, &a.Digest.SHA1, &a.Digest.MD5, &a.Digest.Size}, s.dest()...)...)
	s.finish()
	return a, err
}

// Artifacts implements software.ArtifactStore.
func (s Software) Artifacts(ctx context.Context, t tenant.ID, id software.ModuleID) (list []software.Artifact, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		if _, err := module(ctx, q, t, id, ""); err != nil {
			return err
		}
		list, err = all(ctx, q, scanArtifact, "SELECT "+artifactColumns+" FROM artifact a WHERE a.tenant_id = $1 AND a.module_id = $2 ORDER BY a.id", t, int64(id))
		return err
	})
	return list, err
}

// Artifact implements software.ArtifactStore.
func (s Software) Artifact(ctx context.Context, t tenant.ID, moduleID software.ModuleID, id software.ArtifactID) (a *software.Artifact, m *software.Module, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		if m, err = module(ctx, q, t, moduleID, ""); err != nil {
			return err
		}
		a, err = artifact(ctx, q, t, moduleID, id)
		return err
	})
	return a, m, err
}

// ArtifactNamed implements software.ArtifactStore.
func (s Software) ArtifactNamed(ctx context.Context, t tenant.ID, id software.ModuleID, nameKey string) (a *software.Artifact, m *software.Module, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		if m, err = module(ctx, q, t, id, ""); err != nil {
			return err
		}
		found, err := scanArtifact(q.row(ctx, "SELECT "+artifactColumns+" FROM artifact a WHERE a.module_id = $1 AND a.filename_key = $2", int64(id), nameKey))
		if none(err) {
			return nil
		}
		a = &found
		return err
	})
	return a, m, err
}

func artifact(ctx context.Context, q querier, t tenant.ID, module software.ModuleID, id software.ArtifactID) (*software.Artifact, error) {
	a, err := scanArtifact(q.row(ctx, "SELECT "+artifactColumns+" FROM artifact a WHERE a.tenant_id = $1 AND a.module_id = $2 AND a.id = $3", t, int64(module), int64(id)))
	if none(err) {
		return nil, fault.Missing("Artifact", int64(id))
	}
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// Room implements software.ArtifactStore.
func (s Software) Room(ctx context.Context, t tenant.ID, id software.ModuleID, nameKey string) (r software.Room, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		r, err = room(ctx, q, t, id, nameKey, "")
		return err
	})
	return r, err
}

func room(ctx context.Context, q querier, t tenant.ID, id software.ModuleID, nameKey, suffix string) (r software.Room, err error) {
	r.Module, err = module(ctx, q, t, id, suffix)
	switch {
	case fault.Is(err, fault.NotFound):
		return software.Room{}, nil
	case err != nil:
		return r, err
	}
	r.Artifacts = r.Module.ArtifactCount
	if r.NameTaken, err = exists(ctx, q, "artifact WHERE module_id = $1 AND filename_key = $2", int64(id), nameKey); err != nil {
		return r, err
	}
	r.Stored, err = stored(ctx, q, t)
	return r, err
}

func stored(ctx context.Context, q querier, t tenant.ID) (bytes int64, err error) {
	err = q.row(ctx, "SELECT CAST(coalesce(sum(a.size), 0) AS bigint) FROM artifact a JOIN software_module m ON m.id = a.module_id WHERE a.tenant_id = $1 AND NOT m.deleted", t).Scan(&bytes)
	return bytes, err
}

// Stored implements software.ArtifactStore.
func (s Software) Stored(ctx context.Context, t tenant.ID) (bytes int64, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		bytes, err = stored(ctx, q, t)
		return err
	})
	return bytes, err
}

// CreateArtifact implements software.ArtifactStore.
func (s Software) CreateArtifact(ctx context.Context, t tenant.ID, a *software.Artifact, admit func(software.Room) error) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		r, err := room(ctx, tx, t, a.Module, a.NameKey(), tx.db.lock("e"))
		if err != nil {
			return err
		}
		if err := admit(r); err != nil {
			return err
		}
		id, err := tx.insert(ctx, "INSERT INTO artifact (tenant_id, module_id, filename, filename_key, sha256, sha1, md5, size, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
			append([]any{t, int64(a.Module), a.Filename, a.NameKey(), a.Digest.SHA256, a.Digest.SHA1, a.Digest.MD5, a.Digest.Size}, stampArgs(&a.Stamps)...)...)
		if err != nil {
			return err
		}
		a.ID = software.ArtifactID(id)
		tx.record(artifactEvent(t, event.ArtifactCreated, a, a.CreatedAt))
		return nil
	})
}

func artifactEvent(t tenant.ID, k event.Kind, a *software.Artifact, at time.Time) event.Event {
	return event.Event{Tenant: t, Kind: k, Subject: int64(a.ID), Reach: event.NoTarget, Data: fmt.Sprintf(`{"softwareModuleId":%d}`, a.Module), At: at.UnixMilli()}
}

// DeleteArtifact implements software.ArtifactStore.
func (s Software) DeleteArtifact(ctx context.Context, t tenant.ID, moduleID software.ModuleID, id software.ArtifactID, now time.Time, check func(*software.Module) error) (a *software.Artifact, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		m, err := module(ctx, tx, t, moduleID, tx.db.lock("e"))
		if err != nil {
			return err
		}
		if a, err = artifact(ctx, tx, t, moduleID, id); err != nil {
			return err
		}
		if err := check(m); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, "DELETE FROM artifact WHERE id = $1", int64(id)); err != nil {
			return err
		}
		tx.record(artifactEvent(t, event.ArtifactDeleted, a, now))
		return nil
	})
	return a, err
}

// usedContent is true where an artifact whose bytes are needed has the content.
// The blob store keeps equal content once, so this asks all tenants.
const usedContent = "artifact a JOIN software_module m ON m.id = a.module_id WHERE NOT m.deleted AND a.sha256 = "

// ContentUsed implements software.ArtifactStore.
func (s Software) ContentUsed(ctx context.Context, sha256 string) (used bool, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		used, err = exists(ctx, q, usedContent+"$1", sha256)
		return err
	})
	return used, err
}

// ContentUnused implements software.ArtifactStore.
func (s Software) ContentUnused(ctx context.Context, sha256 []string) (unused []string, err error) {
	param, err := textList(sha256)
	if err != nil {
		return nil, err
	}
	err = s.DB.view(ctx, func(q querier) error {
		unused, err = all(ctx, q, scalar[string], "SELECT c.v FROM "+s.DB.texts("$1", "c")+" WHERE NOT EXISTS (SELECT 1 FROM "+usedContent+"c.v)", param)
		return err
	})
	return unused, err
}
