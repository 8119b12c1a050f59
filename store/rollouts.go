package store

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Rollouts keeps rollouts, auto-assignments and saved filters.
type Rollouts struct{ DB *DB }

var _ rollout.Store = Rollouts{}

const (
	rolloutRow = `e.id, e.name, e.description, e.filter, e.retry_of, e.set_id, s.name, s.version, e.status, e.type, e.forced_at, e.weight, e.start_at, e.dynamic, e.group_suffix, e.group_size,
	e.approval_by, e.approval_remark, e.needs_no_approval, e.started_by, e.total, e.group_count, e.waiting, e.deleted, e.created_by, e.created_at, e.modified_by, e.modified_at`
	rolloutFrom = "rollout e JOIN distribution_set s ON s.id = e.set_id"
)

func scanRollout(row scanner) (r rollout.Rollout, err error) {
	s := audit{to: &r.Stamps}
	var retryOf, forcedAt, startAt, size sql.NullInt64
	var suffix sql.NullString
	err = row.Scan(append([]any{
		&r.ID, &r.Name, &r.Description, &r.Filter, &retryOf, &r.Set, &r.SetName, &r.SetVersion, &r.Status, &r.Type, &forcedAt, &r.Weight, &startAt, &r.Dynamic, &suffix, &size,
		&r.ApprovalBy, &r.ApprovalRemark, &r.NeedsNoApproval, &r.StartedBy, &r.Total, &r.GroupCount, &r.Waiting, &r.Deleted,
	}, s.dest()...)...)
	s.finish()
	r.RetryOf, r.GroupSuffix, r.GroupSize = rollout.ID(retryOf.Int64), suffix.String, size.Int64
	if forcedAt.Int64 != 0 {
		r.ForcedAt = time.UnixMilli(forcedAt.Int64)
	}
	if startAt.Valid {
		at := time.UnixMilli(startAt.Int64)
		r.StartAt = &at
	}
	return r, err
}

const groupRow = `e.id, e.rollout_id, e.name, e.description, e.status, e.starting, e.success_threshold, e.success_action, e.success_action_exp, e.error_threshold, e.error_action_exp,
	e.filter, e.percentage, e.planned, e.total, e.consent, e.dynamic, e.cursor, e.created_by, e.created_at, e.modified_by, e.modified_at`

func scanGroup(row scanner) (g rollout.Group, err error) {
	s := audit{to: &g.Stamps}
	err = row.Scan(append([]any{
		&g.ID, &g.Rollout, &g.Name, &g.Description, &g.Status, &g.Starting, &g.SuccessThreshold, &g.SuccessAction, &g.SuccessActionExp, &g.ErrorThreshold, &g.ErrorActionExp,
		&g.Filter, &g.Percentage, &g.Planned, &g.Total, &g.Consent, &g.Dynamic, &g.Cursor,
	}, s.dest()...)...)
	s.finish()
	return g, err
}

// Rollouts implements rollout.ReadStore.
func (s Rollouts) Rollouts(ctx context.Context, t tenant.ID, d software.Deleted, l query.List) ([]rollout.Rollout, int, error) {
	return pageOf(ctx, s.DB, t, l, listing{
		columns: rolloutColumns(), fields: rolloutRow, from: rolloutFrom, where: "e.tenant_id = $1" + deletedClause(d), args: []any{t},
	}, scanRollout)
}

// Rollout implements rollout.ReadStore.
func (s Rollouts) Rollout(ctx context.Context, t tenant.ID, id rollout.ID) (r *rollout.Rollout, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		r, err = readRollout(ctx, q, t, id, "")
		return err
	})
	return r, err
}

func readRollout(ctx context.Context, q querier, t tenant.ID, id rollout.ID, suffix string) (*rollout.Rollout, error) {
	r, err := scanRollout(q.row(ctx, "SELECT "+rolloutRow+" FROM "+rolloutFrom+" WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("Rollout", int64(id))
	}
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// CountRollouts implements rollout.ReadStore.
func (s Rollouts) CountRollouts(ctx context.Context, t tenant.ID, set software.SetID) (counts map[rollout.Status]int, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		counts, err = countBy[rollout.Status](ctx, q, "SELECT status, count(*) FROM rollout WHERE set_id = $2 AND tenant_id = $1 GROUP BY status", t, int64(set))
		return err
	})
	return counts, err
}

// Groups implements rollout.ReadStore.
func (s Rollouts) Groups(ctx context.Context, t tenant.ID, id rollout.ID, l query.List) ([]rollout.Group, int, error) {
	if _, err := s.Rollout(ctx, t, id); err != nil {
		return nil, 0, err
	}
	return pageOf(ctx, s.DB, t, l, listing{
		columns: groupColumns(), fields: groupRow, from: "rollout_group e", where: "e.tenant_id = $1 AND e.rollout_id = $2", args: []any{t, int64(id)},
	}, scanGroup)
}

// Group implements rollout.ReadStore.
func (s Rollouts) Group(ctx context.Context, t tenant.ID, id rollout.ID, group rollout.GroupID) (*rollout.Group, error) {
	if _, err := s.Rollout(ctx, t, id); err != nil {
		return nil, err
	}
	var g rollout.Group
	err := s.DB.view(ctx, func(q querier) (err error) {
		g, err = scanGroup(q.row(ctx, "SELECT "+groupRow+" FROM rollout_group e WHERE e.tenant_id = $1 AND e.rollout_id = $2 AND e.id = $3", t, int64(id), int64(group)))
		return err
	})
	if none(err) {
		return nil, fault.Missing("RolloutGroup", int64(group))
	}
	if err != nil {
		return nil, err
	}
	return &g, nil
}

// GroupTargets implements rollout.ReadStore.
func (s Rollouts) GroupTargets(ctx context.Context, t tenant.ID, group rollout.GroupID, planned bool, l query.List) ([]fleet.Target, int, error) {
	err := s.DB.view(ctx, func(q querier) error {
		found, err := exists(ctx, q, "rollout_group WHERE tenant_id = $1 AND id = $2", t, int64(group))
		if err == nil && !found {
			err = fault.Missing("RolloutGroup", int64(group))
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	which := "SELECT a.target_id FROM action a WHERE a.rollout_group_id = $2"
	if planned {
		which = "SELECT m.target_id FROM rollout_member m WHERE m.group_id = $2"
	}
	above := rolloutColumns()
	return pageOf(ctx, s.DB, t, l, listing{
		columns: targetBelowColumns(), sort: &above, fields: targetSelect, from: targetFrom, joined: targetJoined, where: "e.tenant_id = $1 AND e.id IN (" + which + ")", args: []any{t, int64(group)},
	}, scanTarget)
}

// GroupsOf implements rollout.ReadStore.
func (s Rollouts) GroupsOf(ctx context.Context, t tenant.ID, ids []rollout.ID) (list []rollout.Group, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		list, err = all(ctx, q, scanGroup, "SELECT "+groupRow+" FROM rollout_group e WHERE e.tenant_id = $1 AND e.rollout_id IN (SELECT i.id FROM "+s.DB.ids("$2", "i")+") ORDER BY e.id", t, idList(ids))
		return err
	})
	return list, err
}

// Tallies implements rollout.ReadStore.
func (s Rollouts) Tallies(ctx context.Context, t tenant.ID, ids []rollout.ID) (out map[rollout.ID]rollout.Tally, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		out, err = tallies(ctx, q, s.DB.dialect, "rollout_id", t, ids, true)
		return err
	})
	return out, err
}

// GroupTallies implements rollout.ReadStore.
func (s Rollouts) GroupTallies(ctx context.Context, t tenant.ID, ids []rollout.GroupID) (out map[rollout.GroupID]rollout.Tally, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		out, err = tallies(ctx, q, s.DB.dialect, "id", t, ids, true)
		return err
	})
	return out, err
}

// tallies counts the actions of groups that have one of the ids in the column, by
// that id. What is open in groups that were started counts by its status if each is
// to be told, and as running otherwise, which is what thresholds ask for.
func tallies[ID ~int64](ctx context.Context, q querier, d dialect, column string, t tenant.ID, ids []ID, each bool) (map[ID]rollout.Tally, error) {
	out := map[ID]rollout.Tally{}
	if len(ids) == 0 {
		return out, nil
	}
	type count struct {
		id     ID
		status deployment.Status
		n      int64
	}
	text, args := tallyText(d, column), []any{t, idList(ids), idList(everyFile())}
	if each {
		text = tallyEachText(d, column)
	}
	counts, err := all(ctx, q, func(s scanner) (c count, err error) {
		err = s.Scan(&c.id, &c.status, &c.n)
		return c, err
	}, text, args...)
	for _, c := range counts {
		tally := out[c.id]
		tally[c.status] += c.n
		out[c.id] = tally
	}
	return out, err
}

// started is true of groups whose open actions may be other than scheduled.
func started() string {
	return fmt.Sprintf("(g.starting OR g.status IN (%d, %d, %d))", rollout.GroupRunning, rollout.GroupFinished, rollout.GroupError)
}

// tallyText counts what is filed as each by itself, which is a stretch of one index.
// Grouping reads the same rows, and takes SQLite ten times as long.
func tallyText(d dialect, column string) string {
	return fmt.Sprintf("SELECT g.%s, CASE s.id WHEN %d THEN %d WHEN %d THEN CASE WHEN %s THEN %d ELSE %d END ELSE s.id END", column,
		filedCanceling, deployment.Canceling, filedOpen, started(), deployment.Running, deployment.Scheduled) +
		", (SELECT count(*) FROM action a WHERE a.rollout_group_id = g.id AND a.filed_as = s.id) FROM rollout_group g CROSS JOIN " + d.ids("$3", "s") +
		" WHERE g.tenant_id = $1 AND g." + column + " IN (SELECT i.id FROM " + d.ids("$2", "i") + ")"
}

// tallyEachText is tallyText, with a look at each open action of groups that were
// started.
func tallyEachText(d dialect, column string) string {
	return tallyText(d, column) + fmt.Sprintf(" AND NOT (s.id = %d AND %s)", filedOpen, started()) +
		fmt.Sprintf(" UNION ALL SELECT g.%[1]s, a.status, count(*) FROM rollout_group g CROSS JOIN action a WHERE g.tenant_id = $1 AND g.%[1]s IN (SELECT i.id FROM ", column) +
		d.ids("$2", "i") + fmt.Sprintf(") AND %s AND a.rollout_group_id = g.id AND a.filed_as = %d GROUP BY g.%s, a.status", started(), filedOpen, column)
}

// everyFile are all values that an action can be filed as.
func everyFile() []int64 {
	list := []int64{filedCanceling, filedOpen}
	for i := range len(rollout.Tally{}) {
		list = append(list, int64(i))
	}
	return list
}

// SetFacts implements rollout.ChangeStore.
func (s Rollouts) SetFacts(ctx context.Context, t tenant.ID, id software.SetID) (f deployment.SetFacts, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		f, err = setFacts(ctx, q, t, id, "")
		return err
	})
	return f, err
}

// cohortWhere is the condition that a target e with its state h belongs to the cohort.
func cohortWhere(t tenant.ID, c rollout.Cohort, d dialect) (where string, args []any, err error) {
	args = []any{int64(t), int64(c.Set), c.After}
	where = `e.tenant_id = $1 AND e.id > $3 AND (e.type_id IS NULL OR EXISTS
		(SELECT 1 FROM target_type_set_type l JOIN distribution_set s ON s.type_id = l.set_type_id WHERE l.target_type_id = e.type_id AND s.id = $2))`
	and := func(format string, arg int64) {
		args = append(args, arg)
		where += " AND " + fmt.Sprintf(format, len(args))
	}
	if c.RetryOf != 0 {
		and(fmt.Sprintf("e.id IN (SELECT a.target_id FROM rollout_group g JOIN action a ON a.rollout_group_id = g.id WHERE g.tenant_id = $1 AND g.rollout_id = $%%d AND a.filed_as = %d)", deployment.Error), int64(c.RetryOf))
	}
	if !c.CreatedBy.IsZero() {
		and("e.created_at <= $%d", c.CreatedBy.UnixMilli())
	}
	if c.Rollout != 0 {
		and("NOT EXISTS (SELECT 1 FROM rollout_member m WHERE "+lookedUp("m.target_id")+" AND m.rollout_id = $%d)", int64(c.Rollout))
	}
	if c.Newcomers != 0 {
		and("NOT EXISTS (SELECT 1 FROM action a WHERE "+lookedUp("a.target_id")+" AND a.rollout_id >= $%d)", int64(c.Newcomers))
	}
	if c.Fresh {
		// From each target to its actions, never from the set to its million: the
		// plus sign tells SQLite, the scalar PostgreSQL.
		where += " AND h.assigned_set IS DISTINCT FROM $2 AND (SELECT a.id FROM action a WHERE a.target_id = e.id AND +a.set_id = $2 LIMIT 1) IS NULL"
	}
	condition := condition
	if len(c.Among) > 0 {
		args = append(args, idList(c.Among))
		where += fmt.Sprintf(" AND e.id IN (SELECT i.id FROM "+d.ids("$%d", "i")+")", len(args))
		condition = rowCondition
	}
	for _, n := range []query.Node{c.Filter, c.Narrow} {
		if n == nil {
			continue
		}
		var cond string
		if cond, args, err = condition(n, targetColumns(), t, c.Moment, d, args); err != nil {
			return "", nil, err
		}
		where += " AND " + cond
	}
	return where, args, nil
}

// lookedUp is the condition that a column is the target's id, written so that
// PostgreSQL looks it up by its index for each target. An equality invites it to
// read all of the other table first, for the few thousand targets of a step.
func lookedUp(column string) string { return column + " >= e.id AND " + column + " <= e.id" }

// CountCohort implements rollout.ChangeStore.
func (s Rollouts) CountCohort(ctx context.Context, t tenant.ID, c rollout.Cohort) (n int64, err error) {
	where, args, err := cohortWhere(t, c, s.DB.dialect)
	if err != nil {
		return 0, err
	}
	text := "SELECT count(*) FROM " + targetFrom + " WHERE " + where
	if c.Limit > 0 {
		args = append(args, c.Limit)
		text = fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM "+targetFrom+" WHERE %s LIMIT $%d) AS counted", where, len(args))
	}
	err = s.DB.view(ctx, func(q querier) error {
		return q.row(ctx, text, args...).Scan(&n)
	})
	return n, err
}

// Cohort implements rollout.ChangeStore.
func (s Rollouts) Cohort(ctx context.Context, t tenant.ID, c rollout.Cohort) (ids []int64, err error) {
	where, args, err := cohortWhere(t, c, s.DB.dialect)
	if err != nil {
		return nil, err
	}
	text := "SELECT e.id FROM " + targetFrom + " WHERE " + where + " ORDER BY e.id"
	if c.Limit > 0 {
		args = append(args, c.Limit)
		text += fmt.Sprintf(" LIMIT $%d", len(args))
	}
	err = s.DB.view(ctx, func(q querier) error {
		ids, err = all(ctx, q, scalar[int64], text, args...)
		return err
	})
	return ids, err
}

// CreateRollout implements rollout.ChangeStore.
func (s Rollouts) CreateRollout(ctx context.Context, t tenant.ID, r *rollout.Rollout, groups []rollout.Group, lock bool) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		set, err := tx.setFacts(ctx, t, r.Set)
		if err == nil {
			err = set.Suits() // it may have been deleted or invalidated since it was looked at
		}
		if err != nil {
			return err
		}
		if err := tx.row(ctx, "SELECT s.name, s.version FROM distribution_set s WHERE s.id = $1", int64(r.Set)).Scan(&r.SetName, &r.SetVersion); err != nil {
			return err
		}
		if lock {
			if err := tx.lockSet(ctx, t, set, r.ModifiedBy, r.ModifiedAt); err != nil {
				return err
			}
		}
		id, err := tx.insert(ctx, `INSERT INTO rollout (tenant_id, name, description, filter, retry_of, set_id, status, type, forced_at, weight, start_at, dynamic, group_suffix, group_size,
				needs_no_approval, total, group_count, created_by, created_at, modified_by, modified_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) RETURNING id`,
			append([]any{
				t, r.Name, r.Description, r.Filter, nullable(r.RetryOf), int64(r.Set), int(r.Status), int(r.Type), milli(r.ForcedAt), r.Weight, momentOrNull(r.StartAt), r.Dynamic,
				r.GroupSuffix, r.GroupSize, r.NeedsNoApproval, r.Total, r.GroupCount,
			}, stampArgs(&r.Stamps)...)...)
		if err != nil {
			return tx.taken(err, "There is a rollout with the name %q already.", r.Name)
		}
		r.ID = rollout.ID(id)
		for i := range groups {
			groups[i].Rollout = r.ID
			if err := tx.insertGroup(ctx, t, &groups[i]); err != nil {
				return tx.taken(err, "Two groups have the name %q.", groups[i].Name)
			}
		}
		tx.record(event.Event{Tenant: t, Kind: event.RolloutCreated, Subject: id, Reach: event.NoTarget, Data: rolloutData(r), At: r.CreatedAt.UnixMilli()})
		return nil
	})
}

// milli stores the zero time as 0.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// momentOrNull stores the absent time as NULL.
func momentOrNull(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMilli()
}

func rolloutData(r *rollout.Rollout) string { return fmt.Sprintf(`{"status":%q}`, r.Status.String()) }

func (tx *Tx) insertGroup(ctx context.Context, t tenant.ID, g *rollout.Group) error {
	id, err := tx.insert(ctx, `INSERT INTO rollout_group (tenant_id, rollout_id, name, description, status, starting, success_threshold, success_action, success_action_exp, error_threshold, error_action_exp,
			filter, percentage, planned, total, consent, dynamic, cursor, created_by, created_at, modified_by, modified_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) RETURNING id`,
		append([]any{
			t, int64(g.Rollout), g.Name, g.Description, int(g.Status), g.Starting, g.SuccessThreshold, int(g.SuccessAction), g.SuccessActionExp, g.ErrorThreshold, g.ErrorActionExp,
			g.Filter, g.Percentage, g.Planned, g.Total, g.Consent, g.Dynamic, g.Cursor,
		}, stampArgs(&g.Stamps)...)...)
	g.ID = rollout.GroupID(id)
	return err
}

// loadRun reads and locks a rollout with its groups.
func (tx *Tx) loadRun(ctx context.Context, t tenant.ID, id rollout.ID) (*rollout.Run, error) {
	r, err := readRollout(ctx, tx, t, id, tx.db.lock("e"))
	if err != nil {
		return nil, err
	}
	groups, err := all(ctx, tx, scanGroup, "SELECT "+groupRow+" FROM rollout_group e WHERE e.tenant_id = $1 AND e.rollout_id = $2 ORDER BY e.id", t, int64(id))
	if err != nil {
		return nil, err
	}
	return &rollout.Run{Rollout: *r, Groups: groups}, nil
}

// saveRun saves what differs from before, and records it.
func (tx *Tx) saveRun(ctx context.Context, t tenant.ID, before *rollout.Run, after *rollout.Run) error {
	at := after.Now.UnixMilli()
	for i := range after.Groups {
		g := &after.Groups[i]
		switch {
		case i >= len(before.Groups):
			g.Rollout = after.Rollout.ID
			if err := tx.insertGroup(ctx, t, g); err != nil {
				return err
			}
		case reflect.DeepEqual(before.Groups[i], *g):
			continue
		default:
			if _, err := tx.exec(ctx, "UPDATE rollout_group SET status = $2, starting = $3, planned = $4, total = $5, cursor = $6, modified_by = $7, modified_at = $8 WHERE id = $1",
				int64(g.ID), int(g.Status), g.Starting, g.Planned, g.Total, g.Cursor, g.ModifiedBy, g.ModifiedAt.UnixMilli()); err != nil {
				return err
			}
			if before.Groups[i].Status == g.Status && before.Groups[i].Total == g.Total {
				continue // progress that nobody sees
			}
		}
		tx.record(event.Event{
			Tenant: t, Kind: event.RolloutGroupChanged, Subject: int64(g.ID), Reach: event.NoTarget, At: at,
			Data: fmt.Sprintf(`{"rolloutId":%d,"status":%q,"targets":%d}`, after.Rollout.ID, g.Status.String(), g.Total),
		})
	}
	r := &after.Rollout
	if reflect.DeepEqual(before.Rollout, *r) {
		return nil
	}
	if _, err := tx.exec(ctx, `UPDATE rollout SET name = $2, description = $3, status = $4, approval_by = $5, approval_remark = $6, started_by = $7, total = $8, group_count = $9, waiting = $10, deleted = $11,
			modified_by = $12, modified_at = $13 WHERE id = $1`,
		int64(r.ID), r.Name, r.Description, int(r.Status), r.ApprovalBy, r.ApprovalRemark, r.StartedBy, r.Total, r.GroupCount, r.Waiting, r.Deleted, r.ModifiedBy, r.ModifiedAt.UnixMilli()); err != nil {
		return tx.taken(err, "There is a rollout with the name %q already.", r.Name)
	}
	tx.record(event.Event{Tenant: t, Kind: event.RolloutChanged, Subject: int64(r.ID), Reach: event.NoTarget, Data: rolloutData(r), At: at})
	return nil
}

// clone copies a run as far as its rules change it.
func clone(r *rollout.Run) *rollout.Run {
	c := *r
	c.Groups = append([]rollout.Group(nil), r.Groups...)
	return &c
}

// UpdateRollout implements rollout.ChangeStore.
func (s Rollouts) UpdateRollout(ctx context.Context, t tenant.ID, id rollout.ID, change func(*rollout.Run) error) (*rollout.Rollout, error) {
	var out *rollout.Rollout
	err := s.DB.update(ctx, func(tx *Tx) error {
		run, err := tx.loadRun(ctx, t, id)
		if err != nil {
			return err
		}
		if run.Rollout.Status == rollout.Paused { // resuming asks how the newest group did
			if run.Tallies, err = tally(ctx, tx, tx.db.dialect, t, run); err != nil {
				return err
			}
		}
		before := clone(run)
		if err := change(run); err != nil {
			return err
		}
		out = &run.Rollout
		return tx.saveRun(ctx, t, before, run)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// tally counts the actions of the groups that run.
func tally(ctx context.Context, q querier, d dialect, t tenant.ID, run *rollout.Run) (map[rollout.GroupID]rollout.Tally, error) {
	return tallies(ctx, q, d, "id", t, runningGroups(run), false)
}

func runningGroups(run *rollout.Run) (ids []rollout.GroupID) {
	for i := range run.Groups {
		if run.Groups[i].Status == rollout.GroupRunning {
			ids = append(ids, run.Groups[i].ID)
		}
	}
	return ids
}
