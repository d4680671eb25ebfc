// Shout sends back every line in capitals. Letters are those of ASCII; a line has at most 64 KiB.
package main

import (
	"bufio"
	"errors"
	"io"

	"portcell"
)

const longest = 64 << 10

//go:wasmexport handle
func handle() int32 {
	return portcell.Run(func(conn *portcell.Connection) error { return shout(conn) })
}

func shout(conn io.ReadWriter) error {
	lines := bufio.NewReaderSize(conn, longest+len("\n"))
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return err
		case len(line) == 0:
			return nil
		default:
			line = append(line, '\n')
		}
		capitals(line)
		if _, err := conn.Write(line); err != nil {
			return err
		}
	}
}

func capitals(line []byte) {
	for i, letter := range line {
		if 'a' <= letter && letter <= 'z' {
			line[i] = letter - 'a' + 'A'
		}
	}
}

func main() {} // not called
