-- cache_savings: what providers' caches were worth, one row per day, provider and model: calls, input_tokens,
-- cache_read_tokens, cache_write_tokens, saved_usd. Saved is what reading was cheaper than fresh input, less what
-- writing was dearer, at the price list of each call; NULL when no call has a cost.
-- Example: select model, sum(cache_read_tokens) / sum(input_tokens) as hits, sum(saved_usd) from cache_savings group by all
CREATE OR REPLACE VIEW cache_savings AS
SELECT day,
       provider,
       model,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(input_tokens)::BIGINT AS input_tokens,
       sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
       sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
       (sum(cache_read_tokens * (input_mtok - coalesce(cache_read_mtok, input_mtok))
            + cache_write_tokens * (input_mtok - coalesce(cache_write_mtok, input_mtok))) / 1000000)::DECIMAL(18, 10)
           AS saved_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls
  FROM calls
  LEFT JOIN prices
    ON prices.price_version = calls.price_version
   AND prices.priced_as = calls.priced_as
   AND (starts_at IS NULL OR started_at >= starts_at)
   AND (ends_at IS NULL OR started_at < ends_at)
   AND (above_input_tokens = 0 OR input_tokens > above_input_tokens)
   AND (up_to_input_tokens IS NULL OR input_tokens <= up_to_input_tokens)
 GROUP BY ALL;
