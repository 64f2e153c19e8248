-- token_shape: what tokens are spent on, one row per day, provider and model. reasoning_share is the part of the output
-- that was reasoning, output_per_input how many tokens of output each of input brings; NULL without any.
-- Example: from token_shape where day = current_date
CREATE OR REPLACE VIEW token_shape AS
SELECT day,
       provider,
       model,
       calls,
       input_tokens,
       output_tokens,
       reasoning_tokens,
       total_tokens,
       reasoning_tokens / nullif(output_tokens, 0) AS reasoning_share,
       output_tokens / nullif(input_tokens, 0) AS output_per_input,
       estimated_calls
  FROM usage_by_model;
