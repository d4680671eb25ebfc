package portcell

import (
	"errors"
	"io"
	"net"
	"testing"
)

func TestAListenerGivesItsConnectionOnceAndEndsWithIt(t *testing.T) {
	peer, conn := net.Pipe()
	l := Listener(conn)
	if l.Addr() != conn.LocalAddr() {
		t.Error(l.Addr())
	}
	given, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	go given.Write([]byte("x"))
	if n, err := peer.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Error(n, err)
	}
	given.Close()
	is(t, <-ended, io.EOF)
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Error("the connection is open still", err)
	}
	given.Close()
}

func TestAHalfIsEndedWhereThatCanBe(t *testing.T) {
	host := &fake{}
	given, err := Listener(newConnection(host)).Accept()
	if err != nil {
		t.Fatal(err)
	}
	half := given.(interface{ CloseWrite() error })
	if err := half.CloseWrite(); err != nil || len(host.how) != 1 {
		t.Error(err, host.how)
	}
	_, pipe := net.Pipe()
	given, _ = Listener(pipe).Accept()
	if err := given.(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, ENOTSUP) {
		t.Error(err)
	}
}
