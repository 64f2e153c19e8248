-- Threads, their runs, and who may write to them.
--
-- DuckDB uses an index only for a condition that stands alone (a run's id excepted: it grows with time, so what is
-- scanned instead is small), and updating an indexed column is a delete and an insert. So indexed columns never change,
-- and what would search by a thread and something else searches by the thread and looks at the rest afterwards.

CREATE TABLE assistants (
    assistant_id VARCHAR PRIMARY KEY,
    graph_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    description VARCHAR,
    config JSON NOT NULL,
    context JSON NOT NULL,
    metadata JSON NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE threads (
    thread_id VARCHAR PRIMARY KEY,
    user_id VARCHAR,
    status VARCHAR NOT NULL, -- between runs; with unfinished ones it is busy
    unfinished INTEGER NOT NULL, -- runs without a final status
    metadata JSON NOT NULL,
    config JSON NOT NULL,
    interrupts JSON NOT NULL,
    error_type VARCHAR,
    error_message VARCHAR,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    state_updated_at TIMESTAMPTZ
);

-- Outlives its thread, so that no epoch and no tape number is ever given out twice.
CREATE TABLE bindings (
    thread_id VARCHAR PRIMARY KEY,
    epoch BIGINT NOT NULL,
    next_seq BIGINT NOT NULL
);

CREATE SEQUENCE admissions;

-- One row per run, kept for accounting after its thread is deleted. Columns named as users know them.
CREATE TABLE runs (
    run_id UUID PRIMARY KEY,
    thread_id VARCHAR NOT NULL,
    user_id VARCHAR,
    tenant VARCHAR,
    assistant_id VARCHAR NOT NULL,
    assistant_version INTEGER NOT NULL,
    graph_id VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    multitask_strategy VARCHAR NOT NULL,
    attempt SMALLINT NOT NULL,
    queued_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    error_type VARCHAR,
    tags VARCHAR[] NOT NULL,
    metadata JSON NOT NULL,
    environment VARCHAR,
    release VARCHAR,
    dialect VARCHAR NOT NULL,
    error_message VARCHAR,
    cancel_reason VARCHAR,
    checkpoint_id VARCHAR,
    first_seq BIGINT,
    last_seq BIGINT,
    last_ms BIGINT,
    updated_at TIMESTAMPTZ NOT NULL,
    admission BIGINT NOT NULL DEFAULT nextval('admissions'),
    request JSON, -- a part of the conversation: it goes with its thread
    deleted_at TIMESTAMPTZ
);

CREATE INDEX runs_thread ON runs (thread_id);

-- Assistants are read as the JSON of their record, which msgspec alone then checks and builds.
CREATE MACRO moment(instant) AS strftime(instant AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ');
