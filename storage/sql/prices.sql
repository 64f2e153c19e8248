-- name: in_force
-- The price lists that were in force when they were last looked at.
SELECT DISTINCT price_version FROM prices WHERE loaded_at = (SELECT max(loaded_at) FROM prices);

-- name: known
SELECT DISTINCT price_version FROM prices;

-- name: insert
INSERT INTO prices VALUES (
    $price_version, $loaded_at, $priced_as, $starts_at, $ends_at, $above_input_tokens, $up_to_input_tokens, $input_mtok,
    $output_mtok, $cache_read_mtok, $cache_write_mtok, $context_window, $exact
);

-- name: insert_each
INSERT INTO prices
SELECT unnest($price_version::VARCHAR[]), unnest($loaded_at::TIMESTAMPTZ[]), unnest($priced_as::VARCHAR[]),
       unnest($starts_at::TIMESTAMPTZ[]), unnest($ends_at::TIMESTAMPTZ[]), unnest($above_input_tokens::BIGINT[]),
       unnest($up_to_input_tokens::BIGINT[]), unnest($input_mtok::DECIMAL(18, 10)[]),
       unnest($output_mtok::DECIMAL(18, 10)[]), unnest($cache_read_mtok::DECIMAL(18, 10)[]),
       unnest($cache_write_mtok::DECIMAL(18, 10)[]), unnest($context_window::BIGINT[]), unnest($exact::BOOLEAN[]);

-- name: put_in_force
-- Lists that are in force now, whenever they were seen first.
UPDATE prices SET loaded_at = $loaded_at WHERE list_contains($price_versions, price_version);

-- name: unpriced
-- Calls without a cost for one of these reasons, a page of them in the order of their ids.
SELECT call_id::VARCHAR, run_id::VARCHAR, thread_id, provider, model, epoch_us(started_at), unpriced_reason,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens, output_audio_tokens
  FROM model_calls
 WHERE cost_usd IS NULL
   AND unpriced_reason IN (SELECT unnest($reasons::VARCHAR[]))
   AND call_id > $after
 ORDER BY call_id
 LIMIT $limit;

-- name: price
-- A cost that is known stays as it is.
UPDATE model_calls
   SET cost_usd = $cost_usd, price_version = $price_version, priced_as = $priced_as, unpriced_reason = $unpriced_reason
 WHERE call_id = $call_id AND cost_usd IS NULL;

-- name: price_each
UPDATE model_calls
   SET cost_usd = given.cost_usd,
       price_version = given.price_version,
       priced_as = given.priced_as,
       unpriced_reason = given.unpriced_reason
  FROM (
    SELECT unnest($call_id::UUID[]) AS call_id, unnest($cost_usd::DECIMAL(18, 10)[]) AS cost_usd,
           unnest($price_version::VARCHAR[]) AS price_version, unnest($priced_as::VARCHAR[]) AS priced_as,
           unnest($unpriced_reason::VARCHAR[]) AS unpriced_reason
  ) AS given
 WHERE model_calls.call_id = given.call_id AND model_calls.cost_usd IS NULL;
