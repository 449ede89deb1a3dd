package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"charm.land/huh/v2"
	"golang.org/x/term"
)

// answerKeys are the keys of the questions: as usual, with "a" for all and
// Escape to give up.
func answerKeys() *huh.KeyMap {
	keys := huh.NewDefaultKeyMap()
	keys.Quit = key.NewBinding(key.WithKeys("ctrl+c", "esc"), key.WithHelp("esc", "give up"))
	m := &keys.MultiSelect
	m.Toggle = key.NewBinding(key.WithKeys("space", "x"), key.WithHelp("space", "choose"))
	m.SelectAll = key.NewBinding(key.WithKeys("a"), key.WithHelp("a", "all"))
	m.SelectNone = key.NewBinding(key.WithKeys("a"), key.WithHelp("a", "none"), key.WithDisabled())
	m.Submit.SetHelp("enter", "go on")
	keys.Input.Submit.SetHelp("enter", "destroy")
	return keys
}

// answerTheme shows what is chosen without colours too.
func answerTheme(dark bool) *huh.Styles {
	theme := huh.ThemeBase16(dark)
	for _, field := range []*huh.FieldStyles{&theme.Focused, &theme.Blurred} {
		field.SelectedPrefix = field.SelectedPrefix.SetString("[x] ")
		field.UnselectedPrefix = field.UnselectedPrefix.SetString("[ ] ")
	}
	return theme
}

// ask puts one question. Who gives up, by Ctrl-C or Escape, interrupts the
// command before it has done anything.
func (s screen) ask(ctx context.Context, field huh.Field) error {
	form := huh.NewForm(huh.NewGroup(field)).WithKeyMap(answerKeys()).WithTheme(huh.ThemeFunc(answerTheme)).
		WithProgramOptions(tea.WithInput(s.in), tea.WithOutput(s.out), tea.WithColorProfile(s.profile), tea.WithoutSignalHandler())
	err := form.RunWithContext(ctx)
	if ctx.Err() != nil || errors.Is(err, huh.ErrUserAborted) {
		return errInterrupted
	}
	return err
}

// checklist is how many lines of a list are shown at once, below the lines of
// its question. The others scroll.
func (s screen) checklist(question int) int {
	const most, least, wrappedAndHelp = 12, 3, 4
	if f, is := s.out.(*os.File); is {
		if _, rows, err := term.GetSize(int(f.Fd())); err == nil {
			return max(least, min(most, rows-question-wrappedAndHelp))
		}
	}
	return most
}

// choose lets a person tick some of the lines, and returns which.
func (s screen) choose(ctx context.Context, title, description string, lines []string) (chosen []int, err error) {
	options := make([]huh.Option[int], len(lines))
	for i, line := range lines {
		options[i] = huh.NewOption(line, i)
	}
	around := strings.Count(title+"\n"+description, "\n") + 1
	err = s.ask(ctx, huh.NewMultiSelect[int]().Title(title).Description(description).Options(options...).
		Height(around+min(len(lines), s.checklist(around))).Filterable(false).Value(&chosen))
	return chosen, err
}

// typed lets a person type a word before something dangerous, and nothing else.
func (s screen) typed(ctx context.Context, title, description, word string) error {
	var answer string
	return s.ask(ctx, huh.NewInput().Title(title).Description(description).Value(&answer).Validate(func(text string) error {
		if strings.TrimSpace(text) != word {
			return fmt.Errorf("that is not %s; Escape gives up", word)
		}
		return nil
	}))
}

// agree asks a question whose answer is yes or no.
func (s screen) agree(ctx context.Context, title string) (yes bool, err error) {
	err = s.ask(ctx, huh.NewConfirm().Title(title).Affirmative("Yes").Negative("No").Value(&yes))
	return yes, err
}
