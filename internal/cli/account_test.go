package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a command suggests next names the same state, and gives no password away.
func TestAccountCreateSuggestsAToken(t *testing.T) {
	localFolder(t)
	folder := filepath.Join(t.TempDir(), "the data")
	serve(t, folder)
	if status, _, errs := run(t, "account", "create", "Ann", "--data", folder); status != 1 ||
		!strings.Contains(errs, `"Ann" is no email address; use one such as ann@example.com`) {
		t.Errorf("no email: %d, %q", status, errs)
	}
	status, out, errs := run(t, "account", "create", "ann@example.com", "--data", folder)
	_, suggested, found := strings.Cut(out, "Give it a token with: cistern token create --account ")
	if status != 0 || !found || !strings.HasSuffix(suggested, " --data '"+folder+"'\n") {
		t.Fatalf("%d, %q, %q", status, out, errs)
	}
	number, _, _ := strings.Cut(suggested, " ")
	if status, out, errs := run(t, "token", "create", "--account", number, "--expires", "30d", "--data", folder); status != 0 {
		t.Errorf("what was suggested fails: %q, %q", out, errs)
	}
	in30days := time.Now().Add(30 * 24 * time.Hour).UTC().Format("2006-01-02T")
	if _, out, _ := run(t, "token", "list", "--data", folder); !strings.Contains(out, in30days) {
		t.Errorf("it does not expire in 30 days:\n%s", out)
	}
	if status, _, errs := run(t, "token", "create", "--account", "77", "--data", folder); status != 1 ||
		!strings.Contains(errs, "there is no account 77; see cistern account list") {
		t.Errorf("no such account: %d, %q", status, errs)
	}
	if got := withoutPassword("postgres://me:secret@db/c"); got != "postgres://me@db/c" {
		t.Errorf("got %s", got)
	}
}
