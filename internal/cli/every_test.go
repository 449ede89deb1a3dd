package cli

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// newcomer has this process look like a shell of somebody who has never used any
// of this.
func newcomer(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "CISTERN_") || strings.HasPrefix(name, "DIGITALOCEAN_") || name == "XDG_STATE_HOME" {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
}

// Every command answers somebody who has nothing yet: with nothing beside it, and
// with one word.
func TestEveryCommandAnswersANewcomer(t *testing.T) {
	var lines [][]string
	every(newRoot(), func(cmd *cobra.Command) {
		if line := strings.Fields(cmd.CommandPath())[1:]; cmd.CommandPath() != "cistern network clean" { // which root means
			lines = append(lines, line)
		}
	})
	if len(lines) < 40 {
		t.Fatalf("there are %d commands", len(lines))
	}
	stopped, stop := context.WithCancel(t.Context())
	stop() // serve ends as soon as it can
	for _, line := range lines {
		for _, words := range [][]string{nil, {"web-1"}, {"1"}} {
			t.Run(strings.Join(slices.Concat(line, words), "_"), func(t *testing.T) {
				newcomer(t)
				var out, errs strings.Builder
				status := execute(stopped, slices.Concat(line, words), strings.NewReader(""), &out, &errs)
				if status != 0 && !strings.HasPrefix(errs.String(), "cistern: ") {
					t.Errorf("%d, %q, %q", status, out.String(), errs.String())
				}
			})
		}
	}
}

// Every command can suggest another one, whichever of the flags it has.
func TestEveryCommandSuggestsAnother(t *testing.T) {
	newcomer(t)
	every(newRoot(), func(cmd *cobra.Command) {
		for how, suggest := range map[string]func(*cobra.Command, string) string{"sameStorage": sameStorage, "again": again} {
			if got := suggest(cmd, "cistern version"); got != "cistern version" {
				t.Errorf("%s of %s: %q", how, cmd.CommandPath(), got)
			}
		}
	})
}
