package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/otaria/otaria/client"
	"github.com/otaria/otaria/fleet"
)

// introduce lets every device have polled once. One of them does; what its first
// poll left behind is done for the others in SQL, past the server: their first polls
// would take longer than all that is measured.
func (p *plan) introduce(ctx context.Context, c *contender) (err error) {
	if _, err := p.simulate(ctx, c.url, c.fleet, "--devices", "1", "--flood", "--no-attributes", "--until-idle"); err != nil {
		return err
	}
	db, err := c.connect()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var address string
	if err := db.QueryRowContext(ctx, "SELECT address FROM target WHERE controller_id = $1", name(0)).Scan(&address); err != nil {
		return fmt.Errorf("find the address that devices come from: %w", err)
	}
	c.restore = "UPDATE target SET address = '" + address + "' WHERE id >= $1 AND id < $2 AND (address IS NULL OR address <> '" + address + "')"
	if err := pieces(ctx, db, c.restore,
		fmt.Sprintf("UPDATE target_state SET status = %d WHERE target_id >= $1 AND target_id < $2 AND status = %d", fleet.StatusRegistered, fleet.StatusUnknown),
		fmt.Sprintf("INSERT INTO target_visit (target_id, seen_at) SELECT id, %d FROM target WHERE id >= $1 AND id < $2 ON CONFLICT (target_id) DO NOTHING", time.Now().UnixMilli()),
	); err != nil {
		return fmt.Errorf("introduce the devices: %w", err)
	}
	return c.vacuum(ctx, db)
}

// connect opens the contender's database, beside its server.
func (c *contender) connect() (*sql.DB, error) {
	driver, url := "pgx", c.address
	if c.database == "sqlite" {
		driver, url = "sqlite", c.address+"?_pragma=busy_timeout(60000)"
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return db, nil
}

// vacuum does what autovacuum does within minutes.
func (c *contender) vacuum(ctx context.Context, db *sql.DB) error {
	if c.database != "postgres" {
		return nil
	}
	if _, err := db.ExecContext(ctx, "VACUUM ANALYZE"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return nil
}

// describe gives the targets of a fleet what filters ask for: of each property
// one value that a thousandth of them have, and one that half of them have. It
// goes past the server, in SQL: a million devices that tell their attributes
// one by one take an hour.
func (p *plan) describe(ctx context.Context, c *contender) (err error) {
	db, err := c.connect()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	began := time.Now()
	done := filepath.Join(filepath.Dir(c.fleet), "described")
	if _, err := os.Stat(done); err != nil {
		texts, err := c.description(ctx)
		if err != nil {
			return err
		}
		if err := pieces(ctx, db, texts...); err != nil {
			return fmt.Errorf("describe the targets: %w", err)
		}
		if err := os.WriteFile(done, nil, 0o600); err != nil {
			return fmt.Errorf("note that the targets are described: %w", err)
		}
	}
	if err := pieces(ctx, db, visited(time.Now())); err != nil {
		return fmt.Errorf("say when targets were seen: %w", err)
	}
	if err := c.vacuum(ctx, db); err != nil {
		return err
	}
	p.say("%s: described in %.1f s", c.name(), time.Since(began).Seconds())
	return nil
}

// restoreAddresses makes devices come from where they are known to come from again,
// after they were described: otherwise every poll would be news.
func (c *contender) restoreAddresses(ctx context.Context) (err error) {
	if c.restore == "" { // no device polls in this run
		return nil
	}
	db, err := c.connect()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := pieces(ctx, db, c.restore); err != nil {
		return fmt.Errorf("restore the addresses: %w", err)
	}
	return c.vacuum(ctx, db)
}

// number is the number of a target, as fill counts them.
const number = "CAST(substr(controller_id, 5) AS INTEGER)"

// few and half are those targets' conditions.
const (
	few  = number + " % 1000 = 7"
	half = number + " % 2 = 0"
)

// description makes what targets refer to, and returns statements about the
// targets with ids from $1 on and before $2.
func (c *contender) description(ctx context.Context) ([]string, error) {
	api := c.api()
	module, err := api.CreateModule(ctx, client.Module{Type: "os", Name: "firmware", Version: "1"})
	if err != nil {
		return nil, fmt.Errorf("create a module: %w", err)
	}
	var sets [2]client.Set
	for i, version := range []string{"1.0", "2.0"} {
		if sets[i], err = api.CreateSet(ctx, client.Set{Type: "os", Name: "firmware", Version: version}, module.ID); err != nil {
			return nil, fmt.Errorf("create a set: %w", err)
		}
	}
	type made []struct {
		ID int64 `json:"id"`
	}
	var types, tags made
	if err := api.Do(ctx, "POST", "/rest/v1/targettypes", []map[string]string{{"key": "gateway", "name": "Gateway"}, {"key": "pump", "name": "Pump"}}, &types); err != nil {
		return nil, fmt.Errorf("create target types: %w", err)
	}
	if err := api.Do(ctx, "POST", "/rest/v1/targettags", []map[string]string{{"name": "lab"}, {"name": "field"}}, &tags); err != nil {
		return nil, fmt.Errorf("create target tags: %w", err)
	}
	choose := func(a, b, c any) string {
		return fmt.Sprintf("CASE WHEN %s THEN %v WHEN %s THEN %v ELSE %v END", few, a, half, b, c)
	}
	of := func(what, from string) string {
		return fmt.Sprintf("INSERT INTO %s FROM target WHERE id >= $1 AND id < $2%s", what, from)
	}
	text := func(n string) string { return "CAST(" + n + " AS TEXT)" }
	return []string{
		"UPDATE target SET name = " + choose("'Gateway '", "'Pump '", "'Valve '") + " || " + text(number) +
			", description = " + choose("'a gateway in the laboratory'", "'a pump'", "NULL") +
			", address = 'http://10.' || " + text(number+" / 65536") + " || '.' || " + text(number+" / 256 % 256") + " || '.' || " + text(number+" % 256") +
			", group_name = CASE WHEN " + half + " THEN 'Asia' ELSE 'Europe/Site ' || " + text(number+" / 2 % 500") + " END" +
			", type_id = " + choose(types[0].ID, types[1].ID, "NULL") +
			", created_at = 1700000000000 + 1000 * CAST(" + number + " AS BIGINT)" +
			", created_by = " + choose("'jane'", "'john'", "'admin'") +
			" WHERE id >= $1 AND id < $2",
		"UPDATE target_state SET status = t.status, assigned_set = t.chosen, installed_set = t.chosen, modified_by = t.created_by, modified_at = t.created_at FROM (SELECT id, created_by, created_at, " +
			choose(int(fleet.StatusError), int(fleet.StatusInSync), int(fleet.StatusRegistered)) + " AS status, " +
			choose(sets[0].ID, sets[1].ID, "NULL") + " AS chosen FROM target WHERE id >= $1 AND id < $2) AS t WHERE target_id = t.id",
		of("target_attribute (target_id, key, value) SELECT id, 'revision', 'r' || "+text(number+" % 1000"), ""),
		of("target_attribute (target_id, key, value) SELECT id, 'serial', 's' || "+text(number), ""),
		of("target_attribute (target_id, key, value) SELECT id, 'hw', CASE WHEN "+half+" THEN 'A' ELSE 'B' END", ""),
		of("target_metadata (target_id, key, value) SELECT id, 'hall', 'h' || "+text(number+" / 10 % 1000"), " AND "+number+" % 10 = 0"),
		of("target_metadata (target_id, key, value) SELECT id, 'country', 'DE'", " AND "+half),
		of(fmt.Sprintf("target_tagging (target_id, tag_id) SELECT id, %d", tags[0].ID), " AND "+few),
		of(fmt.Sprintf("target_tagging (target_id, tag_id) SELECT id, %d", tags[1].ID), " AND "+half),
		of("auto_confirm (target_id, activated_by, activated_at) SELECT id, 'jane', 1700000000000", " AND "+few),
	}, nil
}

// visited lets a thousandth of the targets have been silent for a month, and
// half of the others for an hour.
func visited(now time.Time) string {
	return fmt.Sprintf("INSERT INTO target_visit (target_id, seen_at) SELECT id, %d - CASE WHEN %s THEN %d WHEN %s THEN %d ELSE 0 END FROM target WHERE id >= $1 AND id < $2 ON CONFLICT (target_id) DO UPDATE SET seen_at = excluded.seen_at",
		now.UnixMilli(), few, (30 * 24 * time.Hour).Milliseconds(), half, time.Hour.Milliseconds())
}

// pieces runs statements for all targets, in transactions so small that the
// server need not wait for long.
func pieces(ctx context.Context, db *sql.DB, texts ...string) error {
	var first, last int64
	if err := db.QueryRowContext(ctx, "SELECT min(id), max(id) FROM target").Scan(&first, &last); err != nil {
		return fmt.Errorf("find the targets: %w", err)
	}
	const piece = 20_000
	for from := first; from <= last; from += piece {
		for _, text := range texts {
			if _, err := db.ExecContext(ctx, text, from, from+piece); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
	}
	return nil
}
