-- What the admission of a run replaced in the metadata of its thread, for the case that the run is rolled back: a patch
-- that brings it back, in which null is what was not there.

ALTER TABLE runs ADD COLUMN replaced JSON;
