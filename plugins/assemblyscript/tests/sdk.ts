// Uses all of the SDK: the compiler looks only at what is used. It is compiled and never run.

import { Connection, Fact, Level, MAX_LINE, Poll, Shutdown, errnoName, log } from "portcell";

export function handle(): i32 {
  const conn = new Connection();
  const bytes = new Uint8Array(1);
  conn.setReadTimeout(0);
  conn.setWriteTimeout(0);
  conn.poll(Poll.READABLE | Poll.WRITABLE | Poll.DRAINING, 0);
  conn.read(bytes);
  conn.readLine(MAX_LINE);
  conn.readText(MAX_LINE);
  conn.write(bytes);
  conn.writeText("text");
  conn.info(Fact.PEER_ADDRESS);
  conn.startTls("220 ready\r\n");
  conn.shutdown(Shutdown.BOTH);
  log(Level.INFO, errnoName(conn.error));
  return conn.close();
}
