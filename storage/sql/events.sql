-- name: insert
INSERT INTO events VALUES (
    $thread_id, $seq, $run_id, $event_type, $category, $caller, $content, $metadata, $created_at
);

-- name: insert_each
INSERT INTO events
SELECT unnest($thread_id::VARCHAR[]), unnest($seq::BIGINT[]), unnest($run_id::UUID[]), unnest($event_type::VARCHAR[]),
       unnest($category::VARCHAR[]), unnest($caller::VARCHAR[]), unnest($content::JSON[]), unnest($metadata::JSON[]),
       unnest($created_at::TIMESTAMPTZ[]);

-- name: end
-- Where a thread's log ends: its last number, and the id of its last human message.
WITH mine AS MATERIALIZED (
    SELECT seq, event_type, content FROM events WHERE thread_id = $thread_id
)
SELECT max(seq), max_by(content ->> 'id', seq) FILTER (event_type = 'llm.human.input') FROM mine;

-- name: delete
DELETE FROM events WHERE thread_id = $thread_id;
