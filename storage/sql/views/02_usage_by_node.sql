-- usage_by_node: tokens and cost, one row per day and place in a graph that called: graph, subgraph (path of the
-- enclosing subgraphs, NULL at the top), node, caller (lead_agent, subagent or middleware) with its name, and enclosing
-- tool.
-- Example: select subgraph, node, caller, caller_name, tool, sum(total_tokens) from usage_by_node group by all
CREATE OR REPLACE VIEW usage_by_node AS
SELECT day,
       graph_id,
       subgraph,
       node,
       caller,
       caller_name,
       tool,
       count(*) FILTER (NOT from_cache) AS calls,
       sum(input_tokens)::BIGINT AS input_tokens,
       sum(output_tokens)::BIGINT AS output_tokens,
       sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
       sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
       sum(total_tokens)::BIGINT AS total_tokens,
       sum(cost_usd) AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unpriced_calls,
       count(*) FILTER (usage_source = 'estimated') AS estimated_calls
  FROM calls
 GROUP BY ALL;
