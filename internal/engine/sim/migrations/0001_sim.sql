-- +goose Up
-- The world of the simulated hypervisor: what a real one would find on its own
-- hosts. One text for SQLite and PostgreSQL; times are microseconds of the
-- cloud's clock unless a column says otherwise.

-- A row of something destroyed stays as its tombstone, so that a late create
-- finds it.
CREATE TABLE sim_machines (
	id TEXT NOT NULL PRIMARY KEY,
	account BIGINT NOT NULL,
	name TEXT NOT NULL,
	region TEXT NOT NULL,
	host TEXT NOT NULL,
	running BOOLEAN NOT NULL,
	vcpus BIGINT NOT NULL,
	memory BIGINT NOT NULL,
	disk BIGINT NOT NULL,
	image TEXT NOT NULL,
	-- How much of the disk is in use, which is the size of its image.
	used_gigabytes DOUBLE PRECISION NOT NULL,
	network TEXT NOT NULL,
	firewall TEXT NOT NULL,
	firewall_version BIGINT NOT NULL,
	-- How often its guest was given a new password.
	passwords BIGINT NOT NULL DEFAULT 0,
	-- The work that replaced its disk, and the disk before.
	replaced_by TEXT NOT NULL DEFAULT '',
	former_image TEXT NOT NULL DEFAULT '',
	former_gigabytes DOUBLE PRECISION NOT NULL DEFAULT 0,
	destroyed BOOLEAN NOT NULL
);

CREATE TABLE sim_images (
	id TEXT NOT NULL PRIMARY KEY,
	account BIGINT NOT NULL,
	name TEXT NOT NULL,
	-- The disk that it needs: a machine's has to be at least as large.
	disk BIGINT NOT NULL,
	size_gigabytes DOUBLE PRECISION NOT NULL,
	destroyed BOOLEAN NOT NULL
);

-- Where each image can be used. Rows go with what they are about.
CREATE TABLE sim_image_regions (
	image TEXT NOT NULL,
	region TEXT NOT NULL,
	PRIMARY KEY (image, region)
);

CREATE TABLE sim_volumes (
	id TEXT NOT NULL PRIMARY KEY,
	account BIGINT NOT NULL,
	name TEXT NOT NULL,
	region TEXT NOT NULL,
	size_gigabytes BIGINT NOT NULL,
	used_gigabytes DOUBLE PRECISION NOT NULL,
	filesystem_type TEXT NOT NULL,
	filesystem_label TEXT NOT NULL,
	-- The machine that it is attached to, or empty.
	machine TEXT NOT NULL,
	destroyed BOOLEAN NOT NULL
);

-- A machine's volumes are looked for when it is destroyed.
CREATE INDEX sim_volumes_machine ON sim_volumes (machine) WHERE machine <> '';

CREATE TABLE sim_volume_snapshots (
	id TEXT NOT NULL PRIMARY KEY,
	account BIGINT NOT NULL,
	name TEXT NOT NULL,
	-- The size of the volume it was taken of: one made from it is no smaller.
	volume_gigabytes BIGINT NOT NULL,
	size_gigabytes DOUBLE PRECISION NOT NULL,
	destroyed BOOLEAN NOT NULL
);

-- Private networks that are joined.
CREATE TABLE sim_peerings (
	id TEXT NOT NULL PRIMARY KEY,
	account BIGINT NOT NULL,
	name TEXT NOT NULL,
	vpc TEXT NOT NULL,
	peer TEXT NOT NULL,
	destroyed BOOLEAN NOT NULL
);

-- Every piece of work that was asked for, by its key.
CREATE TABLE sim_work (
	key TEXT NOT NULL PRIMARY KEY,
	verb TEXT NOT NULL,
	asked_at BIGINT NOT NULL,
	due_at BIGINT NOT NULL,
	done BOOLEAN NOT NULL,
	undone BOOLEAN NOT NULL,
	-- JSON: the faults that delayed it, and which of them still owe an error.
	delayed TEXT NOT NULL,
	-- What a finished piece of work answers.
	size_gigabytes DOUBLE PRECISION NOT NULL,
	host TEXT NOT NULL,
	-- Why the last attempt failed.
	error TEXT NOT NULL,
	-- When it was done, undone or last failed, in real time; 0 while it waits.
	settled_at BIGINT NOT NULL
);

CREATE INDEX sim_work_settled ON sim_work (settled_at) WHERE settled_at > 0;

CREATE TABLE sim_faults (
	id BIGINT NOT NULL PRIMARY KEY,
	account BIGINT NOT NULL,
	operation TEXT NOT NULL,
	resource TEXT NOT NULL,
	error TEXT NOT NULL,
	transient BOOLEAN NOT NULL,
	delay BIGINT NOT NULL,
	times BIGINT NOT NULL,
	hits BIGINT NOT NULL
);

CREATE INDEX sim_faults_operation ON sim_faults (account, operation);

-- The next number of each sequence. A removed fault's number is not reused.
CREATE TABLE sim_counters (
	name TEXT NOT NULL PRIMARY KEY,
	next BIGINT NOT NULL
);

-- How far the cloud's clock is ahead of the real one, in one row.
CREATE TABLE sim_clock (
	id BIGINT NOT NULL PRIMARY KEY,
	ahead BIGINT NOT NULL
);
