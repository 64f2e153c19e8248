-- spend_forecast(): this month (UTC) so far, and what it comes to if the rest of it goes on like the last 28 days; one
-- row. daily_usd is the mean of those days, or of those since the first call, but for a whole day at least.
-- Example: from spend_forecast()
CREATE OR REPLACE MACRO spend_forecast() AS TABLE
WITH clock AS (
    SELECT make_timestamp(epoch_us(now())) AS moment,
           date_trunc('month', moment)::DATE AS month,
           epoch(date_trunc('month', moment) + INTERVAL 1 MONTH - moment) / 86400 AS days_left
),
spent AS (
    SELECT if(count(*) = 0, 0, sum(cost_usd)) AS spent_usd, count(*) FILTER (cost_usd IS NULL) AS unpriced_calls
      FROM calls
     WHERE started_at >= date_trunc('month', make_timestamp(epoch_us(now())))::TIMESTAMPTZ
),
pace AS (
    SELECT if(count(*) = 0, 0, sum(cost_usd)) / least(28, greatest(1, any_value(age))) AS daily_usd
      FROM calls, (SELECT epoch(now() - min(started_at)) / 86400 AS age FROM calls)
     WHERE started_at > now() - INTERVAL 28 DAYS
)
SELECT month,
       spent_usd,
       unpriced_calls,
       daily_usd,
       days_left,
       spent_usd + daily_usd * days_left AS forecast_usd
  FROM clock, spent, pace;
