-- calls: model_calls, one row per model call, with what is easily derived from it. day (DATE) and hour (TIMESTAMPTZ)
-- are those of started_at, in UTC. fresh_input_tokens are input tokens that were neither read from nor written to a
-- provider's cache. duration_ms is from start to end, ttft_ms from start to the first token (NULL when nothing was
-- streamed), tokens_per_s output tokens by the whole duration.
-- Example: select day, model, duration_ms from calls where day = current_date and status = 'error'
CREATE OR REPLACE VIEW calls AS
SELECT *,
       -- Written so that a condition on a day or an hour skips what lies outside; a cast of a TIMESTAMPTZ takes eight
       -- times as long, for it looks up a time zone.
       make_timestamp(epoch_us(started_at))::DATE AS day,
       to_timestamp(epoch_us(started_at) // 3600000000 * 3600) AS hour,
       input_tokens - cache_read_tokens - cache_write_tokens AS fresh_input_tokens,
       (epoch_us(ended_at) - epoch_us(started_at)) / 1000 AS duration_ms,
       (epoch_us(first_token_at) - epoch_us(started_at)) / 1000 AS ttft_ms,
       output_tokens * 1000000 / nullif(epoch_us(ended_at) - epoch_us(started_at), 0) AS tokens_per_s
  FROM model_calls;
