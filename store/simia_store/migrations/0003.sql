-- What a run that works from seeds made of them, and the words that the simulator was asked with.
CREATE TABLE seeds (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, cause TEXT, reason TEXT, reward REAL,
    messages BLOB NOT NULL, detail BLOB NOT NULL
);
CREATE TABLE prompts (role TEXT PRIMARY KEY, sha256 TEXT NOT NULL, words TEXT NOT NULL);
