-- name: of_thread
-- What a thread's runs took: in all and by caller. Runs that were deleted took it all the same; but those of an earlier
-- thread of this id are none of its own. Each run has its calls added up, so that their table is not looked at.
WITH mine AS MATERIALIZED (
    SELECT * FROM runs WHERE thread_id = $thread_id
)
SELECT count(*),
       coalesce(sum(total_tokens), 0)::BIGINT,
       coalesce(sum(total_input_tokens), 0)::BIGINT,
       coalesce(sum(total_output_tokens), 0)::BIGINT,
       coalesce(sum(lead_agent_tokens), 0)::BIGINT,
       coalesce(sum(subagent_tokens), 0)::BIGINT,
       coalesce(sum(middleware_tokens), 0)::BIGINT
  FROM mine, (SELECT created_at FROM threads WHERE thread_id = $thread_id)
 WHERE (deleted_at IS NULL OR queued_at >= created_at)
   AND (status NOT IN ('pending', 'running') OR ($include_active AND status = 'running'));

-- name: models_of_thread
-- The same by model: its tokens, and in how many runs it was called.
WITH mine AS MATERIALIZED (
    SELECT status, queued_at, deleted_at, model_tokens FROM runs WHERE thread_id = $thread_id
)
SELECT key, sum(value::BIGINT)::BIGINT, count(*)
  FROM mine, (SELECT created_at FROM threads WHERE thread_id = $thread_id), json_each(model_tokens)
 WHERE (deleted_at IS NULL OR queued_at >= created_at)
   AND (status NOT IN ('pending', 'running') OR ($include_active AND status = 'running'))
 GROUP BY key
 ORDER BY key;
