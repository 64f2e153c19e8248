-- name: log_ahead
PRAGMA journal_mode = WAL;

-- name: sync
PRAGMA synchronous = NORMAL;
