// Asks who is there, and repeats what they say until they say bye.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"portcell"
)

//go:wasmexport handle
func handle() int32 {
	return portcell.Run(func(conn *portcell.Connection) error {
		portcell.Log(portcell.LevelInfo, "a client at "+conn.Fact(portcell.FactPeerAddress))
		return greet(conn)
	})
}

func greet(peer io.ReadWriter) error {
	lines := bufio.NewScanner(peer)
	fmt.Fprintln(peer, "Hello! Who are you?")
	if !lines.Scan() {
		return lines.Err()
	}
	name := cmp.Or(strings.TrimSpace(lines.Text()), "stranger")
	fmt.Fprintf(peer, "Nice to meet you, %s! Say something, or bye.\n", name)

	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "bye" {
			_, err := fmt.Fprintf(peer, "Bye, %s!\n", name)
			return err
		}
		if _, err := fmt.Fprintf(peer, "%s says: %s\n", name, line); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {} // not called
