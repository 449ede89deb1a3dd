package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// openBeside opens the database of a server that runs, to look only.
func openBeside(c cloudUnderTest) (*sql.DB, error) {
	if c.database != "" {
		return sql.Open("pgx", c.database)
	}
	return sql.Open("sqlite", "file:"+filepath.Join(c.data, "cistern.db")+"?mode=ro&_pragma=busy_timeout(10000)")
}

// settle waits until no operation is unfinished.
func settle(db *sql.DB) error {
	return poll(60*time.Second, "all operations to end", func() (bool, error) {
		var unfinished int
		err := db.QueryRow(`SELECT count(*) FROM actions WHERE status = 'in-progress'`).Scan(&unfinished)
		return unfinished == 0, err
	})
}

// disagreements are queries that have no rows while nothing is under way:
// what the cloud believes and what its hypervisor has are the same.
var disagreements = map[string]string{
	"holds that nothing gave back":   `SELECT kind || ' ' || id FROM action_holds`,
	"Droplets marked for no destroy": `SELECT CAST(id AS TEXT) FROM droplets WHERE destroyed_by <> 0`,
	"Droplets without a machine": `SELECT CAST(id AS TEXT) FROM droplets WHERE CAST(id AS TEXT) NOT IN
		(SELECT id FROM sim_machines WHERE NOT destroyed)`,
	"machines without a Droplet": `SELECT id FROM sim_machines WHERE NOT destroyed AND id NOT IN
		(SELECT CAST(id AS TEXT) FROM droplets)`,
	"Droplets whose power is not their machine's": `SELECT m.id FROM droplets d
		JOIN sim_machines m ON m.id = CAST(d.id AS TEXT) WHERE m.running <> (d.status = 'active')`,
	"volumes that the hypervisor lacks": `SELECT id FROM volumes WHERE id NOT IN
		(SELECT id FROM sim_volumes WHERE NOT destroyed)`,
	"volumes that only the hypervisor has": `SELECT id FROM sim_volumes WHERE NOT destroyed AND id NOT IN
		(SELECT id FROM volumes)`,
	"volumes attached elsewhere": `SELECT v.id FROM volumes v JOIN sim_volumes s ON s.id = v.id
		WHERE s.machine <> CASE WHEN v.droplet_id = 0 THEN '' ELSE CAST(v.droplet_id AS TEXT) END`,
	"volume snapshots that the hypervisor lacks": `SELECT id FROM volume_snapshots WHERE id NOT IN
		(SELECT id FROM sim_volume_snapshots WHERE NOT destroyed)`,
	"volume snapshots that only the hypervisor has": `SELECT id FROM sim_volume_snapshots WHERE NOT destroyed AND id NOT IN
		(SELECT id FROM volume_snapshots)`,
	"images that the hypervisor lacks": `SELECT CAST(id AS TEXT) FROM images WHERE account_id <> 0 AND status = 'available'
		AND CAST(id AS TEXT) NOT IN (SELECT id FROM sim_images WHERE NOT destroyed)`,
	"images that only the hypervisor has": `SELECT id FROM sim_images WHERE NOT destroyed AND id NOT IN
		(SELECT CAST(id AS TEXT) FROM images WHERE status = 'available')`,
	"reserved IPs of Droplets that are gone": `SELECT ip FROM reserved_ips WHERE droplet_id <> 0
		AND droplet_id NOT IN (SELECT id FROM droplets)`,
	"volumes that are half made": `SELECT id FROM volumes WHERE NOT ready`,
}

// compareWorlds lists where the cloud and its hypervisor disagree.
func compareWorlds(db *sql.DB) ([]string, error) {
	var findings []string
	for what, query := range disagreements {
		rows, err := db.Query(query)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return nil, err
			}
			findings = append(findings, what+": "+id)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return findings, nil
}
