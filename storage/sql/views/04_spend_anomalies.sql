-- spend_anomalies: one row per day (UTC), with how far its cost is from the mean_usd of the 28 rows before, in their
-- standard deviations: z. NULL where they are fewer than two, or all the same.
-- Example: from spend_anomalies where abs(z) > 3
CREATE OR REPLACE VIEW spend_anomalies AS
SELECT day,
       cost_usd,
       unpriced_calls,
       avg(cost_usd) OVER before AS mean_usd,
       (cost_usd - avg(cost_usd) OVER before) / nullif(stddev_samp(cost_usd) OVER before, 0) AS z
  FROM usage_by_day
WINDOW before AS (ORDER BY day ROWS BETWEEN 28 PRECEDING AND 1 PRECEDING);
