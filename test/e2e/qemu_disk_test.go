package e2e

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/associated"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
)

// realDisks are two Droplets, what is stored of them, and what there was before.
type realDisks struct {
	*realCloud
	before   string
	one, two guest
	copied   guest // made from a snapshot of one
	volume   string
	snapshot string // of the volume
}

// What is written stays: on volumes, in snapshots and in backups. What is
// destroyed leaves nothing.
func TestRealDisks(t *testing.T) {
	t.Parallel()
	c := newRealCloud(t)
	d := &realDisks{realCloud: c, before: c.everything()}
	volume, _, err := c.api.Storage.CreateVolume(t.Context(), &godo.VolumeCreateRequest{
		Region: "local1", Name: "vol-1", SizeGigaBytes: 1, FilesystemType: "ext4",
	})
	c.good(err)
	d.volume = volume.ID
	one, two := c.request("disks-1"), c.request("disks-2")
	one.Volumes = []godo.DropletCreateVolume{{ID: d.volume}}
	guests := c.create(one, two)
	d.one, d.two = guests[0], guests[1]
	if one, two := d.runsAs(d.one.id), d.runsAs(d.two.id); os.Getuid() == 0 && host.HasUIDs(2100000000, 2139999999) && (one == two || one == 0) {
		t.Errorf("the Droplets run as %d and %d", one, two)
	}
	d.step("volume", d.volumesKeepFiles)
	d.step("snapshot", d.snapshotsKeepFiles)
	d.step("backup", d.backupsKeepFiles)
	d.step("destroy", d.destroysLeaveNothing)
}

// mount mounts a volume in a guest as soon as it is there.
func mount(name string) string {
	path := "/dev/disk/by-id/scsi-0DO_Volume_" + name
	return fmt.Sprintf("until [ -e %s ]; do usleep 50000; done; mkdir -p /mnt/%s && mount %s /mnt/%s", path, name, path, name)
}

// volumesKeepFiles takes a file from one Droplet to another and into a snapshot.
func (d *realDisks) volumesKeepFiles() {
	d.one.run(mount("vol-1") + " && echo kept > /mnt/vol-1/file && sync")
	snapshot, _, err := d.api.Storage.CreateSnapshot(d.Context(), &godo.SnapshotCreateRequest{VolumeID: d.volume, Name: "early"})
	d.good(err)
	d.snapshot = snapshot.ID
	d.one.run("echo later >> /mnt/vol-1/file")
	d.done(d.api.StorageActions.Resize(d.Context(), d.volume, 2, "local1"))
	d.one.run("until [ $(blockdev --getsize64 /dev/disk/by-id/scsi-0DO_Volume_vol-1) = 2147483648 ]; do usleep 50000; done")
	d.one.run("resize2fs /dev/disk/by-id/scsi-0DO_Volume_vol-1 && umount /mnt/vol-1")

	d.done(d.api.StorageActions.DetachByDropletID(d.Context(), d.volume, d.one.id))
	d.one.run("while [ -e /dev/disk/by-id/scsi-0DO_Volume_vol-1 ]; do usleep 50000; done")
	d.done(d.api.StorageActions.Attach(d.Context(), d.volume, d.two.id))
	d.two.expect(mount("vol-1")+" && cat /mnt/vol-1/file", "kept\nlater")
	d.two.expect("df -kP /mnt/vol-1 | awk 'NR == 2 { print ($2 > 1500000) }'", "1")

	from, _, err := d.api.Storage.CreateVolume(d.Context(), &godo.VolumeCreateRequest{Name: "vol-2", SizeGigaBytes: 1, SnapshotID: d.snapshot})
	d.good(err)
	d.done(d.api.StorageActions.Attach(d.Context(), from.ID, d.one.id))
	d.one.expect(mount("vol-2")+" && cat /mnt/vol-2/file", "kept")
}

// snapshotsKeepFiles makes a Droplet of another that runs.
func (d *realDisks) snapshotsKeepFiles() {
	d.one.run("echo synced > /root/synced; sync; echo not synced > /root/unsynced")
	d.done(d.api.DropletActions.Snapshot(d.Context(), d.one.id, "nightly"))
	d.one.run("echo late > /root/late")
	snapshots, _, err := d.api.Droplets.Snapshots(d.Context(), d.one.id, nil)
	d.good(err)
	request := d.request("copied")
	request.Image, request.Backups = godo.DropletCreateImage{ID: snapshots[0].ID}, true
	d.copied = d.create(request)[0]
	d.copied.expect("cat /root/synced /root/unsynced; hostname; ls /root/late 2>/dev/null || true", "synced\nnot synced\ncopied")
}

// backupsKeepFiles takes a backup as soon as its window has opened, and goes
// back to it after a rebuild.
func (d *realDisks) backupsKeepFiles() {
	d.good(d.server.terminate())
	d.openWindow(d.copied.id)
	d.serve()
	var backups []godo.Image
	d.until("a backup", func() (bool, error) {
		var err error
		backups, _, err = d.api.Droplets.Backups(d.Context(), d.copied.id, nil)
		return len(backups) > 0, err
	})
	d.until("the backup to have ended", func() (bool, error) { return !d.copied.droplet().Locked, nil })
	d.done(d.api.DropletActions.RebuildByImageSlug(d.Context(), d.copied.id, "tiny"))
	d.copied.expect("ls /root", "")
	d.done(d.api.DropletActions.Restore(d.Context(), d.copied.id, backups[0].ID))
	d.copied.expect("cat /root/synced /root/unsynced", "synced\nnot synced")
}

// openWindow makes the window of a Droplet's next backup open now. No server
// runs.
func (d *realDisks) openWindow(droplet int) {
	db := d.open("cistern.db")
	defer db.Close()
	now := time.Now().Add(-time.Minute).UnixMicro()
	_, err := db.Exec("UPDATE droplets SET backup_window = $1, backup_due = $1 WHERE id = $2", now, droplet)
	d.good(err)
}

// destroysLeaveNothing compares what there is with what there was.
func (d *realDisks) destroysLeaveNothing() {
	ip, _, err := d.api.ReservedIPs.Create(d.Context(), &godo.ReservedIPCreateRequest{DropletID: d.two.id})
	d.good(err)
	d.until("the reserved IP to lead to its Droplet", func() (bool, error) {
		out, _ := ask(d.Context(), ip.IP+":22")
		return strings.HasPrefix(out, "SSH-") || os.Getuid() != 0, nil // without root, port 22 is another
	})
	client := associated.New(d.api)
	for _, g := range []guest{d.one, d.two, d.copied} {
		_, err := client.DestroyDangerous(d.Context(), g.id)
		d.good(err)
	}
	for _, g := range []guest{d.one, d.two, d.copied} {
		_, err := client.Wait(d.Context(), g.id, &associated.WaitOptions{Interval: 200 * time.Millisecond, Timeout: guestLimit})
		d.good(err)
	}
	if diff := cmp.Diff(d.before, d.everything()); diff != "" {
		d.Errorf("destroyed, and different from before (-before +after):\n%s", diff)
	}
}

// ask connects to an address and returns the first that it says.
func ask(ctx context.Context, address string) (string, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second)) // fails on closed connections only
	text := make([]byte, 64)
	n, err := conn.Read(text)
	return string(text[:n]), err
}

// open opens one of the cloud's databases.
func (c *realCloud) open(name string) *sql.DB {
	c.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.data, name)+"?_pragma=busy_timeout(10000)")
	c.good(err)
	return db
}

// everything is what a Droplet could leave behind: processes, files, addresses
// that are listened on, records of the engine's and of the API's.
func (c *realCloud) everything() string {
	c.Helper()
	var all []string
	for _, p := range c.processes() {
		all = append(all, "process "+p.machine)
	}
	for _, name := range c.files() {
		all = append(all, "file "+name)
	}
	for _, address := range c.listeners() {
		all = append(all, "listener "+address)
	}
	slices.Sort(all)
	return strings.Join(append(all, c.records()...), "\n")
}

// listeners are the cloud's addresses that are listened on.
func (c *realCloud) listeners() (found []string) {
	c.Helper()
	for _, kind := range []string{"tcp", "udp"} {
		text, err := os.ReadFile("/proc/net/" + kind)
		c.good(err)
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			local, port, _ := strings.Cut(fields[1], ":")
			b, err := hex.DecodeString(local)
			if err != nil || len(b) != 4 || kind == "tcp" && fields[3] != "0A" {
				continue
			}
			address := net.IPv4(b[3], b[2], b[1], b[0]).String()
			if c.owns(address) {
				found = append(found, kind+" "+address+" "+port)
			}
		}
	}
	return found
}

// owns reports whether an address is of one of the cloud's pools.
func (c *realCloud) owns(address string) bool {
	for _, pool := range []string{c.public, c.reserved} {
		if _, network, err := net.ParseCIDR(pool); err == nil && network.Contains(net.ParseIP(address)) {
			return true
		}
	}
	return false
}

// records are the engine's and what the API lists.
func (c *realCloud) records() (found []string) {
	c.Helper()
	db := c.open("qemu/engine.db")
	defer db.Close()
	rows, err := db.Query("SELECT kind || ' ' || id FROM things WHERE NOT destroyed ORDER BY kind, id")
	c.good(err)
	defer rows.Close()
	for rows.Next() {
		var name string
		c.good(rows.Scan(&name))
		found = append(found, "record "+name)
	}
	c.good(rows.Err())
	for _, path := range []string{"droplets", "volumes", "snapshots", "images?private=true", "reserved_ips", "firewalls"} {
		var list map[string]any
		_, err := c.get("/v2/"+path, &list)
		c.good(err)
		delete(list, "links")
		found = append(found, fmt.Sprint(list))
	}
	return found
}
