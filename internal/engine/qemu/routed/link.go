//go:build linux

package routed

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// openTap opens a machine's end of a link, making the link where it is not
// there. The file is nil where a process has it already: the machine runs. The
// link stays when the file is closed, and is root's: the process of a machine
// is given the file, so that its user need not be able to open it, nor others.
func openTap(name string, _ string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	file, err := attachTap(fd, name)
	if file == nil {
		_ = unix.Close(fd)
	}
	return file, err
}

func attachTap(fd int, name string) (*os.File, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); errors.Is(err, unix.EBUSY) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("making the link %s: %w", name, err)
	}
	for _, set := range []struct {
		request uint
		value   int
	}{{unix.TUNSETOWNER, 0}, {unix.TUNSETGROUP, 0}, {unix.TUNSETPERSIST, 1}} {
		if err := unix.IoctlSetInt(fd, set.request, set.value); err != nil {
			return nil, fmt.Errorf("setting up the link %s: %w", name, err)
		}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// raise gives the host's end of a link what it needs to forward, and turns it
// on.
func raise(p port) error {
	link, err := netlink.LinkByName(p.link)
	if err != nil {
		return err
	}
	if err := setUpLink(p.link, p.ipv6.IsValid()); err != nil {
		return err
	}
	if link.Attrs().HardwareAddr.String() != hostMAC.String() {
		if err := netlink.LinkSetHardwareAddr(link, hostMAC); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// removeLink removes a link with its addresses, routes and neighbours, where it
// is there.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

func linkExists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

// carried reports whether a process holds the other end of a link.
func carried(link netlink.Link) bool {
	return link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}
