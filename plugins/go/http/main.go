// Http serves a page and an echo over HTTP/1.1, with net/http over its one connection.
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
	"sync"
	"time"

	"portcell"
)

// The longest body that is echoed.
const longestBody = 1 << 20

//go:wasmexport handle
func handle() int32 {
	return portcell.Run(func(conn *portcell.Connection) error { return serve(conn) })
}

// serve answers requests until the peer ends the connection, or asks for its end.
func serve(conn net.Conn) error {
	server := http.Server{Handler: routes(), ReadHeaderTimeout: 10 * time.Second}
	err := server.Serve(&listener{conn: conn})
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
		w.Write(body)
	})
	return mux
}

// listener gives one connection, and is at its end when that is closed.
type listener struct {
	conn   net.Conn
	taken  bool
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		l.closed = make(chan struct{})
		return &closing{Conn: l.conn, closed: sync.OnceFunc(func() { close(l.closed) })}, nil
	}
	<-l.closed
	return nil, io.EOF
}

func (l *listener) Close() error   { return nil }
func (l *listener) Addr() net.Addr { return l.conn.LocalAddr() }

// closing tells of the connection's end. The host closes it, in good order, when the handler ends.
type closing struct {
	net.Conn
	closed func()
}

func (c *closing) Close() error {
	c.closed()
	return nil
}

func main() {} // not called
