package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/associated"
)

// remote is a server to ask.
type remote struct {
	source
	api       *godo.Client
	destroyer *associated.Client
}

func (f *clientFlags) remote(cmd *cobra.Command) (remote, error) {
	from, err := f.source(cmd)
	if err != nil {
		return remote{}, err
	}
	client, err := from.client()
	if err != nil {
		return remote{}, err
	}
	client.HTTPClient.Transport = &patient{client.HTTPClient.Transport}
	return remote{from, client, associated.New(client)}, nil
}

// again is a command with the flags that lead it to the same server. The token
// itself is left out: it would end up in a log.
func again(cmd *cobra.Command, suggested string) string {
	if f := cmd.Flags().Lookup("api-url"); given(cmd, "api-url") {
		suggested += " --api-url " + quoted(f.Value.String())
	}
	if given(cmd, "token") {
		suggested += " --token TOKEN"
	}
	return sameStorage(cmd, suggested)
}

// account is whose the token is, for people who have several.
func (r remote) account(ctx context.Context) (string, error) {
	account, response, err := r.api.Account.Get(ctx)
	if response != nil && response.StatusCode == http.StatusForbidden {
		return "unknown (the token may not read it)", nil
	}
	if err != nil {
		return "", r.explain(err)
	}
	if account == nil { // not an answer of this API
		return "unknown (the server does not say)", nil
	}
	return oneLine(cmp.Or(account.Email, account.Name, account.UUID)), nil
}

// reason is what a server said about a failure, without the request.
func (r remote) reason(err error) string {
	e, is := errors.AsType[*godo.ErrorResponse](err)
	if !is || e.Message == "" || e.Response.StatusCode == http.StatusUnauthorized {
		return r.explain(err).Error()
	}
	return oneLine(e.Message)
}

// refused reports whether a server answered with a status.
func refused(err error, status int) bool {
	e, is := errors.AsType[*godo.ErrorResponse](err)
	return is && e.Response.StatusCode == status
}

// everyPage reads a list to its end.
func everyPage[T any](ctx context.Context, page func(context.Context, *godo.ListOptions) ([]T, *godo.Response, error)) (all []T, err error) {
	options := &godo.ListOptions{Page: 1, PerPage: 200}
	for {
		some, response, err := page(ctx, options)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if response.Links == nil || response.Links.IsLastPage() {
			return all, nil
		}
		options.Page++
	}
}

// dropletID reads the number of a Droplet.
func dropletID(word string) (int, error) {
	id, err := strconv.Atoi(word)
	if err != nil || id < 1 {
		return 0, fmt.Errorf("%q is not the ID of a Droplet: use its number, as a name is gone with its Droplet", word)
	}
	return id, nil
}

// dropletsOf finds the Droplets that are meant by IDs and names, each once.
func (r remote) dropletsOf(ctx context.Context, words []string) (all []godo.Droplet, err error) {
	seen := map[int]bool{}
	for _, word := range words {
		droplet, err := r.dropletOf(ctx, word)
		if err != nil {
			return nil, err
		}
		if !seen[droplet.ID] {
			seen[droplet.ID] = true
			all = append(all, droplet)
		}
	}
	return all, nil
}

// dropletOf finds the one Droplet that has an ID or a name. A word that could be
// the ID of one and the name of another is refused.
func (r remote) dropletOf(ctx context.Context, word string) (found godo.Droplet, err error) {
	named, err := r.named(ctx, word)
	if err != nil {
		return found, err
	}
	if id, err := strconv.Atoi(word); err == nil && id > 0 {
		byID, _, err := r.api.Droplets.Get(ctx, id)
		switch {
		case err == nil:
			named = append(named, *byID)
		case !refused(err, http.StatusNotFound):
			return found, r.explain(err)
		}
	}
	switch len(named) {
	case 0:
		return found, fmt.Errorf("%s has no Droplet with the name or ID %s", r.url, word)
	case 1:
		return named[0], nil
	}
	if strconv.Itoa(named[len(named)-1].ID) == word && named[len(named)-1].Name != word {
		return found, fmt.Errorf("%s is the ID of one Droplet and the name of another; rename the other first:\n%s", word, listed(named))
	}
	return found, fmt.Errorf("%d Droplets are named %s; say which by its ID:\n%s", len(named), word, listed(named))
}

// named lists the Droplets that have a name, in any case, as they are hosts.
func (r remote) named(ctx context.Context, name string) ([]godo.Droplet, error) {
	all, err := everyPage(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		return r.api.Droplets.ListByName(ctx, name, o)
	})
	if err != nil {
		return nil, r.explain(err)
	}
	var named []godo.Droplet
	for _, droplet := range all {
		if strings.EqualFold(droplet.Name, name) {
			named = append(named, droplet)
		}
	}
	return named, nil
}

// tagged lists the Droplets that have a tag.
func (r remote) tagged(ctx context.Context, tag string) ([]godo.Droplet, error) {
	all, err := everyPage(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		return r.api.Droplets.ListByTag(ctx, tag, o)
	})
	if err != nil {
		return nil, r.explain(err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no Droplet with the tag %s", r.url, tag)
	}
	return all, nil
}

// listed shows Droplets whose names do not tell them apart.
func listed(droplets []godo.Droplet) string {
	var text strings.Builder
	t := newTable(&text, "ID", "NAME", "REGION", "AGE")
	for _, d := range droplets {
		t.row(d.ID, d.Name, regionOf(d), age(d.Created))
	}
	_ = t.Flush() // to memory
	return strings.TrimSuffix(text.String(), "\n")
}

func regionOf(d godo.Droplet) string {
	if d.Region == nil {
		return "-"
	}
	return d.Region.Slug
}

// age is how long ago a time of the API is, in its largest unit.
func age(created string) string {
	at, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return "-"
	}
	d := max(0, time.Since(at))
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := int(d / unit.length); n > 0 {
			return counted(n, unit.name)
		}
	}
	return counted(int(d/time.Second), "second")
}

// counted is a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
