"""gevent's StreamServer as an echo, with a greenlet for each connection."""

import socket
import sys

from gevent.server import StreamServer


def echo(client, _address):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := client.recv(16384):
        client.sendall(data)


server = StreamServer(("127.0.0.1", 0), echo, backlog=1024)
server.start()
print(f"listening on tcp://127.0.0.1:{server.server_port} (gevent)", file=sys.stderr, flush=True)
server.serve_forever()
