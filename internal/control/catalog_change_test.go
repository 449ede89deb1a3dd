package control

import (
	"testing"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// A catalogue may be replaced under a cloud that runs: what vanishes from it is
// kept for what uses it, and offered no more.
func TestCatalogIsReplaced(t *testing.T) {
	eachCloud(t, func(c *testCloud) {
		d := c.addDroplet("web")
		v := c.addAttached("data", d.ID)
		r := c.addReservedIP(d.ID)
		before := c.droplet(d.ID)
		c.catalog = newerCatalog()
		c.restart()

		now := c.droplet(d.ID)
		if now.Image.Status != cloud.ImageRetired || now.Image.Slug != "" || now.Image.ID != 1001 || now.Image.Public() {
			c.Errorf("its image is %+v, want it retired", now.Image)
		}
		now.Image = before.Image
		if now.Region != testRegion || now.Size != testSize || now.VPC != before.VPC || now.PublicIPv4 != before.PublicIPv4 {
			c.Errorf("got\n%+v\nwant\n%+v", now, before)
		}
		if region, ok := c.plane.Catalog().Region(testRegion); !ok || !region.Retired || region.Available || region.Name != "New York 3" {
			c.Errorf("its region is %+v", region)
		}
		if size, ok := c.plane.Catalog().Size(testSize); !ok || !size.Retired || size.In(testRegion) || size.Memory != 1024 {
			c.Errorf("its size is %+v", size)
		}
		c.wantNoLongerOffered()
		c.act(d.ID, DropletAction{Type: cloud.ActionPowerCycle})
		c.wantNewOffers()
		if err := c.plane.DestroyEverything(c.Context(), c.who, d.ID); err != nil {
			c.Fatal(err)
		}
		c.settle()
		if !c.gone(d.ID) || !c.volumeGone(v.ID) {
			c.Error("what the old catalogue offered cannot be destroyed")
		}
		if _, _, err := c.plane.ReservedIP(c.Context(), c.who, r.IP); !cloud.IsNotFound(err) {
			c.Errorf("the address: %v", err)
		}

		c.catalog = testCatalog()
		c.restart()
		c.addDroplet("back")
		if region, _ := c.plane.Catalog().Region(testRegion); region.Retired || !region.Available {
			c.Errorf("the region is back and %+v", region)
		}
	})
}

// newerCatalog has nothing of testCatalog but one region and a slug, which
// another image bears.
func newerCatalog() cloud.Catalog {
	old := testCatalog()
	old.Sizes[0].Slug = "s-new"
	old.Regions = append(old.Regions[:1:1], cloud.Region{
		Slug: "fra1", Name: "Frankfurt 1", Features: old.Regions[0].Features, Available: true,
	})
	old.Sizes = old.Sizes[:1]
	old.Sizes[0].Regions = []string{"nyc1", "fra1"}
	old.Images = []cloud.BaseImage{baseImage(2001, testImage, "Debian", 7, []string{"nyc1", "fra1"})}
	return old
}

func (c *testCloud) wantNoLongerOffered() {
	c.Helper()
	for message, change := range map[string]func(n *NewDroplets){
		"You specified an invalid size for Droplet creation.":  func(n *NewDroplets) { n.Size = testSize },
		"You specified an invalid image for Droplet creation.": func(n *NewDroplets) { n.Image = "1001" },
		"nyc3 is unavailable.":                                 func(n *NewDroplets) { n.Region = testRegion },
	} {
		n := NewDroplets{Names: []string{"late"}, Region: "nyc1", Size: "s-new", Image: testImage}
		change(&n)
		_, _, err := c.plane.CreateDroplets(c.Context(), c.who, n)
		wantError(c, err, cloud.CodeInvalid, message)
	}
	images, total, err := c.plane.Images(c.Context(), c.who, cloud.ImageFilter{}, cloud.Page{})
	if err != nil || total != 1 || images[0].ID != 2001 {
		c.Errorf("offered: %+v, %v", images, err)
	}
}

// wantNewOffers checks that what is new can be used by an account that is older,
// its VPC included.
func (c *testCloud) wantNewOffers() {
	c.Helper()
	d := c.create(NewDroplets{Names: []string{"new"}, Region: "fra", Size: "s-new", Image: testImage})
	c.settle()
	if d = c.droplet(d.ID); d.Region != "fra1" || d.Image.ID != 2001 || !isOn(d) {
		c.Errorf("got %+v", d)
	}
	if err := c.plane.DeleteDroplet(c.Context(), c.who, d.ID); err != nil {
		c.Fatal(err)
	}
	c.settle()
}
