-- errors_by_model: how calls of models end, one row per day, provider, model, error_type and finish_reason: calls, and
-- of them errors, cancelled and lost (their process died). Retries of a provider's own client are not seen here.
-- Example: select model, sum(errors) / sum(calls) as rate from errors_by_model group by all order by rate desc
CREATE OR REPLACE VIEW errors_by_model AS
SELECT day,
       provider,
       model,
       error_type,
       finish_reason,
       count(*) AS calls,
       count(*) FILTER (status = 'error') AS errors,
       count(*) FILTER (status = 'cancelled') AS cancelled,
       count(*) FILTER (status = 'lost') AS lost
  FROM calls
 WHERE NOT from_cache
 GROUP BY ALL;
