package fleet_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
)

func values(pairs ...string) map[string]*string {
	m := map[string]*string{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "<null>" {
			m[pairs[i]] = nil
		} else {
			m[pairs[i]] = &pairs[i+1]
		}
	}
	return m
}

func TestApply(t *testing.T) {
	t.Parallel()
	have := map[string]string{"a": "1", "b": "2"}
	for name, c := range map[string]struct {
		mode fleet.AttributeMode
		give map[string]*string
		want map[string]string
	}{
		"merge":                       {fleet.MergeAttributes, values("b", "3", "c", ""), map[string]string{"a": "1", "b": "3", "c": ""}},
		"merge of null removes":       {fleet.MergeAttributes, values("a", "<null>", "x", "<null>"), map[string]string{"b": "2"}},
		"replace":                     {fleet.ReplaceAttributes, values("c", "3"), map[string]string{"c": "3"}},
		"replace by null leaves none": {fleet.ReplaceAttributes, values("a", "<null>"), map[string]string{}},
		"remove ignores values":       {fleet.RemoveAttributes, values("a", "9", "b", "<null>"), map[string]string{}},
		"case counts, nothing trims":  {fleet.MergeAttributes, values("A", " x ", "", ""), map[string]string{"a": "1", "b": "2", "A": " x ", "": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fleet.AttributeUpdate{Mode: c.mode, Values: c.give}.Apply(have, 100)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 129)
	for name, give := range map[string]map[string]*string{
		"umlaut": values("a", "ü"), "tilde": values("a", "~"), "backtick": values("`", "1"), "NUL": values("a", "\x00"),
		"long key": values(long, "1"), "long value": values("a", long), "bad key beside null": values("ü", "<null>"),
	} {
		for _, mode := range []fleet.AttributeMode{fleet.MergeAttributes, fleet.ReplaceAttributes, fleet.RemoveAttributes} {
			if _, err := (fleet.AttributeUpdate{Mode: mode, Values: give}).Apply(nil, 100); !fault.Is(err, fault.AttributesInvalid) {
				t.Errorf("%s in mode %d: %v", name, mode, err)
			}
		}
	}
	all := `aZ09` + "\t\n\r" + ` _-!@#$%^&*()+=[]{}|;:'",.<>/\?`
	if _, err := (fleet.AttributeUpdate{Values: values(all, all)}).Apply(nil, 100); err != nil {
		t.Errorf("all allowed characters: %v", err)
	}
}

func TestTheQuotaHoldsOnlyForGrowth(t *testing.T) {
	t.Parallel()
	have := map[string]string{}
	for i := range 100 {
		have["k"+strconv.Itoa(i)] = "v"
	}
	if _, err := (fleet.AttributeUpdate{Values: values("new", "1")}).Apply(have, 100); !fault.Is(err, fault.Quota) {
		t.Errorf("one more than allowed: %v", err)
	}
	if _, err := (fleet.AttributeUpdate{Values: values("k1", "w", "new", "1", "k2", "<null>")}).Apply(have, 100); err != nil {
		t.Errorf("as many as before: %v", err)
	}
	have["over"], have["over2"] = "v", "v" // as after a lower limit was set
	if _, err := (fleet.AttributeUpdate{Values: values("k1", "<null>")}).Apply(have, 100); err != nil {
		t.Errorf("fewer than before, still too many: %v", err)
	}
}
