-- context_growth: how much the lead agent has to read, one row per run in which it called a model, numbered by turn in
-- its thread. first_input_tokens and largest_input_tokens are those of its first and its largest call; window_used is
-- the part of the model's context window that the largest took, NULL where no price list in force knows the window.
-- Example: from context_growth where thread_id = 't42' order by turn
CREATE OR REPLACE VIEW context_growth AS
SELECT thread_id,
       run_id,
       row_number() OVER (PARTITION BY thread_id ORDER BY started_at, run_id) AS turn,
       started_at,
       model,
       first_input_tokens,
       largest_input_tokens,
       largest_input_tokens / context_window AS window_used
  FROM (
    SELECT thread_id,
           run_id,
           min(started_at) AS started_at,
           arg_min(input_tokens, (started_at, call_id)) AS first_input_tokens,
           max(input_tokens) AS largest_input_tokens,
           arg_max(model, (input_tokens, call_id)) AS model,
           arg_max_null(priced_as, (input_tokens, call_id)) AS priced_as
      FROM model_calls
     WHERE caller = 'lead_agent' AND NOT from_cache AND usage_source <> 'missing'
     GROUP BY ALL
  )
  LEFT JOIN (SELECT priced_as, max(context_window) AS context_window FROM prices_now GROUP BY ALL) USING (priced_as);
