-- What rollouts need to go on where they were cut off, and to be judged again.
-- No version before this one wrote facts.
DROP TABLE facts;
CREATE TABLE facts (
    id INTEGER PRIMARY KEY, group_id INTEGER, trajectory_id INTEGER, call TEXT NOT NULL,
    observation TEXT NOT NULL, is_error INTEGER NOT NULL, ops BLOB NOT NULL, created_at REAL NOT NULL
);
CREATE INDEX facts_by_group ON facts (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX facts_by_trajectory ON facts (trajectory_id) WHERE trajectory_id IS NOT NULL;
ALTER TABLE turns ADD COLUMN facts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN ends TEXT NOT NULL DEFAULT '';
ALTER TABLE environments ADD COLUMN digest TEXT NOT NULL DEFAULT '';
CREATE TABLE scorings (
    id INTEGER PRIMARY KEY, rubric BLOB NOT NULL, judge TEXT NOT NULL, created_at REAL NOT NULL
);
CREATE TABLE judgements (
    id INTEGER PRIMARY KEY, scoring_id INTEGER NOT NULL, trajectory_id INTEGER NOT NULL,
    reward REAL, reason TEXT, detail BLOB NOT NULL, created_at REAL NOT NULL,
    UNIQUE (trajectory_id, scoring_id)
);
