package mgmt_test

import (
	"net/http"
	"testing"

	"github.com/otaria/otaria/identity"
)

func TestQuotas(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.api.Quotas.TargetsPerGroup = -1
	s.want(t, http.StatusCreated, http.MethodPost, "/softwaremodules", `[{"name":"m","version":"1","type":"os"}]`)
	for _, name := range []string{"a", "b"} { // of equal content, which counts twice
		if w := s.upload(t, "/softwaremodules/1/artifacts", name, "bytes"); w.Code != http.StatusCreated {
			t.Fatal(w.Code, w.Body)
		}
	}
	golden(t, "quotas", s.want(t, http.StatusOK, http.MethodGet, "/quotas", ""))
	s.as(t, "reader", string(identity.ReadTarget)).want(t, http.StatusForbidden, http.MethodGet, "/quotas", "")
}
