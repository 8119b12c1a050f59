package mgmt_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/mgmt"
)

// The table of routes has every operation of the contract (management-api 2),
// and beside them ours alone.
func TestEveryOperationOfTheContractIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "operations.txt"))
	must(t, err)
	wildcard := regexp.MustCompile(`\{\w+\}`)
	var want []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if method, path, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			want = append(want, method+" /rest/v1"+wildcard.ReplaceAllString(path, "{}"))
		}
	}
	if len(want) != 164 {
		t.Errorf("the contract has 164 operations, the list %d", len(want))
	}
	ours := []string{ // beside the contract
		"GET /rest/v1/events",
		"GET /rest/v1/quotas",
	}
	var have []string
	for _, r := range mgmt.RouteFacts() {
		if op := r.Method + " " + wildcard.ReplaceAllString(r.Path, "{}"); !slices.Contains(ours, op) {
			have = append(have, op)
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("operations of the contract (-) and routes (+):\n%s", d)
	}
}
