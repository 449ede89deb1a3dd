package cli

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cistern-cloud/cistern/internal/app"
)

// takes checks that a command is given its one argument, and says by its
// example what that is.
func takes(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		example, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
		if len(args) == 0 {
			return fmt.Errorf("%s needs %s, such as in: %s", cmd.CommandPath(), name, example)
		}
		return fmt.Errorf("%q is one word too many: %s takes only %s, such as in: %s", args[1], cmd.CommandPath(), name, example)
	}
}

// takesNothing refuses arguments.
func takesNothing(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.Flags().Lookup("data") != nil {
		return fmt.Errorf("%s takes flags only, so %q means nothing to it; a folder is named with --data %s",
			cmd.CommandPath(), args[0], quoted(args[0]))
	}
	return fmt.Errorf("%s takes flags only, so %q means nothing to it; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
}

// isGroup makes a command that only has others in it refuse what it does not
// have. Cobra would show its help and call that a success.
func isGroup(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		cmd.SuggestionsMinimumDistance = 2
		meant := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			meant = fmt.Sprintf("did you mean %s? ", near[0])
		}
		return fmt.Errorf("%s has no command %q; %ssee %s --help", cmd.CommandPath(), args[0], meant, cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// flagError says what is wrong with the flags, and what would be right.
func flagError(cmd *cobra.Command, err error) error {
	if invalid, is := errors.AsType[*pflag.InvalidValueError](err); is {
		return fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, quoted(invalid.GetValue()), wrongValue(invalid))
	}
	if missing, is := errors.AsType[*pflag.ValueRequiredError](err); is {
		return fmt.Errorf("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Usage)
	}
	if unknown, is := errors.AsType[*pflag.NotExistError](err); is {
		if near := nearestFlag(cmd, unknown.GetSpecifiedName()); near != "" {
			return fmt.Errorf("%w; did you mean --%s? See %s --help", err, near, cmd.CommandPath())
		}
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// wrongValue is why a flag does not take a value, in our own words.
func wrongValue(invalid *pflag.InvalidValueError) error {
	if invalid.GetFlag().Value.Type() == "bool" {
		return errors.New("use true or false")
	}
	return invalid.Unwrap()
}

// nearestFlag finds the flag that somebody may have meant.
func nearestFlag(cmd *cobra.Command, name string) (near string) {
	best := 3 // edits that are too many
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < best && d < len(f.Name)/2 {
			near, best = f.Name, d
		}
	})
	return near
}

// distance counts the letters to change, add or leave out to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// span is a flag's duration, in which days may be used. None is 0.
type span time.Duration

func (s *span) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

func (s *span) Set(text string) error {
	d, err := app.ParseSpan(text)
	if err != nil || d <= 0 {
		return errors.New("use a duration above 0, such as 24h or 30d")
	}
	*s = span(d)
	return nil
}

// Type is shown in the help.
func (s *span) Type() string { return "duration" }

// accountNumber is a flag's number of an account.
type accountNumber int64

func (n *accountNumber) String() string {
	if *n == 0 {
		return ""
	}
	return fmt.Sprint(int64(*n))
}

func (n *accountNumber) Set(text string) error {
	id, err := parseNumber(text)
	if err != nil {
		return errors.New("use the number of an account; see cistern account list")
	}
	*n = accountNumber(id)
	return nil
}

// Type is shown in the help.
func (n *accountNumber) Type() string { return "number" }

// sameStorage adds to a command that is suggested where the state is, if this
// one was told. A password is left out: it would end up in a log.
func sameStorage(cmd *cobra.Command, suggested string) string {
	for _, name := range []string{"data", "database"} {
		if f := cmd.Flags().Lookup(name); given(cmd, name) {
			return fmt.Sprintf("%s --%s %s", suggested, name, quoted(withoutPassword(f.Value.String())))
		}
	}
	return suggested
}

func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	u.User = url.User(u.User.Username())
	return u.String()
}
