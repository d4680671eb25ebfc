// Echo sends back what it is sent, unchanged: the echo protocol of RFC 862, over TCP and over UDP.
package main

import (
	"errors"
	"io"
	"net"

	"portcell"
)

// Whatever is read at once: the longest datagram fits.
var buffer [64 << 10]byte

//go:wasmexport handle
func handle() int32 {
	return portcell.Run(func(conn *portcell.Connection) error { return echo(conn) })
}

func echo(conn net.Conn) error {
	for {
		n, err := conn.Read(buffer[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return err
		}
	}
}

func main() {} // not called
