-- How many of a run's attempts a server that stopped has ended: a deploy is no fault of the run.

ALTER TABLE runs ADD COLUMN parked SMALLINT DEFAULT 0;
