package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/tenant"
)

// Tenants keeps tenants and their settings.
type Tenants struct{ DB *DB }

// TenantByName implements tenant.Store.
func (s Tenants) TenantByName(ctx context.Context, name string) (t tenant.Record, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		err := q.row(ctx, "SELECT id, name, default_set_type FROM tenant WHERE name = $1", name).Scan(&t.ID, &t.Name, &t.DefaultSetType)
		if none(err) {
			return fault.New(fault.TenantUnknown, "There is no tenant %s.", name)
		}
		if err != nil {
			return err
		}
		t.Overrides, err = all(ctx, q, scanOverride, "SELECT key, value, created_by, created_at, modified_by, modified_at FROM setting WHERE tenant_id = $1", t.ID)
		return err
	})
	return t, err
}

// TenantByID implements tenant.Store.
func (s Tenants) TenantByID(ctx context.Context, id tenant.ID) (tenant.Record, error) {
	var name string
	err := s.DB.view(ctx, func(q querier) error {
		err := q.row(ctx, "SELECT name FROM tenant WHERE id = $1", id).Scan(&name)
		if none(err) {
			return fault.New(fault.TenantUnknown, "There is no such tenant.")
		}
		return err
	})
	if err != nil {
		return tenant.Record{}, err
	}
	return s.TenantByName(ctx, name)
}

func scanOverride(r scanner) (o tenant.Override, err error) {
	var created, modified int64
	err = r.Scan(&o.Key, &o.Value, &o.CreatedBy, &created, &o.ModifiedBy, &modified)
	o.CreatedAt, o.ModifiedAt = time.UnixMilli(created), time.UnixMilli(modified)
	return o, err
}

// SaveSettings implements tenant.Store.
func (s Tenants) SaveSettings(ctx context.Context, id tenant.ID, change tenant.Change, now time.Time) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		user, at := caller.From(ctx).User, now.UnixMilli()
		for key, value := range change.Set {
			if _, err := tx.exec(ctx, "INSERT INTO setting (tenant_id, key, value, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $4, $5) "+
				"ON CONFLICT (tenant_id, key) DO UPDATE SET value = excluded.value, modified_by = excluded.modified_by, modified_at = excluded.modified_at WHERE setting.value <> excluded.value",
				id, string(key), value, user, at); err != nil {
				return err
			}
		}
		for _, key := range change.Reset {
			if _, err := tx.exec(ctx, "DELETE FROM setting WHERE tenant_id = $1 AND key = $2", id, string(key)); err != nil {
				return err
			}
		}
		if change.DefaultSetType != 0 {
			n, err := tx.affected(ctx, "UPDATE tenant SET default_set_type = $2 WHERE id = $1 AND EXISTS (SELECT 1 FROM distribution_set_type WHERE tenant_id = $1 AND id = $2)", id, change.DefaultSetType)
			if err != nil {
				return err
			}
			if n == 0 {
				return fault.Missing("DistributionSetType", change.DefaultSetType)
			}
		}
		tx.record(event.Event{Tenant: id, Kind: event.SettingsChanged, Subject: int64(id), Reach: event.AnyTarget, At: at})
		return nil
	})
}

// EnsureTenant creates the tenant with its default types (management-api 4.1)
// unless it exists.
func (s Tenants) EnsureTenant(ctx context.Context, name string, now time.Time) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		at := now.UnixMilli()
		var id int64
		err := tx.row(ctx, "INSERT INTO tenant (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING id", name, at).Scan(&id)
		if none(err) {
			return nil
		}
		if err != nil {
			return err
		}
		moduleType := func(key, name, description string, most int64) (int64, error) {
			return tx.insert(ctx, "INSERT INTO software_module_type (tenant_id, key, name, description, min_artifacts, max_assignments, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $6, $7) RETURNING id",
				id, key, name, description, most, caller.System, at)
		}
		app, err := moduleType("application", "Application", "Application Addons", 1<<31-1)
		if err != nil {
			return err
		}
		os, err := moduleType("os", "OS", "Core firmware or operating system", 1)
		if err != nil {
			return err
		}
		var osApp int64
		for _, t := range []struct {
			key, name, description string
			mandatory, optional    []int64
		}{
			{"os", "OS only", "Default type with Firmware/OS only.", []int64{os}, nil},
			{"app", "App(s) only", "Default type with app(s) only.", []int64{app}, nil},
			{"os_app", "OS with app(s)", "Default type with Firmware/OS and optional app(s).", []int64{os}, []int64{app}},
		} {
			osApp, err = tx.insert(ctx, "INSERT INTO distribution_set_type (tenant_id, key, name, description, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $5, $6) RETURNING id",
				id, t.key, t.name, t.description, caller.System, at)
			if err != nil {
				return err
			}
			for i, list := range [][]int64{t.mandatory, t.optional} {
				for _, m := range list {
					if _, err := tx.exec(ctx, "INSERT INTO distribution_set_type_module (set_type_id, module_type_id, mandatory) VALUES ($1, $2, $3)", osApp, m, i == 0); err != nil {
						return err
					}
				}
			}
		}
		_, err = tx.exec(ctx, "UPDATE tenant SET default_set_type = $2 WHERE id = $1", id, osApp)
		return err
	})
}

// Accounts keeps operators' accounts.
type Accounts struct{ DB *DB }

// Account implements identity.Store.
func (s Accounts) Account(ctx context.Context, tenantName, name string) (*identity.Account, error) {
	var a identity.Account
	var authorities string
	err := s.DB.view(ctx, func(q querier) error {
		err := q.row(ctx, "SELECT a.id, a.tenant_id, t.name, a.name, a.password_hash, a.authorities FROM account a JOIN tenant t ON t.id = a.tenant_id WHERE t.name = $1 AND a.name = $2", tenantName, name).
			Scan(&a.ID, &a.Tenant, &a.TenantName, &a.Name, &a.PasswordHash, &authorities)
		if none(err) {
			return fault.New(fault.NotFound, "There is no such account.")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(authorities), &a.Authorities); err != nil {
		return nil, fmt.Errorf("authorities of account %d: %w", a.ID, err)
	}
	return &a, nil
}

// CreateAccount implements identity.Store.
func (s Accounts) CreateAccount(ctx context.Context, a identity.Account, now time.Time) error {
	authorities, err := json.Marshal(a.Authorities)
	if err != nil {
		return err
	}
	return s.DB.update(ctx, func(tx *Tx) error {
		id, err := tx.insert(ctx, "INSERT INTO account (tenant_id, name, password_hash, authorities, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
			a.Tenant, a.Name, a.PasswordHash, string(authorities), now.UnixMilli())
		if err != nil {
			return err
		}
		tx.record(event.Event{Tenant: a.Tenant, Kind: event.AccountChanged, Subject: id, Reach: event.NoTarget, At: now.UnixMilli()})
		return nil
	})
}

// HasAccounts implements identity.Store.
func (s Accounts) HasAccounts(ctx context.Context) (has bool, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		return q.row(ctx, "SELECT EXISTS (SELECT 1 FROM account)").Scan(&has)
	})
	return has, err
}
