package mgmt_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/rollout"
)

// Every document that can be read is as it was promised, whole, in each view: the
// single one, the compact list and the full list. What a new route reads needs
// its golden file, and no golden file outlives its route. A 204 is promised by
// naming it here.
func TestEveryDocument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	own := s.possess(t, "golden")
	ctx := caller.With(t.Context(), caller.Caller{Tenant: s.tenant, TenantName: "DEFAULT", User: "golden-device"})
	linux := "linux"
	must(t, s.api.Fleet.UpdateAttributes(ctx, fleet.ControllerID(own["targetId"]), fleet.AttributeUpdate{Values: map[string]*string{"os": &linux}}))
	s.now = s.now.Add(time.Minute)
	id, err := json.Number(own["rolloutId"]).Int64()
	must(t, err)
	s.want(t, http.StatusNoContent, http.MethodPost, "/rollouts/"+own["rolloutId"]+"/start", "")
	s.tick(t, rollout.ID(id))
	empty := []string{"/targets/{targetId}/installedDS", "/targetfilters/{filterId}/autoAssignDS"}

	seen := map[string]bool{}
	for _, r := range sealedRoutes(t) {
		path := strings.TrimPrefix(r.Path, "/rest/v1")
		r.query = ""
		if r.Method != http.MethodGet || !r.Document {
			continue
		}
		if slices.Contains(empty, path) {
			s.want(t, http.StatusNoContent, http.MethodGet, r.path(own), "")
			continue
		}
		if path == "/targetgroups/assigned" {
			r.query = "?group=$group"
		}
		views := []string{""}
		if r.Views {
			views = append(views, "full")
		}
		for _, view := range views {
			name := strings.ReplaceAll(strings.NewReplacer("{", "", "}", "").Replace(path[1:]), "/", ".")
			asked := r.path(own)
			if view != "" {
				name += "." + view
				asked += "?representation=" + view
			}
			golden(t, filepath.Join("documents", name), s.want(t, http.StatusOK, http.MethodGet, asked, ""))
			seen[name+".golden.json"] = true
		}
	}
	files, err := os.ReadDir(filepath.Join("testdata", "documents"))
	must(t, err)
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("testdata/documents/%s is no route's; these are: %v", f.Name(), slices.Sorted(maps.Keys(seen)))
		}
	}
}
