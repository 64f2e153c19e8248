-- name: find
SELECT to_json({
    'thread_id': thread_id,
    'user_id': user_id,
    'status': CASE WHEN unfinished > 0 THEN 'busy' ELSE status END,
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
    thread_id, user_id, status, unfinished, metadata, config, interrupts,
    error_type, error_message, created_at, updated_at, state_updated_at
) VALUES (
    $thread_id, $user_id, $status, $unfinished, $metadata, $config, $interrupts,
    $error_type, $error_message, $created_at, $updated_at, $state_updated_at
);

-- name: occupy
-- A run has been admitted.
UPDATE threads
   SET unfinished = unfinished + 1, metadata = $metadata, updated_at = $updated_at
 WHERE thread_id = $thread_id;

-- name: vacate
-- A run has ended.
UPDATE threads SET unfinished = unfinished - 1, updated_at = $updated_at WHERE thread_id = $thread_id;

-- name: settle
-- A run that was executed leaves the thread like this.
UPDATE threads
   SET status = $status,
       error_type = $error_type,
       error_message = $error_message,
       interrupts = $interrupts,
       state_updated_at = $updated_at
 WHERE thread_id = $thread_id;

-- name: delete
DELETE FROM threads WHERE thread_id = $thread_id RETURNING thread_id;

-- name: delete_requests
DELETE FROM run_requests WHERE thread_id = $thread_id;

-- name: mark_runs
UPDATE runs SET deleted_at = now() WHERE thread_id = $thread_id AND deleted_at IS NULL;
