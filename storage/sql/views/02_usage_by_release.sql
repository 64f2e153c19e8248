-- usage_by_release: tokens and cost, one row per day, environment and release of the server.
-- Example: select release, sum(cost_usd) from usage_by_release where environment = 'production' group by all
CREATE OR REPLACE VIEW usage_by_release AS
SELECT day,
       environment,
       release,
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
