package portcell

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fake is a host that reads and writes as it was told to, and notes what it is asked.
type fake struct {
	facts   map[string]string
	input   []any // string, Errno; then the end
	output  strings.Builder
	results []int32 // of writes; then all is taken
	bounds  []int32
	how     []int32
	found   Events
	waited  int32
}

func (f *fake) read(p []byte) int32 {
	if len(f.input) == 0 {
		return 0
	}
	next := f.input[0]
	f.input = f.input[1:]
	switch next := next.(type) {
	case Errno:
		return -int32(next)
	case string:
		n := copy(p, next)
		return int32(n)
	default:
		panic(next)
	}
}

func (f *fake) write(p []byte) int32 {
	n := int32(len(p))
	if len(f.results) > 0 {
		n, f.results = f.results[0], f.results[1:]
	}
	if n > 0 {
		f.output.Write(p[:n])
	}
	return n
}

func (f *fake) shutdown(how int32) int32 {
	f.how = append(f.how, how)
	return 0
}

func (f *fake) close() int32 { return -int32(EBADF) }

func (f *fake) poll(_ Events, ms int32) (Events, int32) {
	f.waited = ms
	if f.found == Invalid {
		return 0, -int32(EINVAL)
	}
	return f.found, 1
}

func (f *fake) setTimeout(which, ms int32) int32 {
	f.bounds = append(f.bounds, which, ms)
	return 0
}

func (f *fake) info(name string, p []byte) int32 {
	fact, ok := f.facts[name]
	if !ok {
		return -int32(ENOENT)
	}
	copy(p, fact)
	return int32(len(fact))
}

func (f *fake) log(Level, string) int32    { return 0 }
func (f *fake) startTLS(_, _ string) int32 { return -int32(ENOTSUP) }
func reads(what ...any) *Connection        { return newConnection(&fake{input: what}) }
func udp(what ...any) *fake {
	return &fake{input: what, facts: map[string]string{FactTransport: "udp"}}
}
func is(t *testing.T, err error, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%v (%T) is not %v", err, err, target)
	}
}

func TestAStreamIsReadUntilItsEnd(t *testing.T) {
	conn := reads("hel", "lo")
	if all, err := io.ReadAll(conn); string(all) != "hello" || err != nil {
		t.Fatal(string(all), err)
	}
	_, err := conn.Read(make([]byte, 1))
	is(t, err, io.EOF)
	if n, err := reads().Read(nil); n != 0 || err != nil {
		t.Error("an empty read at the end", n, err)
	}
}

func TestAnEmptyDatagramIsNoEndAndTheEndOfAFlowIsOne(t *testing.T) {
	conn := newConnection(udp("one", "", "longer", ENOTCONN))
	buf := make([]byte, 4)
	for _, expected := range []string{"one", "", "long"} {
		if n, err := conn.Read(buf); string(buf[:n]) != expected || err != nil {
			t.Fatal(expected, n, err)
		}
	}
	_, err := conn.Read(buf)
	is(t, err, io.EOF)
	_, err = reads(ENOTCONN).Read(buf)
	is(t, err, syscall.ENOTCONN)
}

func TestErrorsAreThoseOfTheStandardLibrary(t *testing.T) {
	for errno, target := range map[Errno]error{
		ECONNRESET:   syscall.ECONNRESET,
		ECONNABORTED: syscall.ECONNABORTED,
		EBADF:        net.ErrClosed,
		ETIMEDOUT:    os.ErrDeadlineExceeded,
		EAGAIN:       syscall.EAGAIN,
	} {
		_, err := reads(errno).Read(make([]byte, 1))
		is(t, err, target)
		is(t, err, errno)
		var inner Errno
		if !errors.As(err, &inner) || inner.Name() != errnos[errno].name {
			t.Error(err, inner)
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || timeout.Timeout() != (errno == ETIMEDOUT || errno == EAGAIN) {
			t.Error(err, "should say whether it is a timeout")
		}
	}
	if errors.Is(ECONNRESET, syscall.EPIPE) || errors.Is(Errno(1), syscall.EPERM) {
		t.Error("not alike")
	}
	if Errno(1).Name() != "errno 1" {
		t.Error(Errno(1).Name())
	}
}

func TestAShortWriteGoesOnUntilTheError(t *testing.T) {
	host := &fake{results: []int32{3, 0, 1, -int32(EPIPE)}}
	n, err := newConnection(host).Write([]byte("hello"))
	if n != 4 || host.output.String() != "hell" {
		t.Error(n, host.output.String())
	}
	is(t, err, syscall.EPIPE)
	host = &fake{results: []int32{2}}
	if n, err := newConnection(host).Write([]byte("hello")); n != 5 || err != nil || host.output.String() != "hello" {
		t.Error(n, err, host.output.String())
	}
}

func TestTheHostIsToldOfABoundOnceAndOnlyWhenItChanges(t *testing.T) {
	host := &fake{}
	conn := newConnection(host)
	step := func(expected ...int32) {
		t.Helper()
		conn.Read(make([]byte, 1))
		conn.Write([]byte("x"))
		if !slices.Equal(host.bounds, expected) {
			t.Errorf("%v, not %v", host.bounds, expected)
		}
		host.bounds = nil
	}
	step()
	conn.SetReadTimeout(1500 * time.Microsecond)
	step(timeoutRead, 2)
	step()
	conn.SetWriteTimeout(0)
	step(timeoutWrite, 0)
	conn.SetReadTimeout(-time.Second)
	conn.SetWriteTimeout(math.MaxInt64)
	step(timeoutRead, forever, timeoutWrite, maxLen)
	// The nearer of both.
	conn.SetDeadline(time.Now().Add(time.Hour))
	conn.SetReadTimeout(time.Second)
	conn.Read(make([]byte, 1))
	conn.Write([]byte("x"))
	if b := host.bounds; len(b) != 4 || b[1] != 1000 || b[3] > 3_600_000 || b[3] < 3_000_000 {
		t.Error(b)
	}
}

func TestAfterItsDeadlineACallDoesNotReachTheHost(t *testing.T) {
	conn := reads("x")
	conn.SetReadDeadline(time.Now().Add(-time.Second))
	_, err := conn.Read(make([]byte, 1))
	is(t, err, os.ErrDeadlineExceeded)
	conn.SetReadDeadline(time.Time{})
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestHalvesAreEndedByTheNumbersOfTheContract(t *testing.T) {
	host := &fake{}
	conn := newConnection(host)
	for _, end := range []func() error{conn.CloseRead, conn.CloseWrite, conn.Reset} {
		if err := end(); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(host.how, []int32{0, 1, 3}) {
		t.Error(host.how)
	}
	is(t, conn.Close(), net.ErrClosed)
	is(t, conn.StartTLS("", ""), syscall.ENOTSUP)
}

func TestPollGivesWhatThereIs(t *testing.T) {
	host := &fake{found: Readable | Draining}
	found, err := newConnection(host).Poll(Readable|Draining, 1500*time.Microsecond)
	if found != Readable|Draining || err != nil || host.waited != 2 {
		t.Error(found, err, host.waited)
	}
	host.found = Invalid
	_, err = newConnection(host).Poll(0x100, -1)
	is(t, err, syscall.EINVAL)
	if host.waited != forever {
		t.Error(host.waited)
	}
}

func TestAFactIsWholeHoweverLongItIs(t *testing.T) {
	long := strings.Repeat("chain", 1000)
	conn := newConnection(&fake{facts: map[string]string{FactTLSPeerChain: long, FactTenant: ""}})
	if conn.Fact(FactTLSPeerChain) != long {
		t.Error("cut")
	}
	if fact, ok := conn.LookupFact(FactTenant); fact != "" || !ok {
		t.Error("an empty fact exists")
	}
	if _, ok := conn.LookupFact("nonsense"); ok {
		t.Error("nonsense exists")
	}
}

func TestAddressesAreThoseOfThePackageNet(t *testing.T) {
	for _, test := range []struct{ transport, fact, network, text string }{
		{"tcp", "127.0.0.1:5", "tcp", "127.0.0.1:5"},
		{"tls", "[2001:db8::1]:5", "tcp", "[2001:db8::1]:5"},
		{"udp", "[fe80::1%2]:5", "udp", "[fe80::1%2]:5"},
		{"unix", "unix:pid=1,uid=0", "unix", "pid=1,uid=0"},
		{"unix", "unix:", "unix", ""},
	} {
		facts := map[string]string{FactTransport: test.transport, FactPeerAddress: test.fact}
		conn := newConnection(&fake{facts: facts})
		if peer := conn.RemoteAddr(); peer.Network() != test.network || peer.String() != test.text {
			t.Error(test, peer)
		}
		if conn.LocalAddr() != nil {
			t.Error("there is no local address")
		}
	}
}

func TestTheExitCodeIsThatOfTheError(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int32
	}{{nil, 0}, {io.ErrUnexpectedEOF, 1}, {ExitCode(7), 7}, {ExitCode(0), 0}} {
		if code := Run(func(*Connection) error { return test.err }); code != test.code {
			t.Error(test, code)
		}
	}
}

func TestOffWasmThereIsNoPeer(t *testing.T) {
	Run(func(conn *Connection) error {
		_, err := conn.Read(make([]byte, 1))
		is(t, err, ENOTCONN)
		_, err = conn.Write([]byte("x"))
		is(t, err, ENOTCONN)
		if conn.RemoteAddr() != nil {
			t.Error(conn.RemoteAddr())
		}
		return nil
	})
}
