-- spend_by_outcome: what was spent on which end, one row per day and: run_status (the run's, as it is now), repeated
-- (the call belongs to an attempt that was not the run's last), call_status (success, error, cancelled, lost); with the
-- measures of usage_by_*.
-- Example: select run_status, repeated, sum(cost_usd) from spend_by_outcome where run_status <> 'success' group by all
CREATE OR REPLACE VIEW spend_by_outcome AS
SELECT day,
       runs.status AS run_status,
       calls.attempt < runs.attempt AS repeated,
       calls.status AS call_status,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(input_tokens)::BIGINT AS input_tokens,
       sum(output_tokens)::BIGINT AS output_tokens,
       sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
       sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
       sum(calls.total_tokens)::BIGINT AS total_tokens,
       sum(calls.cost_usd) AS cost_usd,
       count(*) FILTER (calls.cost_usd IS NULL) AS unpriced_calls,
       count(*) FILTER (usage_source = 'estimated') AS estimated_calls
  FROM calls
  LEFT JOIN runs USING (run_id)
 GROUP BY ALL;
