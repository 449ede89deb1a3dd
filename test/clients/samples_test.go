package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sample is a command that the reference shows, from "curl" to its address.
var sample = regexp.MustCompile(`(?s)curl -X [A-Z]+ .*?"https://[^"]+"`)

// samples reads the reference's commands. What shows only the form of one has
// a variable for the method.
func samples(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(reference("seeds/003_*.txt"))
	if err != nil || len(found) != 1 {
		t.Skipf("the API reference: there is no %s (it lies beside what CISTERN_CONTRACT names)", reference("seeds/003_*.txt"))
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return sample.FindAllString(string(text), -1)
}

// scene is what the samples need to succeed, made anew for each: a Droplet with
// a resource of each kind, under the IDs that replace those of the reference.
func scene(s *server) *strings.Replacer {
	for _, name := range []string{"awesome"} {
		s.make("/v2/droplets", `{"name":"tagged","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64","tags":["`+name+`"]}`, "")
	}
	droplet := s.make("/v2/droplets", `{"name":"web","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-12-x64"}`, "droplet.id")
	number := droplet[len(droplet)-4:]
	key := s.make("/v2/account/keys", fmt.Sprintf(`{"name":"k","public_key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI%s%sAA me"}`,
		strings.Repeat("A", 37), number), "ssh_key.id")
	_, got := s.ask("GET", "/v2/account/keys/"+key, "")
	fingerprint, _ := find(got, "ssh_key.fingerprint")
	volume := s.make("/v2/volumes", `{"name":"v`+number+`","region":"nyc3","size_gigabytes":1}`, "volume.id")
	s.make("/v2/volumes/"+volume+"/actions", `{"type":"attach","droplet_id":`+droplet+`}`, "")
	volumeSnapshot := s.make("/v2/volumes/"+volume+"/snapshots", `{"name":"vs"}`, "snapshot.id")
	s.make("/v2/droplets/"+droplet+"/actions", `{"type":"snapshot","name":"s"}`, "")
	s.make("/v2/reserved_ips", `{"droplet_id":`+droplet+`}`, "")
	_, resources := s.ask("GET", "/v2/droplets/"+droplet+"/destroy_with_associated_resources", "")
	snapshot, _ := find(resources, "snapshots.0.id")
	reservedIP, _ := find(resources, "reserved_ips.0.id")
	_, got = s.ask("GET", "/v2/droplets/"+droplet, "")
	network, _ := find(got, "droplet.vpc_uuid")
	return strings.NewReplacer(
		"3164494", droplet, "3067509", droplet, "187000742", droplet, "{droplet_id}", droplet,
		"289794", key, "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45", fingerprint,
		"760e09ef-dc84-11e8-981e-3cfdfeaae000", network,
		"ba49449a-7435-11ea-b89e-0a58ac14480f", volume, "edb0478d-7436-11ea-86e6-0a58ac144b91", volumeSnapshot,
		`"6186916"`, `"`+reservedIP+`"`, `"61486916"`, `"`+snapshot+`"`,
	)
}

// before is what must have happened for a sample to succeed, by a part of it.
var before = map[string]func(s *server, droplet string){
	"/status": destroyed,
	"/retry": func(s *server, droplet string) {
		s.ask("POST", "/_sim/faults", `{"operation":"volume.delete","error":"disk is on fire","times":1}`)
		destroyed(s, droplet)
	},
}

// destroyed destroys a Droplet with all that belongs to it.
func destroyed(s *server, droplet string) {
	path := "/v2/droplets/" + droplet + "/destroy_with_associated_resources"
	_, resources := s.ask("GET", path, "")
	volume, _ := find(resources, "volumes.0.id")
	s.ask("DELETE", path+"/selective", `{"volumes":["`+volume+`"]}`)
	s.until("the destroy", func() bool {
		_, status := s.ask("GET", path+"/status", "")
		_, ended := find(status, "completed_at")
		return ended
	})
}

// Every command of the reference does what it says when it is pasted into a
// shell, with the IDs of things that are there.
func TestSamples(t *testing.T) {
	installed(t, "CISTERN_TEST_CLIENTS")
	all := samples(t)
	if len(all) < 17 {
		t.Fatalf("the reference has %d samples", len(all))
	}
	t.Parallel()
	s := serve(t, "--tls", "auto")
	home := t.TempDir()
	rc := fmt.Sprintf("proxy = %q\ninsecure\nsilent\nwrite-out = \"\\n%%{http_code}\"\n", tunnel(t, s))
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range all {
		name := text[strings.LastIndex(text, "/v2/")+len("/v2/"):]
		t.Run(strings.Fields(text)[2]+" "+strings.Trim(name, `"`), func(t *testing.T) {
			s := &server{t: t, url: s.url}
			ids := scene(s)
			for part, prepare := range before {
				if strings.Contains(text, part+`"`) {
					prepare(s, ids.Replace("3164494"))
				}
			}
			paste(t, home, ids.Replace(text))
		})
	}
}

// paste runs a command in a shell and expects success.
func paste(t *testing.T, home, text string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sh", "-c", text)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "DIGITALOCEAN_TOKEN=" + token, "API_TOKEN=" + token}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", text, err, out)
	}
	answer := strings.TrimSpace(string(out))
	status := answer[strings.LastIndexByte(answer, '\n')+1:]
	if !strings.HasPrefix(status, "2") {
		t.Errorf("%s\n%s", text, out)
	}
}
