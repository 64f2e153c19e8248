-- latency_by_model: how fast models answer, one row per day, provider and model; only calls that succeeded, and no
-- answers of a local cache. ttft_ms (to the first token, of calls that streamed), duration_ms and tokens_per_s are
-- lists of the 50th, 95th and 99th percentile: ttft_ms[2] is the p95.
-- Example: select model, calls, ttft_ms[2] as ttft_p95 from latency_by_model where day = current_date - 1
CREATE OR REPLACE VIEW latency_by_model AS
SELECT day,
       provider,
       model,
       count(*) AS calls,
       quantile_cont(ttft_ms, [0.5, 0.95, 0.99]) AS ttft_ms,
       quantile_cont(duration_ms, [0.5, 0.95, 0.99]) AS duration_ms,
       quantile_cont(tokens_per_s, [0.5, 0.95, 0.99]) AS tokens_per_s
  FROM calls
 WHERE status = 'success' AND NOT from_cache
 GROUP BY ALL;
