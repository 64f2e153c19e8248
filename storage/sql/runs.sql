-- name: status
SELECT status FROM runs WHERE run_id = $run_id;

-- name: insert
-- What comes with its start and its end is NULL until then.
INSERT INTO runs (
    run_id, thread_id, user_id, assistant_id, assistant_version, graph_id,
    status, multitask_strategy, attempt, queued_at, started_at, tags, metadata, dialect, updated_at
) VALUES (
    $run_id, $thread_id, $user_id, $assistant_id, $assistant_version, $graph_id,
    $status, $multitask_strategy, $attempt, $queued_at, $started_at, $tags, $metadata, $dialect, $updated_at
);

-- name: insert_request
INSERT INTO run_requests VALUES ($run_id, $thread_id, $request);

-- name: begin
-- An attempt has started.
UPDATE runs
   SET status = 'running', attempt = $attempt, started_at = $started_at, first_seq = $first_seq,
       updated_at = $updated_at
 WHERE run_id = $run_id
   AND thread_id = $thread_id
   AND status IN ('pending', 'running')
   AND deleted_at IS NULL
RETURNING run_id;

-- name: settle
-- Give a run its final status: once.
UPDATE runs
   SET status = $status, attempt = $attempt, started_at = $started_at, error_type = $error_type, error_message = $error_message,
       cancel_reason = $cancel_reason, checkpoint_id = $checkpoint_id,
       first_seq = $first_seq, last_seq = $last_seq, last_ms = $last_ms,
       ended_at = $ended_at, updated_at = $updated_at
 WHERE run_id = $run_id
   AND thread_id = $thread_id
   AND status IN ('pending', 'running')
   AND deleted_at IS NULL
RETURNING run_id;

-- name: get
SELECT record FROM run_records WHERE run_id = try_cast($run_id AS UUID) AND thread_id = $thread_id;

-- name: of_thread
-- By pages, newest first. The index is used only by a condition that stands alone: hence the step between.
WITH mine AS MATERIALIZED (
    SELECT record, admission, status FROM run_records WHERE thread_id = $thread_id
)
SELECT record
  FROM mine
 WHERE $status IS NULL OR status = $status
 ORDER BY admission DESC
 LIMIT $limit OFFSET $offset;

-- name: unfinished
-- What a thread still has to do, in the order in which it was accepted. Mostly nothing, so this is only their ids.
WITH mine AS MATERIALIZED (
    SELECT run_id, admission, status, deleted_at FROM runs WHERE thread_id = $thread_id
)
SELECT run_id::VARCHAR
  FROM mine
 WHERE deleted_at IS NULL AND status IN ('pending', 'running')
 ORDER BY admission;

-- name: unfinished_threads
-- Threads that somebody has to wake, those that wait longest first.
SELECT thread_id
  FROM runs
 WHERE status IN ('pending', 'running') AND deleted_at IS NULL
 GROUP BY thread_id
 ORDER BY min(admission);
