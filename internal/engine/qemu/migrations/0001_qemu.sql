-- +goose Up

-- What exists, by kind: machines, volumes, images, snapshots of volumes, peerings. What was destroyed stays as a
-- tombstone without data. The owner is the machine that a volume is attached to.
CREATE TABLE things (
	kind TEXT NOT NULL,
	id TEXT NOT NULL,
	owner TEXT NOT NULL,
	destroyed BOOLEAN NOT NULL,
	data TEXT NOT NULL,
	PRIMARY KEY (kind, id)
);
CREATE INDEX things_by_owner ON things (kind, owner) WHERE owner <> '';

-- Work that was asked for and has ended, by key, until it is forgotten.
CREATE TABLE work (
	key TEXT NOT NULL PRIMARY KEY,
	undone BOOLEAN NOT NULL,
	done BOOLEAN NOT NULL,
	progress TEXT NOT NULL,
	settled_at BIGINT NOT NULL
);
CREATE INDEX work_by_age ON work (settled_at);
