// Http serves a page and an echo over HTTP/1.1, with net/http over its one connection.
//
// It is a command, not a handler: net/http waits for the peer in one goroutine and answers in
// another.
//
//	$ portcell run plugins/go/http.wasm
//	$ curl localhost:7000/
//	$ curl --data hello localhost:7000/echo
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"portcell"
)

// The longest body that is echoed.
const longestBody = 1 << 20

func main() {
	conn, err := portcell.OpenSocket()
	if err == nil {
		err = serve(conn)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers requests until the peer ends the connection, or asks for its end.
func serve(conn net.Conn) error {
	server := http.Server{Handler: routes(), ReadHeaderTimeout: 10 * time.Second}
	err := server.Serve(portcell.Listener(conn))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.RemoteAddr)
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		// The whole of it, before the answer begins: HTTP/1.1 has one after the other.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestBody))
		if err != nil {
			http.Error(w, "the body is too long", http.StatusRequestEntityTooLarge)
			return
		}
		if kind := r.Header.Get("Content-Type"); kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})
	return mux
}
