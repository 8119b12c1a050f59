package fleet

import (
	"context"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/tenant"
)

// AttributeMode says how a device's attributes join those it sent before
// (device-apis A.9).
type AttributeMode int

// The modes.
const (
	MergeAttributes   AttributeMode = iota // given keys are set; a nil value removes its key
	ReplaceAttributes                      // the set becomes exactly the given keys with a value
	RemoveAttributes                       // given keys are removed; values do not matter
)

// AttributeUpdate is what a device says of itself.
type AttributeUpdate struct {
	Mode   AttributeMode
	Values map[string]*string
}

// maxAttribute is the longest key and the longest value, in characters.
const maxAttribute = 128

// attributeMarks are the characters besides ASCII letters and digits that keys
// and values may hold.
const attributeMarks = "\t\n\v\f\r _-!@#$%^&*()+=[]{}|;:'\",.<>/\\?"

// Apply returns the attributes that result, or an error that leaves all as it
// was: fault.AttributesInvalid for a key or value that is not allowed,
// fault.Quota when there would be more than max (0: no limit) and more than
// before.
func (u AttributeUpdate) Apply(have map[string]string, max int) (map[string]string, error) {
	for k, v := range u.Values {
		if err := checkAttribute("key", k, k); err != nil {
			return nil, err
		}
		if v != nil {
			if err := checkAttribute("value", k, *v); err != nil {
				return nil, err
			}
		}
	}
	next := map[string]string{}
	if u.Mode != ReplaceAttributes {
		maps.Copy(next, have)
	}
	for k, v := range u.Values {
		if v == nil || u.Mode == RemoveAttributes {
			delete(next, k)
		} else {
			next[k] = *v
		}
	}
	if max > 0 && len(next) > max && len(next) > len(have) {
		return nil, fault.New(fault.Quota, "Quota exceeded: a target may have %d attributes, this would make %d.", max, len(next))
	}
	return next, nil
}

func checkAttribute(what, key, text string) error {
	if n := utf8.RuneCountInString(text); n > maxAttribute {
		return fault.New(fault.AttributesInvalid, "The %s of attribute %.40q has %d characters; at most %d are allowed.", what, key, n, maxAttribute)
	}
	for _, r := range text {
		alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alphanumeric && !strings.ContainsRune(attributeMarks, r) {
			return fault.New(fault.AttributesInvalid, "The %s of attribute %.40q holds the character %q; allowed are ASCII letters, digits, white space and the marks %s", what, key, r, strings.TrimSpace(attributeMarks))
		}
	}
	return nil
}

// AttributeStore keeps what devices say of themselves.
type AttributeStore interface {
	// UpdateAttributes lets change decide and saves the outcome; the request for
	// attributes is answered with it, even when nothing changed. fault.NotFound
	// when there is no such target.
	UpdateAttributes(ctx context.Context, t tenant.ID, id ControllerID, change func(map[string]string) (map[string]string, error)) error
}

// UpdateAttributes takes what a device says of itself, all or nothing.
func (s *Service) UpdateAttributes(ctx context.Context, id ControllerID, u AttributeUpdate) error {
	return s.Store.UpdateAttributes(ctx, caller.From(ctx).Tenant, id, func(have map[string]string) (map[string]string, error) {
		return u.Apply(have, s.Quotas.AttributesPerTarget)
	})
}
