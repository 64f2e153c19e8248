-- name: find
SELECT epoch FROM bindings WHERE thread_id = $thread_id;
