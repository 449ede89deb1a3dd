package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		`INSERT INTO accounts SELECT 2000000, 'u', 'Ann', 'ann@example.com', 'p', 1, 1, 1, 0, 0, 0, 0, 0 FROM accounts`,
		`UPDATE droplets SET image_id = (SELECT id FROM images WHERE name = 'before') WHERE name = 'other'`,
		`DELETE FROM tagged WHERE kind = 'image'`,
		`UPDATE images SET account_id = 2000000, source_droplet_id = 0 WHERE name = 'before'`)
	to := sqlite(t)
	s := open(t, to)
	if _, err := ImportState(t.Context(), to, 0, bytes.NewReader(exported(t, source))); err != nil {
		t.Fatal(err)
	}
	shown := list(s, "/v2/droplets?name=other", "droplets")[0]["image"].(map[string]any)
	if shown["name"] != "before" {
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
	if images := contentsOf(t, fresh)["sim_images"]; len(images) != 1 || images[0]["name"] != "before" {
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
	for seed, want := range map[string]string{
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
