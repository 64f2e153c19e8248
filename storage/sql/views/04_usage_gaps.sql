-- usage_gaps: models whose provider did not say how many tokens a call took, one row per day, provider, model and
-- call_status. Of calls, estimated_calls were counted by LangChain's approximation, and missing_calls not at all. If
-- calls that succeed are here, the cure is the model's own stream_usage.
-- Example: select model, sum(estimated_calls), sum(missing_calls) from usage_gaps where call_status = 'success' group by all
CREATE OR REPLACE VIEW usage_gaps AS
SELECT day,
       provider,
       model,
       status AS call_status,
       count(*) AS calls,
       count(*) FILTER (usage_source = 'estimated') AS estimated_calls,
       count(*) FILTER (usage_source = 'missing') AS missing_calls,
       sum(total_tokens) FILTER (usage_source = 'estimated')::BIGINT AS estimated_tokens
  FROM calls
 WHERE NOT from_cache
 GROUP BY ALL
HAVING estimated_calls + missing_calls > 0;
