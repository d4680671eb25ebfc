// Duplex counts upwards, one number a line, as fast as the peer takes them, and at the same time
// counts what the peer sends. When the peer ends its side, the last line says how much that was.
//
//	$ portcell run plugins/go/duplex.wasm
//	$ echo hello | nc -N localhost 7000 | tail -1
//	6 bytes
//
// A goroutine reads and another writes. A call that waited in the host would stop both, so it uses
// descriptor 3, and whichever of them waits lets the other run. Nobody interrupts one that never
// waits: the one that counts makes a pause now and then.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"portcell"
)

func main() {
	conn, err := portcell.OpenSocket()
	if err == nil {
		err = converse(conn)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func converse(conn net.Conn) error {
	ended, counted := make(chan struct{}), make(chan error)
	output := bufio.NewWriter(conn)
	go func() { counted <- count(output, ended) }()
	received, err := io.Copy(io.Discard, conn)
	close(ended)
	if failed := <-counted; failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(output, "%d bytes\n", received)
	return output.Flush()
}

// count writes 1, 2, 3 until it is told to end.
func count(output io.Writer, ended <-chan struct{}) error {
	for n := 1; ; n++ {
		select {
		case <-ended:
			return nil
		default:
		}
		if _, err := fmt.Fprintln(output, n); err != nil {
			return err
		}
		if n%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}
