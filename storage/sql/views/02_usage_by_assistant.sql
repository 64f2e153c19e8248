-- usage_by_assistant: tokens and cost, one row per day, assistant, version of it, and graph.
-- Example: select assistant_version, sum(cost_usd) from usage_by_assistant where assistant_id = 'a1' group by all
CREATE OR REPLACE VIEW usage_by_assistant AS
SELECT day,
       assistant_id,
       assistant_version,
       graph_id,
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
