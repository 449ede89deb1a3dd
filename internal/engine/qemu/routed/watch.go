//go:build linux

package routed

import (
	"bytes"
	"errors"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watch notices when somebody removes our tables, as a restart of the host's own
// nftables service does, and writes them anew: until then nothing keeps guests
// from each other.
func (n *Network) watch() error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return err
	}
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		_ = conn.Close()
		return err
	}
	n.events = conn
	go func() {
		for {
			messages, err := conn.Receive()
			switch {
			case n.closed.Load():
				return
			case err != nil && !errors.Is(err, unix.ENOBUFS):
				n.log.Warn("nobody watches over the firewall's tables any more", "error", err)
				return
			case err != nil || slices.ContainsFunc(messages, removesTable):
				n.restore()
			}
		}
	}()
	return nil
}

func removesTable(m netlink.Message) bool {
	return m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE && bytes.Contains(m.Data, []byte(tableName+"\x00"))
}

// restore writes the tables anew where machines still have links: where they
// have none, the network was cleaned.
func (n *Network) restore() {
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.place.do(func() error {
		if complete, err := standing(); complete || err != nil {
			return err
		}
		var machines []*machine
		for _, m := range n.machines {
			if slices.ContainsFunc(m.ports, func(p port) bool { return linkExists(p.link) }) {
				machines = append(machines, m)
			} else if len(m.ports) > 0 && !m.cutOff {
				m.cutOff = true
				n.log.Error("a machine's links were removed by somebody, and it has no network any more; power_cycle gives it one", "machine", m.ID)
			}
		}
		if len(machines) == 0 {
			return nil
		}
		n.log.Warn("the tables of nftables were removed by somebody; they are written anew", "machines", len(machines))
		if err := n.start(); err != nil {
			return err
		}
		return n.enforce(machines...)
	})
	if err != nil {
		n.log.Error("the tables of nftables could not be written anew", "error", err)
	}
}
