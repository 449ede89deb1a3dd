package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/store"
)

// opening is storage and its accounts, as a server has them when it starts.
func opening(t *testing.T, s Storage) (*opened, control.Accounts) {
	t.Helper()
	o, err := openToServe(t.Context(), s, engineSim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o, control.Accounts{Store: store.New(o.db)}
}

func firstOrFail(t *testing.T, accounts control.Accounts, o *opened, given string) (secret, path string) {
	t.Helper()
	secret, path, err := firstToken(t.Context(), accounts, o, given)
	if err != nil {
		t.Fatal(err)
	}
	return secret, path
}

// works reports whether a secret is a token of the first account.
func works(t *testing.T, accounts control.Accounts, secret string) bool {
	t.Helper()
	first, _, err := accounts.First(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known, err := accounts.HasToken(t.Context(), first.ID, secret)
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func count(t *testing.T, accounts control.Accounts) int {
	t.Helper()
	tokens, err := accounts.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(tokens)
}

// The first start makes a token, keeps it for its owner's eyes alone, and the
// next start finds it.
func TestFirstToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	o, accounts := opening(t, Storage{Data: dir})
	secret, path := firstOrFail(t, accounts, o, "")
	if !regexp.MustCompile(`^dop_v1_[0-9a-f]{64}$`).MatchString(secret) || !works(t, accounts, secret) {
		t.Errorf("the first token is %q and opens the account: %v", secret, works(t, accounts, secret))
	}
	if path != filepath.Join(dir, "token") {
		t.Errorf("the token is in %s", path)
	}
	for file, mode := range map[string]fs.FileMode{path: 0o600, dir: 0o700 | fs.ModeDir} {
		if info, err := os.Stat(file); err != nil || info.Mode() != mode {
			t.Errorf("%s has the mode %v, want %v (%v)", file, info.Mode(), mode, err)
		}
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != secret+"\n" {
		t.Errorf("the file holds %q, %v", kept, err)
	}
	if again, _ := firstOrFail(t, accounts, o, ""); again != secret || count(t, accounts) != 1 {
		t.Errorf("the next start has the token %s of %d", again, count(t, accounts))
	}
}

// The store keeps a hash: the secret is in no file but its own.
func TestSecretIsNotInTheDatabase(t *testing.T) {
	dir := t.TempDir()
	o, accounts := opening(t, Storage{Data: dir})
	secret, path := firstOrFail(t, accounts, o, "")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if file != path && strings.Contains(string(data), secret) {
			t.Errorf("%s holds the secret", file)
		}
	}
}

// A server that died after it wrote the file and before it wrote the row has
// told nobody that token, so the next start makes its own. The same goes for
// half a file.
func TestFirstTokenAfterACrashBeforeTheRow(t *testing.T) {
	for _, left := range []string{cloud.NewSecret() + "\n", "dop_v1_ha", ""} {
		o, accounts := opening(t, Storage{Data: t.TempDir()})
		if err := os.WriteFile(o.tokenFile()+unfinished, []byte(left), 0o600); err != nil {
			t.Fatal(err)
		}
		secret, path := firstOrFail(t, accounts, o, "")
		if len(secret) != 71 || !works(t, accounts, secret) || count(t, accounts) != 1 {
			t.Errorf("%q was left: the token is %q of %d", left, secret, count(t, accounts))
		}
		kept, err := os.ReadFile(path)
		if err != nil || string(kept) != secret+"\n" {
			t.Errorf("%q was left: the file holds %q, %v", left, kept, err)
		}
		if again, _ := firstOrFail(t, accounts, o, ""); again != secret {
			t.Errorf("%q was left: the next start has the token %q, not %q", left, again, secret)
		}
	}
}

// A server that died right after the row has left the only copy of its token
// beside the file.
func TestFirstTokenAfterACrashAfterTheRow(t *testing.T) {
	o, accounts := opening(t, Storage{Data: t.TempDir()})
	secret, path := firstOrFail(t, accounts, o, "")
	if err := os.Rename(path, path+unfinished); err != nil {
		t.Fatal(err)
	}
	again, _ := firstOrFail(t, accounts, o, "")
	if kept, err := os.ReadFile(path); again != secret || err != nil || string(kept) != secret+"\n" {
		t.Errorf("the token is %q, not %q; the file holds %q, %v", again, secret, kept, err)
	}
}

// --token is the first account's, made once, and kept like the other.
func TestGivenToken(t *testing.T) {
	o, accounts := opening(t, Storage{Data: t.TempDir()})
	made, path := firstOrFail(t, accounts, o, "")
	for range 2 {
		secret, _ := firstOrFail(t, accounts, o, "dop_v1_test")
		if secret != "dop_v1_test" || !works(t, accounts, secret) || !works(t, accounts, made) || count(t, accounts) != 2 {
			t.Errorf("the token is %s of %d", secret, count(t, accounts))
		}
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != "dop_v1_test\n" {
		t.Errorf("the file holds %q, %v", kept, err)
	}
}

// A secret that is another account's, or has other rights, is not taken over.
func TestGivenTokenOfAnotherAccount(t *testing.T) {
	o, accounts := opening(t, Storage{Data: t.TempDir()})
	kept, path := firstOrFail(t, accounts, o, "")
	ann, err := accounts.Add(t.Context(), "Ann", "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.AddToken(t.Context(), ann.ID, "ann", "dop_v1_of_ann", cloud.Scopes{cloud.FullAccess}, 0); err != nil {
		t.Fatal(err)
	}
	_, _, err = firstToken(t.Context(), accounts, o, "dop_v1_of_ann")
	if err == nil || !strings.Contains(err.Error(), "--token: this token exists already, with other rights or another account") {
		t.Errorf("Ann's token is taken: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != kept+"\n" {
		t.Errorf("the refused token has taken the place of the first in its file: %q, %v", data, err)
	}
}

// Once tokens were given out, a lost or revoked first token does not come back
// by itself.
func TestRevokedFirstTokenStaysRevoked(t *testing.T) {
	o, accounts := opening(t, Storage{Data: t.TempDir()})
	secret, _ := firstOrFail(t, accounts, o, "")
	first, _, err := accounts.First(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.AddToken(t.Context(), first.ID, "other", cloud.NewSecret(), cloud.Scopes{cloud.FullAccess}, 0); err != nil {
		t.Fatal(err)
	}
	tokens, err := accounts.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := accounts.RevokeToken(t.Context(), tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	if again, path := firstOrFail(t, accounts, o, ""); again != "" || path != "" || works(t, accounts, secret) {
		t.Errorf("the revoked token came back: %q in %q", again, path)
	}
}

// Even the last token stays revoked: its file must not bring it back.
func TestRevokedOnlyTokenStaysRevoked(t *testing.T) {
	o, accounts := opening(t, Storage{Data: t.TempDir()})
	secret, _ := firstOrFail(t, accounts, o, "")
	tokens, err := accounts.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := accounts.RevokeToken(t.Context(), tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	firstOrFail(t, accounts, o, "")
	if works(t, accounts, secret) {
		t.Error("a restart has brought the revoked token back")
	}
}

// A PostgreSQL database has no folder: its token is named after it.
func TestTokenFileOfADatabase(t *testing.T) {
	for database, want := range map[string]string{
		"postgres://ann@db.example.com:5432/cistern": "db.example.com-cistern.token",
		"postgres:///cistern?host=/run/postgresql":   "cistern.token",
		"postgres://ann@db.example.com":              "db.example.com.token",
	} {
		o := &opened{Storage: Storage{Database: database}, folder: "/state"}
		if got := o.tokenFile(); got != "/state/"+want {
			t.Errorf("%s: %s, want %s", database, got, want)
		}
	}
}
