package portcell

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

type errnoText struct {
	name, text string
	// What other packages have for it.
	alike []error
}

var errnos = map[Errno]errnoText{
	EAGAIN:       {"EAGAIN", "nothing to do without waiting", []error{syscall.EAGAIN}},
	EBADF:        {"EBADF", "the connection is closed", []error{syscall.EBADF, net.ErrClosed}},
	ECONNABORTED: {"ECONNABORTED", "the peer ended TLS without a goodbye", []error{syscall.ECONNABORTED}},
	ECONNRESET:   {"ECONNRESET", "connection reset by peer", []error{syscall.ECONNRESET}},
	EINVAL:       {"EINVAL", "invalid argument", []error{syscall.EINVAL}},
	EIO:          {"EIO", "the transport failed", []error{syscall.EIO}},
	EMSGSIZE:     {"EMSGSIZE", "the datagram is too long", []error{syscall.EMSGSIZE}},
	ENOENT:       {"ENOENT", "no such fact", []error{syscall.ENOENT}},
	ENOTCONN:     {"ENOTCONN", "there is no peer", []error{syscall.ENOTCONN}},
	ENOTSUP:      {"ENOTSUP", "not offered here", []error{syscall.ENOTSUP}},
	EPIPE:        {"EPIPE", "broken pipe", []error{syscall.EPIPE}},
	ETIMEDOUT:    {"ETIMEDOUT", "i/o timeout", []error{syscall.ETIMEDOUT, os.ErrDeadlineExceeded}},
}

// Name is the name in C: "ECONNRESET".
func (e Errno) Name() string {
	if known, ok := errnos[e]; ok {
		return known.name
	}
	return fmt.Sprintf("errno %d", int32(e))
}

func (e Errno) Error() string {
	if known, ok := errnos[e]; ok {
		return known.text
	}
	return e.Name()
}

// Is makes errors.Is work with what the standard library has for the same: syscall.ECONNRESET and
// the others, net.ErrClosed, os.ErrDeadlineExceeded.
func (e Errno) Is(target error) bool {
	for _, alike := range errnos[e].alike {
		if alike == target {
			return true
		}
	}
	return false
}

// Timeout says whether a bound of the guest's own ran out.
func (e Errno) Timeout() bool { return e == ETIMEDOUT || e == EAGAIN }

// Temporary is the same as Timeout. It makes an Errno a [net.Error].
func (e Errno) Temporary() bool { return e.Timeout() }
