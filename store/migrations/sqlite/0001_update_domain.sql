-- +goose Up

-- Times are milliseconds since 1970 UTC. The tenant stands first in every natural key.
-- Text that may be NULL was never given, which a client sees otherwise than empty text.
-- Ids are never used twice (AUTOINCREMENT): a device may remember one that was deleted.

CREATE TABLE tenant (
	id               INTEGER PRIMARY KEY AUTOINCREMENT,
	name             TEXT    NOT NULL UNIQUE,
	default_set_type INTEGER NOT NULL DEFAULT 0,
	created_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE setting (
	tenant_id   INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	key         TEXT    NOT NULL,
	value       TEXT    NOT NULL,
	created_by  TEXT    NOT NULL,
	created_at  INTEGER NOT NULL,
	modified_by TEXT    NOT NULL,
	modified_at INTEGER NOT NULL,
	PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id     INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	name          TEXT    NOT NULL,
	password_hash TEXT    NOT NULL,
	authorities   TEXT    NOT NULL, -- JSON list of permission and role names, as granted
	created_at    INTEGER NOT NULL,
	UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE software_module_type (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id       INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	key             TEXT    NOT NULL,
	name            TEXT    NOT NULL,
	description     TEXT,
	colour          TEXT,
	min_artifacts   INTEGER NOT NULL,
	max_assignments INTEGER NOT NULL,
	deleted         INTEGER NOT NULL DEFAULT 0,
	created_by      TEXT    NOT NULL,
	created_at      INTEGER NOT NULL,
	modified_by     TEXT    NOT NULL,
	modified_at     INTEGER NOT NULL,
	UNIQUE (tenant_id, key),
	UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE software_module (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id   INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	type_id     INTEGER NOT NULL REFERENCES software_module_type (id),
	name        TEXT    NOT NULL,
	version     TEXT    NOT NULL,
	description TEXT,
	vendor      TEXT,
	encrypted   INTEGER NOT NULL DEFAULT 0,
	locked      INTEGER NOT NULL DEFAULT 0,
	deleted     INTEGER NOT NULL DEFAULT 0,
	created_by  TEXT    NOT NULL,
	created_at  INTEGER NOT NULL,
	modified_by TEXT    NOT NULL,
	modified_at INTEGER NOT NULL,
	UNIQUE (tenant_id, type_id, name, version)
) STRICT;
CREATE INDEX software_module_type_id ON software_module (type_id);

CREATE TABLE software_module_metadata (
	module_id      INTEGER NOT NULL REFERENCES software_module (id) ON DELETE CASCADE,
	key            TEXT    NOT NULL,
	value          TEXT, -- NULL: given without a value
	target_visible INTEGER NOT NULL,
	PRIMARY KEY (module_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id    INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	module_id    INTEGER NOT NULL REFERENCES software_module (id) ON DELETE CASCADE,
	filename     TEXT    NOT NULL,
	filename_key TEXT    NOT NULL, -- the name without regard to case, unique within the module
	sha256       TEXT    NOT NULL, -- the address of the bytes in the blob store
	sha1         TEXT    NOT NULL,
	md5          TEXT    NOT NULL,
	size         INTEGER NOT NULL,
	created_by   TEXT    NOT NULL,
	created_at   INTEGER NOT NULL,
	modified_by  TEXT    NOT NULL,
	modified_at  INTEGER NOT NULL,
	UNIQUE (module_id, filename_key)
) STRICT;
CREATE INDEX artifact_sha256 ON artifact (sha256);
CREATE INDEX artifact_tenant ON artifact (tenant_id, size);

CREATE TABLE distribution_set_type (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id   INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	key         TEXT    NOT NULL,
	name        TEXT    NOT NULL,
	description TEXT,
	colour      TEXT,
	deleted     INTEGER NOT NULL DEFAULT 0,
	created_by  TEXT    NOT NULL,
	created_at  INTEGER NOT NULL,
	modified_by TEXT    NOT NULL,
	modified_at INTEGER NOT NULL,
	UNIQUE (tenant_id, key),
	UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE distribution_set_type_module (
	set_type_id    INTEGER NOT NULL REFERENCES distribution_set_type (id) ON DELETE CASCADE,
	module_type_id INTEGER NOT NULL REFERENCES software_module_type (id),
	mandatory      INTEGER NOT NULL,
	PRIMARY KEY (set_type_id, module_type_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX distribution_set_type_module_type ON distribution_set_type_module (module_type_id);

CREATE TABLE distribution_set (
	id                      INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id               INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	type_id                 INTEGER NOT NULL REFERENCES distribution_set_type (id),
	name                    TEXT    NOT NULL,
	version                 TEXT    NOT NULL,
	description             TEXT,
	required_migration_step INTEGER NOT NULL DEFAULT 0,
	valid                   INTEGER NOT NULL DEFAULT 1,
	locked                  INTEGER NOT NULL DEFAULT 0,
	deleted                 INTEGER NOT NULL DEFAULT 0,
	created_by              TEXT    NOT NULL,
	created_at              INTEGER NOT NULL,
	modified_by             TEXT    NOT NULL,
	modified_at             INTEGER NOT NULL,
	UNIQUE (tenant_id, name, version, type_id)
) STRICT;
CREATE INDEX distribution_set_type_id ON distribution_set (type_id);

CREATE TABLE distribution_set_module (
	set_id    INTEGER NOT NULL REFERENCES distribution_set (id) ON DELETE CASCADE,
	module_id INTEGER NOT NULL REFERENCES software_module (id),
	PRIMARY KEY (set_id, module_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX distribution_set_module_module ON distribution_set_module (module_id);

CREATE TABLE distribution_set_metadata (
	set_id INTEGER NOT NULL REFERENCES distribution_set (id) ON DELETE CASCADE,
	key    TEXT    NOT NULL,
	value  TEXT    NOT NULL,
	PRIMARY KEY (set_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE distribution_set_tag (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id   INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	name        TEXT    NOT NULL,
	description TEXT,
	colour      TEXT,
	created_by  TEXT    NOT NULL,
	created_at  INTEGER NOT NULL,
	modified_by TEXT    NOT NULL,
	modified_at INTEGER NOT NULL,
	UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE distribution_set_tagging (
	set_id INTEGER NOT NULL REFERENCES distribution_set (id) ON DELETE CASCADE,
	tag_id INTEGER NOT NULL REFERENCES distribution_set_tag (id) ON DELETE CASCADE,
	PRIMARY KEY (set_id, tag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX distribution_set_tagging_tag ON distribution_set_tagging (tag_id);

CREATE TABLE target_type (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id   INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	key         TEXT    NOT NULL,
	name        TEXT    NOT NULL,
	description TEXT,
	colour      TEXT,
	created_by  TEXT    NOT NULL,
	created_at  INTEGER NOT NULL,
	modified_by TEXT    NOT NULL,
	modified_at INTEGER NOT NULL,
	UNIQUE (tenant_id, key),
	UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE target_type_set_type (
	target_type_id INTEGER NOT NULL REFERENCES target_type (id) ON DELETE CASCADE,
	set_type_id    INTEGER NOT NULL REFERENCES distribution_set_type (id) ON DELETE CASCADE,
	PRIMARY KEY (target_type_id, set_type_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX target_type_set_type_set_type ON target_type_set_type (set_type_id);

CREATE TABLE target (
	id                 INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id          INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	controller_id      TEXT    NOT NULL,
	name               TEXT    NOT NULL,
	description        TEXT,
	token              TEXT    NOT NULL,
	address            TEXT,
	group_name         TEXT,
	type_id            INTEGER REFERENCES target_type (id),
	created_by         TEXT    NOT NULL,
	created_at         INTEGER NOT NULL,
	UNIQUE (tenant_id, controller_id)
) STRICT;
CREATE INDEX target_type_id ON target (type_id) WHERE type_id IS NOT NULL;
CREATE INDEX target_group ON target (tenant_id, group_name) WHERE group_name IS NOT NULL;
CREATE INDEX target_controller_folded ON target (tenant_id, lower(controller_id));
CREATE INDEX target_name_folded ON target (tenant_id, lower(name));
CREATE INDEX target_name ON target (tenant_id, name);
CREATE INDEX target_created ON target (tenant_id, created_at);
CREATE INDEX target_group_folded ON target (tenant_id, lower(group_name)) WHERE lower(group_name) IS NOT NULL;

-- How many targets a tenant has is the sum of these: who creates or deletes some
-- adds a row, so that nobody waits for another, and folds many rows into one now
-- and then. Counting a million targets takes longer than reading a page of them.
CREATE TABLE target_count (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	change    INTEGER NOT NULL
) STRICT;
CREATE INDEX target_count_tenant ON target_count (tenant_id, id);

-- What deployments change of a target, apart from the rest: PostgreSQL writes a
-- row anew, and all that its indexes know of it, when an indexed column changes,
-- and a rollout changes a million of them. Each target has a row, which is also
-- what everybody locks who changes anything of the target.
CREATE TABLE target_state (
	target_id          INTEGER PRIMARY KEY REFERENCES target (id) ON DELETE CASCADE,
	status             INTEGER NOT NULL, -- fleet.Status
	assigned_set       INTEGER REFERENCES distribution_set (id),
	installed_set      INTEGER REFERENCES distribution_set (id),
	installed_at       INTEGER,
	request_attributes INTEGER NOT NULL DEFAULT 1,
	modified_by        TEXT    NOT NULL,
	modified_at        INTEGER NOT NULL
) STRICT;
CREATE INDEX target_state_assigned ON target_state (assigned_set) WHERE assigned_set IS NOT NULL;
CREATE INDEX target_state_installed ON target_state (installed_set) WHERE installed_set IS NOT NULL;

-- When each target was last seen, apart from the target: a second's check-ins
-- then touch few pages, however wide a target is.
CREATE TABLE target_visit (
	target_id INTEGER PRIMARY KEY REFERENCES target (id) ON DELETE CASCADE,
	seen_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE target_attribute (
	target_id INTEGER NOT NULL REFERENCES target (id) ON DELETE CASCADE,
	key       TEXT    NOT NULL,
	value     TEXT    NOT NULL,
	PRIMARY KEY (target_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX target_attribute_folded ON target_attribute (lower(key), lower(value), target_id);

CREATE TABLE target_metadata (
	target_id INTEGER NOT NULL REFERENCES target (id) ON DELETE CASCADE,
	key       TEXT    NOT NULL,
	value     TEXT    NOT NULL,
	PRIMARY KEY (target_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX target_metadata_folded ON target_metadata (lower(key), substr(lower(value), 1, 100), target_id); -- PostgreSQL takes no long text

CREATE TABLE target_tag (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id   INTEGER NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
	name        TEXT    NOT NULL,
	description TEXT,
	colour      TEXT,
	created_by  TEXT    NOT NULL,
	created_at  INTEGER NOT NULL,
	modified_by TEXT    NOT NULL,
	modified_at INTEGER NOT NULL,
	UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE target_tagging (
	target_id INTEGER NOT NULL REFERENCES target (id) ON DELETE CASCADE,
	tag_id    INTEGER NOT NULL REFERENCES target_tag (id) ON DELETE CASCADE,
	PRIMARY KEY (target_id, tag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX target_tagging_tag ON target_tagging (tag_id, target_id);

CREATE TABLE auto_confirm (
	target_id    INTEGER PRIMARY KEY REFERENCES target (id) ON DELETE CASCADE,
	initiator    TEXT    NOT NULL DEFAULT '',
	remark       TEXT    NOT NULL DEFAULT '',
	activated_by TEXT    NOT NULL,
	activated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE action (
	id               INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id        INTEGER NOT NULL, -- of the target, which goes with it
	target_id        INTEGER NOT NULL REFERENCES target (id) ON DELETE CASCADE,
	set_id           INTEGER NOT NULL REFERENCES distribution_set (id),
	status           INTEGER NOT NULL, -- deployment.Status
	active           INTEGER NOT NULL,
	filed_as         INTEGER NOT NULL, -- what stands for status and active in the indexes; see filedAs
	type             INTEGER NOT NULL, -- deployment.Type
	forced_at        INTEGER NOT NULL DEFAULT 0,
	weight           INTEGER NOT NULL,
	window_schedule  TEXT    NOT NULL DEFAULT '',
	window_duration  TEXT    NOT NULL DEFAULT '',
	window_timezone  TEXT    NOT NULL DEFAULT '',
	last_code        INTEGER,
	external_ref     TEXT,
	consent_awaited  INTEGER NOT NULL DEFAULT 0, -- was waiting for consent when its cancellation began
	revision         INTEGER NOT NULL DEFAULT 1, -- changes with what a device may hear about the action
	entries          INTEGER NOT NULL DEFAULT 0, -- rows in action_status
	newest_entry     INTEGER NOT NULL DEFAULT -1, -- status of the newest of them
	rollout_id       INTEGER,
	rollout_group_id INTEGER,
	initiated_by     TEXT    NOT NULL,
	created_by       TEXT    NOT NULL,
	created_at       INTEGER NOT NULL,
	modified_by      TEXT    NOT NULL,
	modified_at      INTEGER NOT NULL,
	CHECK (filed_as = CASE WHEN active AND status = 5 THEN -2 WHEN active OR status = 8 THEN -1 ELSE status END)
) STRICT;
-- Clients exist that misread action ids below 1001 (spec device-apis D.4).
INSERT INTO sqlite_sequence (name, seq) VALUES ('action', 1000);
CREATE INDEX action_target ON action (target_id, id);
CREATE INDEX action_open ON action (target_id, weight DESC, id) WHERE filed_as < 0;
CREATE INDEX action_set ON action (set_id, filed_as);
CREATE INDEX action_tenant ON action (tenant_id, id);

CREATE TABLE action_status (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id   INTEGER NOT NULL,
	action_id   INTEGER NOT NULL REFERENCES action (id) ON DELETE CASCADE,
	status      INTEGER NOT NULL, -- deployment.Status
	occurred_at INTEGER NOT NULL,
	reported_at INTEGER NOT NULL,
	code        INTEGER,
	messages    TEXT    NOT NULL -- JSON list
) STRICT;
CREATE INDEX action_status_action ON action_status (action_id, id);

-- What happened, written in the transaction that made it happen.
CREATE TABLE event (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	tenant_id INTEGER NOT NULL,
	node      INTEGER NOT NULL, -- the process that wrote it
	kind      TEXT    NOT NULL,
	subject   INTEGER NOT NULL, -- id of what it happened to
	target_id INTEGER NOT NULL, -- the target whose next poll may be answered otherwise; 0: any of the tenant's, -1: none
	data      TEXT    NOT NULL, -- JSON object
	at        INTEGER NOT NULL,
	many      INTEGER NOT NULL DEFAULT 1, -- how many events the row holds, whose ids end with its id
	each      TEXT -- of several: JSON list of the subject and the target of each; the row has those of the last
) STRICT;
