package cloud

import "time"

// VPC is a private network of an account in one region.
type VPC struct {
	ID        string // UUID
	Account   int64
	Name      string
	Region    string
	IPRange   string
	Default   bool
	CreatedAt time.Time
}
