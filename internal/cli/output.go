package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// output is how a command shows what it found: text for people or json.
type output string

func addOutputFlag(cmd *cobra.Command, o *output) {
	cmd.Flags().StringVarP((*string)(o), "output", "o", "text", "form of the output: text or json")
}

func (o output) check() error {
	if o != "text" && o != "json" {
		return fmt.Errorf("--output %s: use text or json", o)
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
