-- name: find
SELECT to_json({
    'thread_id': thread_id,
    'user_id': user_id,
    'status': status,
    'metadata': metadata,
    'config': config,
    'interrupts': interrupts,
    'error': failure(error_type, error_message),
    'created_at': moment(created_at),
    'updated_at': moment(updated_at),
    'state_updated_at': moment(state_updated_at)
})
FROM threads
WHERE thread_id = $thread_id;

-- name: metadata
SELECT metadata FROM threads WHERE thread_id = $thread_id;

-- name: insert
INSERT INTO threads (
    thread_id, user_id, status, metadata, config, interrupts,
    error_type, error_message, created_at, updated_at, state_updated_at
) VALUES (
    $thread_id, $user_id, $status, $metadata, $config, $interrupts,
    $error_type, $error_message, $created_at, $updated_at, $state_updated_at
);

-- name: occupy
-- A run has been admitted.
UPDATE threads
   SET status = 'busy', metadata = $metadata, updated_at = $updated_at
 WHERE thread_id = $thread_id;

-- name: settle
-- A run has ended. What is NULL here stays as it was, except for the error, which is always that of the last run.
UPDATE threads
   SET status = $status,
       error_type = $error_type,
       error_message = $error_message,
       interrupts = coalesce($interrupts, interrupts),
       updated_at = $updated_at,
       state_updated_at = coalesce($state_updated_at, state_updated_at)
 WHERE thread_id = $thread_id;

-- name: delete
DELETE FROM threads WHERE thread_id = $thread_id RETURNING thread_id;

-- name: delete_requests
DELETE FROM run_requests WHERE thread_id = $thread_id;

-- name: mark_runs
UPDATE runs SET deleted_at = now() WHERE thread_id = $thread_id AND deleted_at IS NULL;
