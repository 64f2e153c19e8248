-- run_waits: waiting against working, one row per day (UTC) on which runs were queued, of those that have started.
-- wait_ms (from when it was queued, or was due if that is later, until it started) and run_ms (from its start to its
-- end) are lists of the 50th, 95th and 99th percentile: wait_ms[2] is the p95.
-- Example: select day, wait_ms[2] as wait_p95, run_ms[2] as run_p95 from run_waits
CREATE OR REPLACE VIEW run_waits AS
SELECT make_timestamp(epoch_us(queued_at))::DATE AS day,
       count(*) AS runs,
       quantile_cont((epoch_us(started_at) - epoch_us(greatest(queued_at, due_at))) / 1000, [0.5, 0.95, 0.99]) AS wait_ms,
       quantile_cont((epoch_us(ended_at) - epoch_us(started_at)) / 1000, [0.5, 0.95, 0.99]) AS run_ms
  FROM runs
 WHERE started_at IS NOT NULL
 GROUP BY ALL;
