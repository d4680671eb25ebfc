package portcell

import (
	"net"
	"net/netip"
	"strings"
)

// LocalAddr is this side's address: a [*net.TCPAddr], [*net.UDPAddr] or [*net.UnixAddr]. Without a
// peer it is nil.
func (c *Connection) LocalAddr() net.Addr { return c.address(FactLocalAddress) }

// RemoteAddr is the peer's address, as LocalAddr is this side's. The name of a Unix peer is
// "pid=1,uid=0".
func (c *Connection) RemoteAddr() net.Addr { return c.address(FactPeerAddress) }

func (c *Connection) address(fact string) net.Addr {
	text, ok := c.LookupFact(fact)
	if !ok {
		return nil
	}
	if name, ok := strings.CutPrefix(text, "unix:"); ok {
		return &net.UnixAddr{Name: name, Net: "unix"}
	}
	at, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return nil
	case c.hasDatagrams():
		return net.UDPAddrFromAddrPort(at)
	default:
		return net.TCPAddrFromAddrPort(at)
	}
}
