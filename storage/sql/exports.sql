-- name: days_of_model_calls
-- Each day that has rows, and what changes when one of its rows does: they are only added, and priced once.
SELECT strftime(make_timestamp(epoch_us(started_at)), '%Y-%m-%d') AS day,
       concat_ws('/', count(*), max(epoch_us(recorded_at)), count(cost_usd)) AS state
  FROM model_calls
 WHERE ($since::DATE IS NULL OR started_at >= $since::DATE)
   AND ($until::DATE IS NULL OR started_at < $until::DATE + INTERVAL 1 DAY)
 GROUP BY ALL
 ORDER BY day;

-- name: days_of_runs
SELECT strftime(make_timestamp(epoch_us(queued_at)), '%Y-%m-%d') AS day,
       concat_ws('/', count(*), max(epoch_us(updated_at)), sum(llm_call_count), sum(tool_call_count),
                 sum(total_tokens), count(cost_usd), sum(unpriced_calls)) AS state
  FROM runs
 WHERE ($since::DATE IS NULL OR queued_at >= $since::DATE)
   AND ($until::DATE IS NULL OR queued_at < $until::DATE + INTERVAL 1 DAY)
 GROUP BY ALL
 ORDER BY day;

-- name: page_of_model_calls
-- Rows of a day after a row of it, or its first.
SELECT call_id, recorded_at, thread_id, run_id, attempt, user_id, tenant, assistant_id, assistant_version, graph_id,
       node, step, checkpoint_ns, subgraph, caller, caller_name, tool, provider, model_requested, model,
       started_at, first_token_at, ended_at, input_tokens, output_tokens, total_tokens, cache_read_tokens,
       cache_write_tokens, input_audio_tokens, output_audio_tokens, reasoning_tokens, usage_source, usage_detail,
       from_cache, status, finish_reason, error_type, cost_usd, price_version, priced_as, unpriced_reason,
       tags, metadata, environment, release
  FROM model_calls
 WHERE started_at >= $day::DATE
   AND started_at < $day::DATE + INTERVAL 1 DAY
   AND ($after::UUID IS NULL OR (started_at, call_id) > ($at::TIMESTAMPTZ, $after::UUID))
 ORDER BY started_at, call_id
 LIMIT $count::BIGINT;

-- name: page_of_runs
-- What is documented of them: what users said, and what went wrong in their words, stays here.
SELECT run_id, thread_id, user_id, tenant, assistant_id, assistant_version, graph_id, status, multitask_strategy,
       attempt, queued_at, started_at, ended_at, error_type, tags, metadata, environment, release,
       llm_call_count, tool_call_count, total_input_tokens, total_output_tokens, total_tokens,
       lead_agent_tokens, subagent_tokens, middleware_tokens, cost_usd, unpriced_calls
  FROM runs
 WHERE queued_at >= $day::DATE
   AND queued_at < $day::DATE + INTERVAL 1 DAY
   AND ($after::UUID IS NULL OR (queued_at, run_id) > ($at::TIMESTAMPTZ, $after::UUID))
 ORDER BY queued_at, run_id
 LIMIT $count::BIGINT;
