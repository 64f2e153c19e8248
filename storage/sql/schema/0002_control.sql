-- What is asked of a run after it was admitted: that it ends, and that it starts no earlier than at some time.

ALTER TABLE runs ADD COLUMN cancel_action VARCHAR; -- how it was asked to end, while it runs; its reason is beside it
ALTER TABLE runs ADD COLUMN due_at TIMESTAMPTZ; -- NULL: at once
ALTER TABLE runs ADD COLUMN rolled_back BOOLEAN DEFAULT false; -- what it did was undone; its tokens still count
