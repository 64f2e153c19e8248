-- name: insert
INSERT INTO garbage VALUES ($thread_id, $due_at) ON CONFLICT DO NOTHING;

-- name: due
-- Not of a thread that was made again under its id: what it has would go as well.
SELECT thread_id, epoch
  FROM garbage JOIN bindings USING (thread_id)
 WHERE due_at <= now() AND thread_id NOT IN (SELECT thread_id FROM threads)
 ORDER BY due_at
 LIMIT $limit;

-- name: delete
DELETE FROM garbage WHERE thread_id = $thread_id;
