package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// screen is what a command shows to people beside its result, and where it asks
// them.
type screen struct {
	in  io.Reader
	out io.Writer
	// asks is whether there is a terminal to ask at, and to draw on.
	asks bool
	// profile is which colours it has: none without a terminal or with NO_COLOR.
	profile colorprofile.Profile
}

// newScreen chooses where people read. Standard output is it, unless that is
// kept for a JSON document, or goes elsewhere while somebody sits at the terminal.
func newScreen(cmd *cobra.Command, form output) screen {
	s := screen{in: cmd.InOrStdin(), out: cmd.OutOrStdout()}
	keyboard, errors := readsTerminal(s.in), cmd.ErrOrStderr()
	if form == "json" || keyboard && !isTerminal(s.out) && isTerminal(errors) {
		s.out = errors
	}
	s.asks = keyboard && isTerminal(s.out) && os.Getenv("TERM") != "dumb"
	s.profile = colorprofile.Detect(s.out, os.Environ())
	return s
}

func readsTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (s screen) say(format string, values ...any) { fmt.Fprintf(s.out, format, values...) }

var (
	good = lipgloss.NewStyle().Foreground(lipgloss.Green)
	bad  = lipgloss.NewStyle().Foreground(lipgloss.Red)
)

// mark is a line about what has ended, well or not.
func (s screen) mark(failed bool, text string) string {
	text = oneLine(text)
	if failed {
		return s.painted(bad.Render("✗") + " " + text)
	}
	return s.painted(good.Render("✓") + " " + text)
}

// painted leaves out the colours that the screen does not have.
func (s screen) painted(text string) string {
	var plain strings.Builder
	_, _ = (&colorprofile.Writer{Forward: &plain, Profile: s.profile}).WriteString(text) // it cannot fail
	return plain.String()
}

// watch runs work that tells of a number of things, one line each when it has
// ended. At a terminal a bar below the lines shows how many are left.
func (s screen) watch(ctx context.Context, total int, work func(ctx context.Context, tell func(line string)) error) error {
	if s.asks {
		return s.draw(ctx, total, work)
	}
	return work(ctx, func(line string) { s.say("%s\n", line) })
}
