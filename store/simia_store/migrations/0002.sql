-- Rows get ids that stand in the table itself, so that VACUUM keeps them; the writer, not triggers,
-- writes the events, a run of rows each; counts are kept, not computed; what other processes and
-- resumed runs need gets its tables.
DROP TRIGGER runs_insert;
DROP TRIGGER runs_update;
DROP TRIGGER environments_insert;
DROP TRIGGER environments_update;
DROP TRIGGER groups_insert;
DROP TRIGGER groups_update;
DROP TRIGGER trajectories_insert;
DROP TRIGGER trajectories_update;
DROP TRIGGER turns_insert;
DROP TRIGGER turns_update;
DROP TRIGGER calls_insert;
DROP TRIGGER calls_update;
DROP TRIGGER metrics_insert;
DROP TRIGGER metrics_update;
DROP TRIGGER adapters_insert;
DROP TRIGGER adapters_update;

ALTER TABLE events RENAME TO events_1;
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL
);
INSERT INTO events
    SELECT sequence, kind, n, n
    FROM (SELECT sequence, kind, iif(kind IN ('runs', 'environments'), 0, row) AS n FROM events_1);
DROP TABLE events_1;

ALTER TABLE trajectories ADD COLUMN rejected_by TEXT;
UPDATE trajectories SET rejected_by = json_extract(CAST(detail AS TEXT), '$.rejected_by');
DROP INDEX trajectories_by_group;
DROP INDEX trajectories_by_status;
CREATE INDEX trajectories_by_group ON trajectories (group_id, id);
CREATE INDEX trajectories_by_status ON trajectories (status, id);
CREATE INDEX trajectories_by_reward ON trajectories (reward, id) WHERE reward IS NOT NULL;

CREATE TABLE outcomes (
    status TEXT NOT NULL, cause TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (status, cause)
) WITHOUT ROWID;
INSERT INTO outcomes
    SELECT status, coalesce(rejected_by, boundary, stop_reason, ''), count(*)
    FROM trajectories GROUP BY 1, 2;
CREATE TRIGGER trajectory_comes AFTER INSERT ON trajectories BEGIN
    INSERT INTO outcomes
        VALUES (NEW.status, coalesce(NEW.rejected_by, NEW.boundary, NEW.stop_reason, ''), 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER trajectory_changes
AFTER UPDATE OF status, rejected_by, boundary, stop_reason ON trajectories BEGIN
    UPDATE outcomes SET count = count - 1 WHERE status = OLD.status
        AND cause = coalesce(OLD.rejected_by, OLD.boundary, OLD.stop_reason, '');
    INSERT INTO outcomes
        VALUES (NEW.status, coalesce(NEW.rejected_by, NEW.boundary, NEW.stop_reason, ''), 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;

ALTER TABLE turns RENAME TO turns_1;
CREATE TABLE turns (
    id INTEGER PRIMARY KEY, trajectory_id INTEGER NOT NULL, position INTEGER NOT NULL,
    role TEXT NOT NULL, message BLOB NOT NULL, source TEXT, is_error INTEGER NOT NULL,
    ops BLOB, prompt_ids BLOB, token_ids BLOB, logprobs BLOB,
    UNIQUE (trajectory_id, position)
);
INSERT INTO turns
    SELECT rowid, trajectory_id, position, role, message, source, is_error, ops, prompt_ids,
        token_ids, logprobs FROM turns_1;
DROP TABLE turns_1;

ALTER TABLE calls RENAME TO calls_1;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY, trajectory_id INTEGER, role TEXT NOT NULL, endpoint TEXT NOT NULL,
    model TEXT NOT NULL, attempt INTEGER NOT NULL, status TEXT NOT NULL, latency_s REAL NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL,
    tokens_reasoning INTEGER NOT NULL, waited_s REAL NOT NULL, cost_usd REAL, error TEXT,
    created_at REAL NOT NULL
);
INSERT INTO calls
    SELECT rowid, trajectory_id, role, endpoint, model, attempt, status, latency_s, tokens_in,
        tokens_out, tokens_cached, 0, 0.0, cost_usd, error, created_at FROM calls_1;
DROP TABLE calls_1;
CREATE INDEX calls_that_failed ON calls (id) WHERE status != 'ok';

CREATE TABLE usage (
    role TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, status TEXT NOT NULL,
    calls INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
    tokens_cached INTEGER NOT NULL, priced INTEGER NOT NULL, cost_usd REAL NOT NULL,
    max_cost_usd REAL NOT NULL, latency_s REAL NOT NULL,
    PRIMARY KEY (role, endpoint, model, status)
) WITHOUT ROWID;
INSERT INTO usage
    SELECT role, endpoint, model, status, count(*), sum(tokens_in), sum(tokens_out),
        sum(tokens_cached), count(cost_usd), total(cost_usd), coalesce(max(cost_usd), 0.0),
        sum(latency_s)
    FROM calls GROUP BY 1, 2, 3, 4;

ALTER TABLE metrics RENAME TO metrics_1;
DROP INDEX metrics_by_name;
CREATE TABLE metrics (
    id INTEGER PRIMARY KEY, step INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
    created_at REAL NOT NULL
);
INSERT INTO metrics SELECT rowid, step, name, value, created_at FROM metrics_1;
DROP TABLE metrics_1;
CREATE INDEX metrics_by_name ON metrics (name, step);

CREATE TABLE tasks (
    id TEXT PRIMARY KEY, environment TEXT NOT NULL, split TEXT NOT NULL, task BLOB NOT NULL
);
CREATE TABLE facts (
    id INTEGER PRIMARY KEY, group_id INTEGER, trajectory_id INTEGER, path TEXT NOT NULL,
    op BLOB NOT NULL, created_at REAL NOT NULL
);
CREATE INDEX facts_by_group ON facts (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX facts_by_trajectory ON facts (trajectory_id) WHERE trajectory_id IS NOT NULL;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL, version TEXT NOT NULL,
    started_at REAL NOT NULL, beat_at REAL NOT NULL, ended_at REAL
);
CREATE TABLE statistics (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, sample BLOB NOT NULL, created_at REAL NOT NULL
);
CREATE INDEX statistics_by_source ON statistics (source, id);
CREATE TABLE commands (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
    -- Others write here: what the owner could not read is refused at the door.
    arguments BLOB NOT NULL
        CHECK (typeof(arguments) = 'blob' AND json_type(CAST(arguments AS TEXT)) = 'object'),
    created_at REAL NOT NULL, status TEXT NOT NULL, answer TEXT, handled_at REAL
);
CREATE INDEX commands_that_wait ON commands (id) WHERE status = 'waiting';
CREATE TABLE dictionaries (id INTEGER PRIMARY KEY, dictionary BLOB NOT NULL);
