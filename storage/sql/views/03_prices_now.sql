-- prices_now: the price lists in force, of table prices: dollars for a million tokens, one row per entry
-- (provider/model), dates (UTC, NULL: open) and size of the whole input (above_input_tokens < input tokens <=
-- up_to_input_tokens, NULL: open). Own prices of the configuration (price_version starts with config) come first: the
-- package's row of such an entry ends where they start. NULL as cache price: as the rest of the input. exact = false
-- marks what ranges cannot say (times of day, service tiers, audio): there the price is near.
-- Example: from prices_now where priced_as = 'openai/gpt-4o'
CREATE OR REPLACE VIEW prices_now AS
WITH loaded AS (
    SELECT *, starts_with(price_version, 'config ') AS own
      FROM prices
     WHERE loaded_at = (SELECT max(loaded_at) FROM prices)
),
owned AS (
    SELECT priced_as, min(coalesce(starts_at, '-infinity'::TIMESTAMPTZ)) AS owned_from
      FROM loaded
     WHERE own
     GROUP BY ALL
)
SELECT price_version,
       loaded_at,
       priced_as,
       starts_at,
       CASE WHEN own THEN ends_at ELSE least(ends_at, owned_from) END AS ends_at,
       above_input_tokens,
       up_to_input_tokens,
       input_mtok,
       output_mtok,
       cache_read_mtok,
       cache_write_mtok,
       context_window,
       exact
  FROM loaded
  LEFT JOIN owned USING (priced_as)
 WHERE own OR owned_from IS NULL OR coalesce(starts_at, '-infinity'::TIMESTAMPTZ) < owned_from;
