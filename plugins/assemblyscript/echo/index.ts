// Sends back what it is sent, unchanged: the echo protocol of RFC 862, over TCP and over UDP.

import { Connection, Errno, Fact } from "portcell";

/** The longest datagram fits. */
const AT_ONCE: i32 = 64 * 1024;

export function handle(): i32 {
  const conn = new Connection();
  const datagrams = conn.info(Fact.TRANSPORT) == "udp";
  const buffer = new Uint8Array(AT_ONCE);
  while (true) {
    const length = conn.read(buffer);
    if (datagrams && length == -Errno.ENOTCONN) return 0;
    if (length < 0) return 1;
    // Nothing is the end of a stream, but over UDP it is an empty datagram.
    if (length == 0 && !datagrams) return 0;
    if (conn.write(buffer, length) < 0) return 1;
  }
}
