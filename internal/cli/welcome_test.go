package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/app"
)

var fresh = app.Started{
	URL: "http://127.0.0.1:7480", Listen: "127.0.0.1:7480", Storage: "data in /srv/my state", Engine: "sim", Token: "dop_v1_secret",
	TokenFile: "/srv/my state/token",
}

// Standard output that is a file or a pipe ends up in logs: it gets the path of
// the token, written so that a shell takes it.
func TestWelcomeKeepsTheTokenOutOfLogs(t *testing.T) {
	var pipe bytes.Buffer
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	welcome(&pipe, fresh, buildTiny)
	welcome(file, fresh, buildTiny)
	inFile, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{pipe.String(), string(inFile)} {
		if strings.Contains(text, "dop_v1_secret") || !strings.Contains(text, "The token is in /srv/my state/token.\n") ||
			!strings.Contains(text, "  export DIGITALOCEAN_TOKEN=$(cat '/srv/my state/token')\n") {
			t.Errorf("the welcome is\n%s", text)
		}
	}
}

// A server with a folder of its own looks for images there: the command that
// builds one has to name it.
func TestHintsNameTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my state")
	want := "cistern image build tiny --data '" + dir + "'"
	var out bytes.Buffer
	if status := execute(t.Context(), []string{"image", "list", "--data", dir}, strings.NewReader(""), &out, &out); status != 0 || !strings.Contains(out.String(), want) {
		t.Errorf("%d, %s", status, out.String())
	}
	s := fresh
	s.NoImages = true
	out.Reset()
	welcome(&out, s, want)
	if text := out.String(); !strings.Contains(text, "There are no images yet; make one while the server runs: "+want+"\n") {
		t.Errorf("the welcome is\n%s", text)
	}
}

// Once the first token is nobody's, the lines to paste have a place for one.
func TestWelcomeWithoutAToken(t *testing.T) {
	s := fresh
	s.Token, s.TokenFile = "", ""
	var out bytes.Buffer
	welcome(&out, s, buildTiny)
	if text := out.String(); !strings.Contains(text, "make one with: cistern token create\n") ||
		!strings.Contains(text, "  export DIGITALOCEAN_TOKEN=TOKEN\n") {
		t.Errorf("the welcome is\n%s", text)
	}
}

func TestQuoted(t *testing.T) {
	for word, want := range map[string]string{
		"/srv/token": "/srv/token", "/my state": "'/my state'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "a\nb": "'a\nb'", "": "''",
	} {
		if got := quoted(word); got != want {
			t.Errorf("%q is written %s, want %s", word, got, want)
		}
	}
}
