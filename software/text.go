package software

import (
	"strconv"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
)

// Limits of texts, in characters (management-api 1.12).
const (
	maxKey           = 64
	maxName          = 128
	maxVersion       = 64
	maxDescription   = 512
	maxVendor        = 256
	maxColour        = 16
	maxFilename      = 256
	maxMetadataKey   = 128
	maxMetadataValue = 4000
)

// checkName checks name and version as they were sent.
func checkName(v *freetext.Violations, at, name, version string) {
	v.Text(at+"name", name, 1, maxName)
	v.Text(at+"version", version, 1, maxVersion)
}

// checkTrimmedName checks what trimming left of name and version.
func checkTrimmedName(v *freetext.Violations, name, version string) {
	v.Length("name", name, 1, maxName)
	v.Length("version", version, 1, maxVersion)
}

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

// missing says which of several entities that a request names are not there.
func missing(entity string, ids ...string) *fault.Error {
	if ids == nil {
		ids = []string{}
	}
	err := fault.New(fault.NotFound, "There is no %s with one of the identifiers %v.", entity, ids)
	err.Entity = &fault.Entity{Type: entity, ID: ids}
	return err
}

// decimal writes an id as text.
func decimal[ID ~int64](id ID) string { return strconv.FormatInt(int64(id), 10) }

// integrity gives broken rules the kind of a value that cannot be stored.
func integrity(v *freetext.Violations) error {
	if err := v.Err(); err != nil {
		return fault.New(fault.IntegrityViolation, "%s", err)
	}
	return nil
}

// checkMetadataQuota refuses more entries than the quota allows; 0 is no limit.
func checkMetadataQuota(n, limit int, of string) error {
	if limit > 0 && n > limit {
		return fault.New(fault.Quota, "The metadata of %s would have %d entries; at most %d are allowed.", of, n, limit)
	}
	return nil
}
