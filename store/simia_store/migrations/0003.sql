-- What a run that works from seeds made of them, and the words that the simulator was asked with.
CREATE TABLE seeds (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, cause TEXT, reason TEXT, reward REAL,
    messages BLOB NOT NULL, detail BLOB NOT NULL
);
CREATE TABLE prompts (
    id INTEGER PRIMARY KEY, role TEXT NOT NULL, sha256 TEXT NOT NULL, words TEXT NOT NULL
);
ALTER TABLE tasks ADD COLUMN status TEXT NOT NULL DEFAULT 'ready';
ALTER TABLE tasks ADD COLUMN reason TEXT;

-- A repair has a reason.
UPDATE trajectories SET detail = CAST(json_set(CAST(detail AS TEXT), '$.repairs', (
    SELECT json_group_array(json_object('rule', value, 'reason', ''))
    FROM json_each(CAST(detail AS TEXT), '$.repairs')
)) AS BLOB) WHERE json_type(CAST(detail AS TEXT), '$.repairs[0]') = 'text';
