package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// table aligns columns for people.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, headings ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t, strings.Join(headings, "\t"))
	return t
}

func (t table) row(cells ...any) {
	words := make([]string, len(cells))
	for i, cell := range cells {
		words[i] = strings.Map(onOneLine, fmt.Sprint(cell))
	}
	fmt.Fprintln(t, strings.Join(words, "\t"))
}

// onOneLine makes control characters spaces, which would break the table or
// drive the terminal.
func onOneLine(c rune) rune {
	if unicode.IsControl(c) {
		return ' '
	}
	return c
}

// quoted writes a word for a shell.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"$`\\*?[]{}()<>|&;!~#") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
