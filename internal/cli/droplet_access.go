package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"
)

// access is how a server says that a Droplet is reached.
type access struct {
	Address    *string `json:"address"`
	Port       *int    `json:"port"`
	User       string  `json:"user"`
	Password   *string `json:"password"`
	Console    bool    `json:"console"`
	Screenshot bool    `json:"screenshot"`
}

// reach is a Droplet on a Cistern with real machines.
type reach struct {
	remote
	droplet godo.Droplet
}

// reach finds the Droplet that a word means.
func (f *clientFlags) reach(cmd *cobra.Command, word string) (reach, error) {
	r, err := f.remote(cmd)
	if err != nil {
		return reach{}, err
	}
	if r.isDigitalOcean() {
		return reach{}, fmt.Errorf("%s has a token for DigitalOcean; this is for machines of a Cistern: name one with --api-url and --token, DIGITALOCEAN_API_URL, or --data", r.name)
	}
	droplet, err := r.dropletOf(cmd.Context(), word)
	return reach{r, droplet}, err
}

// name is the Droplet's as it can be shown.
func (r reach) name() string { return oneLine(r.droplet.Name) }

// request is a request about the Droplet's access.
func (r reach) request(ctx context.Context, what string) (*http.Request, error) {
	return r.api.NewRequest(ctx, http.MethodGet, fmt.Sprintf("/_cistern/droplets/%d/%s", r.droplet.ID, what), nil)
}

// access asks how the Droplet is reached. Its password is told once, so only who
// shows it asks for it.
func (r reach) access(ctx context.Context, password bool) (access, error) {
	request, err := r.request(ctx, "access?password="+strconv.FormatBool(password))
	if err != nil {
		return access{}, err
	}
	var answer struct{ Access access }
	if _, err = r.api.Do(ctx, request, &answer); err != nil {
		return access{}, r.unreachable(err)
	}
	return answer.Access, nil
}

// unreachable explains why a Droplet cannot be reached.
func (r reach) unreachable(err error) error {
	if refused(err, http.StatusNotFound) {
		return fmt.Errorf("%s does not know how Droplet %d is reached: it is no Cistern of this version, or the Droplet is gone", r.url, r.droplet.ID)
	}
	return errors.New(r.reason(err))
}

// elsewhere explains an address that leads to a machine from the server's own
// host only, if this is another.
func (r reach) elsewhere(address string) error {
	ip := net.ParseIP(address)
	u, err := url.Parse(r.url)
	if ip == nil || !ip.IsLoopback() || err != nil || r.certificate != "" {
		return nil //nolint:nilerr // the URL has led to the server
	}
	if server := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || server != nil && server.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s is reached at %s of the machine that %s runs on, and from nowhere else; run this command there", r.name(), address, r.url)
}

func newDropletAccess() *cobra.Command {
	var flags clientFlags
	var form output
	cmd := &cobra.Command{
		Use:   "access {NAME | ID}",
		Short: "Show how a Droplet is reached, and its root password once",
		Long: "Shows where a Droplet's ssh is. A Droplet that was made without SSH keys, or had its password reset,\n" +
			"has a random root password: it is shown once, to tokens with droplet:admin, and kept nowhere.",
		Example: "  cistern droplet access web-1",
		Args:    takes("a Droplet's name or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := form.check(); err != nil {
				return err
			}
			r, err := flags.reach(cmd, args[0])
			if err != nil {
				return err
			}
			a, err := r.access(cmd.Context(), true)
			if err != nil {
				return err
			}
			if form == "json" {
				return writeJSON(cmd.OutOrStdout(), a)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), describeAccess(cmd, r, a))
			return err
		},
	}
	addClientFlags(cmd, &flags)
	addOutputFlag(cmd, &form)
	return cmd
}

func describeAccess(cmd *cobra.Command, r reach, a access) string {
	var text strings.Builder
	if a.Address == nil || a.Port == nil {
		fmt.Fprintf(&text, "Nothing leads to port 22 of %s (%s).\n", r.name(), oneLine(r.droplet.Status))
	} else {
		port := ""
		if *a.Port != 22 {
			port = " -p " + strconv.Itoa(*a.Port)
		}
		address := oneLine(*a.Address)
		fmt.Fprintf(&text, "%s is at %s, port %d.\n  ssh%s %s@%s\n", r.name(), address, *a.Port, port, oneLine(a.User), address)
		if err := r.elsewhere(address); err != nil {
			fmt.Fprintf(&text, "That address leads there from the server's own machine only.\n")
		}
	}
	if a.Password != nil {
		fmt.Fprintf(&text, "The password of %s is %s (it is shown this once).\n", oneLine(a.User), oneLine(*a.Password))
	}
	if a.Console {
		fmt.Fprintf(&text, "Its console: %s\n", again(cmd, fmt.Sprintf("cistern droplet console %d", r.droplet.ID)))
	}
	return text.String()
}
