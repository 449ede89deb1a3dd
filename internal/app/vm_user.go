package app

import (
	"cmp"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
)

// defaultVMUsers are who machines run as unless somebody else is named: whoever
// has made a user for it, and else the one that every system has.
var defaultVMUsers = []string{"cistern-vm", "nobody"}

// vmUser is a user that machines run as.
type vmUser struct {
	name     string
	uid, gid uint32
}

// vmUIDs are user IDs of which each machine has one to itself.
type vmUIDs struct{ first, count uint32 }

// findVMUser finds who machines run as. Only root can run them as somebody else,
// and does not run them as itself.
func findVMUser(name string, root bool) (*vmUser, error) {
	switch {
	case !root && name == "":
		return nil, nil
	case !root:
		return nil, fmt.Errorf("--vm-user %s: only root can run machines as somebody else; leave it out, and they run as you", name)
	}
	names := defaultVMUsers
	if name != "" {
		names = []string{name}
	}
	for _, name := range names {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, wrongUID := strconv.ParseUint(found.Uid, 10, 32)
		gid, wrongGID := strconv.ParseUint(found.Gid, 10, 32)
		if err := errors.Join(wrongUID, wrongGID); err != nil {
			return nil, fmt.Errorf("--vm-user %s: %w", name, err)
		}
		if uid == 0 {
			return nil, fmt.Errorf("--vm-user %s: machines do not run as root; name a user that can do nothing else", name)
		}
		return &vmUser{name, uint32(uid), uint32(gid)}, nil
	}
	return nil, fmt.Errorf("--vm-user: there is no user %s; make one with: %s", names[0], addUser(names[0]))
}

// addUser is the command that makes a user for machines.
func addUser(name string) string { return "useradd --system --shell /usr/sbin/nologin " + name }

// defaultVMUIDs are user IDs that nobody else gives out: 1879048192 to 2147483647
// are unused (https://systemd.io/UIDS-GIDS), and what SSSD makes for directories
// of users ends at 2000200000 (sssd-ldap(5), ldap_idmap_range_max).
const defaultVMUIDs = "2100000000-2139999999"

// findVMUIDs reads which users machines have to themselves. Where this host does
// not have those that nobody asked for, they have none.
func findVMUIDs(text string, root bool) (none vmUIDs, err error) {
	switch {
	case text == "off", !root && text == "":
		return none, nil
	case !root:
		return none, fmt.Errorf("--vm-uids %s: only root can run machines as somebody else; leave it out, and they run as you", text)
	}
	from, to, _ := strings.Cut(cmp.Or(text, defaultVMUIDs), "-")
	first, wrongFirst := strconv.ParseUint(from, 10, 31)
	last, wrongLast := strconv.ParseUint(to, 10, 31)
	switch {
	case wrongFirst != nil || wrongLast != nil || first == 0 || last < first:
		return none, fmt.Errorf("--vm-uids %s: use FIRST-LAST, user IDs that nobody else has, such as %s, or off", text, defaultVMUIDs)
	case host.HasUIDs(uint32(first), uint32(last)):
		return vmUIDs{uint32(first), uint32(last - first + 1)}, nil
	case text == "":
		return none, nil
	}
	return none, fmt.Errorf("--vm-uids %s: root does not have these users here, as in a container that has few; use others, or off", text)
}

// reaches refuses a data folder that the user of the machines cannot get to.
// The folder itself is opened for it later.
func (u *vmUser) reaches(data string) error {
	if u == nil {
		return nil
	}
	closed, err := host.Closed(data)
	if err != nil || closed == "" {
		return err
	}
	return fmt.Errorf("machines run as %s, who cannot go through %s to --data %s; open it with: chmod o+x %s, or use another folder, such as /var/lib/cistern",
		u.name, closed, data, closed)
}
