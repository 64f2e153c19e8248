-- Threads that are gone, and whose checkpoints and tapes are still to be removed: late readers may have them until then.

CREATE TABLE garbage (
    thread_id VARCHAR PRIMARY KEY,
    due_at TIMESTAMPTZ NOT NULL
);
