// Asks who is there, and repeats what they say until they say bye.
//
// A plain program: standard input and output are the connection, standard error is the log.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	fmt.Fprintln(os.Stderr, "a client at", os.Getenv("REMOTE_ADDR"))
	if err := greet(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func greet(input io.Reader, output io.Writer) error {
	lines := bufio.NewScanner(input)
	fmt.Fprintln(output, "Hello! Who are you?")
	if !lines.Scan() {
		return lines.Err()
	}
	name := cmp.Or(strings.TrimSpace(lines.Text()), "stranger")
	fmt.Fprintf(output, "Nice to meet you, %s! Say something, or bye.\n", name)

	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "bye" {
			_, err := fmt.Fprintf(output, "Bye, %s!\n", name)
			return err
		}
		if _, err := fmt.Fprintf(output, "%s says: %s\n", name, line); err != nil {
			return err
		}
	}
	return lines.Err()
}
