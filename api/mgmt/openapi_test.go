package mgmt_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/api/openapi"
)

func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := openapi.New(mgmt.Document("v1"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, item := range d.Paths {
		for method := range item {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	routes := mgmt.Routes()
	slices.Sort(routes)
	slices.Sort(documented)
	if diff := cmp.Diff(routes, documented); diff != "" {
		t.Errorf("routes (-) and documented operations (+):\n%s", diff)
	}
}
