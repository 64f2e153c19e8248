-- name: run
-- Its id as others write it, if there is such a run.
SELECT run_id::VARCHAR
  FROM runs
 WHERE run_id = try_cast($run_id AS UUID) AND thread_id = $thread_id AND deleted_at IS NULL;

-- name: of_thread
-- In the order of the record's fields.
SELECT feedback_id::VARCHAR, thread_id, run_id::VARCHAR, user_id, message_id, rating, comment, epoch_us(created_at)
  FROM feedback
 WHERE thread_id = $thread_id;

-- name: insert
INSERT INTO feedback VALUES (
    $feedback_id, $thread_id, $run_id, $user_id, $message_id, $rating, $comment, $created_at
);

-- name: replace
UPDATE feedback
   SET message_id = $message_id, rating = $rating, comment = $comment, created_at = $created_at
 WHERE feedback_id = $feedback_id;

-- name: delete
DELETE FROM feedback WHERE feedback_id = $feedback_id;

-- name: forget_run
DELETE FROM feedback WHERE run_id = $run_id;

-- name: forget_thread
DELETE FROM feedback WHERE thread_id = $thread_id;
