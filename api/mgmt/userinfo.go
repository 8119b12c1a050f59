package mgmt

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
)

func userInfoRoutes() []route {
	return []route{
		get("/rest/v1/userinfo", nil, "Tell who is asking", userInfoBody{}, (*API).getUserInfo),
	}
}

// userInfoBody is who asks (management-api 2.1).
type userInfoBody struct {
	Tenant      string   `json:"tenant"`
	Username    string   `json:"username"`
	Permissions []string `json:"permissions"` // as granted: a role is not taken apart
}

func (a *API) getUserInfo(w http.ResponseWriter, r *http.Request) error {
	p := principal(r.Context())
	return httpjson.Write(w, r, http.StatusOK, userInfoBody{p.TenantName, p.User, append([]string{}, p.Authorities...)})
}
