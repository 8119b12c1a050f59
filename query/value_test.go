package query_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/query"
)

func TestMomentResolve(t *testing.T) {
	t.Parallel()
	m := query.Moment{Now: 100, OverdueBefore: 40}
	for value, want := range map[string]string{
		"plain":                     "plain",
		"${now_ts}":                 "100",
		"${NOW_TS}":                 "100",
		"${overdue_ts}":             "40",
		"a${now_ts}b${overdue_ts}c": "a100b40c",
		"$${now_ts}":                "${now_ts}",
		"$${other}":                 "${other}",
		"$$${now_ts}":               "$${now_ts}",
		"${other}":                  "${other}",
		"${now_ts":                  "${now_ts",
		"$${now_ts":                 "$${now_ts",
		"$":                         "$",
		"$${now_ts}${now_ts}":       "${now_ts}100",
		"${x}${now_ts}":             "${x}100",
	} {
		if got := m.Resolve(value); got != want {
			t.Errorf("%s becomes %s, want %s", value, got, want)
		}
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value string
		parts []string // nil: no pattern
	}{
		{"a", nil},
		{"", nil},
		{`st\*r`, nil}, // without a wildcard the backslash stays
		{`a\b`, nil},
		{"*", []string{"", ""}},
		{"**", []string{"", ""}},
		{"a*", []string{"a", ""}},
		{"*a", []string{"", "a"}},
		{"*a*", []string{"", "a", ""}},
		{"a*b**c", []string{"a", "b", "c"}},
		{`*\**`, []string{"", "*", ""}},
		{`a\*b*`, []string{"a*b", ""}},
		{`\\*`, []string{`\`, ""}},
		{`*\`, []string{"", `\`}},
		{`ä\ö*%_`, []string{"äö", "%_"}},
	} {
		parts, ok := query.Pattern(test.value)
		if diff := cmp.Diff(test.parts, parts); diff != "" || ok != (test.parts != nil) {
			t.Errorf("%s: %t %s", test.value, ok, diff)
		}
	}
}
