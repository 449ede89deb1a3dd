package control

import "github.com/cistern-cloud/cistern/internal/cloud"

// What the catalogue of these tests has, beside what is closed or unfit.
const (
	testRegion = "nyc3"
	testSize   = "s-1vcpu-1gb"
	testImage  = "debian-12-x64"
)

// testCatalog is a small catalogue with one of everything that matters: a
// closed region, one without volumes, sizes and images that are not everywhere,
// and images that are too large or that take no agent.
func testCatalog() cloud.Catalog {
	features := []string{"backups", "ipv6", "metadata", "install_agent", "storage"}
	everywhere := []string{"nyc1", "nyc2", "nyc3", "ams3"}
	return cloud.Catalog{
		Regions: []cloud.Region{
			{Slug: "nyc1", Name: "New York 1", Features: features, Available: true},
			{Slug: "nyc2", Name: "New York 2", Features: features},
			{Slug: "nyc3", Name: "New York 3", Features: features, Available: true},
			{Slug: "ams3", Name: "Amsterdam 3", Features: []string{"ipv6"}, Available: true},
		},
		Sizes: []cloud.Size{
			{Slug: testSize, VCPUs: 1, Memory: 1024, Disk: 25, Regions: everywhere, Available: true},
			{Slug: "s-2vcpu-2gb", VCPUs: 2, Memory: 2048, Disk: 60, Regions: []string{"nyc3"}, Available: true},
			{Slug: "s-small", VCPUs: 1, Memory: 512, Disk: 10, Regions: everywhere, Available: true},
			{Slug: "s-elsewhere", VCPUs: 2, Memory: 2048, Disk: 60, Regions: []string{"ams3"}, Available: true},
			{Slug: "s-sold-out", VCPUs: 1, Memory: 512, Disk: 10, Regions: everywhere},
			{Slug: "gpu-1", VCPUs: 8, Memory: 65536, Disk: 500, Regions: everywhere, Available: true, GPUInfo: &cloud.GPUInfo{Count: 1}},
		},
		Images: []cloud.BaseImage{
			baseImage(1001, testImage, "Debian", 7, everywhere),
			baseImage(1002, "large-x64", "Ubuntu", 40, everywhere),
			baseImage(1003, "freebsd-x64", "FreeBSD", 10, everywhere),
			baseImage(1004, "amsterdam-x64", "Debian", 10, []string{"ams3"}),
		},
	}
}

func baseImage(id int64, slug, distribution string, disk int64, regions []string) cloud.BaseImage {
	return cloud.BaseImage{
		ID: id, Slug: slug, Name: slug, Distribution: distribution, Kind: "distribution",
		MinDiskSize: disk, SizeGigabytes: 1, CreatedAt: "2024-01-02T03:04:05Z", Regions: regions,
	}
}
