-- +goose Up
-- One text for SQLite and PostgreSQL. Times are microseconds since 1970 in UTC;
-- JSON is TEXT; identifiers are given by the program. What an enumeration may
-- hold is checked in Go: changing a CHECK means rebuilding a SQLite table.

-- The next number of each counter. Processes take numbers in blocks.
CREATE TABLE counters (
	name TEXT NOT NULL PRIMARY KEY,
	next BIGINT NOT NULL,
	-- Numbers below it came with what was imported, and no process has any.
	imported BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE accounts (
	id BIGINT NOT NULL PRIMARY KEY,
	uuid TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,
	email TEXT NOT NULL UNIQUE,
	project_id TEXT NOT NULL,
	droplet_limit BIGINT NOT NULL,
	volume_limit BIGINT NOT NULL,
	reserved_ip_limit BIGINT NOT NULL,
	-- How many there are. Counting the rows at each create would cost more the
	-- more there are.
	droplets BIGINT NOT NULL,
	volumes BIGINT NOT NULL,
	reserved_ips BIGINT NOT NULL,
	reserved_ipv6s BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);

CREATE TABLE tokens (
	id BIGINT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	name TEXT NOT NULL,
	hash TEXT NOT NULL UNIQUE,
	scopes TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NULL
);

-- The catalogue. What vanishes from it is retired, never deleted.
CREATE TABLE regions (
	slug TEXT NOT NULL PRIMARY KEY,
	place BIGINT NOT NULL,
	data TEXT NOT NULL,
	retired BOOLEAN NOT NULL
);

CREATE TABLE sizes (
	slug TEXT NOT NULL PRIMARY KEY,
	place BIGINT NOT NULL,
	data TEXT NOT NULL,
	retired BOOLEAN NOT NULL
);

-- Images of the catalogue (account_id 0) and of accounts. Rows stay after a
-- delete, as Droplets show the image they were made from.
CREATE TABLE images (
	id BIGINT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL,
	slug TEXT NOT NULL,
	name TEXT NOT NULL,
	type TEXT NOT NULL,
	kind TEXT NOT NULL,
	distribution TEXT NOT NULL,
	regions TEXT NOT NULL,
	min_disk_size BIGINT NOT NULL,
	size_gigabytes DOUBLE PRECISION NOT NULL,
	description TEXT NOT NULL,
	status TEXT NOT NULL,
	source_droplet_id BIGINT NOT NULL,
	error TEXT NOT NULL DEFAULT '',
	created_at BIGINT NOT NULL,
	-- When a backup is to be deleted, or a delete that failed is tried again.
	delete_at BIGINT NULL,
	-- What it was to the accounts that have given it away.
	given TEXT NOT NULL DEFAULT '[]'
);
CREATE UNIQUE INDEX images_slug ON images (slug) WHERE slug <> '';
CREATE INDEX images_account ON images (account_id, id);
CREATE INDEX images_source ON images (source_droplet_id, id) WHERE source_droplet_id <> 0;
CREATE INDEX images_expiring ON images (delete_at) WHERE delete_at IS NOT NULL;

-- Images that are offered to another account.
CREATE TABLE image_transfers (
	id BIGINT NOT NULL PRIMARY KEY,
	image_id BIGINT NOT NULL UNIQUE REFERENCES images (id),
	sender_id BIGINT NOT NULL REFERENCES accounts (id),
	recipient_id BIGINT NOT NULL REFERENCES accounts (id),
	created_at BIGINT NOT NULL
);

CREATE TABLE vpcs (
	id TEXT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	name TEXT NOT NULL,
	description TEXT NOT NULL,
	region TEXT NOT NULL,
	ip_range TEXT NOT NULL,
	-- The range's bounds as numbers: no two of an account overlap.
	first_address BIGINT NOT NULL,
	last_address BIGINT NOT NULL,
	is_default BOOLEAN NOT NULL,
	next_host BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	UNIQUE (account_id, name)
);
CREATE INDEX vpcs_range ON vpcs (account_id, first_address);
CREATE UNIQUE INDEX vpcs_default ON vpcs (account_id, region) WHERE is_default;

CREATE TABLE vpc_peerings (
	id TEXT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	name TEXT NOT NULL,
	vpc_id TEXT NOT NULL REFERENCES vpcs (id),
	peer_id TEXT NOT NULL REFERENCES vpcs (id),
	status TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	UNIQUE (account_id, name)
);
CREATE INDEX vpc_peerings_vpc ON vpc_peerings (vpc_id);
CREATE INDEX vpc_peerings_peer ON vpc_peerings (peer_id);

CREATE TABLE ssh_keys (
	id BIGINT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	name TEXT NOT NULL,
	public_key TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	UNIQUE (account_id, fingerprint)
);

CREATE TABLE droplets (
	id BIGINT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	name TEXT NOT NULL,
	region TEXT NOT NULL,
	size TEXT NOT NULL,
	vcpus BIGINT NOT NULL,
	memory BIGINT NOT NULL,
	disk BIGINT NOT NULL,
	image_id BIGINT NOT NULL REFERENCES images (id),
	status TEXT NOT NULL,
	ipv6 BOOLEAN NOT NULL,
	monitoring BOOLEAN NOT NULL,
	agent BOOLEAN NOT NULL,
	public_networking BOOLEAN NOT NULL,
	gpu BOOLEAN NOT NULL,
	vpc_id TEXT NOT NULL REFERENCES vpcs (id),
	vpc_range TEXT NOT NULL, -- the VPC's, which never changes
	-- The places of its addresses in the VPC's range and in the public pool.
	private_host BIGINT NOT NULL,
	private_ipv4 TEXT NOT NULL,
	public_host BIGINT NULL UNIQUE,
	public_ipv4 TEXT NOT NULL,
	-- The network that it is in, as that may not be the pool's any more; empty for
	-- a simulated one, which the address tells.
	public_range TEXT NOT NULL DEFAULT '',
	public_ipv6 TEXT NOT NULL,
	ipv6_gateway TEXT NOT NULL,
	host TEXT NOT NULL,
	user_data TEXT NOT NULL,
	public_keys TEXT NOT NULL,
	destroyed_by BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	-- When it is backed up: the plan is empty for never. The window is the next
	-- one, or the one that is open until its backup begins; due is when to try.
	backup_plan TEXT NOT NULL DEFAULT '',
	backup_weekday TEXT NOT NULL DEFAULT '',
	backup_hour BIGINT NOT NULL DEFAULT 0,
	backup_window BIGINT NULL,
	backup_due BIGINT NULL,
	UNIQUE (vpc_id, private_host)
);
CREATE INDEX droplets_account ON droplets (account_id, gpu, id);
CREATE INDEX droplets_name ON droplets (account_id, lower(name), id);
CREATE INDEX droplets_host ON droplets (account_id, host, id);
CREATE INDEX droplets_backup ON droplets (backup_due, id) WHERE backup_due IS NOT NULL;

-- How many Droplets an account has among each 1,024 IDs, those with GPUs apart:
-- what a list counts, and how it finds a page far from the first.
CREATE TABLE droplet_buckets (
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	gpu BOOLEAN NOT NULL,
	bucket BIGINT NOT NULL,
	droplets BIGINT NOT NULL,
	PRIMARY KEY (account_id, gpu, bucket)
);

CREATE TABLE volumes (
	id TEXT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	name TEXT NOT NULL,
	region TEXT NOT NULL,
	description TEXT NOT NULL,
	size_gigabytes BIGINT NOT NULL,
	filesystem_type TEXT NOT NULL,
	filesystem_label TEXT NOT NULL,
	droplet_id BIGINT NOT NULL,
	ready BOOLEAN NOT NULL,
	created_at BIGINT NOT NULL,
	UNIQUE (account_id, region, name)
);
CREATE INDEX volumes_droplet ON volumes (droplet_id) WHERE droplet_id <> 0;
CREATE INDEX volumes_account ON volumes (account_id, created_at, id);

CREATE TABLE volume_snapshots (
	id TEXT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	volume_id TEXT NOT NULL,
	name TEXT NOT NULL,
	region TEXT NOT NULL,
	min_disk_size BIGINT NOT NULL,
	size_gigabytes DOUBLE PRECISION NOT NULL,
	ready BOOLEAN NOT NULL,
	created_at BIGINT NOT NULL,
	UNIQUE (volume_id, name)
);
CREATE INDEX volume_snapshots_account ON volume_snapshots (account_id, created_at, id);

CREATE TABLE reserved_ips (
	ip TEXT NOT NULL PRIMARY KEY,
	host BIGINT NOT NULL UNIQUE, -- its place in the pool
	id BIGINT NOT NULL UNIQUE,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	region TEXT NOT NULL,
	droplet_id BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX reserved_ips_droplet ON reserved_ips (droplet_id) WHERE droplet_id <> 0;
CREATE INDEX reserved_ips_account ON reserved_ips (account_id, id);

CREATE TABLE reserved_ipv6s (
	ip TEXT NOT NULL PRIMARY KEY,
	number BIGINT NOT NULL,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	region TEXT NOT NULL,
	droplet_id BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX reserved_ipv6s_droplet ON reserved_ipv6s (droplet_id) WHERE droplet_id <> 0;
CREATE INDEX reserved_ipv6s_account ON reserved_ipv6s (account_id, number);

-- Rules are JSON, and show what they were given.
CREATE TABLE firewalls (
	id TEXT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	name TEXT NOT NULL,
	inbound TEXT NOT NULL,
	outbound TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	UNIQUE (account_id, name)
);
CREATE INDEX firewalls_account ON firewalls (account_id, created_at, id);

-- What a firewall is assigned to: Droplets, and tags that Droplets bear.
CREATE TABLE firewall_droplets (
	firewall_id TEXT NOT NULL REFERENCES firewalls (id),
	droplet_id BIGINT NOT NULL,
	PRIMARY KEY (firewall_id, droplet_id)
);
CREATE INDEX firewall_droplets_droplet ON firewall_droplets (droplet_id);

CREATE TABLE firewall_tags (
	firewall_id TEXT NOT NULL REFERENCES firewalls (id),
	name TEXT NOT NULL,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	PRIMARY KEY (firewall_id, name)
);
CREATE INDEX firewall_tags_name ON firewall_tags (account_id, name);

-- The Droplets and tags that its rules name, whose addresses are in force.
CREATE TABLE firewall_mentions (
	firewall_id TEXT NOT NULL REFERENCES firewalls (id),
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	PRIMARY KEY (firewall_id, kind, name)
);
CREATE INDEX firewall_mentions_name ON firewall_mentions (account_id, kind, name);

-- Droplets whose rules have changed, and which of the changes is in force: the
-- version rises with each, and a row stays as long as the Droplet.
CREATE TABLE firewall_machines (
	droplet_id BIGINT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	version BIGINT NOT NULL,
	pending BOOLEAN NOT NULL,
	due_at BIGINT NOT NULL,
	attempt BIGINT NOT NULL,
	failed BOOLEAN NOT NULL
);
CREATE INDEX firewall_machines_due ON firewall_machines (due_at) WHERE pending;

-- Which firewalls' changes those are, until they are in force.
CREATE TABLE firewall_changes (
	firewall_id TEXT NOT NULL,
	droplet_id BIGINT NOT NULL,
	removing BOOLEAN NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (firewall_id, droplet_id)
);
CREATE INDEX firewall_changes_droplet ON firewall_changes (droplet_id);

-- Names keep their case but are one whatever their case.
CREATE TABLE tags (
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	folded TEXT NOT NULL,
	name TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (account_id, folded)
);

CREATE TABLE tagged (
	kind TEXT NOT NULL,
	resource_id TEXT NOT NULL,
	name TEXT NOT NULL,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	tagged_at BIGINT NOT NULL,
	PRIMARY KEY (kind, resource_id, name)
);
-- It also leads to what of each kind was tagged last.
CREATE INDEX tagged_name ON tagged (account_id, name, kind, tagged_at);

-- An action and the durable operation behind it are one row. Those whose type
-- is empty are operations that the API has no action for.
CREATE TABLE actions (
	id BIGINT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	type TEXT NOT NULL,
	status TEXT NOT NULL,
	resource_type TEXT NOT NULL,
	resource_id TEXT NOT NULL,
	region TEXT NOT NULL,
	started_at BIGINT NOT NULL,
	completed_at BIGINT NULL,
	error TEXT NOT NULL,
	-- Why an operation that is undone could not be taken back at the last try.
	-- The column error keeps why it is undone at all.
	undo_error TEXT NOT NULL DEFAULT '',
	-- What runs: a plan by its name, the step it has reached, and its input.
	operation TEXT NOT NULL,
	step TEXT NOT NULL,
	args TEXT NOT NULL,
	undoing BOOLEAN NOT NULL,
	cancelled BOOLEAN NOT NULL,
	-- When it is due: in the cloud's time, or when another action ends.
	run_at BIGINT NOT NULL,
	waits_for BIGINT NOT NULL,
	attempt BIGINT NOT NULL,
	failing_since BIGINT NULL,
	-- Who works on it, until when in real time. The lease number fences commits.
	lease BIGINT NOT NULL,
	leased_by TEXT NOT NULL,
	leased_until BIGINT NOT NULL
);
CREATE INDEX actions_account ON actions (account_id, id) WHERE type <> '';
CREATE INDEX actions_resource ON actions (resource_id, resource_type, id) WHERE type <> '';
CREATE INDEX actions_due ON actions (run_at, id) WHERE status = 'in-progress';
CREATE INDEX actions_errored ON actions (account_id, completed_at, id) WHERE status = 'errored';
CREATE INDEX actions_waiting ON actions (waits_for) WHERE status = 'in-progress' AND waits_for <> 0;

-- What an unfinished action has for itself alone.
CREATE TABLE action_holds (
	kind TEXT NOT NULL,
	id TEXT NOT NULL,
	action_id BIGINT NOT NULL REFERENCES actions (id),
	PRIMARY KEY (kind, id)
);
CREATE INDEX action_holds_action ON action_holds (action_id);

CREATE TABLE destroys (
	id BIGINT NOT NULL PRIMARY KEY,
	account_id BIGINT NOT NULL REFERENCES accounts (id),
	droplet_id BIGINT NOT NULL,
	droplet_name TEXT NOT NULL,
	region TEXT NOT NULL,
	action_id BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	completed_at BIGINT NULL,
	destroyed_at BIGINT NULL,
	error TEXT NOT NULL
);
CREATE INDEX destroys_droplet ON destroys (account_id, droplet_id, id);

CREATE TABLE destroy_resources (
	destroy_id BIGINT NOT NULL REFERENCES destroys (id),
	kind TEXT NOT NULL,
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	destroyed_at BIGINT NULL,
	error TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	PRIMARY KEY (destroy_id, kind, id)
);

-- Who did what, when and from where. A row of an accepted request is written
-- in the transaction of its change. Times are real ones, not the cloud's.
CREATE TABLE audit (
	at BIGINT NOT NULL,
	request_id TEXT NOT NULL,
	-- Who asked: 0 and empty where nobody could be told.
	account_id BIGINT NOT NULL,
	token_id BIGINT NOT NULL,
	token_name TEXT NOT NULL,
	-- From where, and what the request claimed about that.
	remote TEXT NOT NULL,
	forwarded TEXT NOT NULL,
	method TEXT NOT NULL,
	route TEXT NOT NULL,
	path TEXT NOT NULL,
	-- The status that it was refused with; 0 for what was accepted.
	refused BIGINT NOT NULL,
	-- What it began, and what that is about.
	action_id BIGINT NOT NULL,
	resource_type TEXT NOT NULL,
	resource_id TEXT NOT NULL,
	PRIMARY KEY (at, request_id)
);
