-- name: insert
-- A call that has been recorded stays as it is.
INSERT INTO model_calls (
    call_id, recorded_at, thread_id, run_id, attempt, user_id, assistant_id, assistant_version, graph_id, node, step,
    checkpoint_ns, subgraph, caller, caller_name, tool, provider, model_requested, model, started_at, first_token_at,
    ended_at, input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
    output_audio_tokens, reasoning_tokens, usage_source, usage_detail, from_cache, status, finish_reason, error_type,
    cost_usd, price_version, priced_as, unpriced_reason, tags, metadata, environment, release
) VALUES (
    $call_id, $recorded_at, $thread_id, $run_id, $attempt, $user_id, $assistant_id, $assistant_version, $graph_id,
    $node, $step, $checkpoint_ns, $subgraph, $caller, $caller_name, $tool, $provider, $model_requested, $model,
    $started_at, $first_token_at, $ended_at, $input_tokens, $output_tokens, $total_tokens, $cache_read_tokens,
    $cache_write_tokens, $input_audio_tokens, $output_audio_tokens, $reasoning_tokens, $usage_source, $usage_detail,
    $from_cache, $status, $finish_reason, $error_type, $cost_usd, $price_version, $priced_as, $unpriced_reason, $tags,
    $metadata, $environment, $release
)
ON CONFLICT DO NOTHING;

-- name: insert_each
INSERT INTO model_calls (
    call_id, recorded_at, thread_id, run_id, attempt, user_id, assistant_id, assistant_version, graph_id, node, step,
    checkpoint_ns, subgraph, caller, caller_name, tool, provider, model_requested, model, started_at, first_token_at,
    ended_at, input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
    output_audio_tokens, reasoning_tokens, usage_source, usage_detail, from_cache, status, finish_reason, error_type,
    cost_usd, price_version, priced_as, unpriced_reason, tags, metadata, environment, release
)
SELECT unnest($call_id::UUID[]), unnest($recorded_at::TIMESTAMPTZ[]), unnest($thread_id::VARCHAR[]),
       unnest($run_id::UUID[]), unnest($attempt::SMALLINT[]), unnest($user_id::VARCHAR[]),
       unnest($assistant_id::VARCHAR[]), unnest($assistant_version::INTEGER[]), unnest($graph_id::VARCHAR[]),
       unnest($node::VARCHAR[]), unnest($step::INTEGER[]), unnest($checkpoint_ns::VARCHAR[]),
       unnest($subgraph::VARCHAR[]), unnest($caller::VARCHAR[]), unnest($caller_name::VARCHAR[]),
       unnest($tool::VARCHAR[]), unnest($provider::VARCHAR[]), unnest($model_requested::VARCHAR[]),
       unnest($model::VARCHAR[]), unnest($started_at::TIMESTAMPTZ[]), unnest($first_token_at::TIMESTAMPTZ[]),
       unnest($ended_at::TIMESTAMPTZ[]), unnest($input_tokens::BIGINT[]), unnest($output_tokens::BIGINT[]),
       unnest($total_tokens::BIGINT[]), unnest($cache_read_tokens::BIGINT[]), unnest($cache_write_tokens::BIGINT[]),
       unnest($input_audio_tokens::BIGINT[]), unnest($output_audio_tokens::BIGINT[]),
       unnest($reasoning_tokens::BIGINT[]), unnest($usage_source::VARCHAR[]), unnest($usage_detail::JSON[]),
       unnest($from_cache::BOOLEAN[]), unnest($status::VARCHAR[]), unnest($finish_reason::VARCHAR[]),
       unnest($error_type::VARCHAR[]), unnest($cost_usd::DECIMAL(18, 10)[]), unnest($price_version::VARCHAR[]),
       unnest($priced_as::VARCHAR[]), unnest($unpriced_reason::VARCHAR[]), unnest($tags::VARCHAR[][]),
       unnest($metadata::JSON[]), unnest($environment::VARCHAR[]), unnest($release::VARCHAR[])
ON CONFLICT DO NOTHING;

-- name: open
-- A call is under way.
INSERT INTO open_calls VALUES ($call_id, $thread_id, $run_id, $epoch, $call) ON CONFLICT DO NOTHING;

-- name: open_each
INSERT INTO open_calls
SELECT unnest($call_id::UUID[]), unnest($thread_id::VARCHAR[]), unnest($run_id::UUID[]), unnest($epoch::BIGINT[]),
       unnest($call::JSON[])
ON CONFLICT DO NOTHING;

-- name: close
DELETE FROM open_calls WHERE call_id = $call_id;

-- name: close_each
DELETE FROM open_calls WHERE call_id IN (SELECT unnest($call_id::UUID[]));

-- name: opened
-- Calls of a thread that nothing more was heard of.
SELECT call FROM open_calls WHERE thread_id = $thread_id;

-- name: roll_up
-- What the calls of a run add up to. A run's id grows with time, and so do calls: what is scanned is small.
UPDATE runs
   SET llm_call_count = added.calls,
       total_input_tokens = added.input_tokens,
       total_output_tokens = added.output_tokens,
       total_tokens = added.total_tokens,
       lead_agent_tokens = added.lead_agent,
       subagent_tokens = added.subagent,
       middleware_tokens = added.middleware,
       model_tokens = added.models,
       cost_usd = added.cost_usd,
       unpriced_calls = added.unpriced
  FROM (
    SELECT sum(calls)::BIGINT AS calls,
           sum(input_tokens)::BIGINT AS input_tokens,
           sum(output_tokens)::BIGINT AS output_tokens,
           sum(total_tokens)::BIGINT AS total_tokens,
           sum(lead_agent)::BIGINT AS lead_agent,
           sum(subagent)::BIGINT AS subagent,
           sum(middleware)::BIGINT AS middleware,
           json_group_object(model, total_tokens) AS models,
           sum(cost_usd)::DECIMAL(18, 10) AS cost_usd,
           sum(unpriced)::BIGINT AS unpriced
      FROM (
        SELECT model,
               count(*) FILTER (NOT from_cache) AS calls,
               sum(input_tokens) AS input_tokens,
               sum(output_tokens) AS output_tokens,
               sum(total_tokens)::BIGINT AS total_tokens,
               sum(CASE caller WHEN 'lead_agent' THEN total_tokens ELSE 0 END) AS lead_agent,
               sum(CASE caller WHEN 'subagent' THEN total_tokens ELSE 0 END) AS subagent,
               sum(CASE caller WHEN 'middleware' THEN total_tokens ELSE 0 END) AS middleware,
               sum(cost_usd) AS cost_usd,
               count(*) FILTER (cost_usd IS NULL) AS unpriced
          FROM model_calls
         WHERE run_id = $run_id
         GROUP BY model
      )
    HAVING count(*) > 0
  ) AS added
 WHERE runs.run_id = $run_id;

-- name: roll_up_each
UPDATE runs
   SET llm_call_count = added.calls,
       total_input_tokens = added.input_tokens,
       total_output_tokens = added.output_tokens,
       total_tokens = added.total_tokens,
       lead_agent_tokens = added.lead_agent,
       subagent_tokens = added.subagent,
       middleware_tokens = added.middleware,
       model_tokens = added.models,
       cost_usd = added.cost_usd,
       unpriced_calls = added.unpriced
  FROM (
    SELECT run_id,
           sum(calls)::BIGINT AS calls,
           sum(input_tokens)::BIGINT AS input_tokens,
           sum(output_tokens)::BIGINT AS output_tokens,
           sum(total_tokens)::BIGINT AS total_tokens,
           sum(lead_agent)::BIGINT AS lead_agent,
           sum(subagent)::BIGINT AS subagent,
           sum(middleware)::BIGINT AS middleware,
           json_group_object(model, total_tokens) AS models,
           sum(cost_usd)::DECIMAL(18, 10) AS cost_usd,
           sum(unpriced)::BIGINT AS unpriced
      FROM (
        SELECT model_calls.run_id,
               model,
               count(*) FILTER (NOT from_cache) AS calls,
               sum(input_tokens) AS input_tokens,
               sum(output_tokens) AS output_tokens,
               sum(total_tokens)::BIGINT AS total_tokens,
               sum(CASE caller WHEN 'lead_agent' THEN total_tokens ELSE 0 END) AS lead_agent,
               sum(CASE caller WHEN 'subagent' THEN total_tokens ELSE 0 END) AS subagent,
               sum(CASE caller WHEN 'middleware' THEN total_tokens ELSE 0 END) AS middleware,
               sum(cost_usd) AS cost_usd,
               count(*) FILTER (cost_usd IS NULL) AS unpriced
          FROM model_calls
          JOIN (SELECT DISTINCT unnest($run_id::UUID[]) AS run_id) AS given USING (run_id)
         GROUP BY model_calls.run_id, model
      )
     GROUP BY run_id
  ) AS added
 WHERE runs.run_id = added.run_id;

-- name: add_tools
-- A run's messages of tools, as they come.
UPDATE runs SET tool_call_count = tool_call_count + $tool_calls WHERE run_id = $run_id;

-- name: add_tools_each
UPDATE runs
   SET tool_call_count = tool_call_count + given.tool_calls
  FROM (SELECT unnest($run_id::UUID[]) AS run_id, unnest($tool_calls::BIGINT[]) AS tool_calls) AS given
 WHERE runs.run_id = given.run_id;
