-- name: create
CREATE TABLE IF NOT EXISTS chunks (
    thread_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    previous_seq INTEGER NOT NULL, -- the run's part before the first, which may be in no chunk; 0 if there is none
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    size INTEGER NOT NULL,
    parts BLOB NOT NULL,
    PRIMARY KEY (run_id, first_seq)
);

-- name: by_thread
CREATE INDEX IF NOT EXISTS chunks_thread ON chunks (thread_id);

-- name: by_age
CREATE INDEX IF NOT EXISTS chunks_age ON chunks (last_ms);

-- name: append
INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: next
SELECT previous_seq, last_seq, parts FROM chunks WHERE run_id = ? AND last_seq > ? ORDER BY first_seq LIMIT 1;

-- name: keeps
SELECT 1 FROM chunks WHERE run_id = ? LIMIT 1;

-- name: size_of_run
SELECT coalesce(sum(size), 0) FROM chunks WHERE run_id = ?;

-- name: trim_run
-- The oldest chunk of a run.
DELETE FROM chunks WHERE run_id = ?1 AND first_seq = (SELECT min(first_seq) FROM chunks WHERE run_id = ?1);

-- name: forget_thread
DELETE FROM chunks WHERE thread_id = ?;

-- name: forget_older
DELETE FROM chunks WHERE last_ms < ?;

-- name: forget_epochs
-- Of threads of which nothing is kept: what a woken actor of theirs might add is soon too old as well.
DELETE FROM epochs WHERE thread_id NOT IN (SELECT thread_id FROM chunks);

-- name: size
SELECT coalesce(sum(size), 0) FROM chunks;

-- name: forget_oldest
DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks ORDER BY last_ms LIMIT ?);
