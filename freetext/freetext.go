// Package freetext holds the rules for text that people and devices send:
// how long it may be, that it carries no markup, and how what breaks a rule is
// told (management API 1.10 and 1.12, device API A.6).
//
// A domain constructor gathers what is wrong and answers once:
//
//	var v freetext.Violations
//	v.Text("create.create[0].name", name, 1, 128)
//	v.Text("create.create[0].description", description, 0, 512)
//	if err := v.Err(); err != nil {
//		return nil, err
//	}
package freetext

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/otaria/otaria/fault"
)

// Violations gathers broken rules. The zero value has none and is ready to use.
type Violations struct {
	sentences []string
}

// Text demands min to max characters and no markup.
func (v *Violations) Text(path, value string, minimum, maximum int) {
	v.Length(path, value, minimum, maximum)
	if HasMarkup(value) {
		v.Add(path, "must not contain HTML or XML markup (a tag, comment or declaration in angle brackets)")
	}
}

// OptionalText is Text for a value that may be left out: nil breaks no rule.
func (v *Violations) OptionalText(path string, value *string, minimum, maximum int) {
	if value != nil {
		v.Text(path, *value, minimum, maximum)
	}
}

// Length demands min to max characters (code points, not bytes) and nothing
// else: for the texts that 1.12 exempts from the check for markup.
func (v *Violations) Length(path, value string, minimum, maximum int) {
	n := utf8.RuneCountInString(value)
	switch {
	case n >= minimum && n <= maximum:
	case n == 0:
		v.Add(path, "must not be empty")
	case minimum > 0:
		v.Add(path, "must have %d to %d characters, but has %d", minimum, maximum, n)
	default:
		v.Add(path, "must have at most %d characters, but has %d", maximum, n)
	}
}

// Number demands a number from minimum to maximum.
func (v *Violations) Number(path string, value, minimum, maximum int64) {
	if value < minimum || value > maximum {
		v.Add(path, "must be from %d to %d, but is %d", minimum, maximum, value)
	}
}

// NoSpace demands a text without ASCII white space, as identifiers of targets
// must be.
func (v *Violations) NoSpace(path, value string) {
	if strings.ContainsAny(value, " \t\n\v\f\r") {
		v.Add(path, "must not contain white space")
	}
}

// Add records a violation in words of the caller. With the path in front they
// make a sentence; the full stop is added.
func (v *Violations) Add(path, format string, args ...any) {
	v.sentences = append(v.sentences, path+" "+fmt.Sprintf(format, args...)+".")
}

// Err returns nil if no rule was broken, else a fault of kind Invalid whose
// message has one sentence for each violation, in the order of the checks.
func (v *Violations) Err() error {
	if len(v.sentences) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "%s", strings.Join(v.sentences, " "))
}

// Trim takes white space off both ends, as texts are stored. No-break spaces
// and control characters that separate nothing stay, as they do in hawkBit.
func Trim(s string) string { return strings.TrimFunc(s, isSpace) }

func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', '\x1c', '\x1d', '\x1e', '\x1f':
		return true
	case '\u00a0', '\u2007', '\u202f':
		return false
	default:
		return unicode.In(r, unicode.Z)
	}
}
