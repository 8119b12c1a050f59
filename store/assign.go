package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Assign implements deployment.AssignStore. Rows are locked in one order
// everywhere: the set, then targets by id, then their actions.
func (d Deployment) Assign(ctx context.Context, t tenant.ID, a *deployment.Assignment) (*deployment.Assigned, error) {
	var out *deployment.Assigned
	err := d.DB.update(ctx, func(tx *Tx) error {
		set, err := tx.setFacts(ctx, t, a.Set)
		if err != nil {
			return err
		}
		candidates, err := tx.candidates(ctx, t, a)
		if err != nil {
			return err
		}
		if a.Strict && len(candidates) < len(a.Orders) {
			return missingTarget(a, candidates)
		}
		out, err = tx.assign(ctx, t, set, candidates, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// assign lets the assignment decide on the candidates and carries its verdict
// out. The caller has locked the set and the candidates.
func (tx *Tx) assign(ctx context.Context, t tenant.ID, set deployment.SetFacts, candidates []deployment.Candidate, a *deployment.Assignment) (*deployment.Assigned, error) {
	v, err := a.Decide(set, candidates)
	if err != nil {
		return nil, err
	}
	for _, p := range v.Purge {
		if err := tx.purgeActions(ctx, t, p, a.ModifiedAt); err != nil {
			return nil, err
		}
	}
	if v.Lock {
		if err := tx.lockSet(ctx, t, set, a.ModifiedBy, a.ModifiedAt); err != nil {
			return nil, err
		}
	}
	out := &deployment.Assigned{Already: v.Already}
	if len(v.Start) == 0 {
		return out, nil
	}
	chosen, err := selectTargets(v.Start)
	if err != nil {
		return nil, err
	}
	if !a.Offline {
		if err := tx.supersede(ctx, t, chosen, supersession{by: a.Set, autoclose: a.Autoclose, user: a.ModifiedBy, at: a.ModifiedAt}); err != nil {
			return nil, err
		}
	}
	if err := tx.cancelScheduled(ctx, t, chosen, a.ModifiedBy, a.ModifiedAt); err != nil {
		return nil, err
	}
	if err := tx.holdSet(ctx, chosen, a); err != nil {
		return nil, err
	}
	out.New, err = tx.startActions(ctx, t, a, v.Start)
	return out, err
}

// missingTarget names the first target of the orders that is not there.
func missingTarget(a *deployment.Assignment, found []deployment.Candidate) error {
	there := make(map[int]bool, len(found))
	for _, c := range found {
		there[c.Order] = true
	}
	for i, o := range a.Orders {
		if !there[i] {
			return fault.Missing("Target", string(o.Target))
		}
	}
	return fmt.Errorf("%d candidates for %d orders", len(found), len(a.Orders))
}

// setComplete is true of a complete set (management-api 2.8), which has the
// alias s: it has modules, one of each mandatory type, and each module has the
// artifacts that its type wants.
const setComplete = `(EXISTS (SELECT 1 FROM distribution_set_module sm WHERE sm.set_id = s.id)
	AND NOT EXISTS (SELECT 1 FROM distribution_set_type_module tm WHERE tm.set_type_id = s.type_id AND tm.mandatory AND NOT EXISTS
		(SELECT 1 FROM distribution_set_module sm JOIN software_module m ON m.id = sm.module_id WHERE sm.set_id = s.id AND m.type_id = tm.module_type_id))
	AND NOT EXISTS (SELECT 1 FROM distribution_set_module sm JOIN software_module m ON m.id = sm.module_id JOIN software_module_type mt ON mt.id = m.type_id
		WHERE sm.set_id = s.id AND mt.min_artifacts > (SELECT count(*) FROM artifact f WHERE f.module_id = m.id)))`

// setFacts reads and locks the set.
func (tx *Tx) setFacts(ctx context.Context, t tenant.ID, id software.SetID) (deployment.SetFacts, error) {
	return setFacts(ctx, tx, t, id, tx.db.lock("s"))
}

func setFacts(ctx context.Context, q querier, t tenant.ID, id software.SetID, suffix string) (f deployment.SetFacts, err error) {
	args, tags := []any{int64(t), int64(id)}, ""
	for _, tag := range deployment.SkipLockTags() {
		args = append(args, tag)
		tags += fmt.Sprintf(", $%d", len(args))
	}
	err = q.row(ctx, `SELECT s.id, st.key, st.name, s.valid, s.deleted, s.locked, `+setComplete+`,
			EXISTS (SELECT 1 FROM distribution_set_tagging g JOIN distribution_set_tag tag ON tag.id = g.tag_id WHERE g.set_id = s.id AND tag.name IN (`+tags[2:]+`))
		FROM distribution_set s JOIN distribution_set_type st ON st.id = s.type_id
		WHERE s.tenant_id = $1 AND s.id = $2`+suffix, args...).
		Scan(&f.ID, &f.TypeKey, &f.TypeName, &f.Valid, &f.Deleted, &f.Locked, &f.Complete, &f.Unlocked)
	if none(err) {
		return f, fault.Missing("DistributionSet", int64(id))
	}
	return f, err
}

// candidates reads and locks the targets that the orders name.
func (tx *Tx) candidates(ctx context.Context, t tenant.ID, a *deployment.Assignment) ([]deployment.Candidate, error) {
	type named struct {
		Place int    `json:"place"`
		Name  string `json:"name"`
	}
	names := make([]named, len(a.Orders))
	for i, o := range a.Orders {
		names[i] = named{i, string(o.Target)}
	}
	list, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	// CROSS JOIN makes SQLite go from the names to the targets.
	found, err := all(ctx, tx, scanCandidate, `SELECT o.place, t.id, h.status, h.assigned_set,
			CASE WHEN x.id IS NULL OR EXISTS (SELECT 1 FROM target_type_set_type c JOIN distribution_set s ON s.type_id = c.set_type_id WHERE c.target_type_id = x.id AND s.id = $3) THEN NULL ELSE x.name END,
			ac.initiator, ac.remark, ac.activated_by, ac.activated_at
		FROM `+tx.db.table("$2", "o", "place bigint", "name text")+` CROSS JOIN target t JOIN target_state h ON h.target_id = t.id
		LEFT JOIN target_type x ON x.id = t.type_id LEFT JOIN auto_confirm ac ON ac.target_id = t.id
		WHERE t.tenant_id = $1 AND t.controller_id = o.name ORDER BY t.id`+tx.db.lock("h"), t, string(list), int64(a.Set))
	if err != nil || a.MaxActions <= 0 || len(found) == 0 {
		return found, err
	}
	return found, tx.countActions(ctx, found, a.MaxActions)
}

// countActions tells of the candidates that have at least so many actions how
// many they have.
func (tx *Tx) countActions(ctx context.Context, found []deployment.Candidate, most int) error {
	ids := make([]fleet.TargetID, len(found))
	for i, c := range found {
		ids[i] = c.Target
	}
	full, err := all(ctx, tx, func(s scanner) (c [2]int64, err error) {
		err = s.Scan(&c[0], &c[1])
		return c, err
	}, "SELECT a.target_id, count(*) FROM "+tx.db.ids("$1", "i")+" JOIN action a ON a.target_id = i.id GROUP BY a.target_id HAVING count(*) >= $2", idList(ids), most)
	for _, c := range full {
		for i := range found {
			if int64(found[i].Target) == c[0] {
				found[i].Actions = int(c[1])
			}
		}
	}
	return err
}

func scanCandidate(s scanner) (c deployment.Candidate, err error) {
	var assigned, activatedAt sql.NullInt64
	var misfit, initiator, remark, activatedBy sql.NullString
	err = s.Scan(&c.Order, &c.Target, &c.Status, &assigned, &misfit, &initiator, &remark, &activatedBy, &activatedAt)
	c.Assigned, c.Misfit = software.SetID(assigned.Int64), misfit.String
	if activatedAt.Valid {
		c.AutoConfirm = &fleet.AutoConfirm{Initiator: initiator.String, Remark: remark.String, ActivatedBy: activatedBy.String, ActivatedAt: time.UnixMilli(activatedAt.Int64)}
	}
	return c, err
}

// lockSet locks the set and its modules, where they are not.
func (tx *Tx) lockSet(ctx context.Context, t tenant.ID, set deployment.SetFacts, by string, at time.Time) error {
	modules, err := all(ctx, tx, scalar[int64], `UPDATE software_module SET locked = TRUE, modified_by = $2, modified_at = $3
		WHERE id IN (SELECT module_id FROM distribution_set_module WHERE set_id = $1) AND NOT locked RETURNING id`, int64(set.ID), by, at.UnixMilli())
	if err != nil {
		return err
	}
	if !set.Locked {
		if _, err := tx.exec(ctx, "UPDATE distribution_set SET locked = TRUE, modified_by = $2, modified_at = $3 WHERE id = $1", int64(set.ID), by, at.UnixMilli()); err != nil {
			return err
		}
	}
	for _, id := range modules {
		tx.changed(t, event.ModuleChanged, id, at)
	}
	if !set.Locked {
		tx.changed(t, event.SetChanged, int64(set.ID), at)
	}
	return nil
}

// A selection is a list of targets' ids as JSON: what the statements below
// work on, and what a step of a rollout hands to them.
type selection string

func selectTargets(list []deployment.Start) (selection, error) {
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = int64(list[i].Target)
	}
	text, err := json.Marshal(ids)
	return selection(text), err
}

// chosen is true of a key that is in the selection, or another list of ids, which is
// the first parameter.
func (tx *Tx) chosen(key string) string { return tx.db.among(key, "$1") }

// supersession says how older actions give way to a newer one.
type supersession struct {
	by        software.SetID
	autoclose bool
	user      string
	at        time.Time
}

// supersede calls off what the targets were to do (update-domain 3.2, point 7):
// their active actions are canceled, or closed with autoclose, except those
// whose set is a required migration step. The caller has locked the targets.
func (tx *Tx) supersede(ctx context.Context, t tenant.ID, targets selection, s supersession) error {
	// To be canceled, unless it is already; to be closed, in any case.
	which := "a.filed_as < 0 AND a.active AND NOT EXISTS (SELECT 1 FROM distribution_set s WHERE s.id = a.set_id AND s.required_migration_step)"
	how := ending{quit: s.autoclose, user: s.user, at: s.at, says: deployment.Superseded(s.by, s.autoclose)}
	if !s.autoclose {
		which += fmt.Sprintf(" AND a.status <> %d", deployment.Canceling)
	}
	_, err := tx.callOff(ctx, t, which, []any{string(targets)}, how)
	return err
}

// ending says how actions end that nobody waits for any more.
type ending struct {
	quit bool // at once, without telling the device
	user string
	at   time.Time
	says string // to the history
}

// lockActive locks some of the targets with active actions that are not being
// canceled, or with any active ones: of the actions a of the tables and condition,
// whose parameter is the id; an order by the index makes PostgreSQL use it. The
// index leads to them past a million that were called off before. With none left
// it returns none.
func (tx *Tx) lockActive(ctx context.Context, of, order string, id int64, canceling bool, limit int64) ([]int64, error) {
	files := []int{filedOpen}
	if canceling {
		files = append(files, filedCanceling)
	}
	for _, filed := range files {
		for {
			ids, err := all(ctx, tx, scalar[int64], "SELECT a.target_id FROM "+of+fmt.Sprintf(" AND a.filed_as = %d AND a.active", filed)+order+" LIMIT $2", id, limit)
			if err != nil {
				return nil, err
			}
			if len(ids) == 0 {
				break
			}
			if there, err := lockStates(ctx, tx, ids); err != nil || len(there) > 0 {
				return there, err
			}
		}
	}
	return nil, nil
}

// lockStates locks targets in the order of their ids, and returns those that are
// there. Finding them first and locking them afterwards are two statements, since
// PostgreSQL would sooner read all states than believe how few are found.
func lockStates[ID ~int64](ctx context.Context, tx *Tx, ids []ID) ([]ID, error) {
	return all(ctx, tx, scalar[ID], "SELECT h.target_id FROM target_state h WHERE "+tx.chosen("h.target_id")+" ORDER BY h.target_id"+tx.db.lock("h"), idList(ids))
}

// callOff asks devices to give up the actions a of the targets that are the first
// argument, for which the condition holds,
// or ends them at once, and returns which those were. The caller has locked the
// targets.
func (tx *Tx) callOff(ctx context.Context, t tenant.ID, which string, args []any, how ending) ([]changed, error) {
	status, stays, consent := deployment.Canceled, "FALSE", "FALSE"
	if !how.quit {
		status, stays, consent = deployment.Canceling, "TRUE", fmt.Sprintf("(a.status = %d)", deployment.WaitForConfirmation)
	}
	at := how.at.UnixMilli()
	says, err := json.Marshal([]string{how.says})
	if err != nil {
		return nil, err
	}
	ids, err := tx.actionsOf(ctx, which, args...)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	list, err := all(ctx, tx, scanChanged, fmt.Sprintf(`UPDATE action AS a SET status = %[1]d, newest_entry = %[1]d, active = %[2]s, filed_as = %[4]d, consent_awaited = %[3]s, revision = revision + 1, entries = entries + 1,
		modified_by = $2, modified_at = $3 WHERE `, status, stays, consent, filedAs(status, !how.quit))+tx.chosen("a.id")+" RETURNING id, target_id", idList(ids), how.user, at)
	if err != nil {
		return nil, err
	}
	if err := tx.enter(ctx, t, list, status, string(says), at); err != nil {
		return nil, err
	}
	tx.recordStatus(t, event.ActionChanged, list, status, at)
	return list, nil
}

// actionsOf finds the actions a of the targets that are the first argument, for which
// the condition holds. Changing them is a statement of its own, since most targets
// have none, and PostgreSQL may go the other way round in a single one: from all
// actions there are.
func (tx *Tx) actionsOf(ctx context.Context, which string, args ...any) ([]int64, error) {
	return all(ctx, tx, func(s scanner) (action int64, err error) {
		var target int64
		err = s.Scan(&action, &target)
		return action, err
	}, tx.db.perTarget("$1", which), args...)
}

// enter adds an entry to the history of each action, with the messages as JSON.
func (tx *Tx) enter(ctx context.Context, t tenant.ID, list []changed, status deployment.Status, says string, at int64) error {
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].Action
	}
	_, err := tx.exec(ctx, fmt.Sprintf("INSERT INTO action_status (tenant_id, action_id, status, occurred_at, reported_at, messages) SELECT $2, c.id, %d, $3, $3, $4 FROM ", status)+
		tx.db.ids("$1", "c")+" ORDER BY c.id", idList(ids), int64(t), at, says)
	return err
}

// cancelScheduled cancels what rollouts had in store for the targets, without
// an entry in the history (update-domain 3.2, point 8).
func (tx *Tx) cancelScheduled(ctx context.Context, t tenant.ID, targets selection, user string, at time.Time) error {
	ids, err := tx.actionsOf(ctx, fmt.Sprintf("a.filed_as < 0 AND a.status = %d AND NOT EXISTS (SELECT 1 FROM distribution_set s WHERE s.id = a.set_id AND s.required_migration_step)", deployment.Scheduled), string(targets))
	if err != nil || len(ids) == 0 {
		return err
	}
	changed, err := all(ctx, tx, scanChanged, fmt.Sprintf("UPDATE action SET status = %[1]d, filed_as = %[1]d, revision = revision + 1, modified_by = $2, modified_at = $3 WHERE status = %[2]d AND ", deployment.Canceled, deployment.Scheduled)+
		tx.chosen("id")+" RETURNING id, target_id", idList(ids), user, at.UnixMilli())
	if err != nil {
		return err
	}
	for i := range changed {
		changed[i].Target = 0 // no device hears of it
	}
	tx.recordStatus(t, event.ActionChanged, changed, deployment.Canceled, at.UnixMilli())
	return nil
}

// changed is an action and whose it is.
type changed struct {
	Action int64 `json:"action"`
	Target int64 `json:"target"`
}

func scanChanged(s scanner) (c changed, err error) {
	err = s.Scan(&c.Action, &c.Target)
	return c, err
}

// recordActions records an event for each action; a target of 0 is not reached by it.
func (tx *Tx) recordActions(t tenant.ID, kind event.Kind, list []changed, at int64) {
	tx.recordEachAction(t, kind, list, "", at)
}

// recordStatus is recordActions for actions that have this status from now on.
func (tx *Tx) recordStatus(t tenant.ID, kind event.Kind, list []changed, s deployment.Status, at int64) {
	tx.recordEachAction(t, kind, list, actionData(s), at)
}

func (tx *Tx) recordEachAction(t tenant.ID, kind event.Kind, list []changed, data string, at int64) {
	for _, c := range list {
		reach := event.Reach(c.Target)
		if c.Target == 0 {
			reach = event.NoTarget
		}
		tx.record(event.Event{Tenant: t, Kind: kind, Subject: c.Action, Reach: reach, Data: data, At: at})
	}
}

// actionData is what events of an action tell of it that is not the same later.
func actionData(s deployment.Status) string { return `{"status":"` + s.String() + `"}` }

// holdSet writes what the targets hold from now on.
func (tx *Tx) holdSet(ctx context.Context, targets selection, a *deployment.Assignment) error {
	status, installed := fleet.StatusPending, ""
	if a.Offline {
		status, installed = fleet.StatusInSync, ", installed_set = $2, installed_at = $4"
	}
	_, err := tx.exec(ctx, fmt.Sprintf("UPDATE target_state SET status = %d, assigned_set = $2%s, modified_by = $3, modified_at = $4 WHERE ", status, installed)+tx.chosen("target_id"),
		string(targets), int64(a.Set), a.ModifiedBy, a.ModifiedAt.UnixMilli())
	return err
}

// startActions makes the actions with their first entries.
func (tx *Tx) startActions(ctx context.Context, t tenant.ID, a *deployment.Assignment, starts []deployment.Start) ([]deployment.NewAction, error) {
	type row struct {
		Place    int    `json:"place"`
		Target   int64  `json:"target"`
		Status   int    `json:"status"`
		Active   int    `json:"active"`
		Filed    int    `json:"filed"`
		Kind     int    `json:"kind"`
		Forced   int64  `json:"forced"`
		Weight   int    `json:"weight"`
		Schedule string `json:"schedule"`
		Duration string `json:"duration"`
		Timezone string `json:"timezone"`
		Entry    int    `json:"entry"`
		Says     string `json:"says"`
		Action   int64  `json:"action"`
	}
	rows := make([]row, len(starts))
	for i, s := range starts {
		o := a.Orders[s.Order]
		says, err := json.Marshal(s.Says)
		if err != nil {
			return nil, err
		}
		rows[i] = row{
			Place: i, Target: int64(s.Target), Status: int(s.Status), Kind: int(o.Type), Weight: o.Weight,
			Schedule: o.Window.Schedule, Duration: o.Window.Duration, Timezone: o.Window.Timezone, Entry: int(s.Entry), Says: string(says),
		}
		if s.Status != deployment.Finished {
			rows[i].Active = 1
		}
		rows[i].Filed = filedAs(s.Status, s.Status != deployment.Finished)
		if !o.ForcedAt.IsZero() {
			rows[i].Forced = o.ForcedAt.UnixMilli()
		}
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	at := a.CreatedAt.UnixMilli()
	made, err := all(ctx, tx, scanChanged, `INSERT INTO action (tenant_id, target_id, set_id, status, active, filed_as, type, forced_at, weight, window_schedule, window_duration, window_timezone,
			entries, newest_entry, initiated_by, created_by, created_at, modified_by, modified_at)
		SELECT $2, n.target, $3, n.status, n.active = 1, n.filed, n.kind, n.forced, n.weight, n.schedule, n.duration, n.timezone, 1, n.entry, $4, $5, $6, $5, $6
		FROM `+tx.db.table("$1", "n", "place bigint", "target bigint", "status bigint", "active bigint", "filed bigint", "kind bigint", "forced bigint", "weight bigint", "schedule text", "duration text", "timezone text", "entry bigint")+`
		ORDER BY n.place RETURNING id, target_id`, string(list), int64(t), int64(a.Set), a.InitiatedBy, a.CreatedBy, at)
	if err != nil {
		return nil, err
	}
	byTarget := make(map[int64]int64, len(made))
	for _, m := range made {
		byTarget[m.Target] = m.Action
	}
	out := make([]deployment.NewAction, len(starts))
	for i, s := range starts {
		rows[i].Action = byTarget[int64(s.Target)]
		out[i] = deployment.NewAction{ID: deployment.ActionID(rows[i].Action), Target: a.Orders[s.Order].Target}
	}
	if list, err = json.Marshal(rows); err != nil {
		return nil, err
	}
	if _, err := tx.exec(ctx, "INSERT INTO action_status (tenant_id, action_id, status, occurred_at, reported_at, messages) SELECT $2, n.action, n.entry, $3, $3, n.says FROM "+
		tx.db.table("$1", "n", "action bigint", "entry bigint", "says text")+" ORDER BY n.action", string(list), int64(t), at); err != nil {
		return nil, err
	}
	for i, o := range out {
		tx.recordStatus(t, event.ActionAssigned, []changed{{int64(o.ID), int64(starts[i].Target)}}, starts[i].Status, at)
	}
	return out, nil
}

// purgeActions removes a target's oldest actions.
func (tx *Tx) purgeActions(ctx context.Context, t tenant.ID, p deployment.Purge, at time.Time) error {
	gone, err := all(ctx, tx, scanChanged, "DELETE FROM action WHERE id IN (SELECT id FROM action WHERE target_id = $1 ORDER BY id LIMIT "+strconv.Itoa(p.N)+") RETURNING id, target_id", int64(p.Target))
	if err != nil {
		return err
	}
	tx.recordActions(t, event.ActionDeleted, gone, at.UnixMilli())
	return nil
}

// SetByName implements deployment.AssignStore.
func (d Deployment) SetByName(ctx context.Context, t tenant.ID, name, version string) (id software.SetID, err error) {
	err = d.DB.view(ctx, func(q querier) error {
		return q.row(ctx, "SELECT id FROM distribution_set WHERE tenant_id = $1 AND name = $2 AND version = $3 AND NOT deleted ORDER BY id DESC LIMIT 1", t, name, version).Scan(&id)
	})
	if none(err) {
		return 0, fault.Missing("DistributionSet", map[string]string{name: version})
	}
	return id, err
}
