package associated

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

// WaitOptions say how to wait. The zero value, and nil, are good for most.
type WaitOptions struct {
	// Interval is how long to wait between the first two requests; 1 s when it
	// is 0. It grows by half with each request, up to MaxInterval.
	Interval time.Duration
	// MaxInterval is the longest time between two requests; 10 s when it is 0.
	// The server can ask for longer: by Retry-After, or by few requests being
	// left until the rate limit is reset.
	MaxInterval time.Duration
	// Timeout ends the wait with context.DeadlineExceeded; 0 is never. Ending
	// the wait does not end what is waited for.
	Timeout time.Duration
	// MaxFailures is how many requests in a row may fail for reasons that
	// can pass (no connection, a status of 408, 429 or 500 and above, an answer
	// that is not JSON) before the wait gives up with the last error; 10 when it
	// is 0. A 429 that says when to come back counts for none.
	MaxFailures int
	// Progress is called for each resource of a destroy once it is destroyed or
	// has failed, in Wait only. The Droplet's kind is empty.
	Progress func(Resource)
}

func (o *WaitOptions) withDefaults() WaitOptions {
	with := WaitOptions{}
	if o != nil {
		with = *o
	}
	if with.Interval <= 0 {
		with.Interval = time.Second
	}
	if with.MaxInterval <= 0 {
		with.MaxInterval = 10 * time.Second
	}
	if with.MaxFailures <= 0 {
		with.MaxFailures = 10
	}
	return with
}

// FailedError is what Wait returns for a destroy that has ended and could not
// destroy everything. Retry tries again what is in Failed.
type FailedError struct {
	DropletID int
	Status    *Status
	// Failed lists what is left; the Droplet's kind is empty.
	Failed []Resource
}

// Error names everything that is left and why.
func (e *FailedError) Error() string {
	text := fmt.Sprintf("Droplet %d: could not destroy %d of what was to go", e.DropletID, len(e.Failed))
	for i, r := range e.Failed {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		what := "the Droplet"
		if r.Kind != "" {
			what = fmt.Sprintf("%s %s", r.Kind.one(), r.Name)
		}
		text += fmt.Sprintf("%s%s (%s)", sep, what, r.ErrorMessage)
	}
	return text
}

// one is the kind's name in the singular.
func (k Kind) one() string { return strings.TrimSuffix(strings.ReplaceAll(string(k), "_", " "), "s") }

// Wait waits until the destroy of a Droplet has ended and returns how it did.
// If something could not be destroyed, the error is a *FailedError. If the
// context ends, or WaitOptions.Timeout is over, the destroy goes on without
// being waited for.
func (c *Client) Wait(ctx context.Context, dropletID int, o *WaitOptions) (*Status, error) {
	options := o.withDefaults()
	var status *Status
	seen := map[string]bool{}
	err := options.poll(ctx, func(ctx context.Context) (done bool, response *godo.Response, err error) {
		last, response, err := c.Status(ctx, dropletID)
		if err != nil {
			return false, response, err
		}
		status = last
		options.tell(status, seen)
		return !status.CompletedAt.IsZero(), response, nil
	})
	if err != nil {
		return status, fmt.Errorf("wait for the destroy of Droplet %d: %w", dropletID, err)
	}
	if failed := status.failed(); len(failed) > 0 {
		return status, &FailedError{dropletID, status, failed}
	}
	return status, nil
}

// failed lists what a destroy has not destroyed. A destroy that counts
// failures without saying which has failed as well.
func (s *Status) failed() []Resource {
	var failed []Resource
	for _, r := range append(s.All(), Resource{Destroyed: s.Droplet}) {
		if r.Failed() {
			failed = append(failed, r)
		}
	}
	if len(failed) == 0 && s.Failures > 0 {
		r := Resource{Destroyed: s.Droplet}
		r.ErrorMessage = fmt.Sprintf("%d failures of which the server does not say more", s.Failures)
		failed = append(failed, r)
	}
	return failed
}

// tell reports the resources that have come to an end since it was last called.
func (o WaitOptions) tell(s *Status, seen map[string]bool) {
	if o.Progress == nil {
		return
	}
	for _, r := range append(s.All(), Resource{Destroyed: s.Droplet}) {
		key := string(r.Kind) + "/" + r.ID
		if ended := r.Failed() || !r.DestroyedAt.IsZero(); ended && !seen[key] {
			seen[key] = true
			o.Progress(r)
		}
	}
}

// ActionError is what WaitForAction returns for an action that has failed.
type ActionError struct {
	Action *godo.Action
}

// Error says which action it was.
func (e *ActionError) Error() string {
	return fmt.Sprintf("action %d (%s of %s %d) has failed", e.Action.ID, e.Action.Type, e.Action.ResourceType, e.Action.ResourceID)
}

// WaitForAction waits until an action is completed and returns it. If it has
// failed, the error is an *ActionError.
func (c *Client) WaitForAction(ctx context.Context, actionID int, o *WaitOptions) (*godo.Action, error) {
	var action *godo.Action
	err := o.withDefaults().poll(ctx, func(ctx context.Context) (done bool, response *godo.Response, err error) {
		last, response, err := c.client.Actions.Get(ctx, actionID)
		if err != nil {
			return false, response, err
		}
		action = last
		return action.Status != godo.ActionInProgress, response, nil
	})
	if err != nil {
		return action, fmt.Errorf("wait for action %d: %w", actionID, err)
	}
	if action.Status != godo.ActionCompleted {
		return action, &ActionError{action}
	}
	return action, nil
}

// WaitForDroplet waits until a Droplet has a status, such as "active" or "off",
// and no event is pending on it, and returns it.
func (c *Client) WaitForDroplet(ctx context.Context, dropletID int, status string, o *WaitOptions) (*godo.Droplet, error) {
	var droplet *godo.Droplet
	err := o.withDefaults().poll(ctx, func(ctx context.Context) (done bool, response *godo.Response, err error) {
		last, response, err := c.client.Droplets.Get(ctx, dropletID)
		if err != nil {
			return false, response, err
		}
		droplet = last
		return droplet.Status == status && !droplet.Locked, response, nil
	})
	if err != nil {
		return droplet, fmt.Errorf("wait until Droplet %d is %s: %w", dropletID, status, err)
	}
	return droplet, nil
}

// poll asks until it is done, ctx ends, or asking fails for good.
func (o WaitOptions) poll(ctx context.Context, ask func(context.Context) (bool, *godo.Response, error)) error {
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	failures := 0
	for interval := o.Interval; ; interval = min(interval*3/2, o.MaxInterval) {
		done, response, err := ask(ctx)
		if done && err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause, told := asked(response)
		switch {
		case err == nil:
			failures = 0
		case !canPass(response, err):
			return err
		case !told || response.StatusCode != http.StatusTooManyRequests:
			if failures++; failures >= o.MaxFailures {
				return err
			}
		}
		if err := sleep(ctx, max(pause, jitter(interval))); err != nil {
			return err
		}
	}
}

// canPass reports whether asking again may work: the request was not answered,
// not understood on the way, or the server says that it is its own trouble.
func canPass(response *godo.Response, err error) bool {
	if argument := (*godo.ArgError)(nil); errors.As(err, &argument) {
		return false
	}
	if response == nil || response.Response == nil {
		return true
	}
	switch code := response.StatusCode; {
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		return true
	case code >= 200 && code < 300:
		return true // the answer could not be read
	}
	return false
}

// spare is the part of a rate limit that is left to others: below it, what is
// left is spread over the time until more is granted.
const spare = 10

// asked is how long the server asks to wait before the next request, and
// whether it does.
func asked(response *godo.Response) (pause time.Duration, told bool) {
	if response == nil || response.Response == nil {
		return 0, false
	}
	if pause, ok := retryAfter(response.Header.Get("Retry-After")); ok {
		return pause, true
	}
	rate := response.Rate
	if rate.Limit == 0 || rate.Reset.IsZero() || rate.Remaining > rate.Limit/spare {
		return 0, false
	}
	untilReset := max(0, time.Until(rate.Reset.Time))
	return untilReset / time.Duration(rate.Remaining+1), true
}

// retryAfter reads the header, which has seconds or a date.
func retryAfter(header string) (time.Duration, bool) {
	if header == "" {
		return 0, false
	}
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(max(0, seconds)) * time.Second, true
	}
	at, err := http.ParseTime(header)
	return max(0, time.Until(at)), err == nil
}

// jitter spreads those who wait for the same, by a tenth to both sides.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(rand.Int64N(int64(d/5)+1)) //nolint:gosec // no secret
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }
