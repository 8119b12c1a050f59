package mgmt

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/tenant"
)

// quotaRoutes are ours, beside the contract.
func quotaRoutes() []route {
	return []route{
		get("/rest/v1/quotas", needs(identity.ReadConfiguration), "Tell the limits of the tenant, and how much of them is used", quotasBody{}, (*API).getQuotas),
	}
}

type quotasBody struct {
	Quotas map[tenant.QuotaName]quotaBody `json:"quotas"`
	Links  httpjson.Links                 `json:"_links"`
}

// quotaBody is one limit, and how much of it is used where the tenant as a whole uses it up.
type quotaBody struct {
	Limit       *int64 `json:"limit"` // null: there is none
	Used        *int64 `json:"used,omitempty"`
	Unit        string `json:"unit" enum:"bytes,number"`
	Description string `json:"description"`
}

func (a *API) getQuotas(w http.ResponseWriter, r *http.Request) error {
	stored, err := a.Software.Stored(r.Context())
	if err != nil {
		return err
	}
	b := quotasBody{map[tenant.QuotaName]quotaBody{}, links(href(r, "/quotas"))}
	for _, q := range tenant.QuotaList() {
		one := quotaBody{Unit: "number", Description: q.About}
		if limit := q.Limit(a.Quotas); limit > 0 {
			one.Limit = &limit
		}
		if q.Bytes {
			one.Unit = "bytes"
		}
		if q.Name == tenant.ArtifactStorage {
			one.Used = &stored
		}
		b.Quotas[q.Name] = one
	}
	return httpjson.Write(w, r, http.StatusOK, b)
}
