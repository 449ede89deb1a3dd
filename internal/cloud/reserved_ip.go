package cloud

import "time"

// ReservedIP is a public IPv4 address that stays when Droplets go. Floating
// IPs are the same addresses under their older name.
type ReservedIP struct {
	ID        int64 // internal; the list of associated resources shows it
	IP        string
	Account   int64
	Region    string
	Droplet   int64 // 0 while assigned to none
	CreatedAt time.Time
	HeldBy    int64
}

// Ref names the address for holds and actions.
func (r ReservedIP) Ref() Ref { return Ref{KindReservedIP, r.IP} }
