package store

import (
	"context"

	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Chunks implements software.ChunkStore: three statements.
func (s Software) Chunks(ctx context.Context, t tenant.ID, id software.SetID) (chunks []software.Chunk, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		chunks, err = all(ctx, q, func(r scanner) (c software.Chunk, err error) {
			err = r.Scan(&c.Module, &c.TypeKey, &c.Name, &c.Version, &c.Encrypted)
			return c, err
		}, "SELECT e.id, y.key, e.name, e.version, e.encrypted FROM "+moduleFrom+" JOIN distribution_set_module l ON l.module_id = e.id WHERE e.tenant_id = $1 AND l.set_id = $2 ORDER BY e.id", t, int64(id))
		if err != nil || len(chunks) == 0 {
			return err
		}
		byID := make(map[software.ModuleID]*software.Chunk, len(chunks))
		for i := range chunks {
			byID[chunks[i].Module] = &chunks[i]
		}
		artifacts, err := all(ctx, q, scanArtifact, "SELECT "+artifactColumns+" FROM distribution_set_module l JOIN artifact a ON a.module_id = l.module_id WHERE a.tenant_id = $1 AND l.set_id = $2 ORDER BY a.id", t, int64(id))
		if err != nil {
			return err
		}
		for _, a := range artifacts {
			if c := byID[a.Module]; c != nil {
				c.Artifacts = append(c.Artifacts, a)
			}
		}
		_, err = all(ctx, q, func(r scanner) (none struct{}, err error) {
			var m software.ModuleMetadatum
			var module software.ModuleID
			if err := r.Scan(&module, &m.Key, &m.Value, &m.TargetVisible); err != nil {
				return none, err
			}
			if c := byID[module]; c != nil {
				c.Metadata = append(c.Metadata, m)
			}
			return none, nil
		}, "SELECT d.module_id, d.key, d.value, d.target_visible FROM distribution_set_module l JOIN software_module_metadata d ON d.module_id = l.module_id WHERE l.set_id = $1 AND d.target_visible ORDER BY d.module_id, d.key", int64(id))
		return err
	})
	return chunks, err
}
