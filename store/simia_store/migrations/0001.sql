-- The first schema. A trigger a table wrote the order of events.
CREATE TABLE runs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, config BLOB NOT NULL, status TEXT NOT NULL,
    reason TEXT, started_at REAL NOT NULL, finished_at REAL
);
CREATE TABLE environments (name TEXT PRIMARY KEY, policy TEXT NOT NULL, tools BLOB NOT NULL);
CREATE TABLE groups (
    id INTEGER PRIMARY KEY, task_id TEXT NOT NULL, step INTEGER NOT NULL,
    policy_version INTEGER NOT NULL, size INTEGER NOT NULL, rewards BLOB NOT NULL
);
CREATE INDEX groups_by_step ON groups (step);
CREATE TABLE trajectories (
    id INTEGER PRIMARY KEY, environment TEXT NOT NULL, task_id TEXT NOT NULL, status TEXT NOT NULL,
    split TEXT NOT NULL, group_id INTEGER, policy_version INTEGER, stop_reason TEXT, reward REAL,
    boundary TEXT, reason TEXT, detail BLOB NOT NULL, created_at REAL NOT NULL, finished_at REAL
);
CREATE INDEX trajectories_by_group ON trajectories (group_id);
CREATE INDEX trajectories_by_status ON trajectories (status);
CREATE TABLE turns (
    trajectory_id INTEGER NOT NULL REFERENCES trajectories (id), position INTEGER NOT NULL,
    role TEXT NOT NULL, message BLOB NOT NULL, source TEXT, is_error INTEGER NOT NULL,
    ops BLOB NOT NULL,
    prompt_ids BLOB NOT NULL, token_ids BLOB NOT NULL, logprobs BLOB NOT NULL,
    UNIQUE (trajectory_id, position)
);
CREATE TABLE calls (
    trajectory_id INTEGER, role TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL,
    attempt INTEGER NOT NULL, status TEXT NOT NULL, latency_s REAL NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL,
    cost_usd REAL, error TEXT, created_at REAL NOT NULL
);
CREATE TABLE metrics (
    step INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, created_at REAL NOT NULL
);
CREATE INDEX metrics_by_name ON metrics (name, step);
CREATE TABLE adapters (
    version INTEGER PRIMARY KEY, path TEXT NOT NULL, parent TEXT, step INTEGER NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, row INTEGER NOT NULL
);

CREATE TRIGGER runs_insert AFTER INSERT ON runs BEGIN INSERT INTO events (kind, row) VALUES ('runs', NEW.rowid); END;
CREATE TRIGGER runs_update AFTER UPDATE ON runs BEGIN INSERT INTO events (kind, row) VALUES ('runs', NEW.rowid); END;
CREATE TRIGGER environments_insert AFTER INSERT ON environments BEGIN INSERT INTO events (kind, row) VALUES ('environments', NEW.rowid); END;
CREATE TRIGGER environments_update AFTER UPDATE ON environments BEGIN INSERT INTO events (kind, row) VALUES ('environments', NEW.rowid); END;
CREATE TRIGGER groups_insert AFTER INSERT ON groups BEGIN INSERT INTO events (kind, row) VALUES ('groups', NEW.rowid); END;
CREATE TRIGGER groups_update AFTER UPDATE ON groups BEGIN INSERT INTO events (kind, row) VALUES ('groups', NEW.rowid); END;
CREATE TRIGGER trajectories_insert AFTER INSERT ON trajectories BEGIN INSERT INTO events (kind, row) VALUES ('trajectories', NEW.rowid); END;
CREATE TRIGGER trajectories_update AFTER UPDATE ON trajectories BEGIN INSERT INTO events (kind, row) VALUES ('trajectories', NEW.rowid); END;
CREATE TRIGGER turns_insert AFTER INSERT ON turns BEGIN INSERT INTO events (kind, row) VALUES ('turns', NEW.rowid); END;
CREATE TRIGGER turns_update AFTER UPDATE ON turns BEGIN INSERT INTO events (kind, row) VALUES ('turns', NEW.rowid); END;
CREATE TRIGGER calls_insert AFTER INSERT ON calls BEGIN INSERT INTO events (kind, row) VALUES ('calls', NEW.rowid); END;
CREATE TRIGGER calls_update AFTER UPDATE ON calls BEGIN INSERT INTO events (kind, row) VALUES ('calls', NEW.rowid); END;
CREATE TRIGGER metrics_insert AFTER INSERT ON metrics BEGIN INSERT INTO events (kind, row) VALUES ('metrics', NEW.rowid); END;
CREATE TRIGGER metrics_update AFTER UPDATE ON metrics BEGIN INSERT INTO events (kind, row) VALUES ('metrics', NEW.rowid); END;
CREATE TRIGGER adapters_insert AFTER INSERT ON adapters BEGIN INSERT INTO events (kind, row) VALUES ('adapters', NEW.rowid); END;
CREATE TRIGGER adapters_update AFTER UPDATE ON adapters BEGIN INSERT INTO events (kind, row) VALUES ('adapters', NEW.rowid); END;
