-- name: thread
SELECT given.thread_id, epoch, next_seq, unfinished
  FROM (SELECT $thread_id::VARCHAR AS thread_id) AS given
  LEFT JOIN bindings ON bindings.thread_id = $thread_id
  LEFT JOIN threads ON threads.thread_id = $thread_id;

-- name: thread_each
SELECT thread_id, epoch, next_seq, unfinished
  FROM (SELECT unnest($thread_id::VARCHAR[]) AS thread_id)
  LEFT JOIN bindings USING (thread_id)
  LEFT JOIN threads USING (thread_id);

-- name: run
-- With its thread if it can still change.
SELECT run_id::VARCHAR, CASE WHEN status IN ('pending', 'running') AND deleted_at IS NULL THEN thread_id END
  FROM runs
 WHERE run_id = $run_id;

-- name: run_each
SELECT run_id::VARCHAR, CASE WHEN status IN ('pending', 'running') AND deleted_at IS NULL THEN thread_id END
  FROM runs
 WHERE run_id IN (SELECT unnest($run_id::UUID[]));
