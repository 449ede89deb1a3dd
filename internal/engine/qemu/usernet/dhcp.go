package usernet

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

const (
	dhcpDiscover = 1
	dhcpOffer    = 2
	dhcpRequest  = 3
	dhcpAck      = 5
	dhcpNak      = 6
	dhcpInform   = 8
)

var dhcpCookie = []byte{99, 130, 83, 99}

// lease is what DHCP tells of a link.
type lease struct {
	address netip.Prefix
	gateway netip.Addr
}

// answerDHCP is the answer to a DHCP message, as the payload of a UDP packet.
// A message that needs none has none.
func answerDHCP(message []byte, hw mac, l lease) []byte {
	if len(message) < 240 || message[0] != 1 || mac(message[28:34]) != hw || !slices.Equal(message[236:240], dhcpCookie) {
		return nil
	}
	options := dhcpOptions(message[240:])
	kind, ok := dhcpAnswer(options, message, l)
	if !ok {
		return nil
	}
	b := make([]byte, 240, 300)
	b[0], b[1], b[2] = 2, 1, 6
	copy(b[4:8], message[4:8])     // the transaction
	copy(b[10:12], message[10:12]) // its flags
	copy(b[28:44], message[28:44])
	copy(b[236:], dhcpCookie)
	if options[53][0] == dhcpInform {
		copy(b[12:16], message[12:16])
	} else if kind != dhcpNak {
		copy(b[16:20], l.address.Addr().AsSlice())
	}
	return appendDHCPOptions(b, kind, options[53][0] != dhcpInform, l)
}

// dhcpAnswer is the kind of answer that a message gets.
func dhcpAnswer(options map[byte][]byte, message []byte, l lease) (kind byte, ok bool) {
	if len(options[53]) != 1 {
		return 0, false
	}
	gateway := l.gateway.AsSlice()
	switch options[53][0] {
	case dhcpDiscover:
		return dhcpOffer, true
	case dhcpInform:
		return dhcpAck, true
	case dhcpRequest:
		if server := options[54]; server != nil && !slices.Equal(server, gateway) {
			return 0, false // it chose another server
		}
		wanted := options[50]
		if wanted == nil {
			wanted = message[12:16]
		}
		if !slices.Equal(wanted, l.address.Addr().AsSlice()) {
			return dhcpNak, true
		}
		return dhcpAck, true
	}
	return 0, false
}

func appendDHCPOptions(b []byte, kind byte, leased bool, l lease) []byte {
	gateway := l.gateway.AsSlice()
	option := func(code byte, value ...byte) {
		b = append(append(b, code, byte(len(value))), value...)
	}
	option(53, kind)
	option(54, gateway...)
	if kind != dhcpNak {
		if leased {
			option(51, 0, 1, 0x51, 0x80) // a day
		}
		option(1, binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-l.address.Bits()))...)
		option(3, gateway...)
		option(6, gateway...)
		option(26, mtu>>8, mtu&0xff)
	}
	return append(b, 255)
}

func dhcpOptions(b []byte) map[byte][]byte {
	options := map[byte][]byte{}
	for len(b) >= 2 && b[0] != 255 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		size := int(b[1])
		if len(b) < 2+size {
			break
		}
		options[b[0]] = b[2 : 2+size]
		b = b[2+size:]
	}
	return options
}
