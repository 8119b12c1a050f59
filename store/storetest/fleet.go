package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/tenant"
)

// fleetBench is a service on a database of its own, with a clock that stands
// still until it is moved.
type fleetBench struct {
	fleet.Service

	db       *store.DB
	tenants  *tenant.Service
	software software.Service
	ctx      context.Context // an operator of the first tenant
	other    context.Context // one of another tenant
	now      time.Time
	seen     []event.Event
	tokens   int
}

func newFleetBench(t *testing.T, db *store.DB) *fleetBench {
	t.Helper()
	b := &fleetBench{db: db, now: time.UnixMilli(1_700_000_000_000)}
	clock := func() time.Time { return b.now }
	b.tenants = &tenant.Service{Store: store.Tenants{DB: db}, Now: clock, Log: slog.New(slog.DiscardHandler)}
	keep := store.Fleet{DB: db}
	b.Service = fleet.Service{
		Store: keep, Visits: &fleet.Visits{Store: keep}, Tenants: b.tenants, Quotas: tenant.DefaultQuotas(), Now: clock,
		NewToken: func() string { b.tokens++; return "token-" + strconv.Itoa(b.tokens) },
	}
	b.software = software.Service{Store: store.Software{DB: db}, Tenants: b.tenants, Quotas: tenant.DefaultQuotas(), Now: clock}
	as := func(name string) context.Context {
		ok(t, store.Tenants{DB: db}.EnsureTenant(t.Context(), name, b.now))
		record, err := b.tenants.ByName(t.Context(), name)
		ok(t, err)
		return caller.With(t.Context(), caller.Caller{Tenant: record.ID, TenantName: name, User: "anna"})
	}
	b.ctx, b.other = as("FIRST"), as("SECOND")
	db.Listen(func(list []event.Event) {
		for _, e := range list {
			if e.Kind == event.SettingsChanged {
				b.tenants.Forget()
				continue
			}
			b.seen = append(b.seen, e)
		}
	})
	return b
}

// targets makes targets with these controller ids, in this order.
func (b *fleetBench) targets(t *testing.T, ids ...string) []fleet.Target {
	t.Helper()
	list := make([]fleet.NewTarget, len(ids))
	for i, id := range ids {
		list[i] = fleet.NewTarget{ControllerID: id}
	}
	made, err := b.CreateTargets(b.ctx, list)
	ok(t, err)
	b.seen = nil
	return made
}

// told returns what was recorded since the last call, each event with the
// controller id of the target it reaches.
func (b *fleetBench) told(t *testing.T, targets []fleet.Target) (list []string) {
	t.Helper()
	for _, e := range b.seen {
		whom := fmt.Sprintf("%d", e.Reach)
		switch e.Reach {
		case event.NoTarget:
			whom = "nobody"
		case event.AnyTarget:
			whom = "all"
		default:
			for i := range targets {
				if int64(targets[i].ID) == int64(e.Reach) {
					whom = string(targets[i].ControllerID)
				}
			}
		}
		list = append(list, string(e.Kind)+" "+whom)
		if e.At != b.now.UnixMilli() || e.Tenant != caller.From(b.ctx).Tenant || e.Subject == 0 {
			t.Errorf("an event that does not say when, for whom or about what: %+v", e)
		}
	}
	b.seen = nil
	return list
}

// found lists the controller ids that a list call finds, and its total.
func found(t *testing.T, page []fleet.Target, total int, err error) string {
	t.Helper()
	ok(t, err)
	ids := make([]string, len(page))
	for i := range page {
		ids[i] = string(page[i].ControllerID)
	}
	return fmt.Sprintf("%s of %d", strings.Join(ids, " "), total)
}

func expect(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s:\n%s", what, d)
	}
}

func ids(list ...string) []fleet.ControllerID {
	all := make([]fleet.ControllerID, len(list))
	for i, id := range list {
		all[i] = fleet.ControllerID(id)
	}
	return all
}

// Fleet runs the suite of targets, their types, tags, groups and metadata.
// open returns a fresh database.
func Fleet(t *testing.T, open func(*testing.T) *store.DB) {
	for name, f := range map[string]func(*testing.T, *fleetBench){
		"targets":                  fleetTargets,
		"refused targets":          refusedTargets,
		"lists of targets":         targetLists,
		"changes of a target":      targetChanges,
		"a deleted target":         deletedTarget,
		"targets of a set":         targetsOfSet,
		"target metadata":          targetMetadata,
		"target types":             targetTypes,
		"compatible set types":     compatibleSetTypes,
		"target tags":              targetTags,
		"tags of many targets":     tagsOfMany,
		"groups":                   groups,
		"groups by query":          groupsByQuery,
		"poll status":              pollStatus,
		"fleets of tenants apart":  fleetsApart,
		"a standing's interval":    standingInterval,
		"a set that is renamed":    renamedSet,
		"attributes as users read": readAttributes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newFleetBench(t, open(t)))
		})
	}
}

func fleetTargets(t *testing.T, b *fleetBench) {
	types, err := b.CreateTypes(b.ctx, []fleet.NewType{{Name: ptr("Gateway")}})
	ok(t, err)
	long := strings.Repeat("ü", fleet.MaxControllerID)
	made, err := b.CreateTargets(b.ctx, []fleet.NewTarget{
		{ControllerID: " plain "},
		{ControllerID: "all", Name: ptr(" All "), Description: ptr(""), Token: ptr(" secret "), Address: ptr("http://[::1]:80/x"), Type: &types[0].ID, Group: ptr(" a/b ")},
		{ControllerID: long, Name: ptr(""), Token: ptr("")},
	})
	ok(t, err)
	stamp := caller.Stamps{CreatedBy: "anna", CreatedAt: b.now, ModifiedBy: "anna", ModifiedAt: b.now}
	want := []fleet.Target{
		{ID: made[0].ID, ControllerID: "plain", Name: "plain", Token: "token-1", RequestAttributes: true, Stamps: stamp},
		{ID: made[1].ID, ControllerID: "all", Name: "All", Description: ptr(""), Token: "secret", Address: ptr("http://[::1]:80/x"), Type: types[0].ID, TypeName: "Gateway", Group: ptr("a/b"), RequestAttributes: true, Stamps: stamp},
		{ID: made[2].ID, ControllerID: fleet.ControllerID(long), Name: strings.Repeat("ü", fleet.MaxName), Token: "token-2", RequestAttributes: true, Stamps: stamp},
	}
	expect(t, "what creating returns", want, made)
	for i := range want {
		got, err := b.Target(b.ctx, want[i].ControllerID)
		ok(t, err)
		expect(t, "what is read", &want[i], got)
	}
	expect(t, "told", []string{"targettype.created nobody", "target.created plain", "target.created all", "target.created " + long}, b.told(t, made))

	_, err = b.Target(b.ctx, "PLAIN")
	kind(t, err, fault.NotFound)
}

func refusedTargets(t *testing.T, b *fleetBench) {
	b.targets(t, "taken")
	for name, c := range map[string]struct {
		target fleet.NewTarget
		want   fault.Kind
	}{
		"no id":                {fleet.NewTarget{}, fault.Invalid},
		"blank id":             {fleet.NewTarget{ControllerID: "  "}, fault.Invalid},
		"space in id":          {fleet.NewTarget{ControllerID: "a b"}, fault.Invalid},
		"long id":              {fleet.NewTarget{ControllerID: strings.Repeat("x", 257)}, fault.Invalid},
		"markup in id":         {fleet.NewTarget{ControllerID: "<b>x</b>"}, fault.Invalid},
		"blank name":           {fleet.NewTarget{ControllerID: "x", Name: ptr("  ")}, fault.Invalid},
		"long name":            {fleet.NewTarget{ControllerID: "x", Name: ptr(strings.Repeat("x", 129))}, fault.Invalid},
		"long description":     {fleet.NewTarget{ControllerID: "x", Description: ptr(strings.Repeat("x", 513))}, fault.Invalid},
		"long token":           {fleet.NewTarget{ControllerID: "x", Token: ptr(strings.Repeat("x", 129))}, fault.Invalid},
		"blank token":          {fleet.NewTarget{ControllerID: "x", Token: ptr("  ")}, fault.Invalid},
		"long address":         {fleet.NewTarget{ControllerID: "x", Address: ptr(strings.Repeat("x", 513))}, fault.Invalid},
		"markup in group":      {fleet.NewTarget{ControllerID: "x", Group: ptr("<i>g</i>")}, fault.Invalid},
		"long group":           {fleet.NewTarget{ControllerID: "x", Group: ptr(strings.Repeat("x", 257))}, fault.IntegrityViolation},
		"unknown type":         {fleet.NewTarget{ControllerID: "x", Type: ptr(fleet.TargetTypeID(99))}, fault.NotFound},
		"type that means none": {fleet.NewTarget{ControllerID: "x", Type: ptr(fleet.NoType)}, fault.NotFound},
		"taken":                {fleet.NewTarget{ControllerID: "taken"}, fault.Exists},
		"twice in one call":    {fleet.NewTarget{ControllerID: "first"}, fault.Exists},
	} {
		_, err := b.CreateTargets(b.ctx, []fleet.NewTarget{{ControllerID: "first"}, c.target})
		if !fault.Is(err, c.want) {
			t.Errorf("%s: got the error %v, want kind %d", name, err, c.want)
		}
	}
	page, total, err := b.Targets(b.ctx, query.List{Limit: 50, Sort: []query.Order{{Field: "id"}}})
	expect(t, "nothing of the refused calls", "taken of 1", found(t, page, total, err))
	expect(t, "told", []string(nil), b.told(t, nil))
}

func targetLists(t *testing.T, b *fleetBench) {
	b.targets(t, "b", "C", "a")
	list := func(q string, l query.List) string {
		t.Helper()
		if q != "" {
			l.Filter = all(fleet.TargetFields(), q).Filter
		}
		page, total, err := b.Targets(b.ctx, l)
		return found(t, page, total, err)
	}
	id := []query.Order{{Field: "id"}}
	expect(t, "id is the controller id, by code point", "C a b of 3", list("", query.List{Limit: 50, Sort: id}))
	expect(t, "a page", "a of 3", list("", query.List{Limit: 1, Offset: 1, Sort: id}))
	expect(t, "behind the end", " of 3", list("", query.List{Limit: 1, Offset: 5, Sort: id}))
	expect(t, "backwards", "b a C of 3", list("", query.List{Limit: 50, Sort: []query.Order{{Field: "name", Desc: true}}}))
	expect(t, "a filter", "C of 1", list("controllerid==c", query.List{Limit: 50, Sort: id}))
	expect(t, "a filter that counts", "b of 2", list("name!=c", query.List{Limit: 1, Offset: 1, Sort: id}))
	expect(t, "a placeholder is now", "C a b of 3", list("createdat=le=${NOW_TS}", query.List{Limit: 50, Sort: id}))
	expect(t, "and not yet", " of 0", list("createdat=gt=${NOW_TS}", query.List{Limit: 50, Sort: id}))
}

func targetChanges(t *testing.T, b *fleetBench) {
	types, err := b.CreateTypes(b.ctx, []fleet.NewType{{Name: ptr("A")}, {Name: ptr("B")}})
	ok(t, err)
	made := b.targets(t, "x")
	b.now = b.now.Add(time.Minute)
	want := made[0]
	check := func(what string, c fleet.TargetChange, changes func(*fleet.Target)) {
		t.Helper()
		if changes != nil {
			changes(&want)
			want.ModifiedAt = b.now
		}
		got, err := b.UpdateTarget(b.ctx, "x", c)
		ok(t, err)
		expect(t, what, &want, got)
		got, err = b.Target(b.ctx, "x")
		ok(t, err)
		expect(t, what+", read again", &want, got)
		told := []string(nil)
		if changes != nil {
			told = []string{"target.updated x"}
		}
		expect(t, what+", told", told, b.told(t, made))
		b.now = b.now.Add(time.Minute)
	}
	check("nothing", fleet.TargetChange{}, nil)
	check("what is so", fleet.TargetChange{Name: ptr(" x "), Token: ptr(want.Token), RequestAttributes: ptr(true)}, nil)
	check("texts", fleet.TargetChange{Name: ptr(" y "), Description: ptr("d"), Token: ptr("t"), Address: ptr("")}, func(t *fleet.Target) {
		t.Name, t.Description, t.Token, t.Address = "y", ptr("d"), "t", ptr("")
	})
	check("type", fleet.TargetChange{Type: &types[0].ID}, func(t *fleet.Target) { t.Type, t.TypeName = types[0].ID, "A" })
	check("the same type", fleet.TargetChange{Type: &types[0].ID}, nil)
	check("another type", fleet.TargetChange{Type: &types[1].ID}, func(t *fleet.Target) { t.Type, t.TypeName = types[1].ID, "B" })
	check("no type", fleet.TargetChange{Type: ptr(fleet.NoType)}, func(t *fleet.Target) { t.Type, t.TypeName = 0, "" })
	check("no type again", fleet.TargetChange{Type: ptr(fleet.NoType)}, nil)

	for name, c := range map[string]struct {
		id     fleet.ControllerID
		change fleet.TargetChange
		want   fault.Kind
	}{
		"unknown target":     {"z", fleet.TargetChange{Type: ptr(fleet.TargetTypeID(0))}, fault.NotFound},
		"unknown type":       {"x", fleet.TargetChange{Type: ptr(fleet.TargetTypeID(99))}, fault.NotFound},
		"type 0":             {"x", fleet.TargetChange{Type: ptr(fleet.TargetTypeID(0))}, fault.NotFound},
		"empty name":         {"x", fleet.TargetChange{Name: ptr("")}, fault.Invalid},
		"blank name":         {"x", fleet.TargetChange{Name: ptr(" ")}, fault.Invalid},
		"empty token":        {"x", fleet.TargetChange{Token: ptr("")}, fault.Invalid},
		"long address":       {"x", fleet.TargetChange{Address: ptr(strings.Repeat("x", 513))}, fault.Invalid},
		"markup, though new": {"x", fleet.TargetChange{Name: ptr("ok"), Description: ptr("<b>x</b>")}, fault.Invalid},
	} {
		_, err := b.UpdateTarget(b.ctx, c.id, c.change)
		if !fault.Is(err, c.want) {
			t.Errorf("%s: got the error %v, want kind %d", name, err, c.want)
		}
	}
	expect(t, "told of what was refused", []string(nil), b.told(t, made))
}

func deletedTarget(t *testing.T, b *fleetBench) {
	made := b.targets(t, "x", "y")
	ok(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: "k", Value: "v"}))
	b.Visits.Note(made[0].ID, b.now)
	ok(t, b.Visits.Flush(b.ctx))
	b.seen = nil
	ok(t, b.DeleteTarget(b.ctx, "x"))
	expect(t, "told", []string{"target.deleted x"}, b.told(t, made))
	kind(t, b.DeleteTarget(b.ctx, "x"), fault.NotFound)
	_, err := b.Metadata(b.ctx, "x")
	kind(t, err, fault.NotFound)
	again := b.targets(t, "x")
	if again[0].ID == made[0].ID {
		t.Error("the id of a deleted target came back")
	}
	list, err := b.Metadata(b.ctx, "x")
	ok(t, err)
	expect(t, "what is left of the former target", []fleet.Metadatum{}, list)
}

func targetsOfSet(t *testing.T, b *fleetBench) {
	b.targets(t, "z", "a")
	set := b.set(t)
	l := query.List{Limit: 50, Sort: []query.Order{{Field: "id"}}}
	page, total, err := b.AssignedTargets(b.ctx, set, l)
	expect(t, "before", " of 0", found(t, page, total, err))
	b.install(t, set, "z", "a")
	page, total, err = b.AssignedTargets(b.ctx, set, l)
	expect(t, "assigned, in the order of creation", "z a of 2", found(t, page, total, err))
	page, total, err = b.InstalledTargets(b.ctx, set, l)
	expect(t, "installed", "z a of 2", found(t, page, total, err))
	_, _, err = b.AssignedTargets(b.ctx, set+99, l)
	kind(t, err, fault.NotFound)
	_, _, err = b.InstalledTargets(b.other, set, l)
	kind(t, err, fault.NotFound)
}

// set makes a complete set.
func (b *fleetBench) set(t *testing.T) software.SetID {
	t.Helper()
	modules, err := b.software.CreateModules(b.ctx, []software.NewModule{{TypeKey: "os", Name: "os", Version: "1"}})
	ok(t, err)
	sets, err := b.software.CreateSets(b.ctx, []software.NewSet{{TypeKey: ptr("os"), Name: "set", Version: "1", Modules: []*software.ModuleID{&modules[0].ID}}})
	ok(t, err)
	b.seen = nil
	return sets[0].ID
}

// install records the set as installed by hand on the targets.
func (b *fleetBench) install(t *testing.T, set software.SetID, targets ...string) {
	t.Helper()
	actions := b.deployment()
	for _, id := range targets {
		_, err := actions.AssignSet(b.ctx, set, []deployment.Order{{Target: fleet.ControllerID(id), Type: deployment.Forced}}, true)
		ok(t, err)
	}
	b.seen = nil
}

func (b *fleetBench) deployment() *deployment.Service {
	return &deployment.Service{
		Store: store.Deployment{DB: b.db}, Software: store.Software{DB: b.db}, Tenants: b.tenants, Quotas: b.Quotas, Now: b.Now,
		Limits: deployment.Limits{Entries: b.Quotas.EntriesPerAction, Messages: b.Quotas.MessagesPerEntry},
	}
}

func targetMetadata(t *testing.T, b *fleetBench) {
	made := b.targets(t, "x")
	created := b.now
	b.now = b.now.Add(time.Minute)
	modified := func() time.Time {
		t.Helper()
		x, err := b.Target(b.ctx, "x")
		ok(t, err)
		return x.ModifiedAt
	}
	kind(t, b.CreateMetadata(b.ctx, "x", nil), fault.Invalid)
	expect(t, "nothing changed", created.UnixMilli(), modified().UnixMilli())
	ok(t, b.CreateMetadata(b.ctx, "x", []fleet.Metadatum{{Key: "b", Value: "<b>2</b>"}, {Key: "", Value: ""}, {Key: " a ", Value: " 1 "}}))
	expect(t, "changed", b.now.UnixMilli(), modified().UnixMilli())
	expect(t, "told", []string{"target.updated x"}, b.told(t, made))
	want := []fleet.Metadatum{{Key: "", Value: ""}, {Key: " a ", Value: " 1 "}, {Key: "b", Value: "<b>2</b>"}}
	list, err := b.Metadata(b.ctx, "x")
	ok(t, err)
	expect(t, "all, by key, as they were given", want, list)

	kind(t, b.CreateMetadata(b.ctx, "x", []fleet.Metadatum{{Key: "new", Value: "x"}, {Key: "b", Value: "x"}}), fault.Exists)
	kind(t, b.CreateMetadata(b.ctx, "x", []fleet.Metadatum{{Key: "new", Value: "x"}, {Key: "new", Value: "x"}}), fault.Exists)
	kind(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: strings.Repeat("k", 129)}), fault.IntegrityViolation)
	kind(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: "k", Value: strings.Repeat("v", 4001)}), fault.IntegrityViolation)
	kind(t, b.PutMetadatum(b.ctx, "y", fleet.Metadatum{Key: "k"}), fault.NotFound)
	ok(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: "b", Value: "<b>2</b>"}))
	expect(t, "told of nothing new", []string(nil), b.told(t, made))

	ok(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: "b", Value: "3"}))
	m, err := b.Metadatum(b.ctx, "x", "b")
	ok(t, err)
	expect(t, "replaced", &fleet.Metadatum{Key: "b", Value: "3"}, m)
	ok(t, b.DeleteMetadatum(b.ctx, "x", "b"))
	kind(t, b.DeleteMetadatum(b.ctx, "x", "b"), fault.NotFound)
	_, err = b.Metadatum(b.ctx, "x", "B")
	kind(t, err, fault.NotFound)

	b.Quotas.MetadataPerEntity = 3
	ok(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: "last", Value: "v"}))
	kind(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: "beyond", Value: "v"}), fault.Quota)
	ok(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: "last", Value: "w"}))
	b.Quotas.MetadataPerEntity = 1
	ok(t, b.PutMetadatum(b.ctx, "x", fleet.Metadatum{Key: "last", Value: "x"}))
}

func targetTypes(t *testing.T, b *fleetBench) {
	stamp := caller.Stamps{CreatedBy: "anna", CreatedAt: b.now, ModifiedBy: "anna", ModifiedAt: b.now}
	made, err := b.CreateTypes(b.ctx, []fleet.NewType{{Key: ptr(" k "), Description: ptr(" d "), Colour: ptr("red")}, {Name: ptr("N")}})
	ok(t, err)
	expect(t, "created", []fleet.Type{
		{ID: made[0].ID, Key: "k", Name: "k", Description: ptr("d"), Colour: ptr("red"), Stamps: stamp},
		{ID: made[1].ID, Key: "N", Name: "N", Stamps: stamp},
	}, made)
	for name, c := range map[string]struct {
		typ  fleet.NewType
		want fault.Kind
	}{
		"nothing":       {fleet.NewType{}, fault.KeyOrNameMissing},
		"empty name":    {fleet.NewType{Key: ptr("x"), Name: ptr("")}, fault.Invalid},
		"empty key":     {fleet.NewType{Key: ptr(""), Name: ptr("x")}, fault.Invalid},
		"blank key":     {fleet.NewType{Key: ptr(" "), Name: ptr("x")}, fault.Invalid},
		"long as a key": {fleet.NewType{Name: ptr(strings.Repeat("x", 65))}, fault.Invalid},
		"taken key":     {fleet.NewType{Key: ptr("k"), Name: ptr("x")}, fault.Exists},
		"taken name":    {fleet.NewType{Key: ptr("x"), Name: ptr("N")}, fault.Exists},
		"without an id": {fleet.NewType{Key: ptr("x"), SetTypes: []*software.SetTypeID{nil}}, fault.NotFound},
		"unknown":       {fleet.NewType{Key: ptr("x"), SetTypes: []*software.SetTypeID{ptr(software.SetTypeID(99))}}, fault.NotFound},
	} {
		_, err := b.CreateTypes(b.ctx, []fleet.NewType{{Name: ptr("before")}, c.typ})
		if !fault.Is(err, c.want) {
			t.Errorf("%s: got the error %v, want kind %d", name, err, c.want)
		}
	}
	_, total, err := b.Types(b.ctx, query.List{Limit: 50})
	ok(t, err)
	expect(t, "how many", 2, total)
	b.seen = nil

	b.now = b.now.Add(time.Minute)
	_, err = b.UpdateType(b.ctx, made[0].ID, fleet.TypeChange{Name: ptr("k")})
	ok(t, err)
	expect(t, "told of nothing new", []string(nil), b.told(t, nil))
	_, err = b.UpdateType(b.ctx, made[0].ID, fleet.TypeChange{Description: ptr("e")})
	ok(t, err)
	got, err := b.UpdateType(b.ctx, made[0].ID, fleet.TypeChange{Name: ptr(" New ")})
	ok(t, err)
	want := made[0]
	want.Name, want.Description, want.ModifiedAt = "New", ptr("e"), b.now
	expect(t, "updated", &want, got)
	expect(t, "a new name may choose other intervals", []string{"targettype.updated nobody", "targettype.updated all"}, b.told(t, nil))
	_, err = b.UpdateType(b.ctx, made[0].ID, fleet.TypeChange{Name: ptr("N")})
	kind(t, err, fault.Exists)
	_, err = b.UpdateType(b.ctx, 99, fleet.TypeChange{})
	kind(t, err, fault.NotFound)

	b.targets(t, "x")
	ok(t, b.SetType(b.ctx, "x", made[0].ID))
	kind(t, b.DeleteType(b.ctx, made[0].ID), fault.InUse)
	ok(t, b.SetType(b.ctx, "x", fleet.NoType))
	ok(t, b.DeleteType(b.ctx, made[0].ID))
	kind(t, b.DeleteType(b.ctx, made[0].ID), fault.NotFound)
	_, err = b.CreateTypes(b.ctx, []fleet.NewType{{Key: ptr("k"), Name: ptr("New")}})
	ok(t, err)
}

func compatibleSetTypes(t *testing.T, b *fleetBench) {
	sets, err := b.software.CreateSetTypes(b.ctx, []software.NewSetType{{Key: "a", Name: "a"}, {Key: "b", Name: "b"}, {Key: "c", Name: "c"}})
	ok(t, err)
	id := func(i int) *software.SetTypeID { return &sets[i].ID }
	b.Quotas.SetTypesPerType = 2
	made, err := b.CreateTypes(b.ctx, []fleet.NewType{{Key: ptr("none")}, {Key: ptr("beyond the quota"), SetTypes: []*software.SetTypeID{id(2), id(0), id(1), id(0)}}})
	ok(t, err)
	list := func(i int) []software.SetTypeID {
		t.Helper()
		typ, err := b.Type(b.ctx, made[i].ID)
		ok(t, err)
		return typ.SetTypes
	}
	expect(t, "none", []software.SetTypeID(nil), list(0))
	expect(t, "all", []software.SetTypeID{sets[0].ID, sets[1].ID, sets[2].ID}, list(1))

	add := func(ids ...*software.SetTypeID) error { return b.AddSetTypes(b.ctx, made[0].ID, ids) }
	kind(t, add(), fault.Invalid)
	kind(t, add(id(0), nil), fault.NotFound)
	kind(t, add(id(0), ptr(software.SetTypeID(99))), fault.NotFound)
	kind(t, add(id(0), id(1), id(2)), fault.Quota)
	expect(t, "nothing was added", []software.SetTypeID(nil), list(0))
	ok(t, add(id(1)))
	ok(t, add(id(1), id(0)))
	kind(t, add(id(2)), fault.Quota)
	ok(t, b.AddSetTypes(b.ctx, made[1].ID, []*software.SetTypeID{id(2)})) // there already
	expect(t, "two", []software.SetTypeID{sets[0].ID, sets[1].ID}, list(0))
	ok(t, b.RemoveSetType(b.ctx, made[0].ID, sets[0].ID))
	ok(t, b.RemoveSetType(b.ctx, made[0].ID, sets[0].ID))
	expect(t, "one", []software.SetTypeID{sets[1].ID}, list(0))

	ok(t, b.software.DeleteSetType(b.ctx, sets[1].ID))
	expect(t, "a deleted one leaves", []software.SetTypeID(nil), list(0))
	kind(t, add(id(1)), fault.NotFound)
	kind(t, b.AddSetTypes(b.ctx, 99, []*software.SetTypeID{id(0)}), fault.NotFound)
}

func targetTags(t *testing.T, b *fleetBench) {
	tags := []fleet.Tag{{Name: " n ", Description: ptr(" d "), Colour: ptr(" red ")}, {Name: "other"}}
	ok(t, b.CreateTags(b.ctx, tags))
	stamp := caller.Stamps{CreatedBy: "anna", CreatedAt: b.now, ModifiedBy: "anna", ModifiedAt: b.now}
	want := fleet.Tag{ID: tags[0].ID, Name: "n", Description: ptr("d"), Colour: ptr("red"), Stamps: stamp}
	got, err := b.Tag(b.ctx, tags[0].ID)
	ok(t, err)
	expect(t, "created", &want, got)
	kind(t, b.CreateTags(b.ctx, []fleet.Tag{{Name: "fresh"}, {Name: "n"}}), fault.Exists)
	kind(t, b.CreateTags(b.ctx, []fleet.Tag{{Name: ""}}), fault.Invalid)
	kind(t, b.CreateTags(b.ctx, []fleet.Tag{{Name: " "}}), fault.Invalid)
	list, total, err := b.Tags(b.ctx, all(fleet.TagFields(), "colour==red"))
	ok(t, err)
	expect(t, "a list", []fleet.Tag{want}, list)
	expect(t, "its total", 1, total)
	b.seen = nil

	b.now = b.now.Add(time.Minute)
	_, err = b.UpdateTag(b.ctx, tags[0].ID, fleet.TagChange{Name: ptr("n")})
	ok(t, err)
	expect(t, "told of nothing new", []string(nil), b.told(t, nil))
	_, err = b.UpdateTag(b.ctx, tags[0].ID, fleet.TagChange{Colour: ptr("")})
	ok(t, err)
	_, err = b.UpdateTag(b.ctx, tags[0].ID, fleet.TagChange{Name: ptr(" m ")})
	ok(t, err)
	expect(t, "a new name may choose other intervals", []string{"targettag.updated nobody", "targettag.updated all"}, b.told(t, nil))
	_, err = b.UpdateTag(b.ctx, tags[0].ID, fleet.TagChange{Name: ptr("other")})
	kind(t, err, fault.Exists)
	_, err = b.UpdateTag(b.ctx, 99, fleet.TagChange{})
	kind(t, err, fault.NotFound)

	made := b.targets(t, "x")
	ok(t, b.TagTarget(b.ctx, tags[0].ID, "x"))
	ok(t, b.TagTarget(b.ctx, tags[0].ID, "x"))
	expect(t, "told once", []string{"target.updated x"}, b.told(t, made))
	x, err := b.Target(b.ctx, "x")
	ok(t, err)
	expect(t, "tagging is a change", b.now.UnixMilli(), x.ModifiedAt.UnixMilli())
	of, err := b.TagsOf(b.ctx, "x")
	ok(t, err)
	expect(t, "tags of a target", "m", of[0].Name)
	_, err = b.TagsOf(b.ctx, "y")
	kind(t, err, fault.NotFound)
	kind(t, b.TagTarget(b.ctx, tags[0].ID, "y"), fault.NotFound)
	kind(t, b.TagTarget(b.ctx, 99, "x"), fault.NotFound)

	ok(t, b.DeleteTag(b.ctx, tags[1].ID))
	ok(t, b.DeleteTag(b.ctx, tags[0].ID))
	expect(t, "a tag that targets had may have chosen intervals", []string{"targettag.deleted nobody", "targettag.deleted all"}, b.told(t, made))
	kind(t, b.DeleteTag(b.ctx, tags[0].ID), fault.NotFound)
	of, err = b.TagsOf(b.ctx, "x")
	ok(t, err)
	expect(t, "no tags are left", 0, len(of))
}

func tagsOfMany(t *testing.T, b *fleetBench) {
	made := b.targets(t, "z", "a", "b", "c")
	tags := []fleet.Tag{{Name: "n"}}
	ok(t, b.CreateTags(b.ctx, tags))
	b.seen = nil
	n := tags[0].ID
	tagged := func() string {
		t.Helper()
		page, total, err := b.TaggedTargets(b.ctx, n, query.List{Limit: 50, Sort: []query.Order{{Field: "id"}}})
		return found(t, page, total, err)
	}
	kind(t, b.TagTargets(b.ctx, n, nil, fleet.AbsentFails), fault.Invalid)
	kind(t, b.UntagTargets(b.ctx, n, nil, fleet.AbsentIsIgnored), fault.Invalid)
	kind(t, b.TagTargets(b.ctx, 99, ids("no"), fleet.AbsentFails), fault.NotFound)

	err := b.TagTargets(b.ctx, n, ids("a", "no", "b", "nay"), fleet.AbsentFails)
	expect(t, "who is missing", &fault.Entity{Type: "Target", ID: []string{"no", "nay"}}, entity(err))
	err = b.TagTargets(b.ctx, n, ids("a", "a"), fleet.AbsentFails)
	expect(t, "one named twice", &fault.Entity{Type: "Target", ID: []string{}}, entity(err))
	expect(t, "nobody is tagged", " of 0", tagged())

	kind(t, b.TagTargets(b.ctx, n, ids("a", "no", "z"), fleet.AbsentFailsAfterwards), fault.NotFound)
	expect(t, "those that are there, in the order of creation", "z a of 2", tagged())
	expect(t, "told", []string{"target.updated z", "target.updated a"}, sorted(b.told(t, made), "target.updated z", "target.updated a"))
	ok(t, b.TagTargets(b.ctx, n, ids("a", "no", "b", "b"), fleet.AbsentIsIgnored))
	expect(t, "those that were not", []string{"target.updated b"}, b.told(t, made))
	ok(t, b.TagTargets(b.ctx, n, ids("no"), fleet.AbsentIsIgnored))
	kind(t, b.UntagTargets(b.ctx, n, ids("b", "no"), fleet.AbsentFails), fault.NotFound)
	expect(t, "tagged", "z a b of 3", tagged())
	ok(t, b.UntagTargets(b.ctx, n, ids("b", "c", "no"), fleet.AbsentIsIgnored))
	expect(t, "told", []string{"target.updated b"}, b.told(t, made))
	kind(t, b.UntagTargets(b.ctx, n, ids("a", "no"), fleet.AbsentFailsAfterwards), fault.NotFound)
	expect(t, "left", "z of 1", tagged())
	ok(t, b.UntagTarget(b.ctx, n, "a"))
	_, _, err = b.TaggedTargets(b.ctx, 99, query.List{Limit: 50})
	kind(t, err, fault.NotFound)

	// More events than are written one by one.
	many := make([]string, 50)
	for i := range many {
		many[i] = fmt.Sprintf("m%02d", i)
	}
	made = b.targets(t, many...)
	ok(t, b.TagTargets(b.ctx, n, ids(many...), fleet.AbsentFails))
	expect(t, "each is told", 50, len(b.told(t, made)))
}

// entity is what an error is about.
func entity(err error) *fault.Entity {
	var f *fault.Error
	if !errors.As(err, &f) {
		return nil
	}
	return f.Entity
}

// sorted brings a list into the order of want, for what comes in no order.
func sorted(list []string, want ...string) []string {
	slices.SortFunc(list, func(a, b string) int { return slices.Index(want, a) - slices.Index(want, b) })
	return list
}

func groups(t *testing.T, b *fleetBench) {
	made := b.targets(t, "a", "b", "c", "d", "e")
	created := b.now
	b.now = b.now.Add(time.Minute)
	in := func(group string, below bool) string {
		t.Helper()
		page, total, err := b.GroupTargets(b.ctx, group, below, query.List{Limit: 50, Sort: []query.Order{{Field: "id"}}})
		return found(t, page, total, err)
	}
	list, err := b.Groups(b.ctx)
	ok(t, err)
	expect(t, "no groups", []string(nil), list)

	ok(t, b.SetGroup(b.ctx, ptr("Über/North"), ids("a", "no", "a")))
	ok(t, b.SetGroup(b.ctx, ptr("über"), ids("b")))
	ok(t, b.SetGroup(b.ctx, ptr("übermut"), ids("c")))
	ok(t, b.SetGroup(b.ctx, ptr("x%_*\\"), ids("d")))
	ok(t, b.SetGroup(b.ctx, ptr(""), ids("e")))
	expect(t, "told", []string{"target.updated a", "target.updated b", "target.updated c", "target.updated d", "target.updated e"}, b.told(t, made))
	ok(t, b.SetGroup(b.ctx, ptr("über"), ids("b")))
	expect(t, "told of nothing new", []string(nil), b.told(t, made))
	x, err := b.Target(b.ctx, "a")
	ok(t, err)
	expect(t, "a group is no change by a user", created.UnixMilli(), x.ModifiedAt.UnixMilli())

	list, err = b.Groups(b.ctx)
	ok(t, err)
	expect(t, "groups", []string{"", "x%_*\\", "Über/North", "über", "übermut"}, list)
	expect(t, "without regard to case", "b of 1", in("ÜBER", false))
	expect(t, "with those below", "a b of 2", in("Über", true))
	expect(t, "a level below", "a of 1", in("über/north", true))
	expect(t, "signs are no wildcards", "d of 1", in("X%_*\\", true))
	expect(t, "signs match nothing else", " of 0", in("über%", true))
	expect(t, "nor does a star", " of 0", in("*", true))
	expect(t, "unknown", " of 0", in("nowhere", true))
	_, _, err = b.GroupTargets(b.ctx, "", false, query.List{Limit: 50})
	kind(t, err, fault.Invalid)

	ok(t, b.SetGroup(b.ctx, nil, ids("a", "e")))
	list, err = b.Groups(b.ctx)
	ok(t, err)
	expect(t, "groups that are left", []string{"x%_*\\", "über", "übermut"}, list)
	kind(t, b.SetGroup(b.ctx, ptr("x"), nil), fault.Invalid)
	kind(t, b.SetGroup(b.ctx, ptr(strings.Repeat("x", 257)), ids("a")), fault.IntegrityViolation)
	ok(t, b.SetGroup(b.ctx, ptr(strings.Repeat("ü", 256)), ids("a")))
}

func groupsByQuery(t *testing.T, b *fleetBench) {
	made := b.targets(t, "a", "b", "c")
	ok(t, b.SetGroup(b.ctx, ptr("old"), ids("a", "b")))
	b.seen = nil
	group := func() (list []string) {
		t.Helper()
		page, _, err := b.Targets(b.ctx, query.List{Limit: 50, Sort: []query.Order{{Field: "id"}}})
		ok(t, err)
		for _, x := range page {
			if x.Group == nil {
				list = append(list, "-")
			} else {
				list = append(list, *x.Group)
			}
		}
		return list
	}
	ok(t, b.SetGroupWhere(b.ctx, ptr("new"), "group==old;controllerid!=b"))
	expect(t, "one moved", []string{"new", "old", "-"}, group())
	expect(t, "told", []string{"target.updated a"}, b.told(t, made))
	ok(t, b.SetGroupWhere(b.ctx, ptr("new"), "name==*"))
	expect(t, "all moved", []string{"new", "new", "new"}, group())
	expect(t, "told", 2, len(b.told(t, made)))
	ok(t, b.SetGroupWhere(b.ctx, nil, "controllerid==c"))
	ok(t, b.SetGroupWhere(b.ctx, nil, "controllerid==nobody"))
	expect(t, "one is out", []string{"new", "new", "-"}, group())
	kind(t, b.SetGroupWhere(b.ctx, ptr("x"), ""), fault.QuerySyntax)
	kind(t, b.SetGroupWhere(b.ctx, ptr("x"), "nonsense==1"), fault.QueryField)
	kind(t, b.SetGroupWhere(b.ctx, ptr(strings.Repeat("x", 257)), "name==*"), fault.IntegrityViolation)
}

func pollStatus(t *testing.T, b *fleetBench) {
	made := b.targets(t, "a", "b", "c")
	put := func(k tenant.Key, v any) {
		t.Helper()
		ok(t, b.tenants.Put(b.ctx, caller.From(b.ctx).Tenant, map[tenant.Key]any{k: v}))
	}
	put(tenant.KeyPollingTime, "00:10:00~10%, group==fast -> 00:01:00, attribute.kind==x -> 00:02:00, tag==nobody -> 00:03:00")
	put(tenant.KeyPollingOverdue, "00:01:00")
	ok(t, b.SetGroup(b.ctx, ptr("fast"), ids("b")))
	ok(t, b.UpdateAttributes(b.ctx, "b", fleet.AttributeUpdate{Values: map[string]*string{"kind": ptr("x")}}))
	ok(t, b.UpdateAttributes(b.ctx, "c", fleet.AttributeUpdate{Values: map[string]*string{"kind": ptr("x")}}))

	poll := func(id fleet.ControllerID) *fleet.PollStatus {
		t.Helper()
		x, err := b.Target(b.ctx, id)
		ok(t, err)
		return x.Poll
	}
	expect(t, "never seen", (*fleet.PollStatus)(nil), poll("a"))
	at := b.now
	for i := range made {
		b.Visits.Note(made[i].ID, at)
	}
	expect(t, "seen just now", &fleet.PollStatus{Last: at, Next: at.Add(11 * time.Minute)}, poll("a"))
	expect(t, "the first override that matches", &fleet.PollStatus{Last: at, Next: at.Add(time.Minute)}, poll("b"))
	expect(t, "another override", &fleet.PollStatus{Last: at, Next: at.Add(2 * time.Minute)}, poll("c"))
	b.now = at.Add(2*time.Minute + time.Millisecond)
	expect(t, "late", &fleet.PollStatus{Last: at, Next: at.Add(time.Minute), Overdue: true}, poll("b"))
	page, total, err := b.Targets(b.ctx, all(fleet.TargetFields(), "lastcontrollerrequestat=le="+strconv.FormatInt(at.UnixMilli(), 10)))
	expect(t, "a list that asks sees what was noted", "a b c of 3", found(t, page, total, err))
	expect(t, "and completes all", []bool{false, true, false}, []bool{page[0].Poll.Overdue, page[1].Poll.Overdue, page[2].Poll.Overdue})

	b.Visits.Note(made[0].ID, b.now)
	page, _, err = b.Targets(b.ctx, query.List{Limit: 50, Sort: []query.Order{{Field: "lastcontrollerrequestat", Desc: true}, {Field: "id"}}})
	expect(t, "an order by it, too", "a b c of 3", found(t, page, len(page), err))
}

func fleetsApart(t *testing.T, b *fleetBench) {
	b.targets(t, "x")
	tags := []fleet.Tag{{Name: "n"}}
	ok(t, b.CreateTags(b.ctx, tags))
	types, err := b.CreateTypes(b.ctx, []fleet.NewType{{Name: ptr("n")}})
	ok(t, err)
	ok(t, b.TagTarget(b.ctx, tags[0].ID, "x"))
	ok(t, b.SetGroup(b.ctx, ptr("g"), ids("x")))

	_, err = b.Target(b.other, "x")
	kind(t, err, fault.NotFound)
	kind(t, b.DeleteTarget(b.other, "x"), fault.NotFound)
	_, err = b.Tag(b.other, tags[0].ID)
	kind(t, err, fault.NotFound)
	kind(t, b.DeleteTag(b.other, tags[0].ID), fault.NotFound)
	kind(t, b.DeleteType(b.other, types[0].ID), fault.NotFound)
	_, _, err = b.TaggedTargets(b.other, tags[0].ID, query.List{Limit: 50})
	kind(t, err, fault.NotFound)
	_, err = b.CreateTargets(b.other, []fleet.NewTarget{{ControllerID: "y", Type: &types[0].ID}})
	kind(t, err, fault.NotFound)
	_, err = b.CreateTargets(b.other, []fleet.NewTarget{{ControllerID: "x"}})
	ok(t, err)
	kind(t, b.TagTarget(b.other, tags[0].ID, "x"), fault.NotFound)
	_, err = b.UpdateTarget(b.other, "x", fleet.TargetChange{Type: &types[0].ID})
	kind(t, err, fault.NotFound)
	groups, err := b.Groups(b.other)
	ok(t, err)
	expect(t, "groups of the other tenant", []string(nil), groups)
	ok(t, b.SetGroupWhere(b.other, ptr("h"), "name==*"))
	ok(t, b.SetGroup(b.other, ptr("h"), ids("x")))
	groups, err = b.Groups(b.ctx)
	ok(t, err)
	expect(t, "groups of the first tenant", []string{"g"}, groups)
	page, total, err := b.GroupTargets(b.other, "g", true, query.List{Limit: 50})
	expect(t, "the first one's group", " of 0", found(t, page, total, err))
}

// standingInterval: what a poll hears and what users see are chosen alike.
func standingInterval(t *testing.T, b *fleetBench) {
	made := b.targets(t, "a", "b")
	ok(t, b.SetGroup(b.ctx, ptr("fast"), ids("b")))
	overrides := []tenant.PollingOverride{{Query: "name==nobody"}, {Query: "this is no query"}, {Query: "group==FAST"}}
	first, err := b.Store.Intervals(b.ctx, caller.From(b.ctx).Tenant, []fleet.TargetID{made[0].ID, made[1].ID, 99}, overrides, query.Moment{})
	ok(t, err)
	expect(t, "chosen", map[fleet.TargetID]int{made[0].ID: 0, made[1].ID: 3}, first)
	standing, _, err := store.Deployment{DB: b.db}.Standing(b.ctx, caller.From(b.ctx).Tenant, "b", deployment.Pace{Overrides: overrides})
	ok(t, err)
	expect(t, "a poll hears the same", uint8(3), standing.Interval)
}

// renamedSet: intervals may be chosen by the name of the set that is assigned.
func renamedSet(t *testing.T, b *fleetBench) {
	made := b.targets(t, "a")
	set := b.set(t)
	_, err := b.software.UpdateSet(b.ctx, set, software.SetChange{Name: ptr("before")})
	ok(t, err)
	expect(t, "nobody has it", []string{"distributionset.updated nobody"}, b.told(t, made))
	b.install(t, set, "a")
	_, err = b.software.UpdateSet(b.ctx, set, software.SetChange{Description: ptr("d")})
	ok(t, err)
	_, err = b.software.UpdateSet(b.ctx, set, software.SetChange{Version: ptr("2")})
	ok(t, err)
	expect(t, "somebody has it", []string{"distributionset.updated nobody", "distributionset.updated all"}, b.told(t, made))
}

func readAttributes(t *testing.T, b *fleetBench) {
	b.targets(t, "a")
	got, err := b.Attributes(b.ctx, "a")
	ok(t, err)
	expect(t, "none", map[string]string{}, got)
	ok(t, b.UpdateAttributes(b.ctx, "a", fleet.AttributeUpdate{Values: map[string]*string{"k": ptr("v"), "e": ptr("")}}))
	got, err = b.Attributes(b.ctx, "a")
	ok(t, err)
	expect(t, "two", map[string]string{"k": "v", "e": ""}, got)
	_, err = b.Attributes(b.ctx, "b")
	kind(t, err, fault.NotFound)
	x, err := b.Target(b.ctx, "a")
	ok(t, err)
	expect(t, "asked for no more", false, x.RequestAttributes)
}
