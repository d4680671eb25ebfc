// Answers commands, one a line: what a handler can ask the host, and how calls fail.
//
//     fact NAME    the fact: NAME=VALUE, or NAME: ENOENT
//     timeout MS   reads once with this bound: read N, ETIMEDOUT or EAGAIN
//     bad          reads from a descriptor that is none: EBADF
//     drain        says waiting, and when the host drains says draining and ends
//     end          ends its side, and then waits for the peer's end
//     code N       ends with this code
//     log TEXT     writes a line to the log: logged
//     tls          asks for TLS: go, and over TLS secured; or why not: ENOTSUP

import { Connection, Level, Poll, Shutdown, errnoName, log } from "portcell";
import * as abi from "portcell/assembly/abi";

const FAILED: i32 = 1;
const buffer = new Uint8Array(4096);

export function handle(): i32 {
  const conn = new Connection();
  while (true) {
    const line = conn.readText();
    if (line === null) return conn.error == 0 ? 0 : FAILED;

    const space = line.indexOf(" ");
    const command = space < 0 ? line : line.substring(0, space);
    const rest = space < 0 ? "" : line.substring(space + 1);

    if (command == "drain") return waitForDrain(conn);
    if (command == "end") return endFirst(conn);
    if (command == "code") return I32.parseInt(rest);
    if (conn.writeText(answer(conn, command, rest) + "\n") < 0) return FAILED;
  }
}

function answer(conn: Connection, command: string, rest: string): string {
  if (command == "fact") {
    const fact = conn.info(rest);
    return fact === null ? `${rest}: ENOENT` : `${rest}=${fact}`;
  }
  if (command == "timeout") {
    conn.setReadTimeout(I32.parseInt(rest));
    const got = conn.read(buffer);
    conn.setReadTimeout(-1);
    return got < 0 ? errnoName(got) : `read ${got}`;
  }
  if (command == "bad") return errnoName(abi.read(7, buffer.dataStart, buffer.length));
  if (command == "log") {
    log(Level.INFO, rest);
    return "logged";
  }
  if (command == "tls") {
    const failed = conn.startTls("go\n");
    return failed < 0 ? errnoName(failed) : "secured";
  }
  return "?";
}

function waitForDrain(conn: Connection): i32 {
  if (conn.writeText("waiting\n") < 0) return FAILED;
  const found = conn.poll(Poll.DRAINING);
  if (found < 0 || !(found & Poll.DRAINING)) return FAILED;
  return conn.writeText("draining\n") < 0 ? FAILED : 0;
}

function endFirst(conn: Connection): i32 {
  if (conn.shutdown(Shutdown.WRITE) < 0) return FAILED;
  while (true) {
    const got = conn.read(buffer);
    if (got <= 0) return got == 0 ? 0 : FAILED;
  }
}
