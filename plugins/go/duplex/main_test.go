package main

import (
	"bufio"
	"fmt"
	"net"
	"testing"
)

func TestNumbersComeWhileThePeerSendsAndTheLastLineSaysHowMuch(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	peer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- converse(conn)
		conn.Close()
	}()

	// Nothing is read meanwhile.
	const sent = 8 << 20
	if _, err := peer.Write(make([]byte, sent)); err != nil {
		t.Fatal(err)
	}
	peer.(*net.TCPConn).CloseWrite()

	lines, last := bufio.NewScanner(peer), ""
	for n := 0; lines.Scan(); n++ {
		if n > 0 && last != fmt.Sprint(n) {
			t.Fatalf("%q, not %d", last, n)
		}
		last = lines.Text()
	}
	if last != fmt.Sprintf("%d bytes", sent) {
		t.Error(last)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
