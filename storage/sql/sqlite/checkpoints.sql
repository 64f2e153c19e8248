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
