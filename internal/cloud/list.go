package cloud

// Page is which rows of a list are wanted. A zero Limit is no limit.
type Page struct {
	Offset, Limit int64
}

// DropletFilter chooses among an account's Droplets.
type DropletFilter struct {
	Name string // whatever its case
	Tag  string
	// GPU says whether to list only Droplets with GPUs or only those without;
	// nil is both.
	GPU  *bool
	Host string
	Not  int64 // a Droplet to leave out
}

// ImageFilter chooses among the images that an account may see.
type ImageFilter struct {
	Private bool
	Kind    string // "distribution" or "application"
	Tag     string
}

// VolumeFilter chooses among an account's volumes.
type VolumeFilter struct {
	Name, Region string
	Droplet      int64
}
