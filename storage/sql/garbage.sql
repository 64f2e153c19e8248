-- name: insert
INSERT INTO garbage VALUES ($thread_id, $due_at) ON CONFLICT DO NOTHING;

-- name: due
SELECT thread_id FROM garbage WHERE due_at <= now() ORDER BY due_at LIMIT $limit;

-- name: delete
DELETE FROM garbage WHERE thread_id = $thread_id;
