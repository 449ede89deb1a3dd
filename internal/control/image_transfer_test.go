package control

import (
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
)

// A snapshot that was given to another account is not destroyed with the
// Droplet that it was made from, and that is said.
func TestRetryLeavesAnImageGivenAwayAlone(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		f, stranger := c.addFamily(), c.addAccount("stranger")
		c.addFault(engine.Fault{Operation: "image.delete", Error: "broken"})
		c.destroyFamily(f)
		c.removeFaults()
		account, err := c.plane.Account(c.Context(), stranger)
		if err != nil {
			c.Fatal(err)
		}
		offer, err := c.plane.OfferImage(c.Context(), c.who, f.image.ID, Recipient{UUID: account.UUID})
		if err != nil {
			c.Fatal(err)
		}
		if err := c.plane.AcceptImage(c.Context(), stranger, f.image.ID, offer, account.UUID); err != nil {
			c.Fatal(err)
		}
		c.retry(f.droplet.ID)
		status := c.destroyStatus(f.droplet.ID)
		r, _ := target{destroy: status}.listed(cloud.AssociatedSnapshot, cloud.FormatID(f.image.ID))
		if status.Failures() != 1 || r.Error != "it belongs to another account now" {
			c.Errorf("got %+v", status)
		}
		if _, err := c.plane.Image(c.Context(), stranger, cloud.FormatID(f.image.ID)); err != nil {
			c.Errorf("the stranger's image: %v", err)
		}
		c.checkWorld()
	})
}
