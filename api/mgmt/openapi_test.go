package mgmt_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
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

// The literals that tags of wire types list are those that the domain has.
func TestLiterals(t *testing.T) {
	t.Parallel()
	text, err := openapi.New(mgmt.Document("v1"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []string }
			}
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var actions, targets []string
	for s := deployment.Status(0); s.String() != "unknown"; s++ {
		actions = append(actions, s.String())
	}
	for _, s := range []fleet.Status{fleet.StatusUnknown, fleet.StatusInSync, fleet.StatusPending, fleet.StatusError, fleet.StatusRegistered} {
		targets = append(targets, s.String())
	}
	for _, c := range []struct {
		schema, member string
		want           []string
	}{{"Action", "status", actions}, {"Entry", "type", actions}, {"Target", "updateStatus", targets}} {
		if diff := cmp.Diff(c.want, d.Components.Schemas[c.schema].Properties[c.member].Enum); diff != "" {
			t.Errorf("%s.%s (-domain +documented):\n%s", c.schema, c.member, diff)
		}
	}
}
