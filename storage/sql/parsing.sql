-- name: internal_views
-- DuckDB's own.
SELECT lower(view_name) FROM duckdb_views() WHERE internal;

-- name: tree
-- What a text says, as JSON; the text is not executed.
SELECT json_serialize_sql($sql);
