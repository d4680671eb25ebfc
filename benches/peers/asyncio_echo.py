"""asyncio as an echo, with a protocol for each connection: the faster of its two ways."""

import asyncio
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on tcp://127.0.0.1:{port} (asyncio)", file=sys.stderr, flush=True)
    await server.serve_forever()


asyncio.run(main())
