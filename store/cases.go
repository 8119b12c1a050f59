package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// UpdateCase implements deployment.CaseStore.
func (d Deployment) UpdateCase(ctx context.Context, t tenant.ID, target fleet.ControllerID, id deployment.ActionID, change func(*deployment.Case) error) (*deployment.Case, error) {
	c := &caseChange{tenant: t, target: target, id: id, change: change}
	if err := d.DB.cases.do(ctx, c); err != nil {
		return nil, err
	}
	return c.c, nil
}

// A caseChange is one call of UpdateCase.
type caseChange struct {
	call

	tenant tenant.ID
	target fleet.ControllerID
	id     deployment.ActionID
	change func(*deployment.Case) error

	c      *deployment.Case
	before deployment.Case
}

// A caseKey names a target, or with an action alone that action.
type caseKey struct {
	tenant tenant.ID
	target fleet.ControllerID
	action deployment.ActionID
}

func (c *caseChange) keys() []caseKey {
	return []caseKey{{tenant: c.tenant, target: c.target}, {action: c.id}}
}

func (c *caseChange) reset() {
	c.call.reset()
	c.c = nil
}

// changeCases loads the cases, lets each change decide, and saves what they
// decided. It returns an error where that would be the transaction's.
func (tx *Tx) changeCases(ctx context.Context, batch []*caseChange) error {
	if err := tx.loadCases(ctx, batch); err != nil {
		return err
	}
	decided := make([]*caseChange, 0, len(batch))
	for _, c := range batch {
		if c.err = c.belongs(ctx, tx); c.err != nil {
			var f *fault.Error
			if !errors.As(c.err, &f) {
				return c.err
			}
			continue
		}
		c.before = *c.c
		if c.decide(); c.err == nil && c.panicked == nil {
			decided = append(decided, c)
		}
	}
	if err := tx.saveCases(ctx, decided); err != nil {
		return err
	}
	for _, c := range decided {
		tx.recordCase(c)
	}
	return nil
}

// changeCase lets change decide on one case, in a transaction that does more.
func (tx *Tx) changeCase(ctx context.Context, t tenant.ID, target fleet.ControllerID, id deployment.ActionID, change func(*deployment.Case)) error {
	c := &caseChange{call: call{ctx: ctx}, tenant: t, target: target, id: id, change: func(c *deployment.Case) error {
		change(c)
		return nil
	}}
	if err := tx.changeCases(ctx, []*caseChange{c}); err != nil {
		return err
	}
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.err
}

// belongs tells why there is no such case.
func (c *caseChange) belongs(ctx context.Context, tx *Tx) error {
	if c.c != nil && c.c.Action.ControllerID == c.target {
		return nil
	}
	if err := targetExists(ctx, tx, c.tenant, c.target); err != nil {
		return err
	}
	if c.c == nil {
		return fault.Missing("Action", int64(c.id))
	}
	return errForeign(c.target, c.id)
}

// decide lets the change decide, unless its caller has left.
func (c *caseChange) decide() {
	defer func() { c.panicked = recover() }()
	if c.left() {
		return
	}
	c.err = c.change(c.c)
}

// moved reports whether the action's row is another one now; held whether the target's is.
func (c *caseChange) moved() bool {
	a, before := &c.c.Action, &c.before.Action
	return len(c.c.New) > 0 || a.Revision != before.Revision || a.Stamps != before.Stamps
}

func (c *caseChange) held() bool { return c.c.Holding != c.before.Holding }

func (tx *Tx) recordCase(c *caseChange) {
	a := &c.c.Action
	if a.Revision == c.before.Action.Revision && !c.held() {
		return
	}
	at := int64(0)
	if n := len(c.c.New); n > 0 {
		at = c.c.New[n-1].ReportedAt.UnixMilli()
	}
	tx.record(event.Event{Tenant: c.tenant, Kind: event.ActionChanged, Subject: int64(a.ID), Reach: event.Reach(a.Target), Data: actionData(a.Status), At: at})
}

// caseRow are the columns of an action e, its target t and what that holds, h,
// that make a case.
const caseRow = actionRow + ", e.newest_entry, h.status, h.assigned_set, h.installed_set, h.installed_at, h.request_attributes"

func scanCase(s scanner) (*deployment.Case, error) {
	c := &deployment.Case{}
	dest, finish := actionDest(&c.Action)
	var assigned, installed, installedAt sql.NullInt64
	dest = append(dest, &c.NewestEntry, &c.Holding.Status, &assigned, &installed, &installedAt, &c.Holding.RequestAttributes)
	if err := s.Scan(dest...); err != nil {
		return nil, err
	}
	finish()
	c.Holding.Assigned, c.Holding.Installed = software.SetID(assigned.Int64), software.SetID(installed.Int64)
	if installedAt.Valid {
		c.Holding.InstalledAt = time.UnixMilli(installedAt.Int64)
	}
	return c, nil
}

// loadCases reads the actions with what their targets hold. Those that are not
// there stay nil. On PostgreSQL the targets are locked in the order of their ids,
// each before its action.
func (tx *Tx) loadCases(ctx context.Context, list []*caseChange) error {
	if tx.oneByOne(list) {
		text := "SELECT " + caseRow + " FROM action e JOIN target t ON t.id = e.target_id JOIN target_state h ON h.target_id = e.target_id WHERE e.tenant_id = $1 AND e.id = $2"
		if tx.db.group == nil {
			text = loadCasesPostgres("(SELECT x.tenant_id AS tenant, x.id, x.target_id FROM action x WHERE x.tenant_id = $1 AND x.id = $2 OFFSET 0)")
		}
		for _, c := range list {
			var err error
			if c.c, err = scanCase(tx.row(ctx, text, c.tenant, int64(c.id))); err != nil && !none(err) {
				return err
			}
		}
	} else {
		tenants, ids := make([]int64, len(list)), make([]int64, len(list))
		byID := make(map[deployment.ActionID]*caseChange, len(list))
		for i, c := range list {
			tenants[i], ids[i], byID[c.id] = int64(c.tenant), int64(c.id), c
		}
		found, err := all(ctx, tx, scanCase, loadCasesPostgres(severalCases), tenants, ids)
		if err != nil {
			return err
		}
		for _, c := range found {
			byID[c.Action.ID].c = c
		}
	}
	for _, c := range list {
		if c.c == nil || c.c.Action.Status != deployment.Canceling {
			continue
		}
		err := tx.row(ctx, "SELECT set_id FROM action WHERE target_id = $1 AND filed_as < 0 AND active AND id <> $2 ORDER BY +id LIMIT 1", int64(c.c.Action.Target), int64(c.id)).Scan(&c.c.NextActive)
		if err != nil && !none(err) {
			return err
		}
	}
	return nil
}

// severalCases finds actions by two lists, of tenants and ids, in the order in
// which their targets are locked.
const severalCases = `(SELECT i.tenant, a.id, a.target_id FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[])) AS i (tenant, id)
	CROSS JOIN LATERAL (SELECT x.id, x.target_id FROM action x WHERE x.tenant_id = i.tenant AND x.id = i.id OFFSET 0) AS a ORDER BY a.target_id)`

// loadCasesPostgres reads the cases of what a query finds. Each OFFSET and lock
// keeps PostgreSQL from going another way than from the ids to their targets, in
// order, and on to the actions.
func loadCasesPostgres(which string) string {
	return "SELECT " + caseRow + " FROM " + which + " AS k" +
		" CROSS JOIN LATERAL (SELECT s.* FROM target_state s WHERE s.target_id = k.target_id" + postgresLock("s") + ") AS h" +
		" CROSS JOIN LATERAL (SELECT x.* FROM action x WHERE x.tenant_id = k.tenant AND x.id = k.id AND x.target_id = h.target_id" + postgresLock("x") + ") AS e" +
		" CROSS JOIN LATERAL (SELECT x.* FROM target x WHERE x.id = h.target_id OFFSET 0) AS t"
}

// oneByOne reports whether the cases are read and written row by row: on SQLite,
// where a statement costs no round trip and lists take longer, and of one case.
func (tx *Tx) oneByOne(list []*caseChange) bool { return tx.db.group != nil || len(list) == 1 }

// saveCases writes what the changes decided, and gives the new entries their ids.
func (tx *Tx) saveCases(ctx context.Context, list []*caseChange) error {
	entries, err := newEntries(list)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		enter := tx.enterCasesSQLite
		if tx.db.group == nil {
			enter = tx.enterCasesPostgres
		}
		if err := enter(ctx, entries); err != nil {
			return err
		}
	}
	if tx.oneByOne(list) {
		return tx.saveEachCase(ctx, list)
	}
	return tx.saveCasesPostgres(ctx, list)
}

func (tx *Tx) saveEachCase(ctx context.Context, list []*caseChange) error {
	for _, c := range list {
		a, h := &c.c.Action, &c.c.Holding
		if c.moved() {
			text, args := "UPDATE action SET type = $2, last_code = $3, consent_awaited = $4, revision = $5, entries = $6, newest_entry = $7, modified_by = $8, modified_at = $9, status = $10, active = $11",
				[]any{int64(a.ID), int(a.Type), a.LastCode, a.ConsentAwaited, a.Revision, a.Entries, int(c.c.NewestEntry), a.ModifiedBy, a.ModifiedAt.UnixMilli(), int(a.Status), a.Active}
			if filed := filedAs(a.Status, a.Active); filed != filedAs(c.before.Action.Status, c.before.Action.Active) { // SQLite touches each index of a column that is set
				text += ", filed_as = $12"
				args = append(args, filed)
			}
			if _, err := tx.exec(ctx, text+" WHERE id = $1", args...); err != nil {
				return err
			}
		}
		if c.held() {
			if _, err := tx.exec(ctx, "UPDATE target_state SET status = $2, assigned_set = $3, installed_set = $4, installed_at = $5, request_attributes = $6 WHERE target_id = $1",
				int64(a.Target), int(h.Status), idOrNull(h.Assigned), idOrNull(h.Installed), milliOrNull(h.InstalledAt), h.RequestAttributes); err != nil {
				return err
			}
		}
	}
	return nil
}

const entryColumns = "(tenant_id, action_id, status, occurred_at, reported_at, code, messages)"

// entriesAtOnce is how many entries one statement adds on SQLite.
const entriesAtOnce = 16

// A newEntry is an entry to be added to an action's history.
type newEntry struct {
	*deployment.Entry
	of       *caseChange
	messages string // as they are kept
}

// newEntries are those that the changes decided, each action's in their order.
func newEntries(list []*caseChange) (entries []newEntry, err error) {
	for _, c := range list {
		for i := range c.c.New {
			e := &c.c.New[i]
			messages, err := json.Marshal(e.Messages)
			if err != nil {
				return nil, fmt.Errorf("messages of action %d: %w", c.id, err)
			}
			entries = append(entries, newEntry{e, c, string(messages)})
		}
	}
	return entries, nil
}

// row are the entry's values of entryColumns.
func (e newEntry) row() []any {
	return []any{int64(e.of.tenant), int64(e.of.id), int(e.Status), e.OccurredAt.UnixMilli(), e.ReportedAt.UnixMilli(), wide(e.Code), e.messages}
}

// enterCasesSQLite adds the entries, as many as fit by one statement. Ids
// are given one after the other there, and the last one is known for nothing.
func (tx *Tx) enterCasesSQLite(ctx context.Context, entries []newEntry) error {
	const one = "(?, ?, ?, ?, ?, ?, ?)"
	for len(entries) > 0 {
		n := 1
		if len(entries) >= entriesAtOnce {
			n = entriesAtOnce
		}
		var args []any
		for _, e := range entries[:n] {
			args = append(args, e.row()...)
		}
		done, err := tx.exec(ctx, "INSERT INTO action_status "+entryColumns+" VALUES "+one+strings.Repeat(", "+one, n-1), args...)
		if err != nil {
			return err
		}
		last, err := done.LastInsertId()
		if err != nil {
			return err
		}
		for i, e := range entries[:n] {
			e.ID = last - int64(n-1-i)
		}
		entries = entries[n:]
	}
	return nil
}

// saveCasesPostgres writes all rows of a table by one statement. It asks for the ids
// twice for the reason of saveVisitsPostgres.
func (tx *Tx) saveCasesPostgres(ctx context.Context, list []*caseChange) error {
	var actions struct {
		id, status, filed, kind, revision, entries, newest, modifiedAt []int64
		active, consent                                                []bool
		code                                                           []*int64
		modifiedBy                                                     []string
	}
	var targets struct {
		id, status                       []int64
		assigned, installed, installedAt []*int64
		attributes                       []bool
	}
	for _, c := range list {
		a, h := &c.c.Action, &c.c.Holding
		if c.moved() {
			v := &actions
			v.id, v.status, v.active = append(v.id, int64(a.ID)), append(v.status, int64(a.Status)), append(v.active, a.Active)
			v.filed = append(v.filed, int64(filedAs(a.Status, a.Active)))
			v.kind, v.code, v.consent = append(v.kind, int64(a.Type)), append(v.code, wide(a.LastCode)), append(v.consent, a.ConsentAwaited)
			v.revision, v.entries, v.newest = append(v.revision, a.Revision), append(v.entries, int64(a.Entries)), append(v.newest, int64(c.c.NewestEntry))
			v.modifiedBy, v.modifiedAt = append(v.modifiedBy, a.ModifiedBy), append(v.modifiedAt, a.ModifiedAt.UnixMilli())
		}
		if c.held() {
			v := &targets
			v.id, v.status = append(v.id, int64(a.Target)), append(v.status, int64(h.Status))
			v.assigned, v.installed, v.installedAt = append(v.assigned, idOrNull(h.Assigned)), append(v.installed, idOrNull(h.Installed)), append(v.installedAt, milliOrNull(h.InstalledAt))
			v.attributes = append(v.attributes, h.RequestAttributes)
		}
	}
	if v := &actions; len(v.id) > 0 {
		if _, err := tx.exec(ctx, `UPDATE action AS e SET status = v.status, active = v.active, type = v.type, last_code = v.last_code, consent_awaited = v.consent_awaited,
				revision = v.revision, entries = v.entries, newest_entry = v.newest_entry, modified_by = v.modified_by, modified_at = v.modified_at, filed_as = v.filed_as
			FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[]), CAST($3 AS boolean[]), CAST($4 AS bigint[]), CAST($5 AS bigint[]), CAST($6 AS boolean[]), CAST($7 AS bigint[]), CAST($8 AS bigint[]), CAST($9 AS bigint[]), CAST($10 AS text[]), CAST($11 AS bigint[]), CAST($12 AS bigint[]))
				AS v (id, status, active, type, last_code, consent_awaited, revision, entries, newest_entry, modified_by, modified_at, filed_as) WHERE e.id = v.id AND e.id = ANY(CAST($1 AS bigint[]))`,
			v.id, v.status, v.active, v.kind, v.code, v.consent, v.revision, v.entries, v.newest, v.modifiedBy, v.modifiedAt, v.filed); err != nil {
			return err
		}
	}
	if v := &targets; len(v.id) > 0 {
		if _, err := tx.exec(ctx, `UPDATE target_state AS h SET status = v.status, assigned_set = v.assigned_set, installed_set = v.installed_set, installed_at = v.installed_at, request_attributes = v.request_attributes
			FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[]), CAST($3 AS bigint[]), CAST($4 AS bigint[]), CAST($5 AS bigint[]), CAST($6 AS boolean[]))
				AS v (id, status, assigned_set, installed_set, installed_at, request_attributes) WHERE h.target_id = v.id AND h.target_id = ANY(CAST($1 AS bigint[]))`,
			v.id, v.status, v.assigned, v.installed, v.installedAt, v.attributes); err != nil {
			return err
		}
	}
	return nil
}

// enterCasesPostgres adds the entries by one statement. Ids grow in the order in
// which it is given them, which is that of each action's history.
func (tx *Tx) enterCasesPostgres(ctx context.Context, entries []newEntry) error {
	if len(entries) == 1 {
		id, err := tx.insert(ctx, "INSERT INTO action_status "+entryColumns+" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id", entries[0].row()...)
		if err == nil {
			entries[0].ID = id
		}
		return err
	}
	var v struct {
		tenant, action, status, occurred, reported []int64
		code                                       []*int64
		messages                                   []string
	}
	inOrder := map[int64][]*deployment.Entry{} // by action
	for _, e := range entries {
		action := int64(e.of.id)
		v.tenant, v.action, v.status = append(v.tenant, int64(e.of.tenant)), append(v.action, action), append(v.status, int64(e.Status))
		v.occurred, v.reported = append(v.occurred, e.OccurredAt.UnixMilli()), append(v.reported, e.ReportedAt.UnixMilli())
		v.code, v.messages = append(v.code, wide(e.Code)), append(v.messages, e.messages)
		inOrder[action] = append(inOrder[action], e.Entry)
	}
	type entered struct{ id, action int64 }
	made, err := all(ctx, tx, func(s scanner) (e entered, err error) {
		err = s.Scan(&e.id, &e.action)
		return e, err
	}, "INSERT INTO action_status "+entryColumns+` SELECT v.tenant_id, v.action_id, v.status, v.occurred_at, v.reported_at, v.code, v.messages
		FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[]), CAST($3 AS bigint[]), CAST($4 AS bigint[]), CAST($5 AS bigint[]), CAST($6 AS bigint[]), CAST($7 AS text[]))
			AS v (tenant_id, action_id, status, occurred_at, reported_at, code, messages) RETURNING id, action_id`,
		v.tenant, v.action, v.status, v.occurred, v.reported, v.code, v.messages)
	if err != nil {
		return err
	}
	tx.wrote = true
	slices.SortFunc(made, func(a, b entered) int { return int(a.id - b.id) })
	for _, e := range made {
		inOrder[e.action][0].ID = e.id
		inOrder[e.action] = inOrder[e.action][1:]
	}
	return nil
}

// idOrNull stores the absent reference as NULL.
func idOrNull[id ~int64](n id) *int64 {
	if n == 0 {
		return nil
	}
	v := int64(n)
	return &v
}

// milliOrNull stores the absent time as NULL.
func milliOrNull(at time.Time) *int64 {
	if at.IsZero() {
		return nil
	}
	v := at.UnixMilli()
	return &v
}

// wide is n as the database has it.
func wide(n *int) *int64 {
	if n == nil {
		return nil
	}
	v := int64(*n)
	return &v
}
