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
CREATE TABLE sim_peerings (
	id TEXT NOT NULL PRIMARY KEY,
	account BIGINT NOT NULL,
	name TEXT NOT NULL,
	vpc TEXT NOT NULL,
	peer TEXT NOT NULL,
	destroyed BOOLEAN NOT NULL
);
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
CREATE TABLE sim_counters (
	name TEXT NOT NULL PRIMARY KEY,
	next BIGINT NOT NULL
);
CREATE TABLE sim_clock (
	id BIGINT NOT NULL PRIMARY KEY,
	ahead BIGINT NOT NULL
);

INSERT INTO sim_machines VALUES ('1', 1, 'name-1', 'nyc3', 'nyc3-0', TRUE, 1, 1024, 25, 'debian-12-x64', 2.36, '{"VPC":"","PrivateIPv4":"","PrivatePrefix":0,"PrivateGateway":"","PublicIPv4":"","PublicPrefix":0,"PublicGateway":"","PublicIPv6":"","IPv6Prefix":0,"IPv6Gateway":"","ReservedIPv4":"","ReservedIPv6":""}', '{"Version":0,"On":false,"Inbound":null,"Outbound":null}', 0, 0, '', '', 0, FALSE);
INSERT INTO sim_machines VALUES ('2', 1, 'name-2', 'nyc3', 'nyc3-0', FALSE, 1, 1024, 25, 'debian-12-x64', 2.36, '{"VPC":"","PrivateIPv4":"","PrivatePrefix":0,"PrivateGateway":"","PublicIPv4":"","PublicPrefix":0,"PublicGateway":"","PublicIPv6":"","IPv6Prefix":0,"IPv6Gateway":"","ReservedIPv4":"","ReservedIPv6":""}', '{"Version":0,"On":false,"Inbound":null,"Outbound":null}', 0, 0, '', '', 0, TRUE);

INSERT INTO sim_images VALUES ('i', 1, 'name-i', 25, 2.36, FALSE);

INSERT INTO sim_image_regions VALUES ('i', 'nyc3');
INSERT INTO sim_image_regions VALUES ('i', 'ams3');

INSERT INTO sim_volumes VALUES ('v', 1, 'name-v', 'nyc3', 10, 0, '', '', '1', FALSE);

INSERT INTO sim_volume_snapshots VALUES ('vs', 1, 'name-vs', 10, 0, FALSE);

INSERT INTO sim_peerings VALUES ('p', 1, 'name-p', 'vpc-1', 'vpc-2', FALSE);

INSERT INTO sim_work VALUES ('create', 'machine.create', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, 'nyc3-0', '', 1795275284210843);
INSERT INTO sim_work VALUES ('work-1', 'machine.start', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, 'nyc3-0', '', 1795275284211511);
INSERT INTO sim_work VALUES ('work-2', 'volume.create', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, '', '', 1795275284211874);
INSERT INTO sim_work VALUES ('work-3', 'volume.attach', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, '', '', 1795275284212318);
INSERT INTO sim_work VALUES ('work-4', 'volume.snapshot', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, '', '', 1795275284212714);
INSERT INTO sim_work VALUES ('work-5', 'peering.create', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, '', '', 1795275284212997);
INSERT INTO sim_work VALUES ('work-6', 'image.copy', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 2.36, '', '', 1795275284213555);
INSERT INTO sim_work VALUES ('work-7', 'image.transfer', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, '', '', 1795275284213874);
INSERT INTO sim_work VALUES ('work-8', 'machine.create', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, 'nyc3-0', '', 1795275284214106);
INSERT INTO sim_work VALUES ('work-9', 'machine.destroy', 1893553445000000, 1893553445000000, TRUE, FALSE, '{}', 0, '', '', 1795275284214485);

INSERT INTO sim_faults VALUES (1, 1, 'machine.stop', '*', 'it''s stuck', FALSE, 0, 0, 0);

INSERT INTO sim_counters VALUES ('fault', 2);

INSERT INTO sim_clock VALUES (1, 3600000000);
