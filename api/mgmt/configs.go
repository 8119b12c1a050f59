package mgmt

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/tenant"
)

func configRoutes() []route {
	const base = "/rest/v1/system/configs"
	const one = base + "/{key}"
	// Who may read what is said by the handlers: it depends on the setting.
	return []route{
		get(base, nil, "List the settings of the tenant", map[tenant.Key]listedConfigBody{}, (*API).listConfigs),
		put(base, needs(identity.UpdateConfiguration), "Change settings of the tenant, all or none", map[tenant.Key]any{}, nil, http.StatusNoContent, (*API).putConfigs),
		get(one, nil, "Read a setting", configBody{}, (*API).getConfig),
		put(one, needs(identity.UpdateConfiguration), "Change a setting", configInput{}, nil, http.StatusNoContent, (*API).putConfig),
		del(one, nil, "Put the server's default in force again", (*API).deleteConfig),
	}
}

// configValue is what both forms of a setting show (management-api 2.14).
type configValue struct {
	Value          any     `json:"value"`
	Global         bool    `json:"global"` // the server's default is in force
	CreatedBy      *string `json:"createdBy,omitempty"`
	CreatedAt      *int64  `json:"createdAt,omitempty"`
	LastModifiedBy *string `json:"lastModifiedBy,omitempty"`
	LastModifiedAt *int64  `json:"lastModifiedAt,omitempty"`
}

func newConfigValue(s tenant.Setting) configValue {
	b := configValue{Value: s.Value, Global: s.Global()}
	if o := s.Override; o != nil {
		created, modified := o.CreatedAt.UnixMilli(), o.ModifiedAt.UnixMilli()
		b.CreatedBy, b.CreatedAt, b.LastModifiedBy, b.LastModifiedAt = &o.CreatedBy, &created, &o.ModifiedBy, &modified
	}
	return b
}

// configBody is one setting on the wire.
type configBody struct {
	configValue
	Links httpjson.Links `json:"_links"`
}

// listedConfigBody is a setting among all: its links are a list there (a
// surprise of the contract).
type listedConfigBody struct {
	configValue
	Links []linkBody `json:"links"`
}

type linkBody struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

type configInput struct {
	Value httpjson.Value `json:"value" doc:"required"`
}

// mayReadSetting reports which permission the caller lacks to see a setting; none.
func (a *API) mayReadSetting(r *http.Request, k tenant.Key) error {
	if k == tenant.KeyDefaultSetType && (may(r, identity.ReadTarget) || may(r, identity.ReadDistributionSet)) {
		return nil // who makes sets or picks them needs to know it
	}
	if err := a.require(r, identity.ReadConfiguration); err != nil {
		return err
	}
	if d, ok := tenant.Define(k); ok && d.Secret {
		return a.require(r, identity.ReadGatewaySecurityToken)
	}
	return nil
}

func (a *API) listConfigs(w http.ResponseWriter, r *http.Request) error {
	t, err := a.Tenants.ByID(r.Context(), caller.From(r.Context()).Tenant)
	if err != nil {
		return err
	}
	all := map[tenant.Key]listedConfigBody{}
	for _, s := range t.AllSettings() {
		if a.mayReadSetting(r, s.Key) == nil {
			all[s.Key] = listedConfigBody{newConfigValue(s), []linkBody{{"self", configHref(r, s.Key)}}}
		}
	}
	if len(all) == 0 {
		return a.require(r, identity.ReadConfiguration)
	}
	return httpjson.Write(w, r, http.StatusOK, all)
}

func configHref(r *http.Request, k tenant.Key) string { return href(r, "/system/configs/%s", k) }

func (a *API) getConfig(w http.ResponseWriter, r *http.Request) error {
	k := tenant.Key(r.PathValue("key"))
	if err := a.mayReadSetting(r, k); err != nil {
		return err
	}
	t, err := a.Tenants.ByID(r.Context(), caller.From(r.Context()).Tenant)
	if err != nil {
		return err
	}
	s, err := t.Setting(k)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, configBody{newConfigValue(s), links(configHref(r, k))})
}

func (a *API) putConfigs(w http.ResponseWriter, r *http.Request) error {
	var in map[tenant.Key]httpjson.Value
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	raw := make(map[tenant.Key]any, len(in))
	for k, v := range in {
		raw[k] = v.Any()
	}
	if err := a.Tenants.Put(r.Context(), caller.From(r.Context()).Tenant, raw); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) putConfig(w http.ResponseWriter, r *http.Request) error {
	var in configInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if in.Value.Kind() <= httpjson.Null {
		return fault.New(fault.Unreadable, "The body needs a value: {\"value\": …}. To put the server's default in force again, use DELETE.")
	}
	raw := map[tenant.Key]any{tenant.Key(r.PathValue("key")): in.Value.Any()}
	if err := a.Tenants.Put(r.Context(), caller.From(r.Context()).Tenant, raw); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) deleteConfig(w http.ResponseWriter, r *http.Request) error {
	k := tenant.Key(r.PathValue("key"))
	if k != tenant.KeyDefaultSetType { // which nobody can reset
		if err := a.require(r, identity.DeleteConfiguration); err != nil {
			return err
		}
	}
	if err := a.Tenants.Reset(r.Context(), caller.From(r.Context()).Tenant, k); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}
