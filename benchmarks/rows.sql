-- Made rows, as a server writes them: in the order of time, under ids that grow with it.

-- name: runs
-- Evenly over some days. A thread lives for three of them; one, named always, lives for all.
INSERT INTO runs (
    run_id, thread_id, user_id, assistant_id, assistant_version, graph_id, status, multitask_strategy, attempt, queued_at,
    started_at, ended_at, tags, metadata, dialect, updated_at
)
SELECT (format('{:012x}', epoch_ms(queued_at)) || '7000a000' || format('{:012x}', n))::UUID,
       thread,
       'u' || hash(thread) % 200,
       'a' || n % 3,
       1,
       'research',
       CASE WHEN n % 20 = 0 THEN 'error' ELSE 'success' END,
       'reject',
       1,
       queued_at,
       queued_at + INTERVAL 50 MILLISECONDS,
       queued_at + INTERVAL 1 MINUTE,
       ['bench'],
       '{"team": "red"}',
       'gateway',
       queued_at
  FROM (
    SELECT range AS n,
           now() - to_microseconds(($runs - range) * 86400000000 * $days // $runs) AS queued_at,
           CASE WHEN range % $threads = 7 THEN 'always'
                ELSE 't' || range * $threads // $runs + hash(range) % greatest(1, $threads * 3 // $days)
           END AS thread
      FROM range($runs)
  );

-- name: calls
INSERT INTO model_calls (
    call_id, recorded_at, thread_id, run_id, attempt, user_id, assistant_id, assistant_version, graph_id, node, step, caller,
    caller_name, provider, model_requested, model, started_at, first_token_at, ended_at, input_tokens, output_tokens,
    total_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens, output_audio_tokens, reasoning_tokens,
    usage_source, from_cache, status, finish_reason, cost_usd, price_version, priced_as, tags, metadata
)
SELECT (format('{:012x}', epoch_ms(called_at)) || '7000b000' || format('{:012x}', row_number() OVER ()))::UUID,
       called_at + INTERVAL 3 SECONDS,
       thread_id,
       run_id,
       1,
       user_id,
       assistant_id,
       1,
       'research',
       'node' || dice % 7,
       step,
       CASE dice % 5 WHEN 0 THEN 'subagent' WHEN 1 THEN 'middleware' ELSE 'lead_agent' END,
       CASE WHEN dice % 5 < 2 THEN 'helper' END,
       'provider' || dice % 3,
       'model-' || dice % 10,
       'model-' || dice % 10,
       called_at,
       called_at + to_milliseconds(dice % 900),
       called_at + to_milliseconds(900 + dice % 5000),
       1000 + dice % 50000,
       dice % 2000,
       1000 + dice % 50000 + dice % 2000,
       dice % 1000,
       0,
       0,
       0,
       dice % 500,
       CASE WHEN dice % 50 = 0 THEN 'estimated' ELSE 'reported' END,
       false,
       CASE WHEN dice % 100 = 0 THEN 'error' ELSE 'success' END,
       'stop',
       CASE WHEN dice % 40 > 0 THEN (dice % 50000 / 1000000)::DECIMAL(18, 10) END,
       'genai-prices 0',
       'provider' || dice % 3 || '/model-' || dice % 10,
       tags,
       metadata
  FROM (
    SELECT *, queued_at + to_seconds(2 * step) AS called_at, hash(run_id, step) // 1024 AS dice
      FROM runs, (SELECT range AS step FROM range($calls_per_run))
     WHERE run_id BETWEEN $first AND $last
  );

-- name: threads
INSERT INTO threads (thread_id, status, unfinished, metadata, config, interrupts, created_at, updated_at)
SELECT thread_id, 'idle', 0, '{}', '{}', '{}', min(queued_at), max(queued_at) FROM runs GROUP BY thread_id;

-- name: slice
SELECT run_id::VARCHAR FROM runs WHERE run_id BETWEEN $first AND $last;

-- name: slices
-- Ids of runs at which to begin anew, so that what is made at once fits into memory.
SELECT run_id::VARCHAR FROM runs WHERE rowid % $size = 0 ORDER BY run_id;

-- name: a_thread
-- From the middle.
SELECT thread_id
  FROM runs
 WHERE thread_id <> 'always' AND rowid >= (SELECT max(rowid) FROM runs) // 2
 ORDER BY rowid
 LIMIT 1;

-- name: range_of_runs
SELECT min(run_id)::VARCHAR, max(run_id)::VARCHAR, count(*) FROM runs WHERE thread_id = $thread_id;

-- name: runs_of_threads
SELECT thread_id, run_id::VARCHAR FROM runs ORDER BY run_id DESC LIMIT $limit;

-- name: by_day
FROM usage_by_day;

-- name: by_day_of_a_week
FROM usage_by_day WHERE day > current_date - 7;

-- name: by_model
SELECT provider, model, sum(total_tokens)::BIGINT, sum(cost_usd) FROM usage_by_model GROUP BY ALL;

-- name: by_thread
FROM usage_by_thread;

-- name: by_one_thread
FROM usage_by_thread WHERE thread_id = $thread_id;

-- name: by_node
SELECT graph_id, node, caller, sum(total_tokens)::BIGINT FROM usage_by_node GROUP BY ALL;

-- name: latency_of_a_day
FROM latency_by_model WHERE day = current_date - 1;

-- name: roll_up_of_a_run
SELECT count(*), sum(total_tokens)::BIGINT, sum(cost_usd) FROM model_calls WHERE run_id = $run_id;

-- name: memory
SELECT sum(memory_usage_bytes)::BIGINT, coalesce(sum(memory_usage_bytes) FILTER (tag = 'ART_INDEX'), 0)::BIGINT
  FROM duckdb_memory();

-- name: two_threads
SET threads = 2;

-- name: one_thread
SET threads = 1;

-- name: beside
ATTACH $path AS beside;

-- name: copy
-- Without a primary key.
CREATE TABLE beside.model_calls AS FROM model_calls;

-- name: fold
CHECKPOINT;

-- name: fold_beside
CHECKPOINT beside;

-- name: leave
DETACH beside;
