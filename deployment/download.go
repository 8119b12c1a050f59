package deployment

import (
	"context"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fleet"
)

// DownloadProgress says how far one download of a file came.
type DownloadProgress struct {
	Action ActionID
	Entry  int64 // of the action's history, which the download made
	Bytes  int64 // since it was told last
}

// NoteDownload notes that the target reads a file for the action, by the path
// that it used, and returns what Progress is called with as the download goes
// on. fault.Quota when the action's history is full.
func (s *Service) NoteDownload(ctx context.Context, target fleet.ControllerID, id ActionID, path string) (DownloadProgress, error) {
	c, err := s.change(ctx, target, id, func(c *Case) error { return c.NoteDownload(path, s.Now()) })
	if err != nil {
		return DownloadProgress{}, err
	}
	return DownloadProgress{Action: id, Entry: c.New[len(c.New)-1].ID}, nil
}

// Progress tells who follows the events how far a download came. About every
// tenth of a file is often enough.
func (s *Service) Progress(ctx context.Context, p DownloadProgress) error {
	return s.Store.RecordProgress(ctx, caller.From(ctx).Tenant, p, s.Now())
}
