-- name: begin
-- One moment of everything, in which nothing can be changed.
BEGIN TRANSACTION READ ONLY;

-- name: roll_back
ROLLBACK;
