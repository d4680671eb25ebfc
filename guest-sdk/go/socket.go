package portcell

import (
	"io"
	"net"
	"os"
	"sync"
)

// socketDescriptor is where the host gives a command its connection as a socket.
const socketDescriptor = 3

// A Socket is the connection of a command, a program whose main runs, by way of descriptor 3.
// Whoever waits for it lets other goroutines run, so that some can read while others write, and
// timers work.
//
// Stdin and stdout are the same connection.
type Socket struct {
	net.Conn
	local, remote net.Addr
}

// OpenSocket gives the connection of a command. Closing it ends the connection.
//
// A handler, a program that exports handle, has none.
func OpenSocket() (*Socket, error) {
	file := os.NewFile(socketDescriptor, "connection")
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	// The connection has the descriptor, too.
	file.Close()
	about := newConnection(here)
	return &Socket{conn, about.LocalAddr(), about.RemoteAddr()}, nil
}

// LocalAddr is this side's address, as [Connection.LocalAddr].
func (s *Socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr is the peer's address, as [Connection.RemoteAddr].
func (s *Socket) RemoteAddr() net.Addr { return s.remote }

// CloseWrite ends writing: the peer sees the end of the stream. Reading goes on.
func (s *Socket) CloseWrite() error { return closeWrite(s.Conn) }

// Listener is for servers that want to accept: it gives conn once. Then it waits until that is
// closed, and is at its end, with [io.EOF].
//
//	http.Serve(portcell.Listener(conn), handler)
func Listener(conn net.Conn) net.Listener {
	l := &listener{conn: make(chan net.Conn, 1), addr: conn.LocalAddr(), closed: make(chan struct{})}
	l.conn <- &accepted{Conn: conn, listener: l}
	return l
}

type listener struct {
	conn   chan net.Conn
	addr   net.Addr
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conn:
		return conn, nil
	default:
	}
	<-l.closed
	return nil, io.EOF
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// accepted is the connection that a listener gives, and tells it of its end.
type accepted struct {
	net.Conn
	listener *listener
}

func (a *accepted) Close() error {
	defer a.listener.Close()
	return a.Conn.Close()
}

func (a *accepted) CloseWrite() error { return closeWrite(a.Conn) }

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return ENOTSUP
}
