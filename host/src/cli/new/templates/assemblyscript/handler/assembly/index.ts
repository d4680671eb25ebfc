// Asks who is there, and repeats what they say until they say bye.

import { Connection, Fact, Level, log } from "portcell";

export function handle(): i32 {
  const conn = new Connection();
  const peer = conn.info(Fact.PEER_ADDRESS);
  if (peer !== null) log(Level.INFO, `a client at ${peer}`);

  conn.writeText("Hello! Who are you?\n");
  const first = conn.readText();
  if (first === null) return conn.error == 0 ? 0 : 1;
  let name = first.trim();
  if (name.length == 0) name = "stranger";
  conn.writeText(`Nice to meet you, ${name}! Say something, or bye.\n`);

  while (true) {
    const line = conn.readText();
    if (line === null) return conn.error == 0 ? 0 : 1;
    if (line.trim() == "bye") return conn.writeText(`Bye, ${name}!\n`) < 0 ? 1 : 0;
    if (conn.writeText(`${name} says: ${line.trim()}\n`) < 0) return 1;
  }
}
