package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// converse gives what shout answers to a whole input.
func converse(input io.Reader) (string, error) {
	var output strings.Builder
	err := shout(struct {
		io.Reader
		io.Writer
	}{input, &output})
	return output.String(), err
}

func TestEveryLineComesBackInCapitals(t *testing.T) {
	for input, expected := range map[string]string{
		"":             "",
		"hello\nyou\n": "HELLO\nYOU\n",
		"a\r\n\nb":     "A\r\n\nB\n",
		"w\u00f6rld\n": "W\u00f6RLD\n",
	} {
		for _, pieces := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			output, err := converse(pieces(strings.NewReader(input)))
			if output != expected || err != nil {
				t.Errorf("%q: %q %v", input, output, err)
			}
		}
	}
}

func TestALineOf64KiBIsTakenAndALongerOneIsNot(t *testing.T) {
	line := strings.Repeat("x", longest)
	for _, end := range []string{"", "\n"} {
		if output, err := converse(strings.NewReader(line + end)); len(output) != longest+1 || err != nil {
			t.Error(len(output), err)
		}
		if _, err := converse(strings.NewReader(line + "x" + end)); !errors.Is(err, bufio.ErrBufferFull) {
			t.Error(err)
		}
	}
}
