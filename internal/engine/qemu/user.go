package qemu

import (
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"syscall"
)

// User is who machines run as, and whom volumes belong to that are attached to
// none.
type User struct {
	UID, GID uint32
	// Groups are those beside, such as the one that may use KVM.
	Groups []uint32
	// Own are users of which each machine has one to itself, so that whoever has
	// broken out of one finds nothing of another's. With none they share UID.
	Own UIDs
}

// UIDs are user IDs in a row.
type UIDs struct{ First, Count uint32 }

// of is who a machine runs as. IDs of machines are numbers that are given out one
// after the other, so those of one server share a user only when there are more
// machines between them than users.
func (u *User) of(machine string) *User {
	if u == nil || u.Own.Count == 0 {
		return u
	}
	n, err := strconv.ParseUint(machine, 10, 64)
	if err != nil {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(machine))
		n = hash.Sum64()
	}
	own := *u
	own.UID = u.Own.First + uint32(n%uint64(u.Own.Count))
	return &own
}

// runsMachines reports whether somebody is one of those that machines run as.
func (u *User) runsMachines(uid uint32) bool {
	return uid == u.UID || uid >= u.Own.First && uid-u.Own.First < u.Own.Count
}

// ownerOf is whom a folder belongs to. What is done in it is done as them, and
// what is made in it becomes theirs.
func (e *Engine) ownerOf(dir string) (*User, error) {
	if e.User == nil {
		return nil, nil
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	stat, is := info.Sys().(*syscall.Stat_t)
	if !is || !info.IsDir() || stat.Uid == 0 {
		return nil, fmt.Errorf("%s is no folder of a machine", dir)
	}
	owner := *e.User
	owner.UID, owner.GID = stat.Uid, stat.Gid
	return &owner, nil
}

// credential is nil where processes run as whoever runs this.
func (u *User) credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// lchown makes what has a name theirs, itself and not what it may lead to.
func (u *User) lchown(path string) error {
	if u == nil {
		return nil
	}
	return os.Lchown(path, int(u.UID), int(u.GID))
}

// chown makes a file that was opened theirs.
func (u *User) chown(f *os.File) error {
	if u == nil {
		return nil
	}
	return f.Chown(int(u.UID), int(u.GID))
}
