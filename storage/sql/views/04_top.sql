-- top_threads(since, n), top_runs(since, n), top_users(since, n): the n (10, if not given) that cost most since then,
-- with the measures of usage_by_*. Those without any known cost come last, by their tokens.
-- Example: from top_threads(now() - interval 7 days, n := 10)
-- Example: from top_runs(now() - interval 1 day)
-- Example: select user_id, cost_usd, unpriced_calls from top_users(current_date - 30, n := 20)
CREATE OR REPLACE MACRO top_threads(since, n := 10) AS TABLE
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
 WHERE started_at >= since
 GROUP BY ALL
 ORDER BY cost_usd DESC NULLS LAST, total_tokens DESC, thread_id
 LIMIT n;

CREATE OR REPLACE MACRO top_runs(since, n := 10) AS TABLE
SELECT thread_id,
       run_id,
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
 WHERE started_at >= since
 GROUP BY ALL
 ORDER BY cost_usd DESC NULLS LAST, total_tokens DESC, run_id
 LIMIT n;

CREATE OR REPLACE MACRO top_users(since, n := 10) AS TABLE
SELECT user_id,
       tenant,
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
 WHERE started_at >= since
 GROUP BY ALL
 ORDER BY cost_usd DESC NULLS LAST, total_tokens DESC, user_id
 LIMIT n;
