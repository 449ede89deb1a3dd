package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// resolve finds the source that a command line and an environment lead to.
func resolve(t *testing.T, arguments ...string) (s source, err error) {
	t.Helper()
	var f clientFlags
	cmd := &cobra.Command{
		Use:               "test",
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return flagsFromEnvironment(cmd) },
		RunE:              func(cmd *cobra.Command, _ []string) error { s, err = f.source(cmd); return err },
		SilenceErrors:     true, SilenceUsage: true,
	}
	addClientFlags(cmd, &f)
	cmd.SetArgs(arguments)
	return s, firstError(cmd.Execute(), err)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// localFolder is a data folder with a token, and nothing in the environment.
func localFolder(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"DIGITALOCEAN_API_URL", "DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN",
		"CISTERN_API_URL", "CISTERN_TOKEN", "CISTERN_DATA", "CISTERN_DATABASE",
	} {
		t.Setenv(name, "")
	}
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	folder := filepath.Join(state, "cistern")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "token"), []byte("local-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(folder, "server.json")) // as a server that runs keeps it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"url":"` + folderURL + `"}`); err != nil {
		t.Fatal(err)
	}
	return folder
}

const folderURL = "http://127.0.0.1:9999"

// An address and a token never come from two places.
func TestSourceRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		environment map[string]string
		arguments   string
		want        string
	}{
		"flag without token":           {nil, "--api-url http://a.example", "has no token"},
		"flag, token of environment":   {map[string]string{"DIGITALOCEAN_TOKEN": "t"}, "--api-url http://a.example", "has no token"},
		"flag, token of a server":      {map[string]string{"CISTERN_TOKEN": "t"}, "--api-url http://a.example", "has no token"},
		"environment without token":    {map[string]string{"DIGITALOCEAN_API_URL": "http://a.example"}, "", "has no token"},
		"environment, token of server": {map[string]string{"DIGITALOCEAN_API_URL": "http://a.example", "CISTERN_TOKEN": "t"}, "", "has no token"},
		"two sources in flags":         {nil, "--token t --data DIR", "use --api-url and --token, or"},
		"no URL":                       {nil, "--token t --api-url a.example", "use a URL"},
		"folder without a token":       {nil, "--data DIR/none", "there is no token"},
		"ephemeral is nowhere":         {nil, "--ephemeral", "unknown flag"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := localFolder(t)
			for key, value := range test.environment {
				t.Setenv(key, value)
			}
			s, err := resolve(t, strings.Fields(strings.ReplaceAll(test.arguments, "DIR", folder))...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want an error with %q", s, err, test.want)
			}
		})
	}
}

func TestSource(t *testing.T) {
	both := map[string]string{"DIGITALOCEAN_API_URL": "http://e.example", "DIGITALOCEAN_TOKEN": "environment-token"}
	for name, test := range map[string]struct {
		environment map[string]string
		arguments   string
		url, token  string
	}{
		"flags":                         {nil, "--api-url http://f.example --token flag-token", "http://f.example", "flag-token"},
		"flags before environment":      {both, "--api-url http://f.example --token flag-token", "http://f.example", "flag-token"},
		"flag for DigitalOcean":         {both, "--token flag-token", digitalOcean, "flag-token"},
		"environment":                   {both, "", "http://e.example", "environment-token"},
		"environment, doctl's":          {map[string]string{"DIGITALOCEAN_ACCESS_TOKEN": "doctl-token"}, "", digitalOcean, "doctl-token"},
		"folder":                        {nil, "", folderURL, "local-token"},
		"folder before environment":     {both, "--data DIR", folderURL, "local-token"},
		"environment before its folder": {map[string]string{"DIGITALOCEAN_TOKEN": "t", "CISTERN_DATA": "/none"}, "", digitalOcean, "t"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := localFolder(t)
			for key, value := range test.environment {
				t.Setenv(key, value)
			}
			s, err := resolve(t, strings.Fields(strings.ReplaceAll(test.arguments, "DIR", folder))...)
			if err != nil || s.url != test.url || s.token != test.token {
				t.Errorf("got %+v, %v; want %s with %s", s, err, test.url, test.token)
			}
		})
	}
}

// run runs a command as main does.
func cistern(arguments ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	status = Main(arguments, &out, &errs)
	return status, out.String(), errs.String()
}

func TestOperationsAreNotAskedOfDigitalOcean(t *testing.T) {
	localFolder(t)
	for _, arguments := range [][]string{{"--token", "t"}, {"--token", "t", "--api-url", "https://API.digitalocean.com/"}} {
		status, out, errs := cistern(append([]string{"operations"}, arguments...)...)
		if status != 1 || out != "" || !strings.Contains(errs, "DigitalOcean, which does not show") {
			t.Errorf("%v: %d, %q, %q", arguments, status, out, errs)
		}
	}
}

// A server that sends its callers elsewhere does not give their tokens away.
func TestTokenDoesNotFollowRedirects(t *testing.T) {
	localFolder(t)
	got := "nothing asked"
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	defer thief.Close()
	elsewhere := strings.Replace(thief.URL, "127.0.0.1", "localhost", 1)
	server := httptest.NewServer(http.RedirectHandler(elsewhere, http.StatusFound))
	defer server.Close()
	cistern("operations", "--api-url", server.URL, "--token", "flag-token")
	if got != "" {
		t.Errorf("elsewhere was sent %q", got)
	}
}

func TestOperationsOfAnotherKindOfServer(t *testing.T) {
	localFolder(t)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	status, _, errs := cistern("operations", "--api-url", server.URL, "--token", "t")
	if status != 1 || !strings.Contains(errs, "no Cistern") {
		t.Errorf("%d, %q", status, errs)
	}
}
