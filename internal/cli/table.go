package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// table aligns columns for people.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, headings ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	if len(headings) > 0 {
		fmt.Fprintln(t, strings.Join(headings, "\t"))
	}
	return t
}

func (t table) row(cells ...any) {
	words := make([]string, len(cells))
	for i, cell := range cells {
		words[i] = oneLine(fmt.Sprint(cell))
	}
	fmt.Fprintln(t, strings.Join(words, "\t"))
}

// oneLine makes control characters spaces, which would break the table or
// drive the terminal.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}

// quoted writes a word for a shell.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"$`\\*?[]{}()<>|&;!~#") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// view is how a command shows what it found, in doctl's grammar.
type view struct {
	output
	format   string
	noHeader bool
}

func addViewFlags(cmd *cobra.Command, v *view) {
	addOutputFlag(cmd, &v.output)
	flags := cmd.Flags()
	flags.StringVar(&v.format, "format", "", "columns to show, such as ID,Name")
	flags.BoolVar(&v.noHeader, "no-header", false, "leave out the headings")
	notFromEnvironment(cmd, "format", "no-header")
}

// bare reports whether only the table is wanted, without words around it.
func (v view) bare() bool { return v.format != "" || v.noHeader }

// check refuses a form or columns that there are not.
func (v view) check(columns []string) error {
	if err := v.output.check(); err != nil {
		return err
	}
	_, err := v.chosen(columns)
	return err
}

// chosen are the indexes of the columns to show: without --format all.
func (v view) chosen(columns []string) ([]int, error) {
	var chosen []int
	if v.format == "" {
		for i := range columns {
			chosen = append(chosen, i)
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(v.format, ",") {
		i := slices.IndexFunc(columns, func(c string) bool { return strings.EqualFold(c, strings.TrimSpace(name)) })
		if i < 0 {
			return nil, fmt.Errorf("--format: there is no column %q; use %s", name, strings.Join(columns, ","))
		}
		chosen = append(chosen, i)
	}
	return chosen, nil
}

// table shows rows that have all columns, or those of them that are wanted.
func (v view) table(w io.Writer, columns []string, rows [][]string) error {
	chosen, err := v.chosen(columns)
	if err != nil {
		return err
	}
	var headings []string
	for _, i := range chosen {
		headings = append(headings, strings.ToUpper(columns[i]))
	}
	if v.noHeader {
		headings = nil
	}
	t := newTable(w, headings...)
	for _, row := range rows {
		cells := make([]any, len(chosen))
		for n, i := range chosen {
			cells[n] = dash(row[i])
		}
		t.row(cells...)
	}
	return t.Flush()
}
