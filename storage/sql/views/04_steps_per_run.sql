-- steps_per_run: one row per run, with how many calls of models and tools it made. A loop is seen by busiest_node, the
-- node that called models most often, and its busiest_node_calls. day is when the run was queued.
-- Example: from steps_per_run order by llm_call_count desc limit 20
CREATE OR REPLACE VIEW steps_per_run AS
SELECT make_timestamp(epoch_us(queued_at))::DATE AS day,
       thread_id,
       run_id,
       user_id,
       assistant_id,
       graph_id,
       status,
       attempt,
       llm_call_count,
       tool_call_count,
       busiest_node,
       busiest_node_calls,
       cost_usd,
       unpriced_calls
  FROM runs
  LEFT JOIN (
    SELECT run_id,
           arg_max_null(node, (times, coalesce(node, ''))) AS busiest_node,
           max(times) AS busiest_node_calls
      FROM (SELECT run_id, node, count(*) AS times FROM model_calls WHERE NOT from_cache GROUP BY ALL)
     GROUP BY run_id
  ) USING (run_id);
