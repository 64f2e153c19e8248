-- usage_by_user: tokens and cost, one row per day, user and tenant.
-- Example: select user_id, sum(cost_usd) as usd from usage_by_user group by all order by usd desc nulls last
CREATE OR REPLACE VIEW usage_by_user AS
SELECT day,
       user_id,
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
 GROUP BY ALL;
