-- +goose Up

CREATE TABLE rollout (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id       INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	name            TEXT    NOT NULL,
	description     TEXT,
	filter          TEXT    NOT NULL, -- which targets; of a retry it only says of what
	retry_of        INTEGER,          -- the rollout whose failed targets take part
	set_id          INTEGER NOT NULL REFERENCES distribution_set (id),
	status          INTEGER NOT NULL, -- rollout.Status
	type            INTEGER NOT NULL, -- deployment.Type
	forced_at       INTEGER NOT NULL DEFAULT 0,
	weight          INTEGER NOT NULL,
	start_at        INTEGER,
	dynamic         INTEGER NOT NULL,
	group_suffix    TEXT,             -- of dynamic groups, as the template says
	group_size      INTEGER,          -- of dynamic groups, as the template says
	approval_by     TEXT,
	approval_remark TEXT,
	needs_no_approval INTEGER NOT NULL DEFAULT 0, -- who made it may approve
	started_by      TEXT    NOT NULL DEFAULT '',
	total           INTEGER NOT NULL,
	group_count     INTEGER NOT NULL,
	waiting         TEXT    NOT NULL DEFAULT '', -- why its next step fails; empty: it does not
	deleted         INTEGER NOT NULL DEFAULT 0,
	created_by      TEXT    NOT NULL,
	created_at      INTEGER NOT NULL,
	modified_by     TEXT    NOT NULL,
	modified_at     INTEGER NOT NULL,
	UNIQUE (tenant_id, name)
) STRICT;
-- What the engine works on: creating, ready, starting, running, deleting, stopping.
CREATE INDEX rollout_busy ON rollout (status) WHERE status IN (0, 1, 3, 5, 7, 11);
CREATE INDEX rollout_set ON rollout (set_id);

CREATE TABLE rollout_group (
	id                 INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id          INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	rollout_id         INTEGER NOT NULL REFERENCES rollout (id) ON DELETE CASCADE,
	name               TEXT    NOT NULL,
	description        TEXT,
	status             INTEGER NOT NULL, -- rollout.GroupStatus
	starting           INTEGER NOT NULL DEFAULT 0, -- its actions are being started, one part after the other
	success_threshold  TEXT    NOT NULL,
	success_action     INTEGER NOT NULL, -- rollout.SuccessAction
	success_action_exp TEXT,
	error_threshold    TEXT,
	error_action_exp   TEXT,
	filter             TEXT    NOT NULL DEFAULT '', -- narrows the rollout's
	percentage         REAL    NOT NULL, -- of a dynamic group: how many targets it takes
	planned            INTEGER NOT NULL, -- how many targets it is to have
	total              INTEGER NOT NULL,
	consent            INTEGER NOT NULL,
	dynamic            INTEGER NOT NULL,
	cursor             INTEGER NOT NULL DEFAULT 0, -- the last target that its present step looked at
	created_by         TEXT    NOT NULL,
	created_at         INTEGER NOT NULL,
	modified_by        TEXT    NOT NULL,
	modified_at        INTEGER NOT NULL,
	UNIQUE (rollout_id, name)
) STRICT;
CREATE INDEX rollout_group_rollout ON rollout_group (rollout_id, id);

-- Who takes part, and in which group. Dynamic groups have actions alone.
CREATE TABLE rollout_member (
	target_id  INTEGER NOT NULL REFERENCES target (id) ON DELETE CASCADE,
	rollout_id INTEGER NOT NULL,
	group_id   INTEGER NOT NULL, -- whoever removes the rollout removes its members
	PRIMARY KEY (target_id, rollout_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollout_member_group ON rollout_member (group_id, target_id);

-- Targets of a tenant in the order in which groups take them, and how many there are.
CREATE INDEX target_tenant ON target (tenant_id, id);

CREATE INDEX action_group ON action (rollout_group_id, filed_as, id) WHERE rollout_group_id IS NOT NULL;

CREATE TABLE auto_assignment (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id       INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	name            TEXT    NOT NULL,
	description     TEXT,
	filter          TEXT    NOT NULL,
	set_id          INTEGER NOT NULL REFERENCES distribution_set (id) ON DELETE CASCADE,
	type            INTEGER NOT NULL, -- deployment.Type
	weight          INTEGER NOT NULL,
	consent         INTEGER NOT NULL,
	start_at        INTEGER,
	status          INTEGER NOT NULL, -- rollout.AutoAssignmentStatus
	approval_by     TEXT,
	approval_remark TEXT,
	waiting         TEXT    NOT NULL DEFAULT '', -- why its next step fails; empty: it does not
	created_by      TEXT    NOT NULL,
	created_at      INTEGER NOT NULL,
	modified_by     TEXT    NOT NULL,
	modified_at     INTEGER NOT NULL,
	UNIQUE (tenant_id, name)
) STRICT;
CREATE INDEX auto_assignment_set ON auto_assignment (set_id);
-- What the engine works on: ready, running.
CREATE INDEX auto_assignment_busy ON auto_assignment (status) WHERE status IN (2, 4);

CREATE TABLE target_filter (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id   INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	name        TEXT    NOT NULL,
	query       TEXT    NOT NULL,
	created_by  TEXT    NOT NULL,
	created_at  INTEGER NOT NULL,
	modified_by TEXT    NOT NULL,
	modified_at INTEGER NOT NULL,
	UNIQUE (tenant_id, name)
) STRICT;

-- Sets that were invalidated and may have active actions left to cancel.
CREATE TABLE invalidation (
	set_id     INTEGER NOT NULL PRIMARY KEY REFERENCES distribution_set (id) ON DELETE CASCADE,
	tenant_id  INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	force      BOOLEAN NOT NULL, -- ended at once, whatever the device does
	by_user    TEXT NOT NULL,
	waiting    TEXT NOT NULL DEFAULT '', -- why the next step fails; empty: it does not
	created_at INTEGER  NOT NULL
);

-- Which process does a kind of background work. The fence grows with each new
-- holder; a step of an older one is refused.
CREATE TABLE lease (
	name     TEXT    NOT NULL PRIMARY KEY,
	holder   INTEGER NOT NULL,
	fence    INTEGER NOT NULL,
	ends_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far events have been forgotten, in their order (one row).
CREATE TABLE event_floor (
	tx INTEGER NOT NULL,
	id INTEGER NOT NULL
) STRICT;
INSERT INTO event_floor (tx, id) VALUES (0, 0);
