package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// uuid is the account's UUID, which is also its team's.
func (a *account) uuid() string {
	a.t.Helper()
	return a.get("/v2/account").is(http.StatusOK).text("account.uuid")
}

func (a *account) email() string {
	a.t.Helper()
	return a.get("/v2/account").is(http.StatusOK).text("account.email")
}

// badRequest checks a refusal as the account transfers have it.
func (a *answer) badRequest(message string) {
	a.t.Helper()
	a.refused(http.StatusBadRequest, cloud.CodeBadRequest, message)
}

// offer offers an image to another account, and returns the offer's number.
func (a *account) offer(image int64, to *account) int64 {
	a.t.Helper()
	offered := a.post(imagePath(image, "/account_transfer"), map[string]any{"recipient_email": to.email()})
	return offered.is(http.StatusCreated).number("transfer_id")
}

func TestOfferImageRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, other := s.newAccount(t), s.newAccount(t)
		snapshot, custom := a.snapshot(a.droplet("web"), "snap"), a.customImage("own")
		path := imagePath(snapshot, "/account_transfer")
		const either = "either recipient_email or recipient_uuid is required"
		a.post(path, nil).badRequest(either)
		a.post(path, map[string]any{"recipient_email": other.email(), "recipient_uuid": other.uuid()}).badRequest(either)
		a.post(path, map[string]any{"recipient_email": "nobody@example.com"}).badRequest("there is no account nobody@example.com")
		a.post(path, map[string]any{"recipient_uuid": "x"}).badRequest("there is no account x")
		a.post(path, map[string]any{"recipient_uuid": a.uuid()}).badRequest("the image is this account's already")
		to := map[string]any{"recipient_uuid": other.uuid()}
		const only = "only snapshots can be transferred to another account"
		a.post(imagePath(custom, "/account_transfer"), to).badRequest(only)
		a.post(imagePath(159651797, "/account_transfer"), to).badRequest(only)
		other.post(path, to).notFound()
		a.post(path, to).is(http.StatusCreated)
		a.post(path, to).refused(http.StatusConflict, cloud.CodeConflict, "a transfer of this image is pending already; cancel it first")
	})
}

func TestAnswerToOfferRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, recipient, stranger := s.newAccount(t), s.newAccount(t), s.newAccount(t)
		image, second := a.snapshot(a.droplet("web"), "snap"), a.snapshot(a.droplet("two"), "snap")
		offer := map[string]any{"transfer_id": a.offer(image, recipient), "recipient_uuid": recipient.uuid()}
		for _, answer := range []string{"accept", "cancel", "decline"} {
			path := imagePath(image, "/account_transfer/", answer)
			recipient.post(path, nil).badRequest("transfer_id is required")
			recipient.post(path, map[string]any{"transfer_id": "x"}).invalid(`transfer_id must be a whole number, not "x"`)
			recipient.post(path, map[string]any{"transfer_id": 17}).notFound()
			stranger.post(path, offer).notFound()
			a.post(imagePath(second, "/account_transfer/", answer), offer).notFound()
		}
		a.post(imagePath(image, "/account_transfer/accept"), offer).notFound() // what one has offered oneself
		a.post(imagePath(image, "/account_transfer/decline"), offer).notFound()
		recipient.post(imagePath(image, "/account_transfer/cancel"), offer).notFound()
		delete(offer, "recipient_uuid")
		recipient.post(imagePath(image, "/account_transfer/accept"), offer).badRequest("recipient_uuid must be the UUID of this account")
		a.fault("image.transfer", "*", "delay", "10h")
		a.post(imagePath(image, "/actions"), map[string]any{"type": "transfer", "region": "ams3"}).is(http.StatusCreated)
		offer["recipient_uuid"] = recipient.uuid()
		recipient.post(imagePath(image, "/account_transfer/accept"), offer).pending()
		a.get(imagePath(image)).is(http.StatusOK)
	})
}

func TestGiveImageAway(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, recipient := s.newAccount(t), s.newAccount(t)
		droplet := a.droplet("web")
		image := a.snapshot(droplet, "snap")
		a.tag("x")
		a.post("/v2/tags/x/resources", bearing("image", image)).empty(http.StatusNoContent)

		for path, who := range map[string]*account{"cancel": a, "decline": recipient} {
			to := map[string]any{"recipient_email": strings.ToUpper(recipient.email())}
			if path == "decline" {
				to = map[string]any{"recipient_uuid": strings.ToUpper(recipient.uuid())}
			}
			made := a.post(imagePath(image, "/account_transfer"), to).is(http.StatusCreated)
			offer := map[string]any{"transfer_id": made.number("transfer_id")}
			who.post(imagePath(image, "/account_transfer/", path), offer).empty(http.StatusNoContent)
			who.post(imagePath(image, "/account_transfer/", path), offer).notFound()
			recipient.get(imagePath(image)).notFound()
		}
		offer := map[string]any{"transfer_id": a.offer(image, recipient), "recipient_uuid": strings.ToUpper(recipient.uuid())}
		a.get(imagePath(image)).is(http.StatusOK) // until it is accepted
		recipient.post(imagePath(image, "/account_transfer/accept"), offer).empty(http.StatusCreated)
		recipient.post(imagePath(image, "/account_transfer/accept"), offer).notFound()

		a.get(imagePath(image)).notFound()
		a.get(dropletPath(droplet)).shows("droplet.snapshot_ids", `[]`)
		a.get("/v2/tags/x").shows("tag.resources", unused)
		recipient.get(imagePath(image)).shows("image.tags", `[]`)
		recipient.get("/v2/snapshots").shows("snapshots.0.name", `"snap"`)
		recipient.droplet("copy", "image", image)
		recipient.del(imagePath(image)).empty(http.StatusNoContent)
	})
}

// A Droplet shows an image that its account gave away as it was then, whatever
// those do who have it now.
func TestDropletOfAnImageGivenAway(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, b, c := s.newAccount(t), s.newAccount(t), s.newAccount(t)
		image := a.snapshot(a.droplet("web"), "snap")
		give := func(from, to *account) {
			offer := map[string]any{"transfer_id": from.offer(image, to), "recipient_uuid": to.uuid()}
			to.post(imagePath(image, "/account_transfer/accept"), offer).empty(http.StatusCreated)
		}
		shows := func(who *account, droplet int64, name string) {
			t.Helper()
			for _, shown := range []*answer{who.get(dropletPath(droplet)), who.get("/v2/droplets?name=copy")} {
				at := "droplet.image"
				if !shown.has("droplet") {
					at = "droplets.0.image"
				}
				for field, want := range map[string]string{
					"id": fmt.Sprint(image), "name": name, "description": `""`, "distribution": `"Debian"`,
					"type": `"snapshot"`, "status": `"deleted"`, "tags": `[]`, "regions": `[]`, "public": `false`,
				} {
					shown.shows(at+"."+field, want)
				}
			}
		}
		first := a.droplet("copy", "image", image)
		give(a, b)
		shows(a, first, `"snap"`)
		b.put(imagePath(image), map[string]any{"name": "bs"}).is(http.StatusOK)
		b.tag("secret")
		b.post("/v2/tags/secret/resources", bearing("image", image)).empty(http.StatusNoContent)
		second := b.droplet("copy", "image", image)
		b.get(dropletPath(second)).shows("droplet.image.tags", `["secret"]`)
		shows(a, first, `"snap"`)
		give(b, c)
		c.put(imagePath(image), map[string]any{"name": "cs"}).is(http.StatusOK)
		shows(a, first, `"snap"`)
		shows(b, second, `"bs"`)
		give(c, a)
		a.get(dropletPath(first)).shows("droplet.image.name", `"cs"`)
		give(a, c)
		shows(a, first, `"cs"`)
		c.del(imagePath(image)).empty(http.StatusNoContent)
		shows(a, first, `"cs"`)
	})
}

// An offer ends with its image.
func TestOfferOfWhatIsGone(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, recipient := s.newAccount(t), s.newAccount(t)
		image := a.snapshot(a.droplet("web"), "snap")
		offer := map[string]any{"transfer_id": a.offer(image, recipient), "recipient_uuid": recipient.uuid()}
		a.del(imagePath(image)).empty(http.StatusNoContent)
		recipient.post(imagePath(image, "/account_transfer/accept"), offer).notFound()
	})
}
