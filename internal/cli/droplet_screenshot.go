package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"
)

// maxScreenshot is more than any screen shows.
const maxScreenshot = 64 << 20

func newDropletScreenshot() *cobra.Command {
	var flags clientFlags
	var file string
	cmd := &cobra.Command{
		Use:     "screenshot {NAME | ID}",
		Short:   "Save what a Droplet's screen shows, as a PNG",
		Example: "  cistern droplet screenshot web-1\n  cistern droplet screenshot web-1 -o - | display",
		Args:    takes("a Droplet's name or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "-" && isTerminal(cmd.OutOrStdout()) {
				return errors.New("a picture is nothing for a terminal; name a file with -o FILE.png, or lead it elsewhere")
			}
			r, err := flags.reach(cmd, args[0])
			if err != nil {
				return err
			}
			picture, err := r.screenshot(cmd)
			if err != nil {
				return err
			}
			if file == "-" {
				_, err := cmd.OutOrStdout().Write(picture)
				return err
			}
			to := file
			if to == "" {
				to = pictureName(r.droplet)
			}
			if err := os.WriteFile(to, picture, 0o600); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The screen of %s is in %s.\n", r.name(), to)
			return err
		},
	}
	addClientFlags(cmd, &flags)
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write, or - for standard output (default NAME.png)")
	notFromEnvironment(cmd, "output")
	return cmd
}

// pictureName is a file here, whatever a server calls its Droplets.
func pictureName(d godo.Droplet) string {
	if d.Name == "" || d.Name[0] == '.' || filepath.Base(d.Name) != d.Name {
		return strconv.Itoa(d.ID) + ".png"
	}
	return d.Name + ".png"
}

func (r reach) screenshot(cmd *cobra.Command) ([]byte, error) {
	request, err := r.request(cmd.Context(), "screenshot")
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "image/png")
	response, err := r.api.HTTPClient.Do(request)
	if err != nil {
		return nil, r.explain(err)
	}
	defer response.Body.Close()
	if err := godo.CheckResponse(response); err != nil {
		return nil, r.unreachable(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "image/png" {
		return nil, fmt.Errorf("%s has answered %s with %s where a picture was asked for", r.url, response.Status, response.Header.Get("Content-Type"))
	}
	return io.ReadAll(io.LimitReader(response.Body, maxScreenshot))
}
