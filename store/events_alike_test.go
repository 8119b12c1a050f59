package store

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/internal/testdb"
)

// many records events that are alike, for so many subjects from the first on.
func (w *world) many(t *testing.T, first, n int64) {
	t.Helper()
	must(t, w.db.update(w.ctx, func(tx *Tx) error {
		for i := first; i < first+n; i++ {
			tx.record(event.Event{Tenant: w.tenant, Kind: event.ActionAssigned, Subject: i, Reach: event.Reach(10 * i), Data: `{"status":"running"}`, At: 5})
		}
		return nil
	}))
}

// Events alike are few rows and read as if each were one: in order, each once, and
// from behind any of them.
func TestEventsAlikeShareRows(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		begin, err := w.db.EventsAfter(w.ctx, event.Position{}, 0)
		must(t, err)
		before := w.dump(t, "SELECT count(*) FROM event")
		w.many(t, 1, 1)
		w.many(t, 2, 2*maxAlike+88)
		w.many(t, 602, 1)
		if got := w.dump(t, "SELECT count(*), CAST(sum(many) AS bigint) FROM event WHERE subject > 0 AND at = 5"); got[0] != "5 602" {
			t.Errorf("rows and events %v, besides %v", got, before)
		}
		var all []event.Entry
		p := event.Page{End: begin.End}
		for deadline := time.Now().Add(30 * time.Second); len(all) < 602 && time.Now().Before(deadline); { // others of the cluster may be writing
			p, err = w.db.EventsAfter(w.ctx, p.End, 100)
			must(t, err)
			if len(p.Entries) > 100 {
				t.Errorf("a page of %d", len(p.Entries))
			}
			all = append(all, p.Entries...)
		}
		if len(all) != 602 {
			t.Fatalf("%d events", len(all))
		}
		for i, e := range all {
			want := event.Event{ID: e.ID, Tenant: w.tenant, Kind: event.ActionAssigned, Subject: int64(i + 1), Reach: event.Reach(10 * (i + 1)), Data: `{"status":"running"}`, At: 5}
			if diff := cmp.Diff(want, e.Event); diff != "" || e.Position.ID != e.ID || i > 0 && e.Position.Compare(all[i-1].Position) <= 0 {
				t.Fatalf("the event at place %d, at %v: %s", i, e.Position, diff)
			}
		}
		for i := 0; i < len(all); i += 37 {
			p, err := w.db.EventsAfter(w.ctx, all[i].Position, 50)
			must(t, err)
			rest := all[i+1:]
			if diff := cmp.Diff(rest[:min(50, len(rest))], slices.Clip(p.Entries)); diff != "" || p.Full != (len(rest) >= 50) {
				t.Fatalf("behind %v (full %t): %s", all[i].Position, p.Full, diff)
			}
		}
		// Who stands in the middle of what is forgotten hears of the gap.
		for more := true; more; {
			more, err = w.db.ForgetEvents(w.ctx, w.now.AddDate(1, 0, 0), 1000)
			must(t, err)
		}
		p, err = w.db.EventsAfter(w.ctx, all[300].Position, 50)
		must(t, err)
		if len(p.Entries) > 0 || p.Forgot.Compare(all[301].Position) < 0 {
			t.Errorf("after all was forgotten: %d events, forgotten up to %v", len(p.Entries), p.Forgot)
		}
	})
}

// Other processes hear of each.
func TestFollowHearsOfEachEvent(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	here, there := open(t, d), newWorld(t, open(t, d))
	var e ear
	here.Listen(e.listen)
	since, err := here.Follow(t.Context(), Followed{})
	must(t, err)
	there.many(t, 1, 20*maxAlike)
	_, err = here.Follow(t.Context(), since)
	must(t, err)
	if n := len(e.take()); n != 20*maxAlike {
		t.Errorf("heard of %d events", n)
	}
}
