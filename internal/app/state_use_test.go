package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/store"
)

// open starts a server on a storage for the length of the test.
func open(t *testing.T, s Storage) *scene {
	t.Helper()
	c := good()
	c.Storage = s
	server, stop := serveUntil(t, c)
	t.Cleanup(stop)
	return &scene{t, server}
}

func list(s *scene, path, kind string) []map[string]any {
	s.Helper()
	all := []map[string]any{}
	for _, one := range s.ask("GET", path, "")[kind].([]any) {
		all = append(all, one.(map[string]any))
	}
	return all
}

// What was imported can be used as if it had been made there, beside a server
// that runs: volumes move, what a destroy left behind goes, and nothing new gets
// a number or an address of it.
func TestImportedStateCanBeUsed(t *testing.T) {
	source := makeScene(t)
	change(t, source, `DELETE FROM sim_faults`, `UPDATE droplets SET gpu = FALSE`, `DELETE FROM firewall_changes`, `UPDATE images SET delete_at = NULL`)
	to := sqlite(t)
	s := open(t, to)
	done, err := ImportState(t.Context(), to, 0, bytes.NewReader(exported(t, source)))
	if err != nil {
		t.Fatal(err)
	}
	if done.Rows["droplets"] != 3 || done.Ahead < 9*24*3600*1e9 {
		t.Errorf("it says %+v", done)
	}
	numbers, addresses := map[any]bool{}, map[string]bool{}
	ids := map[string]string{}
	for _, d := range list(s, "/v2/droplets", "droplets") {
		numbers[d["id"]], ids[d["name"].(string)] = true, fmt.Sprintf("%.0f", d["id"])
		addresses[fmt.Sprint(d["networks"])] = true
	}
	for _, v := range list(s, "/v2/volumes?name=data", "volumes") {
		s.act(fmt.Sprintf("/v2/volumes/%s/actions", v["id"]), `{"type":"detach","droplet_id":`+ids["web-1"]+`}`)
		s.act(fmt.Sprintf("/v2/volumes/%s/actions", v["id"]), `{"type":"attach","droplet_id":`+ids["db-1"]+`}`)
	}
	if v := list(s, "/v2/volumes?name=data", "volumes")[0]; fmt.Sprint(v["droplet_ids"]) == "[]" {
		t.Errorf("the volume is not attached: %v", v)
	}
	// Number 1000002 is that of the Droplet that is gone.
	s.ask("POST", "/v2/droplets/1000002/destroy_with_associated_resources/retry", "")
	s.settle()
	if left := list(s, "/v2/volumes?name=lost", "volumes"); len(left) != 0 {
		t.Errorf("the retry has left %v", left)
	}
	fresh := s.id("/v2/droplets", "droplet", `{"name":"new","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`)
	d := s.ask("GET", "/v2/droplets/"+fresh, "")["droplet"].(map[string]any)
	if numbers[d["id"]] || fresh == "1000002" || addresses[fmt.Sprint(d["networks"])] {
		t.Errorf("the new Droplet has what another has: %v", d)
	}
	for _, id := range append([]string{fresh}, ids["web-1"], ids["db-1"], ids["other"]) {
		s.ask("DELETE", "/v2/droplets/"+id+"/destroy_with_associated_resources/dangerous", "")
		s.settle()
		status := s.ask("GET", "/v2/droplets/"+id+"/destroy_with_associated_resources/status", "")
		if status["failures"] != 0.0 || status["completed_at"] == nil {
			t.Errorf("the destroy of %s: %v", id, status)
		}
	}
}

// A Droplet whose image was given to another account shows it where it is
// imported, as one that was deleted, and the image stays the other's.
func TestStateWithAnImageGivenAway(t *testing.T) {
	source := makeScene(t)
	change(t, source,
		`INSERT INTO accounts SELECT 2000000, 'f0e1d2c3-0000-4000-8000-000000000001', 'Ann', 'ann@example.com',
			'f0e1d2c3-0000-4000-8000-000000000002', 1, 1, 1, 0, 0, 0, 0, 0 FROM accounts`,
		`UPDATE droplets SET image_id = (SELECT id FROM images WHERE name = 'before') WHERE name = 'other'`,
		`DELETE FROM tagged WHERE kind = 'image'`,
		`UPDATE images SET account_id = 2000000, source_droplet_id = 0, name = 'theirs',
			given = (SELECT '[{"account":' || MIN(id) || ',"name":"before"}]' FROM accounts) WHERE name = 'before'`)
	to := sqlite(t)
	s := open(t, to)
	if _, err := ImportState(t.Context(), to, 0, bytes.NewReader(exported(t, source))); err != nil {
		t.Fatal(err)
	}
	shown := list(s, "/v2/droplets?name=other", "droplets")[0]["image"].(map[string]any)
	if shown["name"] != "before" || shown["status"] != "deleted" {
		t.Errorf("the Droplet shows the image %v", shown)
	}
	for _, image := range list(s, "/v2/images?private=true", "images") {
		if image["name"] == "before" {
			t.Errorf("the account has the image: %v", image)
		}
	}
	var theirs bytes.Buffer
	if err := ExportState(t.Context(), source, 2000000, &theirs); err != nil {
		t.Fatal(err)
	}
	fresh := started(t, sqlite(t))
	if _, err := ImportState(t.Context(), fresh, 0, &theirs); err != nil {
		t.Fatal(err)
	}
	if images := contentsOf(t, fresh)["sim_images"]; len(images) != 1 {
		t.Errorf("the other has %v", images)
	}
}

// Several accounts move, each with its numbers, though those lie between each
// other's.
func TestStatesOfSeveralAccounts(t *testing.T) {
	source := started(t, sqlite(t))
	var second cloud.Account
	err := WithAccounts(t.Context(), source, func(a Accounts) (err error) {
		second, err = a.Add(t.Context(), "Ann", "ann@example.com")
		if err == nil {
			_, err = a.AddToken(t.Context(), second.ID, "ann", "dop_v1_ann", cloud.Scopes{cloud.FullAccess}, 0)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c := good()
	c.Storage = source
	server, stop := serveUntil(t, c)
	first, other := &scene{t, server}, &scene{t, server}
	other.Token = "dop_v1_ann"
	web := `{"name":"web","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`
	for range 2 {
		first.ask("POST", "/v2/droplets", web)
		other.ask("POST", "/v2/droplets", web)
	}
	first.settle()
	stop()
	to := started(t, sqlite(t))
	if _, err := ImportState(t.Context(), to, 0, bytes.NewReader(exported(t, source))); err != nil {
		t.Fatal(err)
	}
	err = WithAccounts(t.Context(), to, func(a Accounts) (err error) {
		second, err = a.Add(t.Context(), "Ann", "ann@example.net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := ExportState(t.Context(), source, second.ID, &text); err != nil {
		t.Fatal(err)
	}
	if _, err := ImportState(t.Context(), to, second.ID, &text); err != nil {
		t.Fatal(err)
	}
	err = WithAccounts(t.Context(), to, func(a Accounts) error {
		all, err := a.List(t.Context())
		if err == nil && (len(all) != 2 || all[1].Email != "ann@example.com") {
			t.Errorf("the accounts are %+v", all)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	again := withoutTime(t, exported(t, to))
	if again != withoutTime(t, exported(t, source)) {
		t.Error("the first account is not what it was")
	}
}

// An account with something under way is not exported, and what runs is named.
func TestExportRefusedWhileSomethingRuns(t *testing.T) {
	c := good()
	c.Storage, c.SimLatency = sqlite(t), "1h"
	s, stop := serveUntil(t, c)
	defer stop()
	(&scene{t, s}).ask("POST", "/v2/droplets", `{"name":"web","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`)
	err := ExportState(t.Context(), c.Storage, 0, t.Output())
	if err == nil || !strings.Contains(err.Error(), "operations are under way: droplet.create of 1000000 (action 1000000)") {
		t.Errorf("the export: %v", err)
	}
	if err := ExportState(t.Context(), c.Storage, 5, t.Output()); err == nil || !strings.Contains(err.Error(), "there is no account 5") {
		t.Errorf("the export of nobody: %v", err)
	}
}

// An ephemeral server starts with what a file has.
func TestSeed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seed.json")
	if err := os.WriteFile(file, exported(t, makeScene(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := good()
	c.Seed = file
	s, stop := serveUntil(t, c)
	defer stop()
	if droplets := list(&scene{t, s}, "/v2/droplets", "droplets"); len(droplets) != 2 { // and one with GPUs
		t.Errorf("there are %v", droplets)
	}
	if now := fmt.Sprint((&scene{t, s}).ask("GET", "/_sim/clock", "")["ahead"]); !strings.HasPrefix(now, "240h") {
		t.Errorf("the clock is ahead by %s", now)
	}
	late := filepath.Join(t.TempDir(), "late.json")
	text := `{"cistern_state":1,"at":"9999-01-01T00:00:00Z","rows":{}}`
	if err := os.WriteFile(late, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for seed, want := range map[string]string{
		late:                                    "--seed " + late + ": at: it is 9999-01-01T00:00:00Z, and has to be between",
		filepath.Join(t.TempDir(), "none.json"): "--seed: open ",
		"state_test.go":                         "--seed state_test.go: this is not what cistern state export writes",
	} {
		c.Seed = seed
		err := Serve(t.Context(), c, t.Output(), func(Started) { t.Error("it started") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", seed, err, want)
		}
	}
	c.Seed, c.Storage = file, sqlite(t)
	if err := Serve(t.Context(), c, t.Output(), nil); err == nil || !strings.Contains(err.Error(), "use cistern state import") {
		t.Errorf("--seed with a folder: %v", err)
	}
}

// A file of an earlier version lacks what columns that are new have a default for.
func TestImportOfAnEarlierVersion(t *testing.T) {
	state, err := readState(bytes.NewReader(exported(t, makeScene(t))))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range state.Rows["droplets"] {
		delete(row, "backup_hour")
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	to := started(t, sqlite(t))
	if _, err := ImportState(t.Context(), to, 0, bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if hour := contentsOf(t, to)["droplets"][0]["backup_hour"]; hour != int64(0) {
		t.Errorf("the hour is %v", hour)
	}
}

// A file that is not whole, or that reaches for what is another's, changes
// nothing, and the error names the place.
func TestImportRefused(t *testing.T) {
	text := exported(t, makeScene(t))
	to := started(t, sqlite(t))
	before := contentsOf(t, to)
	row := func(table string, i int, column string, v any) func(*control.State) {
		return func(s *control.State) { s.Rows[table][i][column] = v }
	}
	tests := map[string]struct {
		change func(*control.State)
		want   string
	}{
		"another version": {func(s *control.State) { s.Version = 2 }, "cistern_state is 2, and this version of cistern reads 1"},
		"no account":      {func(s *control.State) { delete(s.Rows, "accounts") }, "accounts: there are 0, and there has to be one"},
		"another table":   {func(s *control.State) { s.Rows["tokens"] = []store.StateRow{{}} }, "tokens: there is no such table"},
		"another field":   {row("droplets", 1, "colour", "red"), `droplets[1]: there is no field "colour"`},
		"an account":      {row("droplets", 0, "account_id", 1), `droplets[0]: there is no field "account_id"`},
		"a missing field": {func(s *control.State) { delete(s.Rows["volumes"][0], "size_gigabytes") }, `volumes[0]: the field "size_gigabytes" is missing`},
		"null":            {row("droplets", 0, "name", nil), "droplets[0].name: it is null, and has to be text"},
		"text for number": {row("droplets", 0, "vcpus", "one"), "droplets[0].vcpus: it is one, and has to be a whole number"},
		"a fraction":      {row("droplets", 0, "vcpus", json.Number("1.5")), "droplets[0].vcpus: it is 1.5, and has to be a whole number"},
		"NUL":             {row("droplets", 0, "name", "a\x00"), "droplets[0].name: a text cannot have NUL in it"},
		"a status":        {row("droplets", 0, "status", "new"), `droplets[0].status: "new" is not one of`},
		"unfinished":      {row("actions", 3, "status", "in-progress"), `actions[3].status: "in-progress" is not one of`},
		"not JSON":        {row("firewalls", 0, "inbound", "{"), "firewalls[0].inbound: not the JSON that belongs there"},
		"twice the same":  {func(s *control.State) { s.Rows["tags"] = append(s.Rows["tags"], s.Rows["tags"][0]) }, "tags[1]: it is the same as tags[0], by folded"},
		"no such VPC":     {row("droplets", 0, "vpc_id", "x"), "droplets[0].vpc_id: it refers to x that is not among vpcs"},
		"no such size":    {row("droplets", 0, "size", "s-9"), "droplets[0].size: it refers to s-9 that is not among sizes; start the server here once with a --catalog that has it"},
		"no such image":   {row("droplets", 0, "image_id", 3), "droplets[0].image_id: it refers to 3 that is not among images"},
		"no such Droplet": {row("volumes", 0, "droplet_id", 7), "volumes[0].droplet_id: it refers to 7 that is not among droplets"},
		"no machine":      {func(s *control.State) { s.Rows["sim_machines"] = s.Rows["sim_machines"][1:] }, "droplets[0].id: it refers to 1000000 that is not among sim_machines"},
		"a small number":  {row("ssh_keys", 0, "id", 5), "ssh_keys[0].id: 5 is not such a number"},
		"a large number":  {row("ssh_keys", 0, "id", 1<<60), "ssh_keys[0].id: 1152921504606846976 is not such a number"},
		"an address":      {row("droplets", 0, "public_ipv4", "10.0.0.1"), `droplets[0].public_ipv4: it is "10.0.0.1", and has to be "198.18.0.2" at its place`},
		"a reserved IP":   {row("reserved_ips", 0, "host", 5), "reserved_ips[0].ip: it is "},
		"a range":         {row("vpcs", 0, "last_address", 5), "vpcs[0]: first_address and last_address of "},
		"a reserved IPv6": {row("reserved_ipv6s", 0, "ip", "2001:db8:ffff:1::f4241"), `reserved_ipv6s[0].ip: it is "2001:db8:ffff:1::f4241", and has to be one such as "2001:db8:ffff:1::`},
		"no IPv6":         {row("reserved_ipv6s", 0, "ip", "ten"), `reserved_ipv6s[0].ip: it is "ten"`},
		"a public IPv6":   {row("droplets", 0, "public_ipv6", "2001:db8:0:1::1"), `droplets[0].public_ipv6: it is "2001:db8:0:1::1", and has to be "2001:db8:0:1::f:4240" at its place`},
		"a gateway":       {row("droplets", 0, "ipv6_gateway", "2001:db8::1"), `droplets[0].ipv6_gateway: it is "2001:db8::1"`},
		"IPv6 by halves":  {row("droplets", 0, "ipv6", false), `, and has to be "" at its place`},
		"too early":       {func(s *control.State) { s.At = time.Time{} }, "at: it is 0001-01-01T00:00:00Z, and has to be between 1970-01-01T00:00:00Z and 2200-01-01T00:00:00Z"},
		"too late":        {func(s *control.State) { s.At = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "at: it is 9999-01-01T00:00:00Z, and has to be"},
		"a limit":         {row("accounts", 0, "droplet_limit", -5), "accounts[0].droplet_limit: it is -5, and has to be between 0 and "},
		"no email":        {row("accounts", 0, "email", ""), `accounts[0].email: "" is no email address`},
		"no UUID":         {row("accounts", 0, "uuid", "zzz"), `accounts[0].uuid: "zzz" is no UUID`},
		"a project":       {row("accounts", 0, "project_id", "x"), `accounts[0].project_id: "x" is no UUID`},
		"a key's name":    {row("ssh_keys", 0, "name", ""), "ssh_keys[0].name: a key needs a name"},
		"a key":           {row("ssh_keys", 0, "public_key", "x"), "ssh_keys[0].fingerprint: that of its public_key: Key invalid"},
		"a fingerprint":   {row("ssh_keys", 0, "fingerprint", "x"), `ssh_keys[0].fingerprint: it is "x", and has to be "`},
		"a VPC's name":    {row("vpcs", 0, "name", "a b"), `vpcs[0].name: name "a b": VPC names have`},
		"a public range":  {row("vpcs", 0, "ip_range", "8.8.8.0/24"), "vpcs[0].ip_range: ip_range 8.8.8.0/24 is not private"},
		"an overlap": {func(s *control.State) {
			vpcs := s.Rows["vpcs"]
			named := func(name string) store.StateRow {
				return vpcs[slices.IndexFunc(vpcs, func(v store.StateRow) bool { return v["name"] == name })]
			}
			for _, column := range []string{"ip_range", "first_address", "last_address"} {
				named("outer")[column] = named("inner")[column]
			}
		}, " overlaps with "},
		"with itself":         {func(s *control.State) { s.Rows["vpc_peerings"][0]["peer_id"] = s.Rows["vpc_peerings"][0]["vpc_id"] }, "vpc_peerings[0].peer_id: a VPC has no peering with itself"},
		"an image's name":     {row("images", 0, "name", ""), "images[0].name: Name is invalid"},
		"a hostname":          {row("droplets", 0, "name", "a b\n"), "droplets[0].name: Only valid hostname characters"},
		"memory":              {row("droplets", 0, "memory", -1), "droplets[0].memory: it is -1, and has to be between 0 and "},
		"no disk":             {row("droplets", 0, "disk", 0), "droplets[0].disk: it is 0, and has to be 1 or more"},
		"a time":              {row("droplets", 0, "created_at", int64(9e18)), "droplets[0].created_at: 9000000000000000000 is no time between 1970-01-01T00:00:00Z and 2250-01-01T00:00:00Z"},
		"a negative time":     {row("tags", 0, "created_at", -1), "tags[0].created_at: -1 is no time"},
		"a backup plan":       {row("droplets", 0, "backup_plan", "hourly"), "droplets[0]: backup_policy.plan must be daily or weekly"},
		"a backup's hour":     {row("droplets", 0, "backup_hour", 77), "droplets[0]: backup_policy.hour must be one of"},
		"a daily day":         {row("droplets", 0, "backup_plan", "daily"), `droplets[0]: with the backup_plan daily, backup_weekday is "SAT", and has to be ""`},
		"a day of no plan":    {row("droplets", 0, "backup_plan", ""), "droplets[0]: without a backup_plan"},
		"user data":           {row("droplets", 0, "user_data", strings.Repeat("x", cloud.MaxUserData+1)), "droplets[0].user_data: it has 65537 bytes"},
		"a Droplet's key":     {row("droplets", 0, "public_keys", `["x"]`), "droplets[0].public_keys: Key invalid"},
		"a volume's name":     {row("volumes", 0, "name", "A"), "volumes[0]: name must start with"},
		"a filesystem":        {row("volumes", 0, "filesystem_type", "fat"), "volumes[0]: filesystem_type must be ext4 or xfs"},
		"a snapshot's volume": {row("volume_snapshots", 0, "min_disk_size", 0), "volume_snapshots[0].min_disk_size: size_gigabytes must be between"},
		"a fraction of none":  {row("volume_snapshots", 0, "size_gigabytes", -0.5), "volume_snapshots[0].size_gigabytes: it is -0.5, and has to be between"},
		"a folded name":       {row("tags", 0, "folded", "Web"), `tags[0].folded: it is "Web", and has to be "web"`},
		"a firewall's name":   {row("firewalls", 0, "name", "-"), "firewalls[0].name: invalid name"},
		"a rule":              {row("firewalls", 0, "inbound", `[{"protocol":"xx","ports":"zz"}]`), "firewalls[0].inbound: you specified an invalid protocol"},
		"a rule in capitals":  {row("firewalls", 0, "outbound", `[{"protocol":"TCP","ports":"all"}]`), `firewalls[0].outbound: rule 0 has to be of protocol "tcp", ports "0" and action "allow"`},
		"no mention":          {func(s *control.State) { s.Rows["firewall_mentions"] = nil }, "firewalls[0]: its rules name the droplet 1000001, which is not among firewall_mentions"},
		"a mention":           {row("firewalls", 0, "inbound", "[]"), "firewall_mentions[0]: no rule of its firewall names the "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			state, err := readState(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			test.change(&state)
			changed, err := json.Marshal(state)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ImportState(t.Context(), to, 0, bytes.NewReader(changed))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v\nwant %s", err, test.want)
			}
		})
	}
	for name, bad := range map[string]string{
		"nothing": "", "a list": "[]", "a field": `{"cistern_state":1,"more":2}`, "two": string(text) + "{}",
	} {
		if _, err := ImportState(t.Context(), to, 0, strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "this is not what cistern state export writes") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := contentsOf(t, to); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("a refused import has changed something")
	}
	if _, err := ImportState(t.Context(), to, 5, bytes.NewReader(text)); err == nil || !strings.Contains(err.Error(), "there is no account 5") {
		t.Errorf("nobody's account: %v", err)
	}
}

// An account that has something is left alone, and so is what another has.
func TestImportIntoWhatIsThere(t *testing.T) {
	text := exported(t, makeScene(t))
	to := started(t, sqlite(t))
	if _, err := ImportState(t.Context(), to, 0, bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	_, err := ImportState(t.Context(), to, 0, bytes.NewReader(text))
	if err == nil || !strings.Contains(err.Error(), "has something already: ") || !strings.Contains(err.Error(), ", 3 droplets, ") {
		t.Errorf("a second time: %v", err)
	}
	var second cloud.Account
	err = WithAccounts(t.Context(), to, func(a Accounts) (err error) {
		second, err = a.Add(t.Context(), "Ann", "ann@example.com")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := contentsOf(t, to)
	_, err = ImportState(t.Context(), to, second.ID, bytes.NewReader(text))
	if err == nil || !strings.Contains(err.Error(), "is here already") && !strings.Contains(err.Error(), "of another account here") {
		t.Errorf("for another account: %v", err)
	}
	if fmt.Sprint(contentsOf(t, to)) != fmt.Sprint(before) {
		t.Error("a refused import has changed something")
	}
}

// A destroy that is imported cannot reach for another account's volume when it
// is tried again.
func TestImportReachesForNobodyElse(t *testing.T) {
	state, err := readState(bytes.NewReader(exported(t, makeScene(t))))
	if err != nil {
		t.Fatal(err)
	}
	to := started(t, sqlite(t))
	change(t, to, `INSERT INTO volumes SELECT 'theirs', id, 'theirs', 'nyc3', '', 1, '', '', 0, TRUE, 0 FROM accounts`)
	var second cloud.Account
	err = WithAccounts(t.Context(), to, func(a Accounts) (err error) {
		second, err = a.Add(t.Context(), "Ann", "ann@example.com")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, resource := range state.Rows["destroy_resources"] {
		if resource["kind"] == "volumes" {
			state.Rows["destroy_resources"][i]["id"] = "theirs"
		}
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ImportState(t.Context(), to, second.ID, bytes.NewReader(text))
	if err == nil || !strings.Contains(err.Error(), "theirs is among the volumes of another account here") {
		t.Errorf("the import: %v", err)
	}
}
