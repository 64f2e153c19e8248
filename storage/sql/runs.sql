-- name: insert
-- With its start and its end, if they are known by now (`storage/folding.py`); else those are NULL until then.
INSERT INTO runs (
    run_id, thread_id, user_id, assistant_id, assistant_version, graph_id, status, multitask_strategy,
    attempt, queued_at, started_at, tags, metadata, dialect, updated_at, request, due_at,
    idempotency_key, webhook, environment, release, replaced, first_seq, error_type, error_message, cancel_action,
    cancel_reason, checkpoint_id, last_seq, last_ms, ended_at, rolled_back, parked
) VALUES (
    $run_id, $thread_id, $user_id, $assistant_id, $assistant_version, $graph_id, $status, $multitask_strategy,
    $attempt, $queued_at, $started_at, $tags, $metadata, $dialect, $updated_at, $request, $due_at,
    $idempotency_key, $webhook, $environment, $release, $replaced, $first_seq, $error_type, $error_message,
    $cancel_action, $cancel_reason, $checkpoint_id, $last_seq, $last_ms, $ended_at, $rolled_back, $parked
);

-- name: insert_each
INSERT INTO runs (
    run_id, thread_id, user_id, assistant_id, assistant_version, graph_id, status, multitask_strategy,
    attempt, queued_at, started_at, tags, metadata, dialect, updated_at, request, due_at,
    idempotency_key, webhook, environment, release, replaced, first_seq, error_type, error_message, cancel_action,
    cancel_reason, checkpoint_id, last_seq, last_ms, ended_at, rolled_back, parked
)
SELECT unnest($run_id::UUID[]), unnest($thread_id::VARCHAR[]), unnest($user_id::VARCHAR[]),
       unnest($assistant_id::VARCHAR[]), unnest($assistant_version::INTEGER[]), unnest($graph_id::VARCHAR[]),
       unnest($status::VARCHAR[]), unnest($multitask_strategy::VARCHAR[]), unnest($attempt::SMALLINT[]),
       unnest($queued_at::TIMESTAMPTZ[]), unnest($started_at::TIMESTAMPTZ[]), unnest($tags::VARCHAR[][]),
       unnest($metadata::JSON[]), unnest($dialect::VARCHAR[]), unnest($updated_at::TIMESTAMPTZ[]),
       unnest($request::JSON[]), unnest($due_at::TIMESTAMPTZ[]), unnest($idempotency_key::VARCHAR[]),
       unnest($webhook::VARCHAR[]), unnest($environment::VARCHAR[]), unnest($release::VARCHAR[]),
       unnest($replaced::JSON[]), unnest($first_seq::BIGINT[]), unnest($error_type::VARCHAR[]),
       unnest($error_message::VARCHAR[]), unnest($cancel_action::VARCHAR[]), unnest($cancel_reason::VARCHAR[]),
       unnest($checkpoint_id::VARCHAR[]), unnest($last_seq::BIGINT[]), unnest($last_ms::BIGINT[]),
       unnest($ended_at::TIMESTAMPTZ[]), unnest($rolled_back::BOOLEAN[]), unnest($parked::SMALLINT[]);

-- name: begin
-- An attempt has started.
UPDATE runs
   SET status = 'running', attempt = $attempt, started_at = $started_at, first_seq = $first_seq, updated_at =
       $updated_at
 WHERE run_id = $run_id;

-- name: begin_each
UPDATE runs
   SET status = 'running', attempt = given.attempt, started_at = given.started_at, first_seq =
       given.first_seq, updated_at = given.updated_at
  FROM (
    SELECT unnest($run_id::UUID[]) AS run_id, unnest($attempt::SMALLINT[]) AS attempt,
           unnest($started_at::TIMESTAMPTZ[]) AS started_at, unnest($first_seq::BIGINT[]) AS first_seq,
           unnest($updated_at::TIMESTAMPTZ[]) AS updated_at
  ) AS given
 WHERE runs.run_id = given.run_id;

-- name: park
-- An attempt has been ended by a server that stops; the next one starts where this one was. Who wanted the run to end
-- still does.
UPDATE runs
   SET status = 'pending', attempt = $attempt, parked = $parked, started_at = $started_at, first_seq = $first_seq,
       updated_at = $updated_at
 WHERE run_id = $run_id;

-- name: park_each
UPDATE runs
   SET status = 'pending', attempt = given.attempt, parked = given.parked, started_at = given.started_at,
       first_seq = given.first_seq, updated_at = given.updated_at
  FROM (
    SELECT unnest($run_id::UUID[]) AS run_id, unnest($attempt::SMALLINT[]) AS attempt,
           unnest($parked::SMALLINT[]) AS parked, unnest($started_at::TIMESTAMPTZ[]) AS started_at,
           unnest($first_seq::BIGINT[]) AS first_seq, unnest($updated_at::TIMESTAMPTZ[]) AS updated_at
  ) AS given
 WHERE runs.run_id = given.run_id;

-- name: wish
-- Somebody wants the run to end, and how.
UPDATE runs SET cancel_action = $cancel_action, cancel_reason = $cancel_reason WHERE run_id = $run_id;

-- name: wish_each
UPDATE runs
   SET cancel_action = given.cancel_action, cancel_reason = given.cancel_reason
  FROM (
    SELECT unnest($run_id::UUID[]) AS run_id, unnest($cancel_action::VARCHAR[]) AS cancel_action,
           unnest($cancel_reason::VARCHAR[]) AS cancel_reason
  ) AS given
 WHERE runs.run_id = given.run_id;

-- name: hand_on
-- A run that was rolled back has replaced nothing: what it had replaced, the next one has that stays.
UPDATE runs
   SET replaced = (SELECT replaced FROM runs WHERE run_id = $run_id)
 WHERE run_id = (
    SELECT arg_min(run_id, admission)
      FROM runs
     WHERE thread_id = $thread_id
       AND NOT rolled_back
       AND admission > (SELECT admission FROM runs WHERE run_id = $run_id)
 );

-- name: forget
-- It is deleted, and what it cost stays for accounting.
UPDATE runs SET deleted_at = now(), request = NULL WHERE run_id = $run_id;

-- name: retire
-- Of a thread that is gone; what they were asked stays as long as what they said.
UPDATE runs SET deleted_at = coalesce(deleted_at, now()) WHERE thread_id = $thread_id;

-- name: settle
-- Give a run its final status.
UPDATE runs
   SET status = $status, attempt = $attempt, started_at = $started_at, error_type = $error_type, error_message
       = $error_message, cancel_reason = $cancel_reason, checkpoint_id = $checkpoint_id, first_seq =
       $first_seq, last_seq = $last_seq, last_ms = $last_ms, ended_at = $ended_at, updated_at = $updated_at,
       rolled_back = $rolled_back
 WHERE run_id = $run_id;

-- name: settle_each
UPDATE runs
   SET status = given.status, attempt = given.attempt, started_at = given.started_at, error_type =
       given.error_type, error_message = given.error_message, cancel_reason = given.cancel_reason,
       checkpoint_id = given.checkpoint_id, first_seq = given.first_seq, last_seq = given.last_seq, last_ms =
       given.last_ms, ended_at = given.ended_at, updated_at = given.updated_at, rolled_back = given.rolled_back
  FROM (
    SELECT unnest($run_id::UUID[]) AS run_id, unnest($status::VARCHAR[]) AS status,
           unnest($attempt::SMALLINT[]) AS attempt, unnest($started_at::TIMESTAMPTZ[]) AS started_at,
           unnest($error_type::VARCHAR[]) AS error_type, unnest($error_message::VARCHAR[]) AS error_message,
           unnest($cancel_reason::VARCHAR[]) AS cancel_reason, unnest($checkpoint_id::VARCHAR[]) AS checkpoint_id,
           unnest($first_seq::BIGINT[]) AS first_seq, unnest($last_seq::BIGINT[]) AS last_seq,
           unnest($last_ms::BIGINT[]) AS last_ms, unnest($ended_at::TIMESTAMPTZ[]) AS ended_at,
           unnest($updated_at::TIMESTAMPTZ[]) AS updated_at, unnest($rolled_back::BOOLEAN[]) AS rolled_back
  ) AS given
 WHERE runs.run_id = given.run_id;

-- name: get
-- In the order of the record's fields. Times are integers, because they are read ten times as fast. A view would spare
-- the second list, and take a quarter of a millisecond.
SELECT run_id::VARCHAR, thread_id, assistant_id, assistant_version, graph_id, dialect, request, metadata,
       multitask_strategy, user_id, status, attempt, error_type, cancel_reason,
       epoch_us(queued_at), epoch_us(updated_at), epoch_us(started_at), epoch_us(ended_at),
       checkpoint_id, first_seq, last_seq, last_ms, cancel_action, epoch_us(due_at), rolled_back,
       idempotency_key, parked, [total_input_tokens, total_output_tokens, total_tokens], error_message
  FROM runs
 WHERE run_id = try_cast($run_id AS UUID)
   AND ($thread_id IS NULL OR thread_id = $thread_id)
   AND (deleted_at IS NULL OR ($lately AND request IS NOT NULL AND thread_id IN (SELECT thread_id FROM garbage)));

-- name: owed
-- Runs that have ended, and whose webhook has still to be called.
SELECT thread_id, run_id::VARCHAR
  FROM runs
 WHERE webhook IS NOT NULL
   AND webhook_sent_at IS NULL
   AND ended_at IS NOT NULL
   AND (deleted_at IS NULL OR thread_id IN (SELECT thread_id FROM garbage))
 ORDER BY admission;

-- name: tell
UPDATE runs SET webhook_sent_at = $webhook_sent_at WHERE run_id = $run_id;

-- name: of_key
-- The run that a request of this name made; also one that has just gone with its thread, as `get` knows it lately.
WITH mine AS MATERIALIZED (
    SELECT run_id, idempotency_key, deleted_at, request FROM runs WHERE thread_id = $thread_id
)
SELECT run_id::VARCHAR
  FROM mine
 WHERE idempotency_key = $idempotency_key
   AND (deleted_at IS NULL OR (request IS NOT NULL AND $thread_id IN (SELECT thread_id FROM garbage)));

-- name: of_thread
-- By pages, newest first. The index is used only by a condition that stands alone: hence the step between.
WITH mine AS MATERIALIZED (
    SELECT * FROM runs WHERE thread_id = $thread_id
)
SELECT run_id::VARCHAR, thread_id, assistant_id, assistant_version, graph_id, dialect, request, metadata,
       multitask_strategy, user_id, status, attempt, error_type, cancel_reason,
       epoch_us(queued_at), epoch_us(updated_at), epoch_us(started_at), epoch_us(ended_at),
       checkpoint_id, first_seq, last_seq, last_ms, cancel_action, epoch_us(due_at), rolled_back,
       idempotency_key, parked, [total_input_tokens, total_output_tokens, total_tokens], error_message
  FROM mine
 WHERE deleted_at IS NULL
   AND ($statuses IS NULL OR list_contains($statuses, status))
   AND ($rolled_back OR NOT rolled_back)
 ORDER BY admission DESC
 LIMIT $limit OFFSET $offset;

-- name: unfinished_threads
-- Threads that somebody has to wake, those that wait longest first.
SELECT thread_id
  FROM runs
 WHERE status IN ('pending', 'running') AND deleted_at IS NULL
 GROUP BY thread_id
 ORDER BY min(admission);

-- name: unfinished_ids
-- Of all threads, in the order of their admission.
SELECT thread_id, run_id::VARCHAR
  FROM runs
 WHERE list_contains($statuses, status) AND deleted_at IS NULL
 ORDER BY admission;
