package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/associated"
)

// dropletEnsure is cistern droplet ensure.
type dropletEnsure struct {
	flags                    clientFlags
	view                     view
	size, image, region, vpc string
	tags, keys               []string
	wait                     bool
}

func newDropletEnsure() *cobra.Command {
	var e dropletEnsure
	cmd := &cobra.Command{
		Use:   "ensure NAME...",
		Short: "Create Droplets unless they are there",
		Long: "Creates a Droplet for each name that no Droplet has, and says for each whether it was created or found.\n" +
			"With --tag only Droplets that have all the tags count. A Droplet that is found is left as it is.\n" +
			"Two of these commands at the same time can both find nothing and both create.",
		Example: "  cistern droplet ensure web-1 web-2 --size s-1vcpu-1gb --image debian-12-x64 --region nyc3 --tag staging --wait",
		Args:    ensureArgs,
		RunE:    e.run,
	}
	addClientFlags(cmd, &e.flags)
	addViewFlags(cmd, &e.view)
	flags := cmd.Flags()
	flags.StringVar(&e.size, "size", "", "size of those that are created, such as s-1vcpu-1gb")
	flags.StringVar(&e.image, "image", "", "slug or ID of their image, such as debian-12-x64")
	flags.StringVar(&e.region, "region", "", "their region, such as nyc3")
	flags.StringVar(&e.vpc, "vpc-uuid", "", "their VPC (default: the region's)")
	flags.StringSliceVar(&e.tags, "tag", nil, "tag that they have, or get; may be repeated")
	flags.StringSliceVar(&e.keys, "ssh-keys", nil, "IDs or fingerprints of SSH keys that may log in")
	flags.BoolVar(&e.wait, "wait", false, "wait until they are active")
	notFromEnvironment(cmd, "size", "image", "region", "vpc-uuid", "tag", "ssh-keys", "wait")
	return cmd
}

func ensureArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		example, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
		return fmt.Errorf("%s needs the names of Droplets, such as in: %s", cmd.CommandPath(), example)
	}
	seen := map[string]bool{}
	for _, name := range args {
		switch lower := strings.ToLower(name); {
		case strings.TrimSpace(name) == "":
			return errors.New("a Droplet's name cannot be empty")
		case seen[lower]:
			return fmt.Errorf("%s is there twice; name each Droplet once", name)
		default:
			seen[lower] = true
		}
	}
	return nil
}

func (e *dropletEnsure) request(names []string) (*godo.DropletMultiCreateRequest, error) {
	var missing []string
	for _, f := range []struct{ flag, value string }{{"--size", e.size}, {"--image", e.image}, {"--region", e.region}} {
		if f.value == "" {
			missing = append(missing, f.flag)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("say with %s what to create where there is none", strings.Join(missing, ", "))
	}
	r := &godo.DropletMultiCreateRequest{Names: names, Region: e.region, Size: e.size, VPCUUID: e.vpc, Tags: e.tags}
	if id, err := strconv.Atoi(e.image); err == nil {
		r.Image.ID = id
	} else {
		r.Image.Slug = e.image
	}
	for _, key := range e.keys {
		if id, err := strconv.Atoi(key); err == nil {
			r.SSHKeys = append(r.SSHKeys, godo.DropletCreateSSHKey{ID: id})
		} else {
			r.SSHKeys = append(r.SSHKeys, godo.DropletCreateSSHKey{Fingerprint: key})
		}
	}
	return r, nil
}

func (e *dropletEnsure) run(cmd *cobra.Command, names []string) error {
	if err := e.view.check(ensureColumns); err != nil {
		return err
	}
	request, err := e.request(names)
	if err != nil {
		return err
	}
	r, err := e.flags.remote(cmd)
	if err != nil {
		return err
	}
	list, _, failure := r.destroyer.EnsureDroplets(cmd.Context(), request)
	if ambiguous, is := errors.AsType[*associated.AmbiguousError](failure); is {
		return fmt.Errorf("%d Droplets are named %s; nobody can tell which is meant:\n%s", len(ambiguous.Droplets), ambiguous.Name, listed(ambiguous.Droplets))
	}
	if failure != nil && cmd.Context().Err() == nil {
		failure = errors.New(r.reason(failure))
	}
	if failure != nil && len(list) == 0 {
		return failure
	}
	if e.wait {
		failure = errors.Join(failure, e.await(cmd.Context(), r, newScreen(cmd, e.view.output), list))
	}
	if err := e.show(cmd, list); err != nil {
		return err
	}
	if err := e.tellPasswords(cmd, r, list); err != nil {
		return err
	}
	switch {
	case failure == nil:
		return nil
	case errors.Is(failure, context.Canceled):
		return exitWith(exitInterrupted, "interrupted; the server goes on creating")
	}
	return exitWith(exitPartial, "%s", failure)
}

// await waits for the Droplets that are new. One that somebody has turned off
// is there all the same.
func (e *dropletEnsure) await(ctx context.Context, r remote, s screen, list []associated.Ensured) error {
	left := 0
	for _, one := range list {
		if one.Droplet.Status == "new" {
			left++
		}
	}
	if left == 0 {
		return nil
	}
	var failures []error
	err := s.watch(ctx, left, func(ctx context.Context, tell func(string)) error {
		for i := range list {
			d := &list[i].Droplet
			if d.Status != "new" {
				continue
			}
			active, err := r.destroyer.WaitForDroplet(ctx, d.ID, "active", patiently(nil))
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case refused(err, http.StatusNotFound):
				failures = append(failures, fmt.Errorf("the creation of Droplet %s (%d) has failed, and it is gone", d.Name, d.ID))
				tell(s.mark(true, d.Name+" could not be created"))
				d.Status = "gone"
			case err != nil:
				failures = append(failures, fmt.Errorf("droplet %s: %s", d.Name, r.reason(err)))
			default:
				*d = *active
				tell(s.mark(false, d.Name+" is active"))
			}
		}
		return nil
	})
	return errors.Join(append(failures, err)...)
}

var ensureColumns = []string{"ID", "Name", "Status", "Region", "Size", "Image", "PublicIPv4", "Result"}

// ensuredLine is a Droplet in JSON.
type ensuredLine struct {
	ID         int      `json:"id"`
	Name       string   `json:"name"`
	Status     string   `json:"status"`
	Region     string   `json:"region"`
	Size       string   `json:"size"`
	Image      string   `json:"image"`
	PublicIPv4 string   `json:"public_ipv4"`
	Tags       []string `json:"tags"`
	Created    bool     `json:"created"`
}

func lineOf(one associated.Ensured) ensuredLine {
	d := one.Droplet
	line := ensuredLine{
		ID: d.ID, Name: d.Name, Status: d.Status, Region: regionOf(d), Size: d.SizeSlug, Tags: append([]string{}, d.Tags...), Created: one.Created,
	}
	if d.Image != nil {
		if line.Image = d.Image.Slug; line.Image == "" {
			line.Image = strconv.Itoa(d.Image.ID)
		}
	}
	line.PublicIPv4, _ = d.PublicIPv4() // none without networks
	return line
}

func (e *dropletEnsure) show(cmd *cobra.Command, list []associated.Ensured) error {
	lines, rows := []ensuredLine{}, [][]string{}
	for _, one := range list {
		line, result := lineOf(one), "found"
		if line.Created {
			result = "created"
		}
		lines = append(lines, line)
		rows = append(rows, []string{strconv.Itoa(line.ID), line.Name, line.Status, line.Region, line.Size, line.Image, line.PublicIPv4, result})
	}
	if e.view.output == "json" {
		return writeJSON(cmd.OutOrStdout(), lines)
	}
	return e.view.table(cmd.OutOrStdout(), ensureColumns, rows)
}

// tellPasswords says how to get the root passwords of new Droplets without SSH
// keys: nobody else tells them. Simulated machines have none.
func (e *dropletEnsure) tellPasswords(cmd *cobra.Command, r remote, list []associated.Ensured) error {
	if len(e.keys) > 0 || e.view.output == "json" || e.view.bare() || r.isDigitalOcean() {
		return nil
	}
	told := false
	for _, one := range list {
		if !one.Created || one.Droplet.Status == "gone" {
			continue
		}
		if !told {
			if _, err := (reach{r, one.Droplet}).access(cmd.Context(), false); err != nil {
				return nil //nolint:nilerr // these are machines that nobody reaches
			}
			told = true
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s has no SSH key. Its root password is shown once, with: %s\n",
			oneLine(one.Droplet.Name), passwordOf(cmd, one.Droplet)); err != nil {
			return err
		}
	}
	return nil
}

// passwordOf is the command that shows a Droplet's password.
func passwordOf(cmd *cobra.Command, d godo.Droplet) string {
	return again(cmd, "cistern droplet access "+quoted(d.Name))
}
