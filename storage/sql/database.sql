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

-- name: create_made
-- How much of the journal this database has made.
CREATE TABLE IF NOT EXISTS made (number BIGINT NOT NULL);

-- name: begin_made
INSERT INTO made SELECT 0 WHERE NOT EXISTS (FROM made);

-- name: made
SELECT number FROM made;

-- name: note_made
UPDATE made SET number = $number;

-- name: limit_spill
-- What a query cannot hold in memory goes to disk, beside the file, and must not fill it.
SET GLOBAL max_temp_directory_size = '4GiB';

-- name: no_files
-- What users ask in SQL reads no files, loads no extensions and speaks to nobody.
SET GLOBAL enable_external_access = false;

-- name: lock
-- The last of the settings.
SET GLOBAL lock_configuration = true;
