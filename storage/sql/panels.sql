-- The questions of the usage page and of `treadle usage`, by days $since to $until (both included, NULL for no end) and
-- assistant $assistant_id (NULL for all). Each is run as its readers would run it.

-- name: totals
SELECT count(DISTINCT run_id) AS runs,
       count(*) FILTER (NOT from_cache) AS calls,
       coalesce(sum(input_tokens), 0)::BIGINT AS input_tokens,
       coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens,
       coalesce(sum(total_tokens), 0)::BIGINT AS total_tokens,
       sum(cost_usd)::DOUBLE AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
       count(*) FILTER (usage_source = 'estimated') AS estimated_calls
  FROM calls
 WHERE day BETWEEN coalesce($since::DATE, '-infinity') AND coalesce($until::DATE, 'infinity')
   AND ($assistant_id::VARCHAR IS NULL OR assistant_id = $assistant_id);

-- name: by_day
SELECT day,
       model,
       sum(total_tokens)::BIGINT AS total_tokens,
       sum(cost_usd)::DOUBLE AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls
  FROM calls
 WHERE day BETWEEN coalesce($since::DATE, '-infinity') AND coalesce($until::DATE, 'infinity')
   AND ($assistant_id::VARCHAR IS NULL OR assistant_id = $assistant_id)
 GROUP BY ALL
 ORDER BY day, model;

-- name: by_model
SELECT provider,
       model,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(input_tokens)::BIGINT AS input_tokens,
       sum(output_tokens)::BIGINT AS output_tokens,
       sum(total_tokens)::BIGINT AS total_tokens,
       sum(cost_usd)::DOUBLE AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls
  FROM calls
 WHERE day BETWEEN coalesce($since::DATE, '-infinity') AND coalesce($until::DATE, 'infinity')
   AND ($assistant_id::VARCHAR IS NULL OR assistant_id = $assistant_id)
 GROUP BY ALL
 ORDER BY total_tokens DESC
 LIMIT 20;

-- name: by_caller
SELECT caller,
       caller_name,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(total_tokens)::BIGINT AS total_tokens,
       sum(cost_usd)::DOUBLE AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls
  FROM calls
 WHERE day BETWEEN coalesce($since::DATE, '-infinity') AND coalesce($until::DATE, 'infinity')
   AND ($assistant_id::VARCHAR IS NULL OR assistant_id = $assistant_id)
 GROUP BY ALL
 ORDER BY total_tokens DESC
 LIMIT 20;

-- name: top_threads
SELECT thread_id,
       count(DISTINCT run_id) AS runs,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(total_tokens)::BIGINT AS total_tokens,
       sum(cost_usd)::DOUBLE AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls
  FROM calls
 WHERE day BETWEEN coalesce($since::DATE, '-infinity') AND coalesce($until::DATE, 'infinity')
   AND ($assistant_id::VARCHAR IS NULL OR assistant_id = $assistant_id)
 GROUP BY ALL
 ORDER BY cost_usd DESC NULLS LAST, total_tokens DESC
 LIMIT 10;

-- name: latency
SELECT model,
       count(*) AS calls,
       quantile_cont(duration_ms, 0.5)::BIGINT AS p50_ms,
       quantile_cont(duration_ms, 0.95)::BIGINT AS p95_ms,
       quantile_cont(duration_ms, 0.99)::BIGINT AS p99_ms,
       quantile_cont(ttft_ms, 0.5)::BIGINT AS first_token_p50_ms,
       quantile_cont(ttft_ms, 0.95)::BIGINT AS first_token_p95_ms
  FROM calls
 WHERE day BETWEEN coalesce($since::DATE, '-infinity') AND coalesce($until::DATE, 'infinity')
   AND ($assistant_id::VARCHAR IS NULL OR assistant_id = $assistant_id)
   AND status = 'success'
   AND NOT from_cache
 GROUP BY ALL
 ORDER BY calls DESC
 LIMIT 20;

-- name: outcomes
-- What became of the runs that the tokens were for; `repeated` is what attempts took that were not the last.
SELECT runs.status AS run_status,
       calls.attempt < runs.attempt AS repeated,
       count(DISTINCT calls.run_id) AS runs,
       sum(calls.total_tokens)::BIGINT AS total_tokens,
       sum(calls.cost_usd)::DOUBLE AS cost_usd,
       count(*) FILTER (calls.cost_usd IS NULL) AS unpriced_calls
  FROM calls
  JOIN runs USING (run_id)
 WHERE day BETWEEN coalesce($since::DATE, '-infinity') AND coalesce($until::DATE, 'infinity')
   AND ($assistant_id::VARCHAR IS NULL OR calls.assistant_id = $assistant_id)
 GROUP BY ALL
 ORDER BY total_tokens DESC;

-- name: unpriced
SELECT provider, model, unpriced_reason, count(*) AS calls, sum(total_tokens)::BIGINT AS total_tokens
  FROM calls
 WHERE day BETWEEN coalesce($since::DATE, '-infinity') AND coalesce($until::DATE, 'infinity')
   AND ($assistant_id::VARCHAR IS NULL OR assistant_id = $assistant_id)
   AND cost_usd IS NULL
 GROUP BY ALL
 ORDER BY calls DESC
 LIMIT 20;

-- name: assistants
SELECT assistant_id, graph_id, sum(total_tokens)::BIGINT AS total_tokens
  FROM calls
 WHERE assistant_id IS NOT NULL
 GROUP BY ALL
 ORDER BY total_tokens DESC
 LIMIT 100;
