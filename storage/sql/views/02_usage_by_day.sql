-- usage_by_day: tokens and cost, one row per day (UTC). Its measures are those of all usage_by_*: calls (of models,
-- without answers of a local cache), input_tokens, output_tokens, cache_read_tokens (a part of the input),
-- reasoning_tokens (a part of the output), total_tokens, cost_usd (of the calls that have a cost; NULL when none has),
-- unpriced_calls (that have none), estimated_calls (whose tokens no provider reported).
-- Example: from usage_by_day where day >= current_date - 30 order by day
CREATE OR REPLACE VIEW usage_by_day AS
SELECT day,
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
 GROUP BY ALL;
