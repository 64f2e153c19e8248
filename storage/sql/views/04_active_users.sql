-- active_users: who was there, one row per day (UTC): users and threads with calls of models (a call without user
-- counts for none), what they cost, and that by user and by thread. Users cannot be added over days: count them over
-- calls.
-- Example: select day, users, cost_per_thread from active_users order by day
CREATE OR REPLACE VIEW active_users AS
SELECT day,
       count(DISTINCT user_id) AS users,
       count(DISTINCT thread_id) AS threads,
       sum(cost_usd) AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
       (sum(cost_usd) / nullif(count(DISTINCT user_id), 0))::DECIMAL(18, 10) AS cost_per_user,
       (sum(cost_usd) / count(DISTINCT thread_id))::DECIMAL(18, 10) AS cost_per_thread
  FROM calls
 GROUP BY ALL;
