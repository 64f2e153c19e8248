-- name: find
SELECT epoch, next_seq FROM bindings WHERE thread_id = $thread_id;

-- name: insert
-- Preceded by a look, because ON CONFLICT costs three times as much, and there is only one writer.
INSERT INTO bindings VALUES ($thread_id, $epoch, $next_seq);

-- name: take
UPDATE bindings SET epoch = $epoch, next_seq = $next_seq WHERE thread_id = $thread_id;

-- name: reserve
UPDATE bindings SET next_seq = next_seq + $count WHERE thread_id = $thread_id RETURNING next_seq;

-- name: release
-- Only downwards: what was never reserved cannot be given back.
UPDATE bindings SET next_seq = least(next_seq, $next_seq) WHERE thread_id = $thread_id;
