-- usage_by_metadata(key): tokens and cost, one row per day and value of that key in the run's metadata, as text. value
-- is NULL where there is no such key.
-- Example: select value, sum(cost_usd) from usage_by_metadata('team') group by all
CREATE OR REPLACE MACRO usage_by_metadata(key) AS TABLE
SELECT day,
       value,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(input_tokens)::BIGINT AS input_tokens,
       sum(output_tokens)::BIGINT AS output_tokens,
       sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
       sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
       sum(total_tokens)::BIGINT AS total_tokens,
       sum(cost_usd) AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
       count(*) FILTER (usage_source = 'estimated') AS estimated_calls
  FROM (
    -- As a JSON pointer, in which a key means itself, whatever is in it.
    SELECT *, json_extract_string(metadata, '/' || replace(replace(key, '~', '~0'), '/', '~1')) AS value FROM calls
  )
 GROUP BY ALL;
