package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func ask(t *testing.T, peer net.Conn, answers *bufio.Reader, method, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, "http://host"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	go request.Write(peer)
	answer, err := http.ReadResponse(answers, request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestOneConnectionHasManyRequests(t *testing.T) {
	peer, conn := net.Pipe()
	ended := make(chan error)
	go func() { ended <- serve(conn) }()
	answers := bufio.NewReader(peer)
	for _, test := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/", "", 200, "Hello, pipe!\n"},
		{"POST", "/echo", "hello", 200, "hello"},
		{"POST", "/echo", strings.Repeat("x", longestBody), 200, strings.Repeat("x", longestBody)},
		{"GET", "/nowhere", "", 404, "404 page not found\n"},
		{"GET", "/echo", "", 405, "Method Not Allowed\n"},
		{"POST", "/echo", strings.Repeat("x", longestBody+1), 413, "the body is too long\n"},
	} {
		if status, answer := ask(t, peer, answers, test.method, test.path, test.body); status != test.status || answer != test.answer {
			t.Errorf("%s %s: %d, %d bytes", test.method, test.path, status, len(answer))
		}
	}
	peer.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
