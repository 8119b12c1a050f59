package fleet

import (
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
)

// trimmed trims a text that may be left out.
func trimmed(s *string) *string {
	if s == nil {
		return nil
	}
	t := freetext.Trim(*s)
	return &t
}

// setText sets what was given and reports whether that changed anything; nil
// leaves the field as it is.
func setText(field **string, given *string) bool {
	if given == nil || *field != nil && **field == *given {
		return false
	}
	*field = given
	return true
}

// set sets what was given and reports whether that changed anything; nil leaves
// the field as it is.
func set[T comparable](field, given *T) bool {
	if given == nil || *field == *given {
		return false
	}
	*field = *given
	return true
}

// missingTargets says which targets of a list are not there; none when a list
// names a target twice.
func missingTargets(ids []ControllerID) error {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = string(id)
	}
	err := fault.New(fault.NotFound, "There is no Target with one of the identifiers %q.", list)
	if len(ids) == 0 {
		err.Message = "A target may be named once only in the list."
	}
	err.Entity = &fault.Entity{Type: "Target", ID: list}
	return err
}
