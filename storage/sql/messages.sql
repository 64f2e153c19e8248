-- name: run
-- Whether there is such a run, and whether what it did was undone.
SELECT rolled_back
  FROM runs
 WHERE run_id = try_cast($run_id AS UUID) AND thread_id = $thread_id AND deleted_at IS NULL;

-- name: of_thread
-- A page of messages; what they contain, which is most of them, is read for the page alone. The index is used only by a
-- condition that stands alone: hence the first two steps.
WITH log AS MATERIALIZED (
    SELECT rowid AS id, seq, run_id, category, caller FROM events WHERE thread_id = $thread_id
), mine AS MATERIALIZED (
    SELECT run_id, rolled_back, deleted_at FROM runs WHERE thread_id = $thread_id
), page AS MATERIALIZED (
    SELECT id
      FROM log
     WHERE category = 'message'
       AND caller = 'lead_agent'
       AND run_id IN (SELECT run_id FROM mine WHERE NOT rolled_back AND deleted_at IS NULL)
       AND ($before IS NULL OR seq < $before)
       AND ($after IS NULL OR seq > $after)
     ORDER BY CASE WHEN $after IS NULL THEN -seq ELSE seq END
     LIMIT $limit
)
SELECT seq, run_id::VARCHAR, event_type, category, caller, content, metadata, epoch_us(created_at)
  FROM events
 WHERE rowid IN (SELECT id FROM page)
 ORDER BY seq;

-- name: of_run
-- A page of messages. Ids of runs grow with time, as the log does: little else is looked at.
SELECT seq, run_id::VARCHAR, event_type, category, caller, content, metadata, epoch_us(created_at)
  FROM events
 WHERE run_id = $run_id
   AND category = 'message'
   AND caller = 'lead_agent'
   AND ($before IS NULL OR seq < $before)
   AND ($after IS NULL OR seq > $after)
 ORDER BY CASE WHEN $after IS NULL THEN -seq ELSE seq END
 LIMIT $limit;

-- name: events
-- Whatever a run's log says, or only these types.
SELECT seq, run_id::VARCHAR, event_type, category, caller, content, metadata, epoch_us(created_at)
  FROM events
 WHERE run_id = $run_id
   AND ($types IS NULL OR list_contains($types, event_type))
   AND ($after IS NULL OR seq > $after)
 ORDER BY seq
 LIMIT $limit;

-- name: last_answers
-- The number of the last answer of each run.
SELECT run_id::VARCHAR, max(seq)
  FROM events
 WHERE run_id IN (SELECT unnest($run_ids::UUID[]))
   AND category = 'message'
   AND caller = 'lead_agent'
   AND event_type = 'llm.ai.response'
 GROUP BY run_id;
