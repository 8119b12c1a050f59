package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
)

// count is how many rows there are.
func (w *world) count(t *testing.T, of string) (n int) {
	t.Helper()
	must(t, w.db.view(w.ctx, func(q querier) error { return q.row(w.ctx, "SELECT count(*) FROM "+of).Scan(&n) }))
	return n
}

// Targets that are added at once have ids in their order, or there is none of them.
func TestCreateTargets(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		f := Fleet{w.db}
		typ := fleet.TargetTypeID(w.insert(t, "INSERT INTO target_type (tenant_id, key, name, created_by, created_at, modified_by, modified_at) VALUES ($1, 'k', 'box', 'a', 0, 'a', 0) RETURNING id", int64(w.tenant)))
		some := "some"
		list := newcomers("z", 3*targetsAtOnce+1)
		slices.Reverse(list)
		list[1].Type, list[1].Description, list[2].Address, list[3].Group = typ, &some, &some, &some
		must(t, f.CreateTargets(w.ctx, w.tenant, list))
		for i, n := range list {
			if i > 0 && n.ID <= list[i-1].ID {
				t.Errorf("target %d has the id %d after %d", i, n.ID, list[i-1].ID)
			}
			kept, err := f.Target(w.ctx, w.tenant, n.ControllerID)
			must(t, err)
			expect(t, "target", n, *kept)
		}
		expect(t, "events", len(list), len(w.events))
		for i, e := range w.events {
			expect(t, "subject", int64(list[i].ID), e.Subject)
		}

		total := w.count(t, "target")
		for name, c := range map[string]struct {
			spoil func(fresh []fleet.Target)
			want  fault.Kind
			says  string
		}{
			"taken":             {func(l []fleet.Target) { l[20].ControllerID = list[7].ControllerID }, fault.Exists, string(list[7].ControllerID)},
			"twice in the list": {func(l []fleet.Target) { l[40].ControllerID = l[3].ControllerID }, fault.Exists, "x-0000003"},
			"the first that is taken": {func(l []fleet.Target) {
				l[20].ControllerID, l[30].ControllerID = l[3].ControllerID, list[7].ControllerID
			}, fault.Exists, "x-0000003"},
			"no such type":             {func(l []fleet.Target) { l[20].Type = 999 }, fault.NotFound, "999"},
			"taken before no type":     {func(l []fleet.Target) { l[20].ControllerID, l[21].Type = list[7].ControllerID, 999 }, fault.Exists, string(list[7].ControllerID)},
			"no type before one taken": {func(l []fleet.Target) { l[20].Type, l[21].ControllerID = 999, list[7].ControllerID }, fault.NotFound, "999"},
		} {
			fresh := newcomers("x", 3*targetsAtOnce)
			c.spoil(fresh)
			err := f.CreateTargets(w.ctx, w.tenant, fresh)
			if fails(t, name, err, c.want); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v does not tell of %s", name, err, c.says)
			}
			expect(t, name+": targets", total, w.count(t, "target"))
		}
		must(t, f.CreateTargets(w.ctx, w.tenant, nil))
	})
}

// newcomers are targets that an operator is about to add.
func newcomers(prefix string, n int) []fleet.Target {
	list := make([]fleet.Target, n)
	for i := range list {
		id := fmt.Sprintf("%s-%07d", prefix, i)
		list[i] = fleet.Target{ControllerID: fleet.ControllerID(id), Name: id, Token: fleet.NewToken(), RequestAttributes: true}
		list[i].CreatedAt, list[i].CreatedBy, list[i].ModifiedAt, list[i].ModifiedBy = time.UnixMilli(1), "ann", time.UnixMilli(1), "ann"
	}
	return list
}
