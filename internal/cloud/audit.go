package cloud

import "time"

// AuditEntry is who did what, when and from where: a request that changed
// something, or one that was refused for who sent it.
type AuditEntry struct {
	// At is when the request came, in real time, whatever the cloud's clock.
	At        time.Time
	RequestID string
	// Account, Token and TokenName are who asked, with the name that the token
	// had then. They are empty where nobody could be told.
	Account   int64
	Token     int64
	TokenName string
	// Remote is the address that the request came from. Forwarded is what it
	// claimed of itself to have been forwarded for: anyone can write that.
	Remote    string
	Forwarded string
	Method    string
	Route     string // the pattern; empty for a path that there is not
	Path      string // without its query
	// Refused is the status that the request was refused with, or 0.
	Refused int64
	// Action is what the request began, if it did, and About what that is about.
	Action int64
	About  Ref
}

// AuditFilter chooses among the entries of the audit trail.
type AuditFilter struct {
	Since   time.Time // zero: from the first
	Account int64     // 0: of all accounts
}
