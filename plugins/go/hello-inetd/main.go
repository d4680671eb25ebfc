// Hello-inetd greets the peer by its address, and then everybody whom it names, one a line.
//
// It knows nothing of portcell: a program that reads standard input and writes standard output, as
// inetd starts them.
package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := converse(cmp.Or(os.Getenv("REMOTE_ADDR"), "stranger"), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func converse(peer string, input io.Reader, output io.Writer) error {
	if _, err := fmt.Fprintf(output, "Hello, %s! Who is there?\n", peer); err != nil {
		return err
	}
	for lines := bufio.NewReader(input); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			if _, err := fmt.Fprintln(output, greeting(line)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func greeting(line string) string {
	name := strings.TrimSpace(line)
	if name == "" {
		return "Hello, whoever you are!"
	}
	return fmt.Sprintf("Hello, %s!", name)
}
