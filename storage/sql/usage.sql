-- name: of_thread
-- What a thread's runs took: in all, by model, and by caller. Runs that were deleted took it all the same; but those of
-- an earlier thread of this id are none of its own. Calls are found by their runs, whose ids grow with time: so that
-- most of the table is skipped.
WITH mine AS MATERIALIZED (
    SELECT run_id, status, queued_at, deleted_at FROM runs WHERE thread_id = $thread_id
), counted AS MATERIALIZED (
    SELECT run_id
      FROM mine, (SELECT created_at FROM threads WHERE thread_id = $thread_id)
     WHERE (deleted_at IS NULL OR queued_at >= created_at)
       AND (status NOT IN ('pending', 'running') OR ($include_active AND status = 'running'))
), took AS MATERIALIZED (
    SELECT run_id, model, caller, input_tokens, output_tokens, total_tokens
      FROM model_calls
     WHERE run_id IN (SELECT run_id FROM counted)
)
SELECT model, caller, (SELECT count(*) FROM counted), count(DISTINCT run_id), coalesce(sum(total_tokens), 0)::BIGINT,
       coalesce(sum(input_tokens), 0)::BIGINT, coalesce(sum(output_tokens), 0)::BIGINT
  FROM took
 GROUP BY GROUPING SETS ((), (model), (caller));
