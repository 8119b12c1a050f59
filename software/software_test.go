package software_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// The kinds of module that the tests use; kind returns one of them.
const (
	osKind  software.ModuleTypeID = 1 // one to a set
	appKind software.ModuleTypeID = 2 // two to a set
	odKind  software.ModuleTypeID = 3 // not for the tests' sets
)

func module(id software.ModuleID, kind software.ModuleTypeID) software.Module {
	most := map[software.ModuleTypeID]int{osKind: 1, appKind: 2, odKind: 1}[kind]
	return software.Module{ID: id, Type: software.Kind{ID: kind, Key: "k", MaxAssignments: most}}
}

func setOf(modules ...software.Module) *software.Set {
	return &software.Set{
		ID: 1, Name: "s", Version: "1", Valid: true, Modules: modules,
		Type: software.SetKind{Mandatory: []software.ModuleTypeID{osKind}, Optional: []software.ModuleTypeID{appKind}},
	}
}

func ids(s *software.Set) []software.ModuleID {
	list := []software.ModuleID{}
	for _, m := range s.Modules {
		list = append(list, m.ID)
	}
	return list
}

func TestSetAdd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		has, add []software.Module
		locked   bool
		want     []software.ModuleID
		kind     fault.Kind
	}{
		"first":                         {nil, []software.Module{module(1, osKind)}, false, []software.ModuleID{1}, 0},
		"in order of id":                {[]software.Module{module(5, osKind)}, []software.Module{module(3, appKind)}, false, []software.ModuleID{3, 5}, 0},
		"present":                       {[]software.Module{module(1, osKind)}, []software.Module{module(1, osKind)}, false, []software.ModuleID{1}, 0},
		"replaces where one is allowed": {[]software.Module{module(1, osKind), module(2, appKind)}, []software.Module{module(3, osKind)}, false, []software.ModuleID{2, 3}, 0},
		"two are allowed":               {[]software.Module{module(1, appKind)}, []software.Module{module(2, appKind)}, false, []software.ModuleID{1, 2}, 0},
		"the oldest makes room":         {[]software.Module{module(1, appKind), module(2, appKind)}, []software.Module{module(3, appKind)}, false, []software.ModuleID{2, 3}, 0},
		"several at once":               {nil, []software.Module{module(1, osKind), module(2, osKind), module(3, appKind)}, false, []software.ModuleID{2, 3}, 0},
		"another kind":                  {nil, []software.Module{module(1, osKind), module(2, odKind)}, false, []software.ModuleID{}, fault.ModuleUnsuited},
		"locked, even if present":       {[]software.Module{module(1, osKind)}, []software.Module{module(1, osKind)}, true, []software.ModuleID{1}, fault.Locked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setOf(c.has...)
			s.Locked = c.locked
			if err := s.Add(c.add...); fault.KindOf(err) != c.kind {
				t.Errorf("got the error %v, want kind %d", err, c.kind)
			}
			if d := cmp.Diff(c.want, ids(s)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSetRemove(t *testing.T) {
	t.Parallel()
	s := setOf(module(1, osKind), module(2, appKind))
	for range 2 {
		if err := s.Remove(1); err != nil || !slices.Equal(ids(s), []software.ModuleID{2}) {
			t.Errorf("got %v, %v", ids(s), err)
		}
	}
	s.Locked = true
	if err := s.Remove(9); !fault.Is(err, fault.Locked) {
		t.Errorf("a locked set refuses the removal of what it does not have, too; got %v", err)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	lacking := module(1, osKind)
	lacking.Type.MinArtifacts = 2
	lacking.ArtifactCount = 1
	enough := lacking
	enough.ArtifactCount = 2
	optional := setOf(module(2, appKind))
	optional.Type.Mandatory = nil
	for name, c := range map[string]struct {
		set  *software.Set
		want bool
	}{
		"empty":                        {setOf(), false},
		"without its mandatory module": {setOf(module(2, appKind)), false},
		"with it":                      {setOf(module(1, osKind)), true},
		"with an incomplete module":    {setOf(lacking), false},
		"with its artifacts":           {setOf(enough), true},
		"nothing is mandatory":         {optional, true},
	} {
		if got := c.set.Complete(); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestSetLock(t *testing.T) {
	t.Parallel()
	s := setOf(module(1, osKind), module(2, appKind))
	if !s.Lock() || !s.Locked || !s.Modules[0].Locked || !s.Modules[1].Locked {
		t.Errorf("got %+v", s)
	}
	if s.Lock() {
		t.Error("locking a locked set is a change")
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	open, locked := &software.Module{ID: 1}, &software.Module{ID: 1, Locked: true}
	quotas := tenant.Quotas{ArtifactsPerModule: 2, ArtifactSize: 10, ArtifactStorage: 15}
	for name, c := range map[string]struct {
		room software.Room
		size int64
		q    tenant.Quotas
		kind fault.Kind // 0: let in
	}{
		"empty module":          {software.Room{Module: open}, 10, quotas, 0},
		"quota before lock":     {software.Room{Module: locked, Artifacts: 2, NameTaken: true}, 99, quotas, fault.Quota},
		"no module":             {software.Room{}, 99, quotas, fault.NotFound},
		"lock before name":      {software.Room{Module: locked, NameTaken: true}, 99, quotas, fault.Locked},
		"name before size":      {software.Room{Module: open, NameTaken: true}, 99, quotas, fault.Exists},
		"size before storage":   {software.Room{Module: open, Stored: 15}, 11, quotas, fault.QuotaFileSize},
		"storage":               {software.Room{Module: open, Stored: 6}, 10, quotas, fault.QuotaStorage},
		"storage just holds it": {software.Room{Module: open, Stored: 5}, 10, quotas, 0},
		"a deleted module":      {software.Room{Module: &software.Module{ID: 1, Deleted: true}}, 1, quotas, 0},
		"no quotas, no limits":  {software.Room{Module: open, Artifacts: 1000, Stored: 1 << 40}, 1 << 40, tenant.Quotas{}, 0},
		"negative is no limit":  {software.Room{Module: open, Artifacts: 9}, 99, tenant.Quotas{ArtifactsPerModule: -1, ArtifactSize: -1, ArtifactStorage: -1}, 0},
	} {
		a := &software.Artifact{Module: 1, Filename: "f", Digest: blob.Digest{Size: c.size}}
		if err := c.room.Admit(a, c.q); fault.KindOf(err) != c.kind || (err == nil) != (c.kind == 0) {
			t.Errorf("%s: got %v, want kind %d", name, err, c.kind)
		}
	}
}
