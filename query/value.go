package query

import (
	"fmt"
	"strconv"
	"strings"
)

// A Moment is what the placeholders in values stand for. They stay in a tree,
// and in a stored filter, as text, and get their value each time the filter is
// used (spec management-api 3.3).
type Moment struct {
	Now           int64 // ${NOW_TS}: milliseconds
	OverdueBefore int64 // ${OVERDUE_TS}: whoever was last seen before this is late
}

// Resolve replaces the placeholders in a value. $${…} is a literal ${…}; what is
// no placeholder stays as it is.
func (m Moment) Resolve(value string) string {
	if !strings.Contains(value, "${") {
		return value
	}
	var b strings.Builder
	for {
		at := strings.Index(value, "${")
		if at < 0 {
			break
		}
		length := strings.IndexByte(value[at:], '}')
		if length < 0 {
			break
		}
		placeholder := value[at : at+length+1]
		before := value[:at]
		switch {
		case strings.HasSuffix(before, "$"):
			b.WriteString(before[:len(before)-1] + placeholder)
		case strings.EqualFold(placeholder, "${now_ts}"):
			b.WriteString(before + strconv.FormatInt(m.Now, 10))
		case strings.EqualFold(placeholder, "${overdue_ts}"):
			b.WriteString(before + strconv.FormatInt(m.OverdueBefore, 10))
		default:
			b.WriteString(before + placeholder)
		}
		value = value[at+length+1:]
	}
	b.WriteString(value)
	return b.String()
}

// Number resolves a value that Parse has found fit for a Number.
func (m Moment) Number(value string) (int64, error) {
	n, err := strconv.ParseInt(m.Resolve(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %q as a number: %w", value, err)
	}
	return n, nil
}

// Pattern reads a value of Equal or NotEqual on text. If the value has a
// wildcard, ok is true and the value matches any text that begins with the
// first part, ends with the last, and has the others in between, in this order:
// a*b*c is [a b c], *a is ["" a]. Runs of wildcards count as one.
//
// In a value with a wildcard a backslash makes the next character literal. A
// value without one stands for itself, backslashes included, and \* alone is no
// wildcard (spec management-api 3.2).
func Pattern(value string) (parts []string, ok bool) {
	if !strings.Contains(value, "*") {
		return nil, false
	}
	var part strings.Builder
	runes := []rune(value)
	for i := 0; i < len(runes); i++ {
		switch {
		case runes[i] == '\\' && i+1 < len(runes):
			i++
			part.WriteRune(runes[i])
		case runes[i] != '*':
			part.WriteRune(runes[i])
		case len(parts) > 0 && part.Len() == 0: // the second of two in a row
		default:
			parts = append(parts, part.String())
			part.Reset()
		}
	}
	if len(parts) == 0 {
		return nil, false
	}
	return append(parts, part.String()), true
}
