package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/tenant"
)

// Busy implements rollout.StepStore.
func (s Rollouts) Busy(ctx context.Context) (list []rollout.Busy[rollout.ID], err error) {
	err = s.DB.view(ctx, func(q querier) error {
		list, err = all(ctx, q, func(r scanner) (b rollout.Busy[rollout.ID], err error) {
			err = r.Scan(&b.Tenant, &b.ID)
			return b, err
		}, "SELECT e.tenant_id, e.id FROM rollout e WHERE e.status IN (0, 1, 3, 5, 7, 11) ORDER BY e.id")
		return err
	})
	return list, err
}

// NoteWaiting implements rollout.StepStore.
func (s Rollouts) NoteWaiting(ctx context.Context, t tenant.ID, id rollout.ID, why string) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		var r rollout.Rollout
		err := tx.row(ctx, "UPDATE rollout SET waiting = $3 WHERE tenant_id = $1 AND id = $2 AND waiting <> $3 RETURNING status", t, int64(id), why).Scan(&r.Status)
		if none(err) {
			return nil
		}
		tx.record(event.Event{Tenant: t, Kind: event.RolloutChanged, Subject: int64(id), Reach: event.NoTarget, Data: rolloutData(&r)})
		return err
	})
}

// errChosenTooLate undoes a step whose targets were chosen for a state that the
// rollout has left since.
var errChosenTooLate = errors.New("the rollout went on meanwhile")

// errMovedOn undoes a step whose targets went on between being read and being
// changed; locked before they are read, they cannot.
var errMovedOn = errors.New("a target went on meanwhile")

// Advance implements rollout.StepStore.
func (s Rollouts) Advance(ctx context.Context, t tenant.ID, id rollout.ID, a rollout.Advance) (bool, error) {
	var chosen *choice
	err := s.DB.behind(func() (err error) {
		chosen, err = s.choose(ctx, t, id, a)
		return err
	})
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		return false, err
	}
	turn, more, err := s.advance(ctx, t, id, a, chosen)
	if errors.Is(err, errMovedOn) {
		chosen.lockFirst = true
		turn, more, err = s.advance(ctx, t, id, a, chosen)
	}
	switch {
	case errors.Is(err, errChosenTooLate):
		return true, nil
	case fault.Is(err, fault.NotFound):
		return false, nil // deleted meanwhile
	case err != nil:
		return false, err
	}
	*a.Turn = turn
	return more, nil
}

// advance is the transaction of a step.
func (s Rollouts) advance(ctx context.Context, t tenant.ID, id rollout.ID, a rollout.Advance, chosen *choice) (turn rollout.Turn, more bool, err error) {
	err = s.DB.step(ctx, func(tx *Tx) error {
		turn = *a.Turn
		more = false
		if err := tx.proveLease(ctx, a.Held); err != nil {
			return err
		}
		run, err := tx.loadRun(ctx, t, id)
		if err != nil {
			return err
		}
		run.Now, run.Approval, run.MaxGroups, run.StepSize = a.Now, a.Approval, a.MaxGroups, a.StepSize
		if err := tx.prepare(ctx, t, run, &turn, chosen); err != nil {
			return err
		}
		before := clone(run)
		step, again := run.Next(&turn)
		more, turn.Work = again, step.Work
		for step.Work != rollout.NoWork {
			began := s.DB.now()
			o, err := tx.work(ctx, t, run, step, a, chosen)
			if err != nil {
				return err
			}
			turn.Pace.Took(step.Work, o.N, s.DB.now().Sub(began), s.DB.stepTime)
			if step.Work == rollout.Remove {
				more = false
				return nil
			}
			step, more = run.Done(step, o, &turn)
		}
		return tx.saveRun(ctx, t, before, run)
	})
	return turn, more, err
}

// prepare reads what the rules ask for besides the states.
func (tx *Tx) prepare(ctx context.Context, t tenant.ID, run *rollout.Run, turn *rollout.Turn, chosen *choice) (err error) {
	switch run.Rollout.Status {
	case rollout.Running:
		if !run.Judges(turn) {
			return nil
		}
		run.Tallies = chosen.tallies
		uncounted := func(id rollout.GroupID) bool { _, is := run.Tallies[id]; return !is }
		if slices.ContainsFunc(runningGroups(run), uncounted) { // one began to run meanwhile
			run.Tallies, err = tally(ctx, tx, tx.db.dialect, t, run)
		}
		return err
	case rollout.Deleting:
		run.HasActions, err = exists(ctx, tx, fmt.Sprintf("rollout_group g JOIN action a ON a.rollout_group_id = g.id WHERE g.rollout_id = $1 AND (a.filed_as <> %d OR a.active)", filedOpen), int64(run.Rollout.ID))
		return err
	default:
	}
	return nil
}

// choice is what a step goes by that was found before its transaction, such as the
// targets it is to take: looking at a million targets, or counting a million
// actions, must not keep others from writing.
type choice struct {
	work   rollout.Work // NoWork: the step finds its targets itself
	group  rollout.GroupID
	cursor int64
	limit  int64
	ids    []int64

	// tallies were counted before the transaction, too: what they lack are the
	// reports of the last moment.
	tallies map[rollout.GroupID]rollout.Tally

	lockFirst bool // lock targets before they are read
}

func (s Rollouts) choose(ctx context.Context, t tenant.ID, id rollout.ID, a rollout.Advance) (*choice, error) {
	var run *rollout.Run
	c := &choice{}
	err := s.DB.view(ctx, func(q querier) error {
		r, err := readRollout(ctx, q, t, id, "")
		if err != nil {
			return err
		}
		run = &rollout.Run{Rollout: *r, Now: a.Now, Approval: a.Approval, MaxGroups: a.MaxGroups, StepSize: a.StepSize}
		if r.Status != rollout.Creating && r.Status != rollout.Running {
			return nil
		}
		run.Groups, err = all(ctx, q, scanGroup, "SELECT "+groupRow+" FROM rollout_group e WHERE e.tenant_id = $1 AND e.rollout_id = $2 ORDER BY e.id", t, int64(id))
		if err == nil && run.Judges(a.Turn) {
			c.tallies, err = tally(ctx, q, s.DB.dialect, t, run)
		}
		return err
	})
	if err != nil || !run.Chooses() || len(run.Groups) == 0 {
		return c, err
	}
	turn := *a.Turn
	step, _ := run.Next(&turn)
	if step.Work != rollout.Fill && step.Work != rollout.Grow {
		return c, nil
	}
	cohort, err := a.Cohort(run, step)
	if err != nil {
		return nil, err
	}
	c.work, c.group, c.cursor, c.limit = step.Work, step.Group.ID, step.Group.Cursor, step.Limit
	c.ids, err = s.Cohort(ctx, t, cohort)
	return c, err
}

// work carries a step out.
func (tx *Tx) work(ctx context.Context, t tenant.ID, run *rollout.Run, step rollout.Step, a rollout.Advance, chosen *choice) (rollout.Outcome, error) {
	switch step.Work {
	case rollout.Fill, rollout.Grow:
		if chosen.work != step.Work || chosen.group != step.Group.ID || chosen.cursor != step.Group.Cursor || chosen.limit != step.Limit {
			return rollout.Outcome{}, errChosenTooLate
		}
		if step.Work == rollout.Grow {
			return tx.growGroup(ctx, t, run, step, a, chosen.ids)
		}
		return tx.fillGroup(ctx, t, run, step, chosen.ids)
	case rollout.Schedule:
		return tx.scheduleGroup(ctx, t, run, step, a)
	case rollout.Launch:
		return tx.launchGroup(ctx, t, run, step, a, chosen)
	case rollout.DropScheduled:
		return tx.dropScheduled(ctx, t, run, step)
	case rollout.CancelActive:
		return tx.endActive(ctx, t, run, step, "Canceled, because rollout "+strconv.Quote(run.Rollout.Name)+" was stopped.")
	case rollout.QuitActive:
		return tx.endActive(ctx, t, run, step, "Ended, because rollout "+strconv.Quote(run.Rollout.Name)+" was deleted; the device is not told.")
	case rollout.DropMembers:
		n, err := tx.affected(ctx, "DELETE FROM rollout_member WHERE (target_id, rollout_id) IN (SELECT m.target_id, m.rollout_id FROM rollout_group g JOIN rollout_member m ON m.group_id = g.id WHERE g.rollout_id = $1 LIMIT $2)", int64(run.Rollout.ID), step.Limit)
		return rollout.Outcome{N: n, More: n == step.Limit}, err
	case rollout.Remove:
		if _, err := tx.exec(ctx, "DELETE FROM rollout WHERE id = $1", int64(run.Rollout.ID)); err != nil {
			return rollout.Outcome{}, err
		}
		tx.record(event.Event{Tenant: t, Kind: event.RolloutDeleted, Subject: int64(run.Rollout.ID), Reach: event.NoTarget, At: run.Now.UnixMilli()})
	case rollout.NoWork:
	}
	return rollout.Outcome{}, nil
}

// fillGroup makes targets members of a group. Some may be gone since they were
// chosen.
func (tx *Tx) fillGroup(ctx context.Context, t tenant.ID, run *rollout.Run, step rollout.Step, ids []int64) (o rollout.Outcome, err error) {
	o.Cursor = step.Group.Cursor
	if len(ids) == 0 {
		return o, nil
	}
	if err := tx.holdTargets(ctx, t, false); err != nil {
		return o, err
	}
	o.N, err = tx.affected(ctx, "INSERT INTO rollout_member (target_id, rollout_id, group_id) SELECT t.id, $2, $3 FROM "+tx.db.ids("$1", "i")+
		" CROSS JOIN target t WHERE t.id = i.id ORDER BY t.id ON CONFLICT DO NOTHING", idList(ids), int64(run.Rollout.ID), int64(step.Group.ID))
	o.More, o.Cursor = int64(len(ids)) == step.Limit, ids[len(ids)-1]
	return o, err
}

// scheduleGroup makes the actions of a part of a group's members.
func (tx *Tx) scheduleGroup(ctx context.Context, t tenant.ID, run *rollout.Run, step rollout.Step, a rollout.Advance) (o rollout.Outcome, err error) {
	o.Cursor = step.Group.Cursor
	if err := tx.holdTargets(ctx, t, false); err != nil {
		return o, err
	}
	ids, err := all(ctx, tx, scalar[int64], "SELECT m.target_id FROM rollout_member m WHERE m.group_id = $1 AND m.target_id > $2 ORDER BY m.target_id LIMIT $3", int64(step.Group.ID), step.Group.Cursor, step.Limit)
	if err != nil || len(ids) == 0 {
		return o, err
	}
	o.N, o.More, o.Cursor = int64(len(ids)), int64(len(ids)) == step.Limit, ids[len(ids)-1]
	return o, tx.makeScheduled(ctx, t, run, step.Group, a, ids, run.Rollout.StartedBy)
}

// growGroup makes actions for targets that came to match.
func (tx *Tx) growGroup(ctx context.Context, t tenant.ID, run *rollout.Run, step rollout.Step, a rollout.Advance, ids []int64) (o rollout.Outcome, err error) {
	if len(ids) == 0 {
		return o, nil
	}
	there, err := lockStates(ctx, tx, ids)
	if err != nil || len(there) == 0 {
		return o, err
	}
	o.N, o.More = int64(len(there)), int64(len(ids)) == step.Limit
	return o, tx.makeScheduled(ctx, t, run, step.Group, a, there, run.Rollout.CreatedBy)
}

// makeScheduled makes a scheduled action of the group for each target, which the
// caller keeps from being deleted. What other rollouts had in store for them is
// canceled (update-domain 4.4).
func (tx *Tx) makeScheduled(ctx context.Context, t tenant.ID, run *rollout.Run, g *rollout.Group, a rollout.Advance, ids []int64, by string) error {
	targets := selection(idList(ids))
	if err := tx.makeRoom(ctx, t, targets, a); err != nil {
		return err
	}
	if err := tx.cancelScheduled(ctx, t, targets, by, a.Now); err != nil {
		return err
	}
	r := &run.Rollout
	n, err := tx.affected(ctx, fmt.Sprintf(`INSERT INTO action (tenant_id, target_id, set_id, status, active, filed_as, type, forced_at, weight, rollout_id, rollout_group_id, initiated_by, created_by, created_at, modified_by, modified_at)
		SELECT $2, t.id, $3, %d, FALSE, %d, $4, $5, $6, $7, $8, $9, $9, $10, $9, $10 FROM `, deployment.Scheduled, filedOpen)+tx.db.ids("$1", "i")+" CROSS JOIN target t WHERE t.id = i.id ORDER BY t.id",
		string(targets), int64(t), int64(r.Set), int(r.Type), milli(r.ForcedAt), r.Weight, int64(r.ID), int64(g.ID), by, a.Now.UnixMilli())
	if err != nil {
		return err
	}
	tx.record(event.Event{Tenant: t, Kind: event.ActionsScheduled, Subject: int64(r.ID), Reach: event.NoTarget, At: a.Now.UnixMilli(), Data: fmt.Sprintf(`{"groupId":%d,"actions":%d}`, g.ID, n)})
	return nil
}

// makeRoom removes the oldest actions of targets that have as many as they may,
// or says which target that is where nothing may be removed.
func (tx *Tx) makeRoom(ctx context.Context, t tenant.ID, targets selection, a rollout.Advance) error {
	most := a.Policy.MaxActions
	if most <= 0 {
		return nil
	}
	full, err := all(ctx, tx, func(s scanner) (p deployment.Purge, err error) {
		err = s.Scan(&p.Target, &p.N)
		return p, err
	}, "SELECT a.target_id, count(*) FROM "+tx.db.ids("$1", "i")+" JOIN action a ON a.target_id = i.id GROUP BY a.target_id HAVING count(*) >= $2", string(targets), most)
	if err != nil {
		return err
	}
	for _, p := range full {
		spare := a.Policy.Spare()
		if spare == 0 {
			var name string
			if err := tx.row(ctx, "SELECT controller_id FROM target WHERE id = $1", int64(p.Target)).Scan(&name); err != nil {
				return err
			}
			return fault.New(fault.Quota, "Target %q has %d actions, which is the maximum: delete some of its history, or set action.cleanup.onQuotaHit.percent.", name, p.N)
		}
		p.N += spare - most
		if err := tx.purgeActions(ctx, t, p, a.Now); err != nil {
			return err
		}
	}
	return nil
}

// waiting is a scheduled action about to start.
type waiting struct {
	changed
	same    bool // its target has the set already, or is to have it
	confirm *fleet.AutoConfirm
}

// launchGroup starts some of a group's scheduled actions (update-domain 2.1).
func (tx *Tx) launchGroup(ctx context.Context, t tenant.ID, run *rollout.Run, step rollout.Step, a rollout.Advance, chosen *choice) (o rollout.Outcome, err error) {
	limit := step.Limit
	if tx.db.twoSteps && !chosen.lockFirst {
		limit *= 2
	}
	o.Cursor = step.Group.Launched()
	list, err := tx.waiting(ctx, run, step.Group, limit)
	if err != nil || len(list) == 0 {
		return o, err
	}
	o.More = int64(len(list)) == limit
	same := slices.ContainsFunc(list, func(w waiting) bool { return w.same })
	var others []waiting
	if int64(len(list)) > step.Limit {
		list, others = list[:step.Limit], list[step.Limit:]
	}
	o.N, o.Cursor = int64(len(list)), list[len(list)-1].Action
	if same || chosen.lockFirst {
		o.More = o.More || len(others) > 0
		if list, err = tx.lockWaiting(ctx, run, step.Group, list); err != nil || len(list) == 0 {
			return o, err
		}
		return o, tx.launch(ctx, t, run, step.Group, a, list)
	}
	beside := tx.launchBeside(ctx, t, run, step.Group, a, others)
	err = tx.launch(ctx, t, run, step.Group, a, list)
	if <-beside {
		o.Cursor = others[len(others)-1].Action
	} else {
		o.More = o.More || len(others) > 0
	}
	return o, err
}

// launchBeside starts actions in a transaction of its own, where the database lets
// two change something at a time, and tells whether that went well. The step's own
// transaction keeps the rollout from being paused meanwhile, and a crash between the
// two leaves actions that the next step finds started. What fails here is left to
// the next step, which says why if it fails there again.
func (tx *Tx) launchBeside(ctx context.Context, t tenant.ID, run *rollout.Run, g *rollout.Group, a rollout.Advance, list []waiting) <-chan bool {
	done := make(chan bool, 1)
	if len(list) == 0 {
		done <- false
		return done
	}
	go func() {
		done <- nil == tx.db.update(ctx, func(other *Tx) error {
			if err := other.proveLease(ctx, a.Held); err != nil {
				return err
			}
			return other.launch(ctx, t, run, g, a, list)
		})
	}()
	return done
}

// launch starts actions that were scheduled when they were read. Writing what a
// target is to have is also what locks it, so that an assignment, a cancellation or
// the end of a target that came in between shows in how many rows there are to
// change: errMovedOn then.
func (tx *Tx) launch(ctx context.Context, t tenant.ID, run *rollout.Run, g *rollout.Group, a rollout.Advance, list []waiting) error {
	r := &run.Rollout
	by := r.StartedBy
	if r.Status != rollout.Starting {
		by = caller.System
	}
	var start []int64
	for _, w := range list {
		if !w.same {
			start = append(start, w.Target)
		}
	}
	if len(start) > 0 {
		targets := selection(idList(start))
		n, err := tx.affected(ctx, fmt.Sprintf("UPDATE target_state SET status = %d, assigned_set = $2, modified_by = $3, modified_at = $4 WHERE assigned_set IS DISTINCT FROM $2 AND ", fleet.StatusPending)+tx.chosen("target_id"),
			string(targets), int64(r.Set), by, a.Now.UnixMilli())
		if err != nil {
			return err
		}
		if n != int64(len(start)) {
			return errMovedOn
		}
		if err := tx.supersede(ctx, t, targets, supersession{by: r.Set, autoclose: a.Policy.Autoclose, user: by, at: a.Now}); err != nil {
			return err
		}
	}
	if a.Policy.Flow {
		if err := tx.readConfirmations(ctx, list); err != nil {
			return err
		}
	}
	classes := map[string][]changed{}
	openings := map[string]opening{}
	for _, w := range list {
		open := openingOf(run, g, w, a)
		classes[open.says] = append(classes[open.says], w.changed)
		openings[open.says] = open
	}
	for says, class := range classes {
		if err := tx.open(ctx, t, class, openings[says], by, a.Now); err != nil {
			return err
		}
	}
	return nil
}

// waiting reads scheduled actions of a group, in the order of their ids, from the
// last one on that was started.
func (tx *Tx) waiting(ctx context.Context, run *rollout.Run, g *rollout.Group, limit int64) ([]waiting, error) {
	return all(ctx, tx, func(s scanner) (w waiting, err error) {
		err = s.Scan(&w.Action, &w.Target, &w.same)
		return w, err
	}, launchable(), int64(g.ID), int64(run.Rollout.Set), limit, g.Launched())
}

// launchable reads the scheduled actions of a group. Its order keeps the databases
// going along the index.
func launchable() string {
	return fmt.Sprintf(`SELECT a.id, a.target_id, COALESCE(h.assigned_set = $2, FALSE) FROM action a JOIN target_state h ON h.target_id = a.target_id
		WHERE a.rollout_group_id = $1 AND a.filed_as = %d AND a.id > $4 AND a.status = %d ORDER BY a.rollout_group_id, a.filed_as, a.id LIMIT $3`, filedOpen, deployment.Scheduled)
}

// lockWaiting locks the targets of the actions, and reads the actions again: those
// that are left are as they will be until the transaction ends.
func (tx *Tx) lockWaiting(ctx context.Context, run *rollout.Run, g *rollout.Group, list []waiting) ([]waiting, error) {
	ids := make([]int64, len(list))
	for i, w := range list {
		ids[i] = w.Target
	}
	locked, err := lockStates(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	if list, err = tx.waiting(ctx, run, g, int64(len(list))); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(w waiting) bool {
		_, is := slices.BinarySearch(locked, w.Target)
		return !is
	}), nil
}

// readConfirmations tells of the actions whose devices confirm by themselves.
func (tx *Tx) readConfirmations(ctx context.Context, list []waiting) error {
	byTarget := make(map[int64]*waiting, len(list))
	ids := make([]int64, len(list))
	for i := range list {
		byTarget[list[i].Target], ids[i] = &list[i], list[i].Target
	}
	_, err := all(ctx, tx, func(s scanner) (none struct{}, err error) {
		var target, at int64
		var c fleet.AutoConfirm
		err = s.Scan(&target, &c.Initiator, &c.Remark, &c.ActivatedBy, &at)
		c.ActivatedAt = time.UnixMilli(at)
		byTarget[target].confirm = &c
		return none, err
	}, "SELECT ac.target_id, ac.initiator, ac.remark, ac.activated_by, ac.activated_at FROM auto_confirm ac WHERE "+tx.chosen("ac.target_id"), idList(ids))
	return err
}

// opening is how an action starts.
type opening struct {
	status, entry deployment.Status
	says          string // messages as JSON
}

func openingOf(run *rollout.Run, g *rollout.Group, w waiting, a rollout.Advance) opening {
	r := &run.Rollout
	var o opening
	says := make([]string, 0, 2)
	if w.same {
		o.status, o.entry = deployment.Finished, deployment.Running
		says = append(says, deployment.ServerPrefix+"The distribution set is assigned already: nothing is left to do.")
	} else {
		consent := deployment.ConsentGiven
		if g.Consent {
			consent = deployment.ConsentAsked
		}
		var second string
		o.status, o.entry, second = deployment.Opening(a.Policy.Flow, consent, w.confirm)
		says = append(says, fmt.Sprintf("Initiated by group '%s' of rollout '%s' [Rollout %d]", g.Name, r.Name, r.ID))
		if second != "" {
			says = append(says, second)
		}
	}
	text, _ := json.Marshal(says) // texts always can be
	o.says = string(text)
	return o
}

// open starts actions that start alike.
func (tx *Tx) open(ctx context.Context, t tenant.ID, list []changed, o opening, by string, at time.Time) error {
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].Action
	}
	active, filed := o.status != deployment.Finished, ""
	if as := filedAs(o.status, active); as != filedOpen { // SQLite touches each index of a column that is set
		filed = fmt.Sprintf(", filed_as = %d", as)
	}
	n, err := tx.affected(ctx, fmt.Sprintf("UPDATE action SET status = %d, active = %t%s, newest_entry = %d, entries = entries + 1, revision = revision + 1, modified_by = $2, modified_at = $3 WHERE status = %d AND ",
		o.status, active, filed, o.entry, deployment.Scheduled)+tx.chosen("id"), idList(ids), by, at.UnixMilli())
	if err != nil {
		return err
	}
	if n != int64(len(ids)) {
		return errMovedOn
	}
	if err := tx.enter(ctx, t, list, o.entry, o.says, at.UnixMilli()); err != nil {
		return err
	}
	tx.recordStatus(t, event.ActionAssigned, list, o.status, at.UnixMilli())
	return nil
}

// dropScheduled removes actions that were not started.
func (tx *Tx) dropScheduled(ctx context.Context, t tenant.ID, run *rollout.Run, step rollout.Step) (o rollout.Outcome, err error) {
	for i := 0; i < len(run.Groups) && o.N < step.Limit; i++ {
		g := &run.Groups[i]
		n, err := tx.affected(ctx, fmt.Sprintf(`DELETE FROM action WHERE id IN (SELECT a.id FROM action a WHERE a.rollout_group_id = $1 AND a.filed_as = %d AND a.id > $2 AND a.status = %d
			ORDER BY a.rollout_group_id, a.filed_as, a.id LIMIT $3)`, filedOpen, deployment.Scheduled), int64(g.ID), g.Launched(), step.Limit-o.N)
		if err != nil {
			return o, err
		}
		o.N += n
	}
	o.More = o.N == step.Limit
	if o.N > 0 {
		tx.record(event.Event{Tenant: t, Kind: event.ActionsDropped, Subject: int64(run.Rollout.ID), Reach: event.NoTarget, At: run.Now.UnixMilli(), Data: fmt.Sprintf(`{"actions":%d}`, o.N)})
	}
	return o, nil
}

// endActive asks devices to give up some of the rollout's actions, or ends them
// at once when the rollout is deleted (update-domain 2.10).
func (tx *Tx) endActive(ctx context.Context, t tenant.ID, run *rollout.Run, step rollout.Step, says string) (o rollout.Outcome, err error) {
	quit := step.Work == rollout.QuitActive
	ids, err := tx.lockActive(ctx, "rollout_group g JOIN action a ON a.rollout_group_id = g.id WHERE g.rollout_id = $1", "", int64(run.Rollout.ID), quit, step.Limit)
	if err != nil || len(ids) == 0 {
		return o, err
	}
	o.N, o.More = int64(len(ids)), true
	which := "a.active"
	if !quit {
		which += fmt.Sprintf(" AND a.status <> %d", deployment.Canceling)
	}
	list, err := tx.callOff(ctx, t, "a.rollout_id = $2 AND "+which, []any{idList(ids), int64(run.Rollout.ID)},
		ending{quit: quit, user: run.Rollout.ModifiedBy, at: run.Now, says: deployment.ServerPrefix + says})
	if err != nil || !quit {
		return o, err
	}
	return o, tx.rollBack(ctx, list)
}

// rollBack gives targets, whose action was ended, what they hold without it
// (update-domain 2.5, after cancel).
func (tx *Tx) rollBack(ctx context.Context, list []changed) error {
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].Target
	}
	const left = "SELECT a.set_id FROM action a WHERE a.target_id = target_state.target_id AND a.filed_as < 0 AND a.active ORDER BY +a.id LIMIT 1"
	_, err := tx.exec(ctx, fmt.Sprintf(`UPDATE target_state SET assigned_set = COALESCE((`+left+`), installed_set),
		status = CASE WHEN EXISTS (SELECT 1 FROM action a WHERE a.target_id = target_state.target_id AND a.filed_as < 0 AND a.active) THEN status ELSE %d END WHERE `, fleet.StatusInSync)+tx.chosen("target_id"), idList(ids))
	return err
}
