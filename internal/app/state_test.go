package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/database/databasetest"
)

// leftOut are the tables that no state has, and why.
var leftOut = map[string]string{
	"regions":         "they are the catalogue's",
	"sizes":           "they are the catalogue's",
	"counters":        "they go on after what was imported",
	"droplet_buckets": "they are counted again",
	"tokens":          "their secrets are known to nobody, and who has one is for the other cloud to say",
	"image_transfers": "they are offers between two accounts of one cloud",
	"action_holds":    "nothing is under way",
	"audit":           "it is about what was asked of the other cloud",
	"sim_work":        "it is done, and nothing that is still to come asks for it",
	"sim_counters":    "they go on after what was imported",
	"sim_clock":       "it is the whole cloud's",
}

// scene is a server that things are made on.
type scene struct {
	*testing.T
	Started
}

// ask sends a request and returns the answer, which has to be a success.
func (s *scene) ask(method, path, body string) map[string]any {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.Token)
	request.Header.Set("Content-Type", "application/json")
	if strings.HasSuffix(path, "/dangerous") {
		request.Header.Set("X-Dangerous", "true")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		s.Fatalf("%s %s %s: %s, %v\n%s", method, path, body, response.Status, err, text)
	}
	answer := map[string]any{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			s.Fatal(err)
		}
	}
	return answer
}

// id makes something and returns its ID, once all that it began has ended.
func (s *scene) id(path, kind, body string) string {
	s.Helper()
	made := s.ask("POST", path, body)
	s.settle()
	switch id := made[kind].(map[string]any)["id"].(type) {
	case float64:
		return fmt.Sprintf("%.0f", id)
	default:
		return fmt.Sprint(id)
	}
}

// settle waits until nothing is under way.
func (s *scene) settle() { s.Helper(); s.ask("POST", "/_sim/clock", `{"advance":"0s"}`) }

func (s *scene) act(path, body string) {
	s.Helper()
	s.ask("POST", path, body)
	s.settle()
}

// set makes one of everything, in every state that lasts.
func (s *scene) set() {
	s.Helper()
	const public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@laptop"
	key := s.id("/v2/account/keys", "ssh_key", `{"name":"laptop","public_key":"`+public+`"}`)
	vpc := s.id("/v2/vpcs", "vpc", `{"name":"inner","region":"nyc3","description":"for the databases"}`)
	s.ask("POST", "/v2/tags", `{"name":"Web"}`)
	web := s.id("/v2/droplets", "droplet", `{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64",
		"backups":true,"backup_policy":{"plan":"weekly","weekday":"SAT","hour":20},"ipv6":true,"monitoring":true,"with_droplet_agent":true,
		"user_data":"#cloud-config \u00fc \"quoted\"","ssh_keys":[`+key+`],"tags":["Web"],"vpc_uuid":"`+vpc+`"}`)
	db := s.id("/v2/droplets", "droplet", `{"name":"db-1","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64","public_networking":false}`)
	gone := s.id("/v2/droplets", "droplet", `{"name":"gone","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`)
	volume := s.id("/v2/volumes", "volume", `{"name":"data","region":"nyc3","size_gigabytes":10,"description":"for web",
		"filesystem_type":"ext4","filesystem_label":"data","tags":["Web"]}`)
	s.act("/v2/volumes/"+volume+"/actions", `{"type":"attach","droplet_id":`+web+`}`)
	s.id("/v2/volumes/"+volume+"/snapshots", "snapshot", `{"name":"nightly"}`)
	lost := s.id("/v2/volumes", "volume", `{"name":"lost","region":"nyc3","size_gigabytes":10}`)
	s.act("/v2/volumes/"+lost+"/actions", `{"type":"attach","droplet_id":`+gone+`}`)
	s.act("/v2/droplets/"+gone+"/actions", `{"type":"snapshot","name":"gone too"}`)
	s.id("/v2/droplets", "droplet", `{"name":"other","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64","vpc_uuid":"`+vpc+`"}`)
	s.act("/v2/droplets/"+db+"/actions", `{"type":"power_off"}`)
	s.act("/v2/droplets/"+db+"/actions", `{"type":"snapshot","name":"before"}`)
	s.act("/v2/droplets/"+db+"/actions", `{"type":"rebuild","image":"ubuntu-24-04-x64"}`)
	s.act("/v2/droplets/"+db+"/actions", `{"type":"password_reset"}`)
	s.act("/v2/droplets/"+db+"/actions", `{"type":"power_off"}`)
	s.act("/v2/reserved_ips", `{"droplet_id":`+web+`}`)
	s.act("/v2/reserved_ips", `{"region":"nyc3"}`)
	six := s.ask("POST", "/v2/reserved_ipv6", `{"region_slug":"nyc3"}`)["reserved_ipv6"].(map[string]any)
	s.act("/v2/reserved_ipv6/"+fmt.Sprint(six["ip"])+"/actions", `{"type":"assign","droplet_id":`+web+`}`)
	other := s.id("/v2/vpcs", "vpc", `{"name":"outer","region":"nyc3"}`)
	s.act("/v2/vpc_peerings", `{"name":"pair","vpc_ids":["`+vpc+`","`+other+`"]}`)
	s.act("/v2/firewalls", `{"name":"edge","droplet_ids":[`+web+`],"tags":["Web"],
		"inbound_rules":[{"protocol":"tcp","ports":"80","sources":{"addresses":["0.0.0.0/0"],"tags":["Web"],"droplet_ids":[`+db+`]}}],
		"outbound_rules":[{"protocol":"udp","ports":"53","destinations":{"addresses":["::/0"]}}]}`)
	s.act("/_sim/faults", `{"operation":"image.import","resource":"broken","error":"no such page"}`)
	s.act("/v2/images", `{"name":"broken","url":"http://example.com/a.img","distribution":"Unknown","region":"nyc3","description":"my own"}`)
	s.act("/_sim/faults", `{"operation":"volume.delete","resource":"lost","error":"disk is on fire","delay":"1s"}`)
	s.ask("DELETE", "/v2/droplets/"+gone+"/destroy_with_associated_resources/dangerous", "")
	s.ask("POST", "/_sim/clock", `{"advance":"10d"}`) // with a backup
}

// odd sets what cannot be asked for, or not now.
var odd = []string{
	`UPDATE droplets SET gpu = TRUE, host = 'host-7', backup_due = backup_window WHERE name = 'web-1'`,
	`UPDATE droplet_buckets SET gpu = TRUE, droplets = 1`,
	`INSERT INTO droplet_buckets SELECT account_id, FALSE, bucket, 2 FROM droplet_buckets`,
	`UPDATE actions SET undo_error = 'stuck', undoing = TRUE, cancelled = TRUE, step = 'copy', waits_for = 7, attempt = 3,
		failing_since = 12345, lease = 9007199254740993, leased_by = 'somebody', leased_until = 9 WHERE type = 'snapshot'`,
	`UPDATE firewall_machines SET pending = TRUE, attempt = 2, failed = TRUE, due_at = 4`,
	`INSERT INTO firewall_changes SELECT f.id, d.id, TRUE, 3 FROM firewalls f, droplets d WHERE d.name = 'db-1'`,
	`UPDATE destroys SET error = 'it does not go'`,
	`UPDATE images SET delete_at = 12345 WHERE type = 'backup'`,
	`UPDATE accounts SET droplet_limit = 7, volume_limit = 8, reserved_ip_limit = 9`,
	`UPDATE images SET kind = 'odd' WHERE type = 'custom'`,
	`UPDATE volume_snapshots SET size_gigabytes = 0.25`,
	`UPDATE sim_volume_snapshots SET size_gigabytes = 0.25`,
	`UPDATE sim_volumes SET used_gigabytes = 1.75`,
	`UPDATE sim_faults SET times = 2, hits = 1, transient = TRUE`,
}

// contents are all rows of every table, apart from those that are left out.
type contents map[string][]map[string]any

func contentsOf(t *testing.T, s Storage) contents {
	t.Helper()
	all := contents{}
	inStore(t, s, func(db *database.DB) {
		err := db.Read(t.Context(), func(tx *database.Tx) error {
			list := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
			if db.Postgres() {
				list = `SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema()`
			}
			names, err := database.All(tx, database.Value[string], list)
			for _, name := range names {
				if leftOut[name] != "" && name != "droplet_buckets" || strings.HasSuffix(name, "_schema") {
					continue
				}
				condition := ""
				if name == "images" {
					condition = " WHERE account_id <> 0"
				}
				if all[name], err = database.All(tx, scanAny, "SELECT * FROM "+name+condition); err != nil {
					return err
				}
				all[name] = slices.DeleteFunc(all[name], func(row map[string]any) bool { return row["destroyed"] == int64(1) }) // tombstones
				slices.SortFunc(all[name], func(a, b map[string]any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	return all
}

func scanAny(row database.Scanner) (map[string]any, error) {
	names, err := row.(interface{ Columns() ([]string, error) }).Columns()
	if err != nil {
		return nil, err
	}
	values, places := make([]any, len(names)), make([]any, len(names))
	for i := range names {
		places[i] = &values[i]
	}
	if err := row.Scan(places...); err != nil {
		return nil, err
	}
	one := map[string]any{}
	for i, name := range names {
		switch v := values[i].(type) { // SQLite keeps truth as a number, PostgreSQL may give text as bytes
		case bool:
			one[name] = int64(0)
			if v {
				one[name] = int64(1)
			}
		case []byte:
			one[name] = string(v)
		default:
			one[name] = v
		}
	}
	return one, nil
}

func inStore(t *testing.T, s Storage, f func(*database.DB)) {
	t.Helper()
	o, err := openBeside(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	f(o.db)
}

func change(t *testing.T, s Storage, statements ...string) {
	t.Helper()
	inStore(t, s, func(db *database.DB) {
		err := db.Write(t.Context(), func(tx *database.Tx) error {
			for _, statement := range statements {
				if _, err := tx.Exec(statement); err != nil {
					return fmt.Errorf("%s: %w", statement, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// started makes a cloud that nothing was done in yet.
func started(t *testing.T, s Storage) Storage {
	t.Helper()
	c := good()
	c.Storage = s
	_, stop := serveUntil(t, c)
	stop()
	return s
}

func exported(t *testing.T, s Storage) (text []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := ExportState(t.Context(), s, 0, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sqlite(t *testing.T) Storage { return Storage{Data: filepath.Join(t.TempDir(), "data")} }

// makeScene makes a cloud with one of everything.
func makeScene(t *testing.T) Storage {
	t.Helper()
	storage := sqlite(t)
	c := good()
	c.Storage = storage
	s, stop := serveUntil(t, c)
	(&scene{t, s}).set()
	stop()
	change(t, storage, odd...)
	return storage
}

// Nothing is lost on the way from SQLite to PostgreSQL and back: every column of
// every table is what it was, and none of them was empty.
func TestStateSurvivesTheWay(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	source := makeScene(t)
	want := contentsOf(t, source)
	checkFull(t, want)
	first := exported(t, source)
	from := first
	for _, kind := range []string{"postgres", "sqlite"} {
		t.Run("to "+kind, func(t *testing.T) {
			to := sqlite(t)
			if kind == "postgres" {
				to = Storage{Database: databasetest.Postgres(t)}
			}
			started(t, to)
			if _, err := ImportState(t.Context(), to, 0, bytes.NewReader(from)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, contentsOf(t, to)); diff != "" {
				t.Errorf("what was imported differs (-exported +imported):\n%s", diff)
			}
			from = exported(t, to)
			if a, b := withoutTime(t, first), withoutTime(t, from); a != b {
				t.Errorf("what is exported again differs:\n%s", cmp.Diff(a, b))
			}
		})
	}
}

// checkFull expects every table and every column to have something in it, so
// that one that is forgotten is missed.
func checkFull(t *testing.T, all contents) {
	t.Helper()
	carried := map[string]bool{"accounts": true}
	for _, table := range stateTables() {
		carried[table.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !carried[name] && leftOut[name] == "" {
			t.Errorf("the table %s is in no state: add it to store.StateTables or sim.StateTables, or say here why not", name)
		}
		if len(all[name]) == 0 {
			t.Errorf("the scene has nothing in %s", name)
			continue
		}
		for column := range all[name][0] {
			if (column == "slug" || column == "given") && name == "images" || column == "destroyed_by" || column == "destroyed" || column == "public_range" {
				continue // of other rows, or of real machines
			}
			if !slices.ContainsFunc(all[name], func(row map[string]any) bool {
				return !slices.Contains([]any{nil, "", int64(0), float64(0)}, row[column])
			}) {
				t.Errorf("the scene has nothing in %s.%s", name, column)
			}
		}
	}
}

func withoutTime(t *testing.T, text []byte) string {
	t.Helper()
	state, err := readState(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	state.At = time.Time{}
	rows, err := json.MarshalIndent(state, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(rows)
}
