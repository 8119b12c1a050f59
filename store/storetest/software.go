// Package storetest says how the store must behave, whichever database is
// beneath it. Its suites drive the domain services, with artifact bytes in a
// real directory, so that rules and statements are tried together.
package storetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/blob/local"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/tenant"
)

// bench is a service on a database of its own, with a clock that stands still
// until it is moved.
type bench struct {
	software.Service

	db    *store.DB
	ctx   context.Context // an operator of the first tenant
	other context.Context // one of another tenant
	now   time.Time
	seen  []event.Event
}

// invalidate makes a set invalid, as invalidations do.
func (b *bench) invalidate(id software.SetID) error {
	_, err := b.Store.UpdateSet(b.ctx, caller.From(b.ctx).Tenant, id, func(set *software.Set) error {
		_, err := set.Invalidate()
		return err
	})
	return err
}

func newBench(t *testing.T, db *store.DB) *bench {
	t.Helper()
	b := &bench{db: db, now: time.UnixMilli(1_700_000_000_000)}
	clock := func() time.Time { return b.now }
	blobs, err := local.Open(t.TempDir(), local.Options{Grace: time.Minute, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	tenants := &tenant.Service{Store: store.Tenants{DB: db}, Now: clock}
	b.Service = software.Service{Store: store.Software{DB: db}, Blobs: blobs, Tenants: tenants, Quotas: tenant.DefaultQuotas(), Now: clock}
	as := func(name string) context.Context {
		if err := (store.Tenants{DB: db}).EnsureTenant(t.Context(), name, b.now); err != nil {
			t.Fatal(err)
		}
		record, err := tenants.ByName(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return caller.With(t.Context(), caller.Caller{Tenant: record.ID, TenantName: name, User: "anna"})
	}
	b.ctx, b.other = as("FIRST"), as("SECOND")
	db.Listen(func(e []event.Event) { b.seen = append(b.seen, e...) })
	return b
}

// as returns the first tenant's caller under another name.
func (b *bench) as(user string) context.Context {
	c := caller.From(b.ctx)
	c.User = user
	return caller.With(b.ctx, c)
}

func (b *bench) module(t *testing.T, typ, name string) *software.Module {
	t.Helper()
	list, err := b.CreateModules(b.ctx, []software.NewModule{{TypeKey: typ, Name: name, Version: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	return &list[0]
}

func (b *bench) set(t *testing.T, typ, name string, modules ...*software.Module) *software.Set {
	t.Helper()
	n := software.NewSet{TypeKey: &typ, Name: name, Version: "1"}
	for _, m := range modules {
		n.Modules = append(n.Modules, &m.ID)
	}
	list, err := b.CreateSets(b.ctx, []software.NewSet{n})
	if err != nil {
		t.Fatal(err)
	}
	return &list[0]
}

func (b *bench) upload(t *testing.T, module software.ModuleID, name, content string) (*software.Artifact, error) {
	t.Helper()
	in, err := b.Receive(b.ctx, module)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Abort()
	if err := in.Take(strings.NewReader(content)); err != nil {
		return nil, err
	}
	return in.Finish(b.ctx, name, software.Sums{})
}

func (b *bench) content(t *testing.T, sha256 string) string {
	t.Helper()
	c, err := b.Blobs.Open(t.Context(), sha256)
	if fault.Is(err, fault.BinaryMissing) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Content.Close() }() // only read
	text, err := io.ReadAll(c.Content)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// changed returns what was recorded since the last call.
func (b *bench) changed() (list []string) {
	for _, e := range b.seen {
		if e.Reach != event.NoTarget || e.At == 0 || e.Tenant == 0 || e.Subject == 0 {
			list = append(list, fmt.Sprintf("unexpected: %+v", e))
			continue
		}
		list = append(list, string(e.Kind))
	}
	b.seen = nil
	return list
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("got the error %v of kind %d, want kind %d", err, fault.KindOf(err), want)
	}
}

func all(f *query.Fields, q string) query.List {
	l := query.List{Limit: query.MaxLimit, Sort: []query.Order{{Field: "id"}}}
	if q != "" {
		n, err := query.Parse(q, f)
		if err != nil {
			panic(err)
		}
		l.Filter = n
	}
	return l
}

func ptr[T any](v T) *T { return &v }

// Software runs the suite of modules, artifacts, sets, their types and tags.
// open returns a fresh database.
func Software(t *testing.T, open func(*testing.T) *store.DB) {
	for name, f := range map[string]func(*testing.T, *bench){
		"module types":              moduleTypes,
		"set types":                 setTypes,
		"modules":                   modules,
		"module metadata":           moduleMetadata,
		"artifacts":                 artifacts,
		"artifacts share bytes":     sharedBytes,
		"artifact quotas":           artifactQuotas,
		"sets":                      sets,
		"locks":                     locks,
		"soft deletion":             softDeletion,
		"set metadata":              setMetadata,
		"tags":                      tags,
		"tenants are apart":         tenantsApart,
		"chunks":                    chunks,
		"lists":                     lists,
		"a refused batch is undone": batches,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newBench(t, open(t)))
		})
	}
}

func moduleTypes(t *testing.T, b *bench) {
	types := []software.ModuleType{{Key: " k ", Name: "n", Colour: ptr(" red "), MaxAssignments: 2, MinArtifacts: 1}}
	ok(t, b.CreateModuleTypes(b.ctx, types))
	got, err := b.ModuleType(b.ctx, types[0].ID)
	ok(t, err)
	stamp := caller.Stamps{CreatedBy: "anna", CreatedAt: b.now, ModifiedBy: "anna", ModifiedAt: b.now}
	want := &software.ModuleType{ID: types[0].ID, Key: "k", Name: "n", Colour: ptr("red"), MaxAssignments: 2, MinArtifacts: 1, Stamps: stamp}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	kind(t, b.CreateModuleTypes(b.ctx, []software.ModuleType{{Key: "k", Name: "other", MaxAssignments: 1}}), fault.Exists)
	kind(t, b.CreateModuleTypes(b.ctx, []software.ModuleType{{Key: "other", Name: "n", MaxAssignments: 1}}), fault.Exists)

	b.now = b.now.Add(time.Hour)
	b.changed()
	same, err := b.UpdateModuleType(b.as("ben"), got.ID, nil, ptr("red"))
	ok(t, err)
	if same.ModifiedBy != "anna" || len(b.changed()) != 0 {
		t.Errorf("a change to the same was saved: %+v", same)
	}
	changed, err := b.UpdateModuleType(b.as("ben"), got.ID, ptr("d"), nil)
	ok(t, err)
	want.Description, want.ModifiedBy, want.ModifiedAt = ptr("d"), "ben", b.now
	if d := cmp.Diff(want, changed); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"softwaremoduletype.updated"}, b.changed()); d != "" {
		t.Error(d)
	}

	// In use it is kept; its key stays taken, and it serves nothing new.
	b.module(t, "k", "m")
	ok(t, b.DeleteModuleType(b.ctx, got.ID))
	ok(t, b.DeleteModuleType(b.ctx, got.ID))
	if got, err = b.ModuleType(b.ctx, got.ID); err != nil || !got.Deleted {
		t.Errorf("got %+v, %v; want it marked deleted", got, err)
	}
	_, err = b.UpdateModuleType(b.ctx, got.ID, ptr("x"), nil)
	kind(t, err, fault.Deleted)
	_, err = b.CreateModules(b.ctx, []software.NewModule{{TypeKey: "k", Name: "late", Version: "1"}})
	kind(t, err, fault.Rejected)
	kind(t, b.CreateModuleTypes(b.ctx, []software.ModuleType{{Key: "k", Name: "again", MaxAssignments: 1}}), fault.Exists)

	// Unused it goes for good.
	free := []software.ModuleType{{Key: "free", Name: "free", MaxAssignments: 1}}
	ok(t, b.CreateModuleTypes(b.ctx, free))
	ok(t, b.DeleteModuleType(b.ctx, free[0].ID))
	kind(t, b.DeleteModuleType(b.ctx, free[0].ID), fault.NotFound)
}

func typeIDs(t *testing.T, b *bench, keys ...string) (ids []*software.ModuleTypeID) {
	t.Helper()
	found, err := b.Store.ModuleTypesByKey(b.ctx, caller.From(b.ctx).Tenant, keys)
	ok(t, err)
	for _, k := range keys {
		ids = append(ids, ptr(found[k].ID))
	}
	return ids
}

func setTypes(t *testing.T, b *bench) {
	ids := typeIDs(t, b, "os", "application")
	types, err := b.CreateSetTypes(b.ctx, []software.NewSetType{{Key: "k", Name: "n", Mandatory: ids[:1], Optional: ids[1:]}})
	ok(t, err)
	id := types[0].ID
	got, err := b.SetType(b.ctx, id)
	ok(t, err)
	if d := cmp.Diff(&types[0], got); d != "" {
		t.Error(d)
	}
	_, err = b.CreateSetTypes(b.ctx, []software.NewSetType{{Key: "both", Name: "both", Mandatory: ids, Optional: ids[1:]}})
	kind(t, err, fault.Exists)
	_, err = b.CreateSetTypes(b.ctx, []software.NewSetType{{Key: "bad", Name: "bad", Mandatory: []*software.ModuleTypeID{nil, ptr(software.ModuleTypeID(999))}}})
	if d := cmp.Diff(&fault.Entity{Type: "SoftwareModuleType", ID: []string{"null", "999"}}, err.(*fault.Error).Entity); d != "" { //nolint:errorlint // the domain's own error
		t.Error(d)
	}

	kind(t, b.AddSetTypeModule(b.ctx, id, true, ids[1]), fault.Exists)
	ok(t, b.AddSetTypeModule(b.ctx, id, true, ids[0]))
	ok(t, b.RemoveSetTypeModule(b.ctx, id, *ids[1]))
	ok(t, b.RemoveSetTypeModule(b.ctx, id, *ids[1]))
	ok(t, b.AddSetTypeModule(b.ctx, id, true, ids[1]))
	list, err := b.SetTypeModules(b.ctx, id, true)
	ok(t, err)
	if len(list) != 2 {
		t.Errorf("got %+v, want both module types", list)
	}
	_, err = b.SetTypeModule(b.ctx, id, false, *ids[0])
	kind(t, err, fault.ModuleNotInType)

	// A set fixes the lists, and keeps the type when it is deleted.
	set := b.set(t, "k", "s")
	kind(t, b.AddSetTypeModule(b.ctx, id, true, ids[0]), fault.ReadOnly)
	kind(t, b.RemoveSetTypeModule(b.ctx, id, *ids[0]), fault.ReadOnly)
	_, err = b.UpdateSetType(b.ctx, id, ptr("d"), nil)
	ok(t, err)
	ok(t, b.DeleteSetType(b.ctx, id))
	ok(t, b.DeleteSetType(b.ctx, id))
	kind(t, b.AddSetTypeModule(b.ctx, id, true, ids[0]), fault.Deleted)
	_, err = b.CreateSets(b.ctx, []software.NewSet{{TypeKey: ptr("k"), Name: "late", Version: "1"}})
	kind(t, err, fault.Rejected)
	ok(t, b.DeleteSet(b.ctx, set.ID))

	// The default type may go softly, while a set has it, and never for good.
	all, _, err := b.SetTypes(b.ctx, query.List{Limit: 50}, software.WithoutDeleted)
	ok(t, err)
	at := slices.IndexFunc(all, func(s software.SetType) bool { return s.Key == "os_app" })
	kind(t, b.DeleteSetType(b.ctx, all[at].ID), fault.IntegrityViolation)
	preset, err := b.CreateSets(b.ctx, []software.NewSet{{Name: "preset", Version: "1"}})
	ok(t, err)
	if preset[0].Type.Key != "os_app" {
		t.Errorf("the default type is %s", preset[0].Type.Key)
	}
	ok(t, b.DeleteSetType(b.ctx, all[at].ID))
	_, err = b.CreateSets(b.ctx, []software.NewSet{{Name: "without a type", Version: "1"}})
	kind(t, err, fault.Rejected)
}

func modules(t *testing.T, b *bench) {
	list, err := b.CreateModules(b.ctx, []software.NewModule{
		{TypeKey: " os ", Name: " a ", Version: " 1 ", Description: ptr(" d "), Vendor: ptr("")},
		{TypeKey: "application", Name: "a", Version: "1"},
	})
	ok(t, err)
	got, err := b.Module(b.ctx, list[0].ID)
	ok(t, err)
	if d := cmp.Diff(&list[0], got); d != "" {
		t.Error(d)
	}
	if got.Name != "a" || got.Version != "1" || *got.Description != "d" || *got.Vendor != "" || got.Locked || !got.Complete() {
		t.Errorf("got %+v", got)
	}
	_, err = b.CreateModules(b.ctx, []software.NewModule{{TypeKey: "os", Name: "a", Version: "1"}})
	kind(t, err, fault.Exists)
	_, err = b.CreateModules(b.ctx, []software.NewModule{{TypeKey: "OS", Name: "a", Version: "2"}})
	kind(t, err, fault.NotFound)

	b.changed()
	got, err = b.UpdateModule(b.as("ben"), got.ID, software.ModuleChange{Vendor: ptr(" v "), Locked: ptr(true)})
	ok(t, err)
	if *got.Vendor != "v" || !got.Locked || *got.Description != "d" || got.ModifiedBy != "ben" {
		t.Errorf("got %+v", got)
	}
	if d := cmp.Diff([]string{"softwaremodule.updated"}, b.changed()); d != "" {
		t.Error(d)
	}
	ok(t, b.DeleteModule(b.ctx, got.ID)) // a lock alone does not keep it
	_, err = b.Module(b.ctx, got.ID)
	kind(t, err, fault.NotFound)
	kind(t, b.DeleteModule(b.ctx, got.ID), fault.NotFound)
}

func moduleMetadata(t *testing.T, b *bench) {
	m := b.module(t, "os", "m")
	entry := func(key string, value *string, visible bool) software.ModuleMetadatum {
		return software.ModuleMetadatum{Key: key, Value: value, TargetVisible: visible}
	}
	ok(t, b.SaveModuleMetadata(b.ctx, m.ID, []software.ModuleMetadatum{entry("b", ptr(" v "), true), entry("B", ptr(""), false), entry("", nil, true), entry("dropped", nil, false)}))
	ok(t, b.SaveModuleMetadata(b.ctx, m.ID, []software.ModuleMetadatum{entry("b", nil, false)}))
	got, err := b.ModuleMetadata(b.ctx, m.ID)
	ok(t, err)
	if d := cmp.Diff([]software.ModuleMetadatum{entry("", nil, true), entry("B", ptr(""), false), entry("b", nil, false)}, got); d != "" {
		t.Error(d)
	}
	ok(t, b.DeleteModuleMetadatum(b.ctx, m.ID, "b"))
	kind(t, b.DeleteModuleMetadatum(b.ctx, m.ID, "b"), fault.NotFound)
	kind(t, b.SaveModuleMetadata(b.ctx, m.ID+100, []software.ModuleMetadatum{entry("x", nil, true)}), fault.NotFound)
	kind(t, b.SaveModuleMetadata(b.ctx, m.ID, []software.ModuleMetadatum{entry(strings.Repeat("k", 129), nil, true)}), fault.IntegrityViolation)

	b.Quotas.MetadataPerEntity = 2
	kind(t, b.SaveModuleMetadata(b.ctx, m.ID, []software.ModuleMetadatum{entry("more", ptr("v"), false)}), fault.Quota)
	ok(t, b.SaveModuleMetadata(b.ctx, m.ID, []software.ModuleMetadatum{entry("B", ptr("at the limit"), true)}))
}

func artifacts(t *testing.T, b *bench) {
	m := b.module(t, "os", "m")
	b.changed()
	a, err := b.upload(t, m.ID, "Größe.bin", "content")
	ok(t, err)
	if d := cmp.Diff([]string{"artifact.created"}, b.changed()); d != "" {
		t.Error(d)
	}
	got, err := b.Downloadable(b.ctx, m.ID, a.ID)
	ok(t, err)
	opened, err := b.Open(b.ctx, got)
	ok(t, err)
	ok(t, opened.Content.Close())
	if d := cmp.Diff(a, got); d != "" {
		t.Error(d)
	}
	want := blob.Digest{SHA256: "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73", SHA1: "040f06fd774092478d450774f5ba30c5da78acc8", MD5: "9a0364b9e99bb480dd25e1f0284c8555", Size: 7}
	if d := cmp.Diff(want, got.Digest); d != "" {
		t.Error(d)
	}
	_, err = b.upload(t, m.ID, "GRÖSSE.BIN", "other") // ß has no capital of one letter
	ok(t, err)
	_, err = b.upload(t, m.ID, "gRÖßE.bin", "other")
	kind(t, err, fault.Exists)
	_, err = b.upload(t, m.ID+100, "x", "x")
	kind(t, err, fault.NotFound)
	_, err = b.UpdateModule(b.ctx, m.ID, software.ModuleChange{Locked: ptr(true)})
	ok(t, err)
	_, err = b.upload(t, m.ID, "x", "x")
	kind(t, err, fault.Locked)
	kind(t, b.DeleteArtifact(b.ctx, m.ID, a.ID), fault.Locked)
	_, err = b.UpdateModule(b.ctx, m.ID, software.ModuleChange{Locked: ptr(false)})
	ok(t, err)
	kind(t, b.DeleteArtifact(b.ctx, b.module(t, "os", "n").ID, a.ID), fault.NotFound)
	ok(t, b.DeleteArtifact(b.ctx, m.ID, a.ID))
	list, err := b.Artifacts(b.ctx, m.ID)
	ok(t, err)
	if len(list) != 1 || list[0].Filename != "GRÖSSE.BIN" {
		t.Errorf("got %+v", list)
	}
}

func sharedBytes(t *testing.T, b *bench) {
	m, n := b.module(t, "os", "m"), b.module(t, "os", "n")
	first, err := b.upload(t, m.ID, "1", "same")
	ok(t, err)
	second, err := b.upload(t, n.ID, "2", "same")
	ok(t, err)
	sum := first.Digest.SHA256

	b.now = b.now.Add(time.Hour) // beyond the grace time
	ok(t, b.DeleteArtifact(b.ctx, m.ID, first.ID))
	if b.content(t, sum) != "same" {
		t.Fatal("deleting one artifact took the bytes of another")
	}

	// An upload of the same bytes that is refused at the last moment leaves them.
	in, err := b.Receive(b.ctx, m.ID)
	ok(t, err)
	ok(t, in.Take(strings.NewReader("same")))
	_, err = in.Finish(b.ctx, strings.Repeat("n", 257), software.Sums{})
	kind(t, err, fault.Invalid)
	sweep(t, b)
	if b.content(t, sum) != "same" {
		t.Fatal("a refused upload took the bytes of another")
	}

	// Softly deleted, the module does not need its bytes any more, but keeps its entries.
	b.set(t, "os", "s", n)
	b.now = b.now.Add(time.Hour)
	ok(t, b.DeleteModule(b.ctx, n.ID))
	if b.content(t, sum) != "" {
		t.Error("bytes that nothing needs are still there")
	}
	_, err = b.Downloadable(b.ctx, n.ID, second.ID)
	kind(t, err, fault.BinaryGone)
	list, err := b.Artifacts(b.ctx, n.ID)
	ok(t, err)
	if len(list) != 1 {
		t.Errorf("got the artifacts %+v, want the entry kept", list)
	}

	// What a young deletion had to leave, a sweep gets.
	third, err := b.upload(t, m.ID, "3", "young")
	ok(t, err)
	ok(t, b.DeleteArtifact(b.ctx, m.ID, third.ID))
	if b.content(t, third.Digest.SHA256) == "" {
		t.Error("bytes within the grace time are gone")
	}
	b.now = b.now.Add(time.Hour)
	sweep(t, b)
	if b.content(t, third.Digest.SHA256) != "" {
		t.Error("the sweep left bytes that nothing needs")
	}
}

func sweep(t *testing.T, b *bench) {
	t.Helper()
	for after := ""; ; {
		next, _, err := b.Sweep(t.Context(), after, 2)
		ok(t, err)
		if next == "" {
			return
		}
		after = next
	}
}

func artifactQuotas(t *testing.T, b *bench) {
	m := b.module(t, "os", "m")
	b.Quotas.ArtifactSize, b.Quotas.ArtifactStorage, b.Quotas.ArtifactsPerModule = 10, 15, 2
	_, err := b.upload(t, m.ID, "large", strings.Repeat("x", 11))
	kind(t, err, fault.QuotaFileSize)
	_, err = b.upload(t, m.ID, "fits", strings.Repeat("x", 10))
	ok(t, err)
	_, err = b.upload(t, m.ID, "storage", "123456")
	kind(t, err, fault.QuotaStorage)
	_, err = b.upload(t, m.ID, "fits too", "12345")
	ok(t, err)
	_, err = b.upload(t, m.ID, "third", "1")
	kind(t, err, fault.Quota)
}

func sets(t *testing.T, b *bench) {
	os1, os2, app := b.module(t, "os", "os1"), b.module(t, "os", "os2"), b.module(t, "application", "app")
	set := b.set(t, "os_app", "s", app, os1, app)
	got, err := b.Set(b.ctx, set.ID)
	ok(t, err)
	if d := cmp.Diff(set, got); d != "" {
		t.Error(d)
	}
	if !got.Complete() || !got.Valid || len(got.Modules) != 2 {
		t.Errorf("got %+v", got)
	}

	// One more of a type that allows one replaces what was there.
	ok(t, b.AddModules(b.ctx, set.ID, []*software.ModuleID{&os2.ID}))
	mods, total, err := b.SetModules(b.ctx, set.ID, all(software.ModuleFields(), ""))
	ok(t, err)
	if total != 2 || mods[0].ID != os2.ID || mods[1].ID != app.ID {
		t.Errorf("got %d modules %+v", total, mods)
	}
	kind(t, b.AddModules(b.ctx, set.ID, []*software.ModuleID{&os1.ID, nil}), fault.NotFound)
	kind(t, b.AddModules(b.ctx, b.set(t, "app", "only app").ID, []*software.ModuleID{&app.ID, &os1.ID}), fault.ModuleUnsuited)
	ok(t, b.RemoveModule(b.ctx, set.ID, os2.ID))
	ok(t, b.RemoveModule(b.ctx, set.ID, os2.ID))
	if got, err = b.Set(b.ctx, set.ID); err != nil || got.Complete() {
		t.Errorf("got %+v, %v; want it incomplete without its mandatory module", got, err)
	}
	kind(t, b.invalidate(set.ID), fault.SetIncomplete)

	other := b.set(t, "os_app", "taken")
	_, err = b.UpdateSet(b.ctx, other.ID, software.SetChange{Name: ptr("s")})
	kind(t, err, fault.Exists)

	ok(t, b.AddModules(b.ctx, set.ID, []*software.ModuleID{&os1.ID}))
	ok(t, b.invalidate(set.ID))
	ok(t, b.invalidate(set.ID))
	_, err = b.UpdateSet(b.ctx, set.ID, software.SetChange{})
	kind(t, err, fault.SetInvalid)
	kind(t, b.AddModules(b.ctx, set.ID, []*software.ModuleID{&os1.ID}), fault.SetInvalid)
	kind(t, b.RemoveModule(b.ctx, set.ID, os1.ID), fault.SetInvalid)
	kind(t, b.SaveSetMetadata(b.ctx, set.ID, []software.Metadatum{{Key: "k"}}), fault.SetInvalid)
	ok(t, b.DeleteSet(b.ctx, set.ID))
	kind(t, b.DeleteSet(b.ctx, set.ID), fault.NotFound)
}

func locks(t *testing.T, b *bench) {
	m, n := b.module(t, "os", "m"), b.module(t, "os", "n")
	set := b.set(t, "os", "s", m)
	b.changed()
	got, err := b.UpdateSet(b.as("ben"), set.ID, software.SetChange{Locked: ptr(true), Description: ptr("locked")})
	ok(t, err)
	if !got.Locked || !got.Modules[0].Locked || got.ModifiedBy != "ben" {
		t.Errorf("got %+v", got)
	}
	if d := cmp.Diff([]string{"softwaremodule.updated", "distributionset.updated"}, b.changed()); d != "" {
		t.Error(d)
	}
	locked, err := b.Module(b.ctx, m.ID)
	ok(t, err)
	if !locked.Locked || locked.ModifiedBy != "ben" {
		t.Errorf("got %+v", locked)
	}
	kind(t, b.AddModules(b.ctx, set.ID, []*software.ModuleID{&m.ID}), fault.Locked)
	kind(t, b.RemoveModule(b.ctx, set.ID, n.ID), fault.Locked)
	_, err = b.UpdateSet(b.ctx, set.ID, software.SetChange{RequiredMigrationStep: ptr(true), Locked: ptr(false)})
	kind(t, err, fault.Locked)
	_, err = b.UpdateSet(b.ctx, set.ID, software.SetChange{RequiredMigrationStep: ptr(false), Name: ptr("renamed")})
	ok(t, err)
	kind(t, b.DeleteModule(b.ctx, m.ID), fault.Locked)
	_, err = b.UpdateSet(b.ctx, set.ID, software.SetChange{Locked: ptr(false)})
	ok(t, err)
	if locked, err = b.Module(b.ctx, m.ID); err != nil || !locked.Locked {
		t.Errorf("got %+v, %v; want the module still locked", locked, err)
	}
	ok(t, b.DeleteModule(b.ctx, m.ID))
}

func softDeletion(t *testing.T, b *bench) {
	m := b.module(t, "os", "m")
	b.set(t, "os", "s", m)
	ok(t, b.DeleteModule(b.as("ben"), m.ID))
	ok(t, b.DeleteModule(b.ctx, m.ID))
	got, err := b.Module(b.ctx, m.ID)
	ok(t, err)
	if !got.Deleted || got.ModifiedBy != "ben" {
		t.Errorf("got %+v", got)
	}
	_, err = b.CreateModules(b.ctx, []software.NewModule{{TypeKey: "os", Name: "m", Version: "1"}})
	kind(t, err, fault.Exists)
	_, err = b.UpdateModule(b.ctx, m.ID, software.ModuleChange{})
	kind(t, err, fault.Deleted)
	ok(t, b.SaveModuleMetadata(b.ctx, m.ID, []software.ModuleMetadatum{{Key: "k", TargetVisible: true}}))
	b.set(t, "os", "a deleted module may still be put into a set", m)
	for d, want := range map[software.Deleted]int{software.WithoutDeleted: 0, software.WithDeleted: 1, software.OnlyDeleted: 1} {
		_, total, err := b.Modules(b.ctx, all(software.ModuleFields(), "name==m"), d)
		ok(t, err)
		if total != want {
			t.Errorf("mode %d shows %d modules, want %d", d, total, want)
		}
	}
}

func setMetadata(t *testing.T, b *bench) {
	set := b.set(t, "os", "s")
	ok(t, b.SaveSetMetadata(b.ctx, set.ID, []software.Metadatum{{Key: "b", Value: " v "}, {Key: "B"}, {Key: "", Value: "e"}}))
	ok(t, b.SaveSetMetadata(b.ctx, set.ID, []software.Metadatum{{Key: "b", Value: "w"}}))
	got, err := b.SetMetadata(b.ctx, set.ID)
	ok(t, err)
	if d := cmp.Diff([]software.Metadatum{{Key: "", Value: "e"}, {Key: "B", Value: ""}, {Key: "b", Value: "w"}}, got); d != "" {
		t.Error(d)
	}
	ok(t, b.DeleteSetMetadatum(b.ctx, set.ID, "b"))
	kind(t, b.DeleteSetMetadatum(b.ctx, set.ID, "b"), fault.NotFound)
	kind(t, b.SaveSetMetadata(b.ctx, set.ID, []software.Metadatum{{Key: "k", Value: strings.Repeat("v", 4001)}}), fault.IntegrityViolation)
	kind(t, b.SaveSetMetadata(b.ctx, set.ID+100, []software.Metadatum{{Key: "k"}}), fault.NotFound)
	b.Quotas.MetadataPerEntity = 2
	kind(t, b.SaveSetMetadata(b.ctx, set.ID, []software.Metadatum{{Key: "more"}}), fault.Quota)
}

func tags(t *testing.T, b *bench) {
	list := []software.Tag{{Name: " t ", Colour: ptr("")}}
	ok(t, b.CreateTags(b.ctx, list))
	id := list[0].ID
	kind(t, b.CreateTags(b.ctx, []software.Tag{{Name: "t"}}), fault.Exists)
	got, err := b.UpdateTag(b.ctx, id, software.TagChange{Name: ptr("u"), Description: ptr("d")})
	ok(t, err)
	if got.Name != "u" || *got.Description != "d" || *got.Colour != "" {
		t.Errorf("got %+v", got)
	}
	one, two := b.set(t, "os", "one"), b.set(t, "os", "two")
	b.changed()
	ok(t, b.TagSets(b.ctx, id, []software.SetID{two.ID, one.ID}))
	ok(t, b.TagSets(b.ctx, id, []software.SetID{one.ID}))
	if d := cmp.Diff([]string{"distributionset.updated", "distributionset.updated"}, b.changed()); d != "" {
		t.Error(d)
	}
	kind(t, b.TagSets(b.ctx, id, []software.SetID{one.ID, 999}), fault.NotFound)
	tagged, total, err := b.TaggedSets(b.ctx, id, all(software.SetFields(), ""))
	ok(t, err)
	if total != 2 || tagged[0].ID != one.ID || tagged[1].ID != two.ID {
		t.Errorf("got %d sets %+v", total, tagged)
	}
	found, _, err := b.Tags(b.ctx, all(software.SetTagFields(), "distributionset.name==two"))
	ok(t, err)
	if len(found) != 1 {
		t.Errorf("got %+v", found)
	}
	ok(t, b.UntagSets(b.ctx, id, []software.SetID{one.ID}))
	ok(t, b.UntagSets(b.ctx, id, []software.SetID{one.ID}))
	ok(t, b.DeleteTag(b.ctx, id))
	kind(t, b.DeleteTag(b.ctx, id), fault.NotFound)
	_, err = b.Set(b.ctx, two.ID)
	ok(t, err)
}

// tenantsApart asks one tenant for everything of another one.
func tenantsApart(t *testing.T, b *bench) {
	m := b.module(t, "os", "m")
	a, err := b.upload(t, m.ID, "a", "x")
	ok(t, err)
	set := b.set(t, "os", "s", m)
	tag := []software.Tag{{Name: "t"}}
	ok(t, b.CreateTags(b.ctx, tag))
	ids := typeIDs(t, b, "os")

	for what, f := range map[string]func(context.Context) error{
		"module type":  func(ctx context.Context) error { _, err := b.ModuleType(ctx, *ids[0]); return err },
		"module":       func(ctx context.Context) error { _, err := b.Module(ctx, m.ID); return err },
		"metadata":     func(ctx context.Context) error { _, err := b.ModuleMetadata(ctx, m.ID); return err },
		"artifacts":    func(ctx context.Context) error { _, err := b.Artifacts(ctx, m.ID); return err },
		"artifact":     func(ctx context.Context) error { return b.DeleteArtifact(ctx, m.ID, a.ID) },
		"set type":     func(ctx context.Context) error { _, err := b.SetType(ctx, set.Type.ID); return err },
		"set":          func(ctx context.Context) error { _, err := b.Set(ctx, set.ID); return err },
		"set metadata": func(ctx context.Context) error { _, err := b.SetMetadata(ctx, set.ID); return err },
		"tag":          func(ctx context.Context) error { _, err := b.Tag(ctx, tag[0].ID); return err },
		"tagged sets": func(ctx context.Context) error {
			_, _, err := b.TaggedSets(ctx, tag[0].ID, all(software.SetFields(), ""))
			return err
		},
		"change of tag": func(ctx context.Context) error {
			_, err := b.UpdateTag(ctx, tag[0].ID, software.TagChange{})
			return err
		},
		"delete tag":    func(ctx context.Context) error { return b.DeleteTag(ctx, tag[0].ID) },
		"delete set":    func(ctx context.Context) error { return b.DeleteSet(ctx, set.ID) },
		"delete module": func(ctx context.Context) error { return b.DeleteModule(ctx, m.ID) },
		"set of foreign module": func(ctx context.Context) error {
			_, err := b.CreateSets(ctx, []software.NewSet{{TypeKey: ptr("os"), Name: "s", Version: "1", Modules: []*software.ModuleID{&m.ID}}})
			return err
		},
	} {
		if err := f(b.other); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s of another tenant: got %v", what, err)
		}
	}
	if c, err := b.Store.Chunks(b.other, caller.From(b.other).Tenant, set.ID); err != nil || len(c) > 0 {
		t.Errorf("got the chunks %+v, %v", c, err)
	}
}

func chunks(t *testing.T, b *bench) {
	m, n := b.module(t, "os", "m"), b.module(t, "application", "n")
	a, err := b.upload(t, m.ID, "a", "x")
	ok(t, err)
	many := []software.ModuleMetadatum{{Key: "a hidden one", Value: ptr("h")}}
	for i := range 60 {
		many = append(many, software.ModuleMetadatum{Key: fmt.Sprintf("k%02d", i), Value: ptr("v"), TargetVisible: true})
	}
	ok(t, b.SaveModuleMetadata(b.ctx, m.ID, many))
	set := b.set(t, "os_app", "s", n, m)
	got, err := b.Store.Chunks(b.ctx, caller.From(b.ctx).Tenant, set.ID)
	ok(t, err)
	want := []software.Chunk{
		{Module: m.ID, TypeKey: "os", Name: "m", Version: "1", Artifacts: []software.Artifact{*a}, Metadata: many[1:]},
		{Module: n.ID, TypeKey: "application", Name: "n", Version: "1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func lists(t *testing.T, b *bench) {
	m := b.module(t, "os", "m")
	var names []string
	for i := range 5 {
		name := fmt.Sprintf("set %d", i)
		names = append(names, name)
		if i%2 == 0 {
			b.set(t, "os", name, m)
		} else {
			b.set(t, "os", name)
		}
	}
	read := func(q string, offset, limit int) ([]string, int) {
		t.Helper()
		l := all(software.SetListFields(), q)
		l.Offset, l.Limit = offset, limit
		page, total, err := b.Sets(b.ctx, l, software.WithoutDeleted)
		ok(t, err)
		got := []string{}
		for i := range page {
			got = append(got, page[i].Name)
		}
		return got, total
	}
	for _, c := range []struct {
		q             string
		offset, limit int
		want          []string
		total         int
	}{
		{"", 0, 50, names, 5},
		{"", 1, 2, names[1:3], 5},
		{"module.name==m", 0, 50, []string{"set 0", "set 2", "set 4"}, 3},
		{"type==os;name=='set 1'", 0, 50, names[1:2], 1},
		{"complete==true", 0, 2, names[:1], 5},                            // thinned out, the total knows nothing of it
		{"complete==true", 0, 50, []string{"set 0", "set 2", "set 4"}, 3}, // but on the last page
		{"name==set*;complete==false", 0, 50, []string{"set 1", "set 3"}, 2},
		{"complete==true", 5, 50, []string{}, 5},
	} {
		got, total := read(c.q, c.offset, c.limit)
		if !slices.Equal(got, c.want) || total != c.total {
			t.Errorf("q=%q offset=%d limit=%d: got %q of %d, want %q of %d", c.q, c.offset, c.limit, got, total, c.want, c.total)
		}
	}
}

func batches(t *testing.T, b *bench) {
	_, err := b.CreateModules(b.ctx, []software.NewModule{{TypeKey: "os", Name: "x", Version: "1"}, {TypeKey: "os", Name: "x", Version: "1"}})
	kind(t, err, fault.Exists)
	_, err = b.CreateSets(b.ctx, []software.NewSet{{TypeKey: ptr("os"), Name: "x", Version: "1"}, {TypeKey: ptr("os"), Name: "x", Version: "1"}})
	kind(t, err, fault.Exists)
	kind(t, b.CreateTags(b.ctx, []software.Tag{{Name: "x"}, {Name: "x"}}), fault.Exists)
	if _, total, err := b.Modules(b.ctx, all(software.ModuleFields(), ""), software.WithDeleted); err != nil || total != 0 {
		t.Errorf("there are %d modules, %v", total, err)
	}
	if _, total, err := b.Sets(b.ctx, all(software.SetFields(), ""), software.WithDeleted); err != nil || total != 0 {
		t.Errorf("there are %d sets, %v", total, err)
	}
	if d := cmp.Diff([]string(nil), b.changed()); d != "" {
		t.Errorf("a refused batch recorded events: %s", d)
	}
}
