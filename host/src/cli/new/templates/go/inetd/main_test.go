package main

import (
	"strings"
	"testing"
)

func TestWhoeverHasANameIsRepeatedUntilTheySayBye(t *testing.T) {
	var output strings.Builder
	err := greet(strings.NewReader("Ada\nHow are you?\nbye\n"), &output)
	expected := "Hello! Who are you?\nNice to meet you, Ada! Say something, or bye.\n" +
		"Ada says: How are you?\nBye, Ada!\n"
	if output.String() != expected || err != nil {
		t.Error(output.String(), err)
	}
}
