-- usage_by_thread: tokens and cost, one row per thread, with its user, and how many of its runs called a model.
-- Example: from usage_by_thread where thread_id = 't42'
CREATE OR REPLACE VIEW usage_by_thread AS
-- Counted apart: distinct runs beside the sums would take twice as long as both do.
WITH sums AS (
    SELECT thread_id,
           user_id,
           count(*) FILTER (NOT from_cache) AS calls,
           sum(input_tokens)::BIGINT AS input_tokens,
           sum(output_tokens)::BIGINT AS output_tokens,
           sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
           sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
           sum(total_tokens)::BIGINT AS total_tokens,
           sum(cost_usd) AS cost_usd,
           count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
           count(*) FILTER (usage_source = 'estimated') AS estimated_calls
      FROM calls
     GROUP BY ALL
),
counted AS (
    SELECT thread_id, user_id, count(DISTINCT run_id) AS runs FROM calls GROUP BY ALL
)
SELECT sums.thread_id, sums.user_id, runs, sums.* EXCLUDE (thread_id, user_id)
  FROM sums
  JOIN counted ON sums.thread_id = counted.thread_id AND sums.user_id IS NOT DISTINCT FROM counted.user_id;
