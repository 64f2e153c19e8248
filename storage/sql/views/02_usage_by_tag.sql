-- usage_by_tag: tokens and cost, one row per day and tag of the run. A call of a run with two tags is in two rows, one
-- of a run without tags in none: do not add them up.
-- Example: select tag, sum(cost_usd) from usage_by_tag group by all
CREATE OR REPLACE VIEW usage_by_tag AS
SELECT day,
       tag,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(input_tokens)::BIGINT AS input_tokens,
       sum(output_tokens)::BIGINT AS output_tokens,
       sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
       sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
       sum(total_tokens)::BIGINT AS total_tokens,
       sum(cost_usd) AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
       count(*) FILTER (usage_source = 'estimated') AS estimated_calls
  FROM (SELECT *, unnest(list_distinct(tags)) AS tag FROM calls)
 GROUP BY ALL;
