-- name: find
SELECT thread_id, user_id, CASE WHEN unfinished > 0 THEN 'busy' ELSE status END, metadata, config, interrupts,
       error_type, error_message, epoch_us(created_at), epoch_us(updated_at), epoch_us(state_updated_at)
  FROM threads
 WHERE thread_id = $thread_id;

-- name: find_each
SELECT thread_id, user_id, CASE WHEN unfinished > 0 THEN 'busy' ELSE status END, metadata, config, interrupts,
       error_type, error_message, epoch_us(created_at), epoch_us(updated_at), epoch_us(state_updated_at)
  FROM threads
 WHERE thread_id IN (SELECT unnest($thread_id::VARCHAR[]));

-- name: insert
-- One that is there already is the same, asked for twice.
INSERT INTO threads (
    thread_id, user_id, status, unfinished, metadata, config, interrupts,
    error_type, error_message, created_at, updated_at, state_updated_at
) VALUES (
    $thread_id, $user_id, $status, $unfinished, $metadata, $config, $interrupts,
    $error_type, $error_message, $created_at, $updated_at, $state_updated_at
)
ON CONFLICT DO NOTHING;

-- name: insert_each
INSERT INTO threads (
    thread_id, user_id, status, unfinished, metadata, config, interrupts,
    error_type, error_message, created_at, updated_at, state_updated_at
)
SELECT unnest($thread_id::VARCHAR[]), unnest($user_id::VARCHAR[]), unnest($status::VARCHAR[]),
       unnest($unfinished::INTEGER[]), unnest($metadata::JSON[]), unnest($config::JSON[]), unnest($interrupts::JSON[]),
       unnest($error_type::VARCHAR[]), unnest($error_message::VARCHAR[]), unnest($created_at::TIMESTAMPTZ[]),
       unnest($updated_at::TIMESTAMPTZ[]), unnest($state_updated_at::TIMESTAMPTZ[])
ON CONFLICT DO NOTHING;

-- name: occupy
-- A run has been admitted.
UPDATE threads
   SET unfinished = unfinished + 1, metadata = json_merge_patch(metadata, $metadata), updated_at = $updated_at
 WHERE thread_id = $thread_id;

-- name: occupy_each
UPDATE threads
   SET unfinished = unfinished + 1,
       metadata = json_merge_patch(threads.metadata, given.metadata),
       updated_at = given.updated_at
  FROM (
    SELECT unnest($thread_id::VARCHAR[]) AS thread_id,
           unnest($metadata::JSON[]) AS metadata,
           unnest($updated_at::TIMESTAMPTZ[]) AS updated_at
  ) AS given
 WHERE threads.thread_id = given.thread_id;

-- name: vacate
-- A run has ended that was never executed.
UPDATE threads SET unfinished = unfinished - 1, updated_at = $updated_at WHERE thread_id = $thread_id;

-- name: vacate_each
UPDATE threads
   SET unfinished = unfinished - 1, updated_at = given.updated_at
  FROM (
    SELECT unnest($thread_id::VARCHAR[]) AS thread_id, unnest($updated_at::TIMESTAMPTZ[]) AS updated_at
  ) AS given
 WHERE threads.thread_id = given.thread_id;

-- name: settle
-- A run that was executed leaves the thread like this.
UPDATE threads
   SET unfinished = unfinished - 1,
       status = $status,
       error_type = $error_type,
       error_message = $error_message,
       interrupts = $interrupts,
       updated_at = $updated_at,
       state_updated_at = $updated_at
 WHERE thread_id = $thread_id;

-- name: settle_each
UPDATE threads
   SET unfinished = unfinished - 1,
       status = given.status,
       error_type = given.error_type,
       error_message = given.error_message,
       interrupts = given.interrupts,
       updated_at = given.updated_at,
       state_updated_at = given.updated_at
  FROM (
    SELECT unnest($thread_id::VARCHAR[]) AS thread_id,
           unnest($status::VARCHAR[]) AS status,
           unnest($error_type::VARCHAR[]) AS error_type,
           unnest($error_message::VARCHAR[]) AS error_message,
           unnest($interrupts::JSON[]) AS interrupts,
           unnest($updated_at::TIMESTAMPTZ[]) AS updated_at
  ) AS given
 WHERE threads.thread_id = given.thread_id;

-- name: turn
-- Several runs, or one, have been admitted and have left the thread like this (`storage/folding.py`).
UPDATE threads
   SET unfinished = unfinished + $more,
       metadata = json_merge_patch(metadata, $metadata),
       status = $status,
       error_type = $error_type,
       error_message = $error_message,
       interrupts = $interrupts,
       updated_at = $updated_at,
       state_updated_at = $state_updated_at
 WHERE thread_id = $thread_id;

-- name: turn_each
UPDATE threads
   SET unfinished = unfinished + given.more,
       metadata = json_merge_patch(threads.metadata, given.metadata),
       status = given.status,
       error_type = given.error_type,
       error_message = given.error_message,
       interrupts = given.interrupts,
       updated_at = given.updated_at,
       state_updated_at = given.state_updated_at
  FROM (
    SELECT unnest($thread_id::VARCHAR[]) AS thread_id,
           unnest($more::INTEGER[]) AS more,
           unnest($metadata::JSON[]) AS metadata,
           unnest($status::VARCHAR[]) AS status,
           unnest($error_type::VARCHAR[]) AS error_type,
           unnest($error_message::VARCHAR[]) AS error_message,
           unnest($interrupts::JSON[]) AS interrupts,
           unnest($updated_at::TIMESTAMPTZ[]) AS updated_at,
           unnest($state_updated_at::TIMESTAMPTZ[]) AS state_updated_at
  ) AS given
 WHERE threads.thread_id = given.thread_id;

-- name: give_back
-- A run that was rolled back has not happened: the thread speaks again with whom it spoke before, unless a later run or
-- somebody else has said otherwise.
UPDATE threads
   SET metadata = json_merge_patch(threads.metadata, gone.replaced)
  FROM runs AS gone
 WHERE threads.thread_id = $thread_id
   AND gone.run_id = $run_id
   AND gone.replaced IS NOT NULL
   AND threads.metadata ->> 'graph_id' = gone.graph_id
   AND threads.metadata ->> 'assistant_id' = gone.assistant_id
   AND NOT EXISTS (
     SELECT 1
       FROM runs AS later
      WHERE later.thread_id = $thread_id AND NOT later.rolled_back AND later.admission > gone.admission
   );

-- name: delete
DELETE FROM threads WHERE thread_id = $thread_id;

-- name: delete_runs
-- What is kept of them is accounting. Runs of an earlier thread of this id were deleted with it.
UPDATE runs SET deleted_at = coalesce(deleted_at, now()), request = NULL WHERE thread_id = $thread_id;

-- name: stand
-- A change of its state, by no run. That the last run failed stays true.
UPDATE threads
   SET status = CASE WHEN status = 'error' THEN status ELSE $status END,
       interrupts = $interrupts,
       updated_at = $updated_at,
       state_updated_at = $updated_at
 WHERE thread_id = $thread_id;

-- name: patch
UPDATE threads SET metadata = $metadata, updated_at = $updated_at WHERE thread_id = $thread_id;
