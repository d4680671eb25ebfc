// Package portcell is for handlers of the portcell server in Go.
//
// A handler is a program whose function handle is exported, and which is built for wasip1 with
// -buildmode=c-shared. Each connection has an instance of its own:
//
//	//go:wasmexport handle
//	func handle() int32 { return portcell.Run(shout) }
//
//	func shout(conn *portcell.Connection) error { ... }
//
//	func main() {} // not called
//
// A [Connection] is a [net.Conn]. So most of a handler can be written for net.Conn or
// io.ReadWriter, and tested with net.Pipe on any machine.
//
// A call that waits stops all goroutines, not only the one that calls, as each call of the host
// does. A program that reads and writes at the same time in goroutines is better a command with
// its connection on descriptor 3; see docs/languages/go.md.
//
// What each call means is written in guest-sdk/abi/ABI.md.
package portcell

import (
	"errors"
	"io"
	"net"
	"time"
)

// imports are the functions of the host, with its results: a count, or an errno that is negated.
type imports interface {
	read(p []byte) int32
	write(p []byte) int32
	shutdown(how int32) int32
	close() int32
	poll(events Events, ms int32) (Events, int32)
	setTimeout(which, ms int32) int32
	info(name string, p []byte) int32
	log(level Level, text string) int32
	startTLS(profile, reply string) int32
}

// A Connection is the one that this instance serves: a [net.Conn] over a stream or over the
// datagrams of one UDP peer.
//
// It is closed by the host when the handler returns. Its errors are of type [*net.OpError], with an
// [Errno] inside.
type Connection struct {
	host        imports
	read, write bound
	// Whether it is one of datagrams, once that was asked.
	datagrams, asked bool
}

// bound is how long the calls of one direction may wait.
type bound struct {
	which int32
	// What the host was told last, in milliseconds.
	told     int32
	timeout  time.Duration
	deadline time.Time
}

const forever = -1

func newConnection(host imports) *Connection {
	return &Connection{
		host:  host,
		read:  bound{which: timeoutRead, told: forever, timeout: forever},
		write: bound{which: timeoutWrite, told: forever, timeout: forever},
	}
}

func (c *Connection) hasDatagrams() bool {
	if !c.asked {
		c.asked, c.datagrams = true, c.Fact(FactTransport) == "udp"
	}
	return c.datagrams
}

// Read waits until something is there and puts it into p. At the peer's end it is [io.EOF].
//
// Over UDP it gives the next datagram, cut to p, and no error for an empty one; io.EOF when the
// flow is over.
func (c *Connection) Read(p []byte) (int, error) {
	if len(p) == 0 && !c.hasDatagrams() {
		return 0, nil
	}
	if err := c.bind(&c.read); err != nil {
		return 0, c.failed("read", err)
	}
	switch n := c.host.read(p); {
	case n > 0 || n == 0 && c.hasDatagrams():
		return int(n), nil
	case n == 0 || Errno(-n) == ENOTCONN && c.hasDatagrams():
		return 0, io.EOF
	default:
		return 0, c.failed("read", Errno(-n))
	}
}

// Write writes all of p, or says why not. Over UDP p is one datagram.
func (c *Connection) Write(p []byte) (int, error) {
	for done := 0; ; {
		if err := c.bind(&c.write); err != nil {
			return done, c.failed("write", err)
		}
		n := c.host.write(p[done:])
		if n < 0 {
			return done, c.failed("write", Errno(-n))
		}
		done += int(n)
		if done == len(p) {
			return done, nil
		}
	}
}

// CloseRead ends reading: later reads are io.EOF.
func (c *Connection) CloseRead() error { return c.shutdown(shutdownRead) }

// CloseWrite ends writing: the peer sees the end of the stream. Reading goes on.
func (c *Connection) CloseWrite() error { return c.shutdown(shutdownWrite) }

// Reset breaks the connection: the peer sees an error and loses what it was not yet sent.
func (c *Connection) Reset() error { return c.shutdown(shutdownReset) }

func (c *Connection) shutdown(how int32) error {
	return c.outcome("shutdown", c.host.shutdown(how))
}

// Close ends the connection in good order and waits until the peer has ended its side too, for at
// most 2 s. The host does so when the handler returns, so only one that has more to do needs it.
func (c *Connection) Close() error {
	return c.outcome("close", c.host.close())
}

// Poll waits until one of these events is there, or one that is always reported, and gives those
// that are. It gives none when the timeout, in whole milliseconds, is over; a negative one is none,
// and with 0 it does not wait.
func (c *Connection) Poll(events Events, timeout time.Duration) (Events, error) {
	found, ready := c.host.poll(events, milliseconds(timeout))
	if ready < 0 {
		return 0, c.failed("poll", Errno(-ready))
	}
	return found, nil
}

// StartTLS makes a stream in plaintext one of TLS, after reply was sent in plaintext. The profile
// names the settings; an empty one means the listener's own. What was read before and not used has
// to be forgotten. A handshake that fails ends the instance.
func (c *Connection) StartTLS(profile, reply string) error {
	return c.outcome("start_tls", c.host.startTLS(profile, reply))
}

// Fact is a fact about the connection; empty if it does not exist here.
func (c *Connection) Fact(name string) string {
	value, _ := c.LookupFact(name)
	return value
}

// LookupFact is a fact about the connection, and whether it exists here.
func (c *Connection) LookupFact(name string) (string, bool) {
	buf := make([]byte, 128)
	for {
		n := c.host.info(name, buf)
		if n < 0 {
			return "", false
		}
		if int(n) <= len(buf) {
			return string(buf[:n]), true
		}
		buf = make([]byte, n)
	}
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Connection) SetDeadline(t time.Time) error {
	c.read.deadline, c.write.deadline = t, t
	return nil
}

// SetReadDeadline bounds reads: after t they fail with [os.ErrDeadlineExceeded]. The zero value is
// no bound.
func (c *Connection) SetReadDeadline(t time.Time) error {
	c.read.deadline = t
	return nil
}

// SetWriteDeadline bounds writes, as SetReadDeadline does reads.
func (c *Connection) SetWriteDeadline(t time.Time) error {
	c.write.deadline = t
	return nil
}

// SetReadTimeout bounds each read from now on, beside the deadline: a negative timeout is none, and
// with 0 reads do not wait and may fail with [EAGAIN].
func (c *Connection) SetReadTimeout(timeout time.Duration) { c.read.timeout = timeout }

// SetWriteTimeout bounds each write, as SetReadTimeout does reads.
func (c *Connection) SetWriteTimeout(timeout time.Duration) { c.write.timeout = timeout }

// bind tells the host how long the next call may wait.
func (c *Connection) bind(b *bound) error {
	ms := milliseconds(b.timeout)
	if !b.deadline.IsZero() {
		left := time.Until(b.deadline)
		if left <= 0 {
			return ETIMEDOUT
		}
		if until := milliseconds(left); ms < 0 || until < ms {
			ms = until
		}
	}
	if ms == b.told {
		return nil
	}
	if result := c.host.setTimeout(b.which, ms); result < 0 {
		return Errno(-result)
	}
	b.told = ms
	return nil
}

// milliseconds rounds up, so that a bound never runs out early; negative ones are forever.
func milliseconds(d time.Duration) int32 {
	if d < 0 {
		return forever
	}
	// Without an overflow for the longest durations.
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond != 0 {
		ms++
	}
	return int32(min(ms, maxLen))
}

func (c *Connection) outcome(call string, result int32) error {
	if result < 0 {
		return c.failed(call, Errno(-result))
	}
	return nil
}

func (c *Connection) failed(call string, why error) error {
	return &net.OpError{Op: call, Net: c.Fact(FactTransport), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: why}
}

var (
	_ net.Conn  = (*Connection)(nil)
	_ net.Error = Errno(0)
)

// Run calls a handler with the connection of this instance and gives what the exported function has
// to return: 0, or 1 after an error, which is logged; or the number of an [ExitCode].
func Run(handler func(*Connection) error) int32 {
	err := handler(newConnection(here))
	if err == nil {
		return 0
	}
	var code ExitCode
	if errors.As(err, &code) {
		return int32(code)
	}
	Log(LevelError, err.Error())
	return 1
}

// An ExitCode is an error that ends the handler with this code, and nothing in the log.
type ExitCode int32

func (ExitCode) Error() string { return "the handler has ended with a code of its own" }
