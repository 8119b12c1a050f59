package deployment

import (
	"context"
	"strings"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// DocumentStore reads what device documents are made of.
type DocumentStore interface {
	// Entries calls yield with the entries of an action's history, newest first
	// by the time they occurred, older entries first among equals, until yield
	// returns false.
	Entries(ctx context.Context, id ActionID, yield func(Entry) bool) error

	// TargetAction returns the target's action for reading: fault.NotFound or
	// fault.ForeignAction as UpdateCase.
	TargetAction(ctx context.Context, t tenant.ID, target fleet.ControllerID, id ActionID) (*Action, error)

	// RecordProgress records the event that a download went on.
	RecordProgress(ctx context.Context, t tenant.ID, p DownloadProgress, now time.Time) error

	// HoldsModule tells how a module reaches the target: active is its most
	// urgent active action, not being canceled, whose set contains the module, 0
	// when there is none; installed, whether the installed set does.
	// fault.NotFound when there is no such target.
	HoldsModule(ctx context.Context, t tenant.ID, target fleet.ControllerID, module software.ModuleID) (active ActionID, installed bool, err error)
}

// Handling says what a device does with a part of an update (device-apis A.4).
type Handling int

// The handlings.
const (
	Skip Handling = iota
	Attempt
	Enforce
)

// String returns the handling as devices read it.
func (h Handling) String() string {
	switch h {
	case Skip:
		return "skip"
	case Attempt:
		return "attempt"
	case Enforce:
		return "forced"
	}
	return "skip"
}

// Handling returns what the device shall do with the files, and with the
// installation: the type decides, and outside of the maintenance window nothing
// is installed.
func (a *Action) Handling(now time.Time) (download, update Handling) {
	switch {
	case a.Type == DownloadOnly:
		return Enforce, Skip
	case a.Type == Forced, a.Type == TimeForced && !a.ForcedAt.After(now):
		download = Enforce
	default:
		download = Attempt
	}
	if !a.Window.Available(now) {
		return download, Skip
	}
	return download, download
}

// A Document is what a device reads about an action (device-apis A.5).
type Document struct {
	Action     ActionID
	Download   Handling
	Update     Handling
	Windowed   bool // the action has a maintenance window
	WindowOpen bool // it is open now
	Chunks     []software.Chunk
	Status     Status   // of the action before this reading
	History    []string // what the device may see of it, newest first, as far as it asked
}

// maxShown is the most messages that a device is shown.
const maxShown = 100

// Deployment returns the action's deployment document, with at most history
// messages (a negative number: as many as are shown at all), and notes that the
// device read it. fault.NotThere when the action offers none in its state; so
// it is when its maintenance windows have all passed, which cancels it.
func (s *Service) Deployment(ctx context.Context, target fleet.ControllerID, id ActionID, history int) (*Document, error) {
	var before Status
	lapsed := false
	c, err := s.change(ctx, target, id, func(c *Case) error {
		before = c.Action.Status
		if lapsed = c.Lapse(s.Now()); lapsed {
			return nil
		}
		return c.Fetch(s.Now())
	})
	if err != nil {
		return nil, err
	}
	if lapsed {
		return nil, errLapsed(id)
	}
	return s.document(ctx, &c.Action, before, history)
}

func errLapsed(id ActionID) error {
	return fault.New(fault.NotThere, "The maintenance windows of action %d have all passed; it is canceled.", id)
}

// InstalledBase returns the same document of a closed action that was not
// canceled. Nothing is noted.
func (s *Service) InstalledBase(ctx context.Context, target fleet.ControllerID, id ActionID, history int) (*Document, error) {
	a, err := s.Store.TargetAction(ctx, caller.From(ctx).Tenant, target, id)
	if err != nil {
		return nil, err
	}
	if a.Active || a.Canceling() {
		return nil, fault.New(fault.NotThere, "Action %d is not closed, or was canceled.", id)
	}
	return s.document(ctx, a, a.Status, history)
}

// Confirmation returns the same document of an action that waits for consent.
// Nothing is noted, but that the maintenance windows have all passed.
func (s *Service) Confirmation(ctx context.Context, target fleet.ControllerID, id ActionID, history int) (*Document, error) {
	a, err := s.Store.TargetAction(ctx, caller.From(ctx).Tenant, target, id)
	if err != nil {
		return nil, err
	}
	if a.Status != WaitForConfirmation {
		return nil, fault.New(fault.NotThere, "Action %d does not wait for consent.", id)
	}
	if a.Window.Over(s.Now()) {
		if err := s.lapse(ctx, target, id); err != nil {
			return nil, err
		}
		return nil, errLapsed(id)
	}
	return s.document(ctx, a, a.Status, history)
}

// Lapse starts the cancellation of the current action if its maintenance
// windows have all passed, and returns the standing that a poll is answered by:
// the one given, or else the new one. A poll calls it where there is a window.
func (s *Service) Lapse(ctx context.Context, t *tenant.Tenant, target fleet.ControllerID, st Standing, w Window) (Standing, Window, error) {
	if st.Offer == OfferNothing || st.Offer == OfferCancel || !w.Over(s.Now()) {
		return st, w, nil
	}
	if err := s.lapse(ctx, target, st.Action); err != nil {
		return st, w, err
	}
	return s.Polls.Lookup(ctx, t, target)
}

func (s *Service) lapse(ctx context.Context, target fleet.ControllerID, id ActionID) error {
	_, err := s.change(ctx, target, id, func(c *Case) error {
		c.Lapse(s.Now())
		return nil
	})
	return err
}

// Download returns the action for which the target may read the files of the
// module, or fault.ModuleUnassigned (device-apis A.10).
func (s *Service) Download(ctx context.Context, target fleet.ControllerID, module software.ModuleID) (ActionID, error) {
	id, _, err := s.Store.HoldsModule(ctx, caller.From(ctx).Tenant, target, module)
	if err == nil && id == 0 {
		err = errUnassigned(target, module)
	}
	return id, err
}

// MayList checks that the target may see which files the module has: those of
// its installed set, too. fault.ModuleUnassigned otherwise.
func (s *Service) MayList(ctx context.Context, target fleet.ControllerID, module software.ModuleID) error {
	id, installed, err := s.Store.HoldsModule(ctx, caller.From(ctx).Tenant, target, module)
	if err == nil && id == 0 && !installed {
		err = errUnassigned(target, module)
	}
	return err
}

func errUnassigned(target fleet.ControllerID, module software.ModuleID) error {
	return fault.New(fault.ModuleUnassigned, "Nothing that target %s was told to install contains the software module %d.", target, module)
}

func (s *Service) document(ctx context.Context, a *Action, before Status, history int) (*Document, error) {
	now := s.Now()
	d := &Document{Action: a.ID, Status: before, Windowed: !a.Window.IsZero()}
	d.Download, d.Update = a.Handling(now)
	d.WindowOpen = d.Windowed && a.Window.Available(now)
	var err error
	if d.Chunks, err = s.Software.Chunks(ctx, caller.From(ctx).Tenant, a.Set); err != nil {
		return nil, err
	}
	if history < 0 || history > maxShown {
		history = maxShown
	}
	if history == 0 {
		return d, nil
	}
	err = s.Store.Entries(ctx, a.ID, func(e Entry) bool {
		for _, m := range e.Messages {
			if !strings.HasPrefix(m, ServerPrefix) && len(d.History) < history {
				d.History = append(d.History, m)
			}
		}
		return len(d.History) < history
	})
	return d, err
}
