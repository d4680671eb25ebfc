//go:build wasip1

// Probe answers questions about its connection, one command a line. It is an example of facts,
// errors, timeouts and drains.
//
//	fact NAME   NAME=VALUE, or NAME: ENOENT
//	timeout MS  reads once with this bound: ETIMEDOUT, EAGAIN, or read N
//	bad         reads descriptor 7: EBADF
//	drain       waiting; when the host drains: draining, and it ends
//	end         ends its side, and then waits for the peer's end
//	code N      ends with this exit code
//	log TEXT    logs the text: logged
//	tls         go, and over TLS: secured; or why not: ENOTSUP
//
// To anything else the answer is "?".
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"portcell"
)

//go:wasmexport handle
func handle() int32 { return portcell.Run(answer) }

func answer(conn *portcell.Connection) error {
	lines := bufio.NewReaderSize(conn, 64<<10)
	say := func(format string, values ...any) error {
		_, err := fmt.Fprintf(conn, format+"\n", values...)
		return err
	}
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		command, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		number, notNumber := strconv.ParseInt(rest, 10, 32)
		switch {
		case command == "fact":
			if fact, ok := conn.LookupFact(rest); ok {
				err = say("%s=%s", rest, fact)
			} else {
				err = say("%s: ENOENT", rest)
			}
		case command == "timeout" && notNumber == nil:
			conn.SetReadTimeout(time.Duration(number) * time.Millisecond)
			n, failed := lines.Read(make([]byte, lines.Size()))
			conn.SetReadTimeout(-1)
			if failed == nil || errors.Is(failed, io.EOF) {
				err = say("read %d", n)
			} else {
				err = say("%s", name(failed))
			}
		case line == "bad\n":
			var buf [1]byte
			err = say("%s", portcell.Errno(-read(7, unsafe.Pointer(&buf), 1)).Name())
		case line == "drain\n":
			if err := say("waiting"); err != nil {
				return err
			}
			if _, err := conn.Poll(portcell.Draining, -1); err != nil {
				return err
			}
			return say("draining")
		case line == "end\n":
			if err := conn.CloseWrite(); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, lines)
			return err
		case command == "code" && notNumber == nil:
			return portcell.ExitCode(number)
		case command == "log":
			portcell.Log(portcell.LevelInfo, rest)
			err = say("logged")
		case line == "tls\n":
			if failed := conn.StartTLS("", "go\n"); failed != nil {
				err = say("%s", name(failed))
			} else {
				lines.Reset(conn) // what it has read ahead came in plaintext, from whom nobody knows
				err = say("secured")
			}
		default:
			err = say("?")
		}
		if err != nil {
			return err
		}
	}
}

// name is that of the errno in an error.
func name(err error) string {
	var errno portcell.Errno
	if errors.As(err, &errno) {
		return errno.Name()
	}
	return err.Error()
}

// The host's function itself: a Connection has the right descriptor always.
//
//go:wasmimport portcell_v1 read
//go:noescape
func read(fd int32, buf unsafe.Pointer, len uint32) int32

func main() {} // not called
