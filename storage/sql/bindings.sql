-- name: insert
INSERT INTO bindings VALUES ($thread_id, $epoch, $next_seq);

-- name: insert_each
INSERT INTO bindings SELECT unnest($thread_id::VARCHAR[]), unnest($epoch::BIGINT[]), unnest($next_seq::BIGINT[]);

-- name: take
UPDATE bindings SET epoch = $epoch, next_seq = $next_seq WHERE thread_id = $thread_id;

-- name: take_each
UPDATE bindings
   SET epoch = given.epoch, next_seq = given.next_seq
  FROM (
    SELECT unnest($thread_id::VARCHAR[]) AS thread_id,
           unnest($epoch::BIGINT[]) AS epoch,
           unnest($next_seq::BIGINT[]) AS next_seq
  ) AS given
 WHERE bindings.thread_id = given.thread_id;

-- name: number
UPDATE bindings SET next_seq = $next_seq WHERE thread_id = $thread_id;

-- name: number_each
UPDATE bindings
   SET next_seq = given.next_seq
  FROM (SELECT unnest($thread_id::VARCHAR[]) AS thread_id, unnest($next_seq::BIGINT[]) AS next_seq) AS given
 WHERE bindings.thread_id = given.thread_id;
