-- invoice_lines(month): what a provider's invoice for that month (UTC) should say, one row per provider and model.
-- Input is split into fresh, cache read and cache write, as invoices do. not_reported_calls are those whose tokens the
-- provider did not tell us: where there are some, the invoice may say more.
-- Example: from invoice_lines('2026-11-01')
CREATE OR REPLACE MACRO invoice_lines(month) AS TABLE
SELECT provider,
       model,
       count(*) AS calls,
       sum(fresh_input_tokens)::BIGINT AS fresh_input_tokens,
       sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
       sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
       sum(output_tokens)::BIGINT AS output_tokens,
       sum(cost_usd) AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
       count(*) FILTER (usage_source <> 'reported') AS not_reported_calls
  FROM calls
 WHERE day >= date_trunc('month', month::DATE)::DATE
   AND day < (date_trunc('month', month::DATE) + INTERVAL 1 MONTH)::DATE
   AND NOT from_cache
 GROUP BY ALL;
