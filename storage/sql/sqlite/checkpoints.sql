-- LangGraph's own tables; what it adds to them later has to be added here.

-- name: checkpoints_of
SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
  FROM checkpoints
 WHERE thread_id = $thread_id;

-- name: put_checkpoints
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: writes_of
SELECT checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
  FROM writes
 WHERE thread_id = $thread_id;

-- name: put_writes
INSERT INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: fence_checkpoints
-- Within the statement itself, so under the lock of whoever writes. `epoch_held` is a function of the connection, so
-- the trigger is the connection's as well. A thread of the graph's own, which no actor holds, has no epoch and no fence.
CREATE TEMP TRIGGER IF NOT EXISTS fence_checkpoints BEFORE INSERT ON main.checkpoints
WHEN (SELECT epoch FROM epochs WHERE thread_id = new.thread_id) > epoch_held(new.thread_id)
BEGIN
    SELECT raise(ABORT, 'another actor holds this thread');
END;

-- name: fence_writes
CREATE TEMP TRIGGER IF NOT EXISTS fence_writes BEFORE INSERT ON main.writes
WHEN (SELECT epoch FROM epochs WHERE thread_id = new.thread_id) > epoch_held(new.thread_id)
BEGIN
    SELECT raise(ABORT, 'another actor holds this thread');
END;

-- name: fence_lost_checkpoints
CREATE TEMP TRIGGER IF NOT EXISTS fence_lost_checkpoints BEFORE DELETE ON main.checkpoints
WHEN (SELECT epoch FROM epochs WHERE thread_id = old.thread_id) > epoch_held(old.thread_id)
BEGIN
    SELECT raise(ABORT, 'another actor holds this thread');
END;

-- name: fence_lost_writes
CREATE TEMP TRIGGER IF NOT EXISTS fence_lost_writes BEFORE DELETE ON main.writes
WHEN (SELECT epoch FROM epochs WHERE thread_id = old.thread_id) > epoch_held(old.thread_id)
BEGIN
    SELECT raise(ABORT, 'another actor holds this thread');
END;

-- name: drop_checkpoints
DELETE FROM checkpoints WHERE thread_id = $thread_id;

-- name: drop_writes
DELETE FROM writes WHERE thread_id = $thread_id;

-- name: any
SELECT 1 FROM checkpoints WHERE thread_id = $thread_id LIMIT 1;

-- name: newest
-- Of all its graphs. From the index alone, as it is their primary key.
SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = $thread_id;

-- name: create_marks
-- Of each thread the run that may be rolled back: the last that went on from checkpoints.
CREATE TABLE IF NOT EXISTS marks (thread_id TEXT PRIMARY KEY, run_id TEXT NOT NULL);

-- name: mark
INSERT INTO marks VALUES ($thread_id, $run_id);

-- name: marked
SELECT 1 FROM marks WHERE thread_id = $thread_id AND run_id = $run_id;

-- name: drop_marks
DELETE FROM marks WHERE thread_id = $thread_id;

-- name: create_kept
-- What was written to checkpoints before the marked run went on from them.
CREATE TABLE IF NOT EXISTS kept_writes (
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    task_path TEXT NOT NULL,
    idx INTEGER NOT NULL,
    channel TEXT NOT NULL,
    type TEXT,
    value BLOB,
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);

-- name: keep_writes
INSERT INTO kept_writes
SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
  FROM writes
 WHERE thread_id = $thread_id
   AND (
     checkpoint_id = $checkpoint_id
     OR (checkpoint_ns, checkpoint_id) IN (
       SELECT checkpoint_ns, max(checkpoint_id) FROM checkpoints WHERE thread_id = $thread_id GROUP BY checkpoint_ns
     )
   );

-- name: drop_kept
DELETE FROM kept_writes WHERE thread_id = $thread_id;

-- name: drop_writes_of_run
DELETE FROM writes
 WHERE thread_id = $thread_id
   AND (checkpoint_ns, checkpoint_id) IN (
     SELECT checkpoint_ns, checkpoint_id
       FROM checkpoints
      WHERE thread_id = $thread_id AND json_extract(CAST(metadata AS TEXT), '$.run_id') = $run_id
   );

-- name: drop_checkpoints_of_run
DELETE FROM checkpoints
 WHERE thread_id = $thread_id AND json_extract(CAST(metadata AS TEXT), '$.run_id') = $run_id;

-- name: drop_new_writes
-- The newest checkpoints are those that the run went on from; what they had before is restored.
DELETE FROM writes
 WHERE thread_id = $thread_id
   AND (checkpoint_ns, checkpoint_id) IN (
     SELECT checkpoint_ns, max(checkpoint_id) FROM checkpoints WHERE thread_id = $thread_id GROUP BY checkpoint_ns
   );

-- name: drop_kept_places
DELETE FROM writes
 WHERE thread_id = $thread_id
   AND (checkpoint_ns, checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM kept_writes WHERE thread_id = $thread_id);

-- name: restore_writes
INSERT OR REPLACE INTO writes (
    thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
)
SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
  FROM kept_writes
 WHERE thread_id = $thread_id;
