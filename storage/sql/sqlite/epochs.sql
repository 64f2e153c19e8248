-- name: create
-- Of each thread the highest epoch that has written to this file.
CREATE TABLE IF NOT EXISTS epochs (thread_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;

-- name: hold
-- Changes no row where a higher one has.
INSERT INTO epochs AS known VALUES ($thread_id, $epoch)
ON CONFLICT DO UPDATE SET epoch = excluded.epoch WHERE excluded.epoch >= known.epoch;

-- name: overtaken
SELECT 1 FROM epochs WHERE thread_id = $thread_id AND epoch > $epoch;
