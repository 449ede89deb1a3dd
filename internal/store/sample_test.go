package store_test

import (
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// The sample has a few rows in every table. A dump of it is committed for each
// schema, so what is here stays readable for ever; a later schema may add to it.
var (
	sampleTime  = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	sampleLater = sampleTime.Add(time.Minute)

	sampleCatalog = cloud.Catalog{
		Regions: []cloud.Region{{Slug: "nyc3", Name: "New York 3", Available: true}},
		Sizes:   []cloud.Size{{Slug: "s-1vcpu-1gb", Memory: 1024, VCPUs: 1, Disk: 25, Available: true}},
		Images:  []cloud.BaseImage{{ID: 1000, Slug: "debian-12-x64", Name: "12 x64", Distribution: "Debian", CreatedAt: "2025-01-02T03:04:05Z"}},
	}
	sampleAccount = cloud.Account{
		ID: 1000000, UUID: "00000000-0000-4000-8000-000000000001", Name: "Ann O'Hara", Email: "ann@example.com",
		ProjectID: "00000000-0000-4000-8000-000000000002", DropletLimit: 25, VolumeLimit: 26, ReservedIPLimit: 27,
		CreatedAt: sampleTime,
	}
	sampleToken = cloud.Token{
		ID: 1000001, Account: sampleAccount.ID, Name: "ci", Scopes: cloud.Scopes{"droplet:read", "image:read"},
		CreatedAt: sampleTime, ExpiresAt: sampleLater,
	}
	sampleKey = cloud.SSHKey{
		ID: 1000002, Account: sampleAccount.ID, Name: "laptop", PublicKey: "ssh-ed25519 AAAA ann@laptop", Fingerprint: "3b:16:bf",
	}
	sampleVPC = cloud.VPC{
		ID: "00000000-0000-4000-8000-000000000003", Account: sampleAccount.ID, Name: "default-nyc3", Description: "the first", Region: "nyc3",
		IPRange: "10.108.0.0/20", Default: true, CreatedAt: sampleTime,
	}
	sampleImage = cloud.Image{
		ID: 100000001, Account: sampleAccount.ID, Name: "web \\ ünïcode", Type: cloud.ImageSnapshot, Kind: "distribution",
		Distribution: "Debian", Regions: []string{"nyc3"}, MinDiskSize: 25, SizeGigabytes: 2.5, Description: "two\nlines",
		Status: cloud.ImageAvailable, SourceDroplet: 1000003, Tags: []string{}, CreatedAt: sampleTime, Given: []cloud.GivenImage{},
	}
	sampleDroplet = cloud.Droplet{
		ID: 1000003, Account: sampleAccount.ID, Name: "web-1", Region: "nyc3", Size: "s-1vcpu-1gb",
		VCPUs: 1, Memory: 1024, Disk: 25, Image: sampleImage, Status: cloud.DropletActive, CreatedAt: sampleTime,
		IPv6: true, Monitoring: true, PublicNetworking: true, VPC: sampleVPC.ID, VPCRange: sampleVPC.IPRange,
		PrivateIPv4: "10.108.0.2", PublicIPv4: "192.0.2.7", PublicIPv6: "2001:db8::7", IPv6Gateway: "2001:db8::1",
		Host: "", PublicKeys: []string{"ssh-ed25519 AAAA"}, Tags: []string{"Web"}, VolumeIDs: []string{sampleVolume.ID},
		SnapshotIDs: []int64{sampleImage.ID}, BackupIDs: []int64{}, ReservedIP: sampleReservedIP.IP, ReservedIPv6: sampleReservedIPv6.IP,
		HeldBy: sampleOperation.ID, HeldFor: cloud.ActionSnapshot,
		Backups: cloud.BackupPolicy{Plan: cloud.BackupWeekly, Weekday: "SAT", Hour: 20}, BackupWindow: sampleLater,
	}
	sampleVolume = cloud.Volume{
		ID: "00000000-0000-4000-8000-000000000004", Account: sampleAccount.ID, Name: "data", Region: "nyc3",
		Description: "for the database", SizeGigabytes: 10, FilesystemType: "ext4", FilesystemLabel: "data", Tags: []string{},
		Droplet: 1000003, CreatedAt: sampleTime,
	}
	sampleVolumeSnapshot = cloud.VolumeSnapshot{
		ID: "00000000-0000-4000-8000-000000000005", Account: sampleAccount.ID, Volume: sampleVolume.ID, Name: "nightly",
		Region: "nyc3", MinDiskSize: 10, SizeGigabytes: 0.25, Tags: []string{}, CreatedAt: sampleTime,
	}
	sampleReservedIP = cloud.ReservedIP{
		ID: 1000004, IP: "198.51.100.9", Account: sampleAccount.ID, Region: "nyc3", Droplet: 1000003, CreatedAt: sampleTime,
	}
	sampleVPCPeering = cloud.VPCPeering{
		ID: "00000000-0000-4000-8000-000000000009", Account: sampleAccount.ID, Name: "pair",
		VPCs: [2]string{sampleVPC.ID, samplePeer.ID}, Status: cloud.PeeringActive, CreatedAt: sampleTime,
	}
	samplePeer = cloud.VPC{
		ID: "00000000-0000-4000-8000-000000000008", Account: sampleAccount.ID, Name: "peer", Region: "nyc3",
		IPRange: "192.168.0.0/24", CreatedAt: sampleTime,
	}
	sampleReservedIPv6 = cloud.ReservedIPv6{
		IP: "2001:db8:ffff:1::9", Account: sampleAccount.ID, Region: "nyc3", Droplet: 1000003, CreatedAt: sampleTime,
	}
	sampleFirewall = cloud.Firewall{
		ID: "00000000-0000-4000-8000-000000000007", Account: sampleAccount.ID, Name: "edge", CreatedAt: sampleTime,
		Inbound: []cloud.FirewallRule{{
			Protocol: "tcp", Ports: "8000-9000", Action: "allow",
			Peers: cloud.FirewallTargets{Addresses: []string{"0.0.0.0/0"}, Droplets: []int64{1000003}, Tags: []string{"Web"}},
		}},
		Outbound: []cloud.FirewallRule{}, Droplets: []int64{1000003}, Tags: []string{"Web"},
		Pending: []cloud.FirewallChange{{Droplet: 1000003}},
	}
	// An operation under way: the next version has to go on with it.
	sampleOperation = store.Operation{
		Action: cloud.Action{
			ID: 1000005, Account: sampleAccount.ID, Type: cloud.ActionSnapshot, Status: cloud.InProgress,
			ResourceType: cloud.KindDroplet, ResourceID: "1000003", Region: "nyc3", StartedAt: sampleTime,
		},
		Name: "droplet.snapshot", Args: `{"droplet":1000003,"image":100000002,"name":"it's \"new\""}`, RunAt: sampleTime,
	}
	sampleEnded = cloud.Action{
		ID: 1000006, Account: sampleAccount.ID, Type: cloud.ActionDestroy, Status: cloud.Errored, ResourceType: cloud.KindDroplet,
		ResourceID: "1000007", Region: "nyc3", StartedAt: sampleTime, CompletedAt: sampleTime, Error: "it does not go",
	}
	sampleDestroy = cloud.Destroy{
		ID: 1000008, Account: sampleAccount.ID, Droplet: 1000007, DropletName: "gone", Region: "nyc3", Action: sampleEnded.ID,
		CreatedAt: sampleTime, CompletedAt: sampleLater, Error: "it does not go",
		Resources: []cloud.DestroyResource{
			{Kind: cloud.AssociatedReservedIP, ID: "1000009", Name: "198.51.100.10", DestroyedAt: sampleTime},
			{Kind: cloud.AssociatedVolume, ID: "00000000-0000-4000-8000-000000000006", Name: "old", Error: "in use", Attempts: 3},
		},
	}
)

// addSample fills an empty store.
func addSample(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		return firstError(
			tx.SetCatalog(sampleCatalog),
			tx.AddAccount(sampleAccount),
			tx.AddToken(sampleToken, "a hash"),
			added(tx.AddSSHKey(sampleKey)),
			added(tx.AddVPC(sampleVPC)), added(tx.AddVPC(samplePeer)), added(tx.AddVPCPeering(sampleVPCPeering)),
			tx.AddImage(sampleImage),
			added(tx.AddImageTransfer(cloud.ImageTransfer{
				ID: 1000010, Image: sampleImage.ID, Sender: sampleAccount.ID, Recipient: sampleAccount.ID, CreatedAt: sampleTime,
			})),
			added(tx.AddDroplet(store.NewDroplet{Droplet: sampleDroplet, PrivateHost: 2, PublicHost: 7})),
			tx.SetBackupPolicy(sampleDroplet.ID, sampleDroplet.Backups, sampleDroplet.BackupWindow),
			tx.KeepBackup(sampleImage.ID, sampleLater),
			added(tx.AddVolume(sampleVolume)), tx.PublishVolume(sampleVolume.ID),
			tx.SetVolumeDroplet(sampleVolume.ID, sampleVolume.Droplet),
			added(tx.AddVolumeSnapshot(sampleVolumeSnapshot)),
			tx.PublishVolumeSnapshot(sampleVolumeSnapshot.ID, sampleVolumeSnapshot.SizeGigabytes),
			added(tx.AddReservedIP(sampleReservedIP, 9)), tx.AssignReservedIP(sampleReservedIP.IP, sampleReservedIP.Droplet),
			tagged(tx.Tag(sampleAccount.ID, sampleDroplet.Ref(), sampleDroplet.Tags)),
			tx.AddReservedIPv6(sampleReservedIPv6, 9), tx.AssignReservedIPv6(sampleReservedIPv6.IP, sampleReservedIPv6.Droplet),
			tx.ChangeFirewall(sampleFirewall.ID, true, func() error { return added(tx.AddFirewall(sampleFirewall)) }),
			tx.AddAudit(cloud.AuditEntry{At: sampleTime, RequestID: "a request", Account: sampleAccount.ID, Method: "POST", Path: "/v2/droplets"}),
			addSampleHistory(tx),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ID(t.Context(), store.ActionIDs); err != nil {
		t.Fatal(err)
	}
}

// addSampleHistory adds what runs and what has run.
func addSampleHistory(tx *store.Tx) error {
	ended := store.Operation{Action: sampleEnded, Name: "droplet.destroy", Args: "{}"}
	destroy := sampleDestroy
	err := firstError(
		tx.AddOperation(sampleOperation), added(tx.Hold(sampleDroplet.Ref(), sampleOperation.ID)),
		tx.AddOperation(ended), added(tx.FinishOperation(ended, cloud.Errored)),
		tx.AddDestroy(destroy), tx.SaveDestroy(destroy),
	)
	for _, r := range destroy.Resources {
		err = firstError(err, tx.SaveDestroyResource(destroy.ID, r))
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func added(is bool, err error) error {
	if err == nil && !is {
		return store.ErrUnique
	}
	return err
}

func tagged(_ []string, err error) error { return err }
