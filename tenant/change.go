package tenant

import (
	"context"
	"slices"

	"github.com/otaria/otaria/fault"
)

// A Setting is one setting of a tenant as clients see it.
type Setting struct {
	Key      Key
	Value    any       // a bool, int64 or string
	Override *Override // nil while the server's default is in force, and for default.ds.type
}

// Global reports whether the server's default is in force. The default type of
// distribution sets is always the tenant's own.
func (s Setting) Global() bool { return s.Override == nil && s.Key != KeyDefaultSetType }

// Setting returns one setting, or a fault of kind ConfigKey.
func (t *Tenant) Setting(k Key) (Setting, error) {
	if _, ok := Define(k); !ok {
		return Setting{}, unknown(k)
	}
	s := Setting{Key: k, Value: t.Settings.Values[k].Shown}
	if i := slices.IndexFunc(t.Overrides, func(o Override) bool { return o.Key == k }); i >= 0 {
		s.Override = &t.Overrides[i]
	}
	return s, nil
}

// AllSettings are all settings of the tenant, in the order of Definitions.
func (t *Tenant) AllSettings() []Setting {
	var all []Setting
	for _, d := range Definitions() {
		s, _ := t.Setting(d.Key) // a defined key has one
		all = append(all, s)
	}
	return all
}

// Put gives settings new values, all or none of them: as Convert takes them,
// but a nil for default.ds.type changes nothing (spec management-api 2.14). The
// error is a fault of Convert's or, for a type of distribution sets that the
// tenant does not have, NotFound.
func (s *Service) Put(ctx context.Context, id ID, raw map[Key]any) error {
	change := Change{Set: make(map[Key]string, len(raw))}
	keys := make([]Key, 0, len(raw))
	for k := range raw {
		keys = append(keys, k)
	}
	slices.Sort(keys) // so that of several faults always the same one is told
	for _, k := range keys {
		if k == KeyDefaultSetType && raw[k] == nil {
			continue
		}
		v, err := s.Rules.Convert(k, raw[k])
		if err != nil {
			return err
		}
		if k != KeyDefaultSetType {
			change.Set[k] = v.Text
			continue
		}
		change.DefaultSetType, _ = v.Shown.(int64)
		if change.DefaultSetType == 0 { // which means no change to the store
			return fault.Missing("DistributionSetType", change.DefaultSetType)
		}
	}
	if len(change.Set) == 0 && change.DefaultSetType == 0 {
		return nil
	}
	return s.Store.SaveSettings(ctx, id, change, s.Now())
}

// Reset puts the server's default in force again. It is no error if it is in
// force already or if there is no such key; only default.ds.type cannot be
// reset, and is a fault of kind NotFound.
func (s *Service) Reset(ctx context.Context, id ID, k Key) error {
	if k == KeyDefaultSetType {
		return &fault.Error{
			Kind:    fault.NotFound,
			Message: "The setting default.ds.type has no default to go back to; give it another type instead.",
			Entity:  &fault.Entity{Type: "Configuration key not found", ID: string(k)},
		}
	}
	if _, ok := Define(k); !ok {
		return nil
	}
	return s.Store.SaveSettings(ctx, id, Change{Reset: []Key{k}}, s.Now())
}
