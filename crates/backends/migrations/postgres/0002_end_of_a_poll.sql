-- What is stored of a poll's end beside its window, so that no clock opens it again and no ballot changes a final result.
ALTER TABLE poll ADD COLUMN closed_at BIGINT, ADD COLUMN final_at BIGINT;
