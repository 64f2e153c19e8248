-- What a client called the request that made a run, so that the same request makes no second one.

ALTER TABLE runs ADD COLUMN idempotency_key VARCHAR;
