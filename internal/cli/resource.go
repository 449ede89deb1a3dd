package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/associated"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

// kindNames are the words for what can be destroyed. The Droplet's kind is
// empty.
var kindNames = map[associated.Kind]string{
	"":                         "Droplet",
	associated.ReservedIPs:     "reserved IP",
	associated.Snapshots:       "snapshot",
	associated.Volumes:         "volume",
	associated.VolumeSnapshots: "volume snapshot",
}

// kindOrder is the order of a destroy: what was made from something goes
// before it.
var kindOrder = kindsInOrder()

func kindsInOrder() (kinds []associated.Kind) {
	for _, kind := range cloud.AssociatedKinds {
		kinds = append(kinds, associated.Kind(kind))
	}
	return kinds
}

// resource is something that costs money and that a command can destroy.
type resource struct {
	Kind associated.Kind `json:"kind,omitempty"`
	ID   string          `json:"id"`
	Name string          `json:"name"`
	// Cost is what keeping it costs a month, in US dollars; empty if unknown.
	Cost string `json:"cost,omitempty"`
	// Destroy is whether it is to go.
	Destroy      bool       `json:"destroy"`
	DestroyedAt  *time.Time `json:"destroyed_at"`
	ErrorMessage string     `json:"error_message,omitempty"`
}

func (r *resource) label() string { return oneLine(kindNames[r.Kind] + " " + r.Name) }

func (r *resource) gone() bool { return r.DestroyedAt != nil }

// take notes what a server said about the resource.
func (r *resource) take(d associated.Destroyed) {
	r.DestroyedAt, r.ErrorMessage = nil, ""
	switch {
	case !d.DestroyedAt.IsZero():
		r.DestroyedAt = &d.DestroyedAt
	case d.Failed():
		r.ErrorMessage = strings.TrimSpace(oneLine(d.ErrorMessage))
	}
}

// plan is what is to become of the resource, or has.
func (r *resource) plan() string {
	switch {
	case r.gone():
		return "gone"
	case r.ErrorMessage != "":
		return "failed"
	case r.Destroy:
		return "goes"
	}
	return "kept"
}

// resourcesOf are what belongs to a Droplet, in the order in which it goes.
func resourcesOf(list *godo.DropletAssociatedResources) []*resource {
	all := []*resource{} // never null in JSON
	for _, kind := range kindOrder {
		for _, r := range associated.Of(list, kind) {
			all = append(all, &resource{Kind: kind, ID: r.ID, Name: r.Name, Cost: r.Cost})
		}
	}
	return all
}

// kindsFlag reads --with: which kinds of resources go.
func kindsFlag(text string) (kinds []associated.Kind, err error) {
	switch text {
	case "all":
		return kindOrder, nil
	case "none":
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		kind := associated.Kind(strings.TrimSpace(word))
		if !slices.Contains(kindOrder, kind) {
			return nil, fmt.Errorf("--with %s: there is no kind %q; use all, none, or some of volumes,snapshots,volume_snapshots,reserved_ips", quoted(text), word)
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// toDestroy are those that are to go and are there.
func toDestroy(all []*resource) (some []*resource) {
	for _, r := range all {
		if r.Destroy && !r.gone() {
			some = append(some, r)
		}
	}
	return some
}

// longestNames is how many resources a question names.
const longestNames = 8

// named lists resources before a question, one a line.
func named(resources []*resource) string {
	var text strings.Builder
	for i, r := range resources {
		if i == longestNames {
			fmt.Fprintf(&text, "  and %d more\n", len(resources)-i)
			break
		}
		fmt.Fprintf(&text, "  %s\n", r.label())
	}
	return text.String()
}

// dollars is an amount of US dollars, in cents.
type dollars int64

// price reads an amount such as 10.00. What is no amount is nothing.
func price(text string) dollars {
	amount, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return dollars(amount*100 + 0.5)
}

func (d dollars) String() string { return fmt.Sprintf("$%d.%02d", d/100, d%100) }

// total is what keeping the resources costs a month that are counted.
func total(resources []*resource, counts func(*resource) bool) (sum dollars) {
	for _, r := range resources {
		if counts(r) {
			sum += price(r.Cost)
		}
	}
	return sum
}

// aMonth is a cost for people.
func aMonth(cost string) string {
	if cost == "" {
		return "-"
	}
	return price(cost).String()
}
