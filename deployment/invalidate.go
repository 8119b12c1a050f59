package deployment

import (
	"context"
	"fmt"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

// CancelSet begins to cancel every active action of a set; with force it also
// ends them at once, whatever their devices do (update-domain 2.13). Each
// action is a change of its own, so an error or a crash leaves some done:
// calling it again goes on with the rest.
func (s *Service) CancelSet(ctx context.Context, set software.SetID, force bool) error {
	for after := ActionID(0); ; {
		filter, err := query.Parse(fmt.Sprintf("distributionset.id==%d;active==true;id=gt=%d", set, after), ActionFields())
		if err != nil {
			return fmt.Errorf("active actions of set %d: %w", set, err)
		}
		page, _, err := s.Actions(ctx, query.List{Limit: query.MaxLimit, Sort: []query.Order{{Field: "id"}}, Filter: filter})
		if err != nil {
			return err
		}
		for i := range page {
			a := &page[i]
			after = a.ID
			// What was canceled or closed meanwhile needs no canceling.
			if err := s.Cancel(ctx, a.ControllerID, a.ID); err != nil && !fault.Is(err, fault.NotCancelable) && !fault.Is(err, fault.NotFound) {
				return err
			}
			if !force {
				continue
			}
			if err := s.ForceQuit(ctx, a.ControllerID, a.ID); err != nil && !fault.Is(err, fault.NotForceQuitable) && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		if len(page) < query.MaxLimit {
			return nil
		}
	}
}
