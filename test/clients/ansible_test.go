package clients

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// playbook runs one of the playbooks and returns the counts of its recap.
func (s *server) playbook(name string, args ...string) (changed, failed string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), python(s.t, "ansible-playbook"), append([]string{"-i", "localhost,", "ansible/" + name}, args...)...)
	cmd.Env = append(os.Environ(), s.environment()...)
	cmd.Env = append(cmd.Env, "ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_DEPRECATION_WARNINGS=False", "ANSIBLE_HOME="+s.t.TempDir(),
		"ANSIBLE_PYTHON_INTERPRETER="+python(s.t, "python"), "LC_ALL=C.UTF-8", "no_proxy=")
	out, err := cmd.CombinedOutput()
	recap := regexp.MustCompile(`changed=(\d+) .*failed=(\d+)`).FindSubmatch(out)
	if recap == nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	s.t.Logf("%s\n%s", name, out)
	return string(recap[1]), string(recap[2])
}

// A playbook makes what it names, changes nothing when it runs again, and what
// ends it leaves nothing.
func TestAnsible(t *testing.T) {
	installed(t, "ANSIBLE_COLLECTIONS_PATH")
	python(t, "ansible-playbook")
	t.Parallel()
	// Ansible sleeps 10 s before it looks at an action again.
	s := serve(t, "--tls", "auto", "--sim-latency", "0")
	args := []string{"-e", "url=" + s.url, "-e", "token=" + token, "-e", "proxy=" + tunnel(t, s)}
	if changed, failed := s.playbook("present.yml", args...); changed == "0" || failed != "0" {
		t.Fatalf("the first run: %s changed, %s failed", changed, failed)
	}
	if changed, failed := s.playbook("present.yml", args...); changed != "0" || failed != "0" {
		t.Errorf("the second run: %s changed, %s failed", changed, failed)
	}
	if _, failed := s.playbook("absent.yml", args...); failed != "0" {
		t.Errorf("the end: %s failed", failed)
	}
	for _, list := range []string{"droplets", "snapshots", "floating_ips", "account/keys"} {
		if _, answer := s.ask(http.MethodGet, "/v2/"+list, ""); answer != nil {
			if total, _ := find(answer, "meta.total"); total != "0" && list != "droplets" {
				t.Errorf("%s left over: %s", list, total)
			}
		}
	}
}
