-- name: log_ahead
PRAGMA journal_mode = WAL;

-- name: sync
-- What was answered survives a power cut.
PRAGMA synchronous = FULL;

-- name: create
CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, changes BLOB NOT NULL);

-- name: begin
BEGIN;

-- name: append
INSERT INTO entries VALUES (?, ?);

-- name: trim
DELETE FROM entries WHERE number <= ?;

-- name: after
SELECT number, changes FROM entries WHERE number > ? ORDER BY number;

-- name: look
SELECT count(*) FROM sqlite_schema;
