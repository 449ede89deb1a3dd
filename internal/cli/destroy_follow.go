package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/digitalocean/godo"

	"github.com/cistern-cloud/cistern/associated"
)

// destroy is a Droplet that is to go, or goes, with what belongs to it.
type destroy struct {
	resource
	CompletedAt *time.Time  `json:"completed_at"`
	Failures    int         `json:"failures"`
	Resources   []*resource `json:"resources"`

	number int
	about  string
	// accepted is whether the server works on it.
	accepted bool
	told     map[*resource]bool // what is on the screen as gone
	lost     error              // why nothing more is known
}

type destroys []*destroy

func newDestroy(droplet godo.Droplet, list *godo.DropletAssociatedResources) *destroy {
	d := &destroy{number: droplet.ID, Resources: resourcesOf(list), told: map[*resource]bool{}}
	d.ID, d.Name, d.Destroy = strconv.Itoa(droplet.ID), droplet.Name, true
	d.about = fmt.Sprintf("%s, %s, %s old", regionOf(droplet), droplet.SizeSlug, age(droplet.Created))
	return d
}

// destroyOf is a destroy that the server knows already.
func destroyOf(id int, status *associated.Status) *destroy {
	d := &destroy{number: id, accepted: true, told: map[*resource]bool{}}
	d.ID, d.Destroy, d.Resources = strconv.Itoa(id), true, []*resource{}
	d.Name = cmp.Or(status.Droplet.Name, d.ID)
	all := status.All()
	for _, kind := range kindOrder {
		for _, r := range all {
			if r.Kind == kind {
				d.Resources = append(d.Resources, &resource{Kind: kind, ID: r.ID, Name: r.Name, Destroy: true})
			}
		}
	}
	d.take(status)
	return d
}

// choose makes the resources of some kinds go.
func (all destroys) choose(kinds []associated.Kind) {
	for _, r := range all.resources() {
		for _, kind := range kinds {
			r.Destroy = r.Destroy || r.Kind == kind
		}
	}
}

func (all destroys) resources() (resources []*resource) {
	for _, d := range all {
		resources = append(resources, d.Resources...)
	}
	return resources
}

// selection is what goes with the Droplet.
func (d *destroy) selection() *associated.Selection {
	s := &associated.Selection{}
	for _, r := range d.Resources {
		if r.Destroy {
			s.Add(r.Kind, r.ID)
		}
	}
	return s
}

// going are the resources that go, and then the Droplet.
func (d *destroy) going() (going []*resource) {
	for _, r := range d.Resources {
		if r.Destroy {
			going = append(going, r)
		}
	}
	return append(going, &d.resource)
}

func (d *destroy) find(kind associated.Kind, id string) *resource {
	for _, r := range d.going() {
		if r.Kind == kind && (kind == "" || r.ID == id) {
			return r
		}
	}
	return nil
}

// take notes how the destroy stands.
func (d *destroy) take(status *associated.Status) {
	if status == nil {
		return
	}
	d.CompletedAt = nil
	if !status.CompletedAt.IsZero() {
		d.CompletedAt = &status.CompletedAt
	}
	for _, r := range append(status.All(), associated.Resource{Destroyed: status.Droplet}) {
		if known := d.find(r.Kind, r.ID); known != nil {
			known.take(r.Destroyed)
		}
	}
	d.Failures = 0
	for _, r := range d.going() {
		if d.CompletedAt != nil && !r.gone() {
			d.Failures++
			r.ErrorMessage = cmp.Or(r.ErrorMessage, "the server has ended the destroy without saying that it is gone")
		}
	}
}

var resourceColumns = []string{"Droplet", "Kind", "Name", "ID", "Cost", "Plan"}

func (all destroys) rows() [][]string {
	rows := [][]string{}
	for _, d := range all {
		for _, r := range d.Resources {
			rows = append(rows, []string{d.Name, kindNames[r.Kind], r.Name, r.ID, aMonth(r.Cost), r.plan()})
		}
	}
	return rows
}

// follower waits for destroys that the server has accepted.
type follower struct {
	remote remote
	screen screen
	// again adds to a command what leads it to the same server.
	again func(string) string
}

// atOnce is how many destroys are asked after at the same time.
const atOnce = 8

// follow waits until the destroys have ended, and offers to try again what has
// failed.
func (f follower) follow(ctx context.Context, all destroys) error {
	for {
		if err := f.wait(ctx, all); err != nil {
			return err
		}
		failed := all.failed()
		if len(failed) == 0 {
			f.screen.say("%s gone.\n", all.summary())
			return nil
		}
		if !f.screen.asks || !failed.retryable() {
			return f.partial(all)
		}
		account, err := f.remote.account(ctx)
		if err != nil {
			return f.partial(all)
		}
		yes, err := f.screen.agree(ctx, fmt.Sprintf("%d of %d could not be destroyed. Try again on %s, account %s?",
			failed.failures(), len(all.going()), f.remote.url, account))
		if err != nil || !yes {
			return f.partial(all)
		}
		f.retry(ctx, failed)
	}
}

// wait follows the destroys until each has ended.
func (f follower) wait(ctx context.Context, all destroys) error {
	left := 0
	for _, d := range all {
		left += len(d.untold())
	}
	var lock sync.Mutex // of the destroys' fields
	err := f.screen.watch(ctx, left, func(ctx context.Context, tell func(string)) error {
		var waiting sync.WaitGroup
		free := make(chan struct{}, atOnce)
		for _, d := range all {
			if !d.accepted || d.CompletedAt != nil && d.Failures == 0 {
				continue
			}
			waiting.Go(func() {
				free <- struct{}{}
				defer func() { <-free }()
				status, err := f.remote.destroyer.Wait(ctx, d.number, patiently(func(r associated.Resource) {
					lock.Lock()
					defer lock.Unlock()
					d.tell(r, func(failed bool, text string) {
						if r.Kind != "" && len(all) > 1 {
							text = d.Name + ": " + text
						}
						tell(f.screen.mark(failed, text))
					})
				}))
				lock.Lock()
				defer lock.Unlock()
				d.take(status)
				d.endedWith(err)
			})
		}
		waiting.Wait()
		return ctx.Err()
	})
	return f.lost(ctx, all, err)
}

// endedWith notes why the wait for the destroy has ended.
func (d *destroy) endedWith(err error) {
	switch _, ended := errors.AsType[*associated.FailedError](err); {
	case err == nil || ended:
	case refused(err, http.StatusNotFound): // the request for it got lost
		d.accepted, d.ErrorMessage = false, "the server did not answer, and knows of no destroy"
	default:
		d.lost = err
	}
}

// patiently asks often at first, as much is done at once.
func patiently(progress func(associated.Resource)) *associated.WaitOptions {
	return &associated.WaitOptions{Interval: 250 * time.Millisecond, MaxInterval: 5 * time.Second, Progress: progress}
}

// tell says that a resource has ended, once if it is gone.
func (d *destroy) tell(r associated.Resource, say func(failed bool, text string)) {
	known := d.find(r.Kind, r.ID)
	if known == nil || d.told[known] {
		return
	}
	known.take(r.Destroyed)
	d.told[known] = known.gone()
	if known.gone() {
		say(false, known.label()+" is gone")
	} else {
		say(true, known.label()+": "+known.ErrorMessage)
	}
}

func (d *destroy) untold() (untold []*resource) {
	for _, r := range d.going() {
		if d.accepted && !d.told[r] {
			untold = append(untold, r)
		}
	}
	return untold
}

// lost explains why the wait has ended before the destroys, and how to go on.
func (f follower) lost(ctx context.Context, all destroys, err error) error {
	var commands, never []string
	for _, d := range all {
		switch {
		case !d.accepted && d.ErrorMessage == "":
			never = append(never, oneLine(d.Name))
		case d.lost != nil:
			commands = append(commands, "  "+f.again("cistern droplet destroy-status "+d.ID+" --wait"))
			if !errors.Is(d.lost, context.Canceled) {
				err = fmt.Errorf("the destroy of %s is out of sight: %s", d.label(), f.remote.reason(d.lost))
			}
		}
	}
	if len(commands) == 0 {
		return err
	}
	if len(never) > 0 {
		f.screen.say("These Droplets are not being destroyed: %s\n", strings.Join(never, ", "))
	}
	text := fmt.Sprintf("the server goes on with the destroy; follow it with:\n%s", strings.Join(commands, "\n"))
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return exitWith(exitInterrupted, "interrupted; %s", text)
	}
	return fmt.Errorf("%w; %s", err, text)
}

// retry asks for another try of what has failed. What becomes of it, also of
// one that is refused, the next wait tells.
func (f follower) retry(ctx context.Context, failed destroys) {
	for _, d := range failed {
		if !d.accepted {
			continue
		}
		if _, err := f.remote.destroyer.Retry(ctx, d.number); err != nil {
			f.screen.say("%s\n", f.screen.mark(true, d.label()+": "+f.remote.reason(err)))
			continue
		}
		d.CompletedAt = nil
	}
}

// partial is the error for destroys that have left something.
func (f follower) partial(all destroys) error {
	text := fmt.Sprintf("%d of %d could not be destroyed", all.failures(), len(all.going()))
	for _, d := range all.failed() {
		for _, r := range d.going() {
			if r.ErrorMessage != "" {
				text += fmt.Sprintf("\n  %s: %s", r.label(), r.ErrorMessage)
			}
		}
	}
	commands := []string{}
	for _, d := range all.failed() {
		if d.accepted {
			commands = append(commands, "\n  "+f.again("cistern droplet destroy-retry "+d.ID+" --wait"))
		}
	}
	if len(commands) > 0 {
		text += "\ntry again what failed with:" + strings.Join(commands, "")
	}
	return exitWith(exitPartial, "%s", text)
}

// failed are the destroys that have left something.
func (all destroys) failed() (failed destroys) {
	for _, d := range all {
		if d.Failures > 0 || !d.accepted {
			failed = append(failed, d)
		}
	}
	return failed
}

// retryable reports whether the server can try any of them again.
func (all destroys) retryable() bool {
	for _, d := range all {
		if d.accepted {
			return true
		}
	}
	return false
}

func (all destroys) going() (going []*resource) {
	for _, d := range all {
		going = append(going, d.going()...)
	}
	return going
}

// failures counts what was to go and has not.
func (all destroys) failures() (n int) {
	for _, r := range all.going() {
		if !r.gone() {
			n++
		}
	}
	return n
}

// summary says what is gone.
func (all destroys) summary() string {
	n := len(all.going()) - len(all)
	switch {
	case n == 0 && len(all) == 1:
		return all.them() + " is"
	case n == 0:
		return all.them() + " are"
	}
	return fmt.Sprintf("%s and %s are", all.them(), counted(n, "resource"))
}
