-- what_if(entry, since): what the calls since then would have cost at another entry's price of today, tier by tier; one
-- row per provider and model that answered. cost_usd is what those calls did cost, as far as it is known. The same
-- tokens are assumed; calls without usage cost nothing. what_if_usd is NULL if there is no such entry in prices_now.
-- Example: from what_if('openai/o3', now() - interval 30 days)
CREATE OR REPLACE MACRO what_if(entry, since) AS TABLE
SELECT provider,
       model,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(total_tokens)::BIGINT AS total_tokens,
       sum(cost_usd) AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
       (sum(fresh_input_tokens * input_mtok
            + cache_read_tokens * coalesce(cache_read_mtok, input_mtok)
            + cache_write_tokens * coalesce(cache_write_mtok, input_mtok)
            + output_tokens * coalesce(output_mtok, 0)) / 1000000)::DECIMAL(18, 10) AS what_if_usd
  FROM calls
  LEFT JOIN (
    SELECT above_input_tokens, up_to_input_tokens, input_mtok, output_mtok, cache_read_mtok, cache_write_mtok
      FROM prices_now
     WHERE priced_as = entry
       AND (starts_at IS NULL OR starts_at <= now())
       AND (ends_at IS NULL OR ends_at > now())
  ) AS target
    ON (above_input_tokens = 0 OR input_tokens > above_input_tokens)
   AND (up_to_input_tokens IS NULL OR input_tokens <= up_to_input_tokens)
 WHERE started_at >= since
 GROUP BY ALL;
