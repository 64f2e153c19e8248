-- name: utc
-- Days and hours in users' SQL are UTC, wherever the machine stands.
SET GLOBAL TimeZone = 'UTC';

-- name: create_migrations
CREATE TABLE IF NOT EXISTS migrations (
    version INTEGER PRIMARY KEY,
    name VARCHAR NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL
);

-- name: applied
SELECT coalesce(max(version), 0) FROM migrations;

-- name: record
INSERT INTO migrations VALUES ($version, $name, now());
