package main

import (
	"strings"
	"testing"
)

func TestThePeerIsGreetedFirstAndThenEveryName(t *testing.T) {
	var output strings.Builder
	err := converse("192.0.2.1", strings.NewReader("Ada\n  Grace \r\n\nlast"), &output)
	expected := "Hello, 192.0.2.1! Who is there?\nHello, Ada!\nHello, Grace!\n" +
		"Hello, whoever you are!\nHello, last!\n"
	if output.String() != expected || err != nil {
		t.Error(output.String(), err)
	}
}
