package main

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func TestBytesComeBackAsTheyWere(t *testing.T) {
	peer, conn := net.Pipe()
	ended := make(chan error)
	go func() { ended <- echo(conn) }()
	sent := bytes.Repeat([]byte("0123456789"), 30_000)
	go peer.Write(sent)
	received := make([]byte, len(sent))
	if _, err := io.ReadFull(peer, received); err != nil || !bytes.Equal(sent, received) {
		t.Error("not the same", err)
	}
	peer.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAnErrorOfTheConnectionIsOne(t *testing.T) {
	_, conn := net.Pipe()
	conn.Close()
	if echo(conn) == nil {
		t.Error("no error")
	}
}
