-- Who is to be told that a run has ended, and when that was done, or given up.

ALTER TABLE runs ADD COLUMN webhook VARCHAR;
ALTER TABLE runs ADD COLUMN webhook_sent_at TIMESTAMPTZ;
