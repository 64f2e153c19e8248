-- unpriced_models: calls that have no cost, one row per provider, model and reason: pending (the price list was still
-- being loaded), unknown_provider, unknown_model, no_usage (nothing to price), bad_usage (numbers that no price list
-- takes).
-- Example: from unpriced_models order by calls desc
CREATE OR REPLACE VIEW unpriced_models AS
SELECT provider,
       model,
       unpriced_reason,
       count(*) AS calls,
       sum(input_tokens)::BIGINT AS input_tokens,
       sum(output_tokens)::BIGINT AS output_tokens,
       sum(total_tokens)::BIGINT AS total_tokens,
       min(started_at) AS first_at,
       max(started_at) AS last_at
  FROM calls
 WHERE cost_usd IS NULL
 GROUP BY ALL;
