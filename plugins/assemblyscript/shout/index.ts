// Sends back every line in capitals: those of ASCII, other bytes stay as they are.

import { Connection } from "portcell";

const LINE_FEED: u8 = 0x0a;

export function handle(): i32 {
  const conn = new Connection();
  while (true) {
    const line = conn.readLine();
    if (line === null) return conn.error == 0 ? 0 : 1;
    if (conn.write(shouted(line)) < 0) return 1;
  }
}

function shouted(line: Uint8Array): Uint8Array {
  const length = line.length;
  const answer = new Uint8Array(length + 1);
  for (let i = 0; i < length; i++) {
    const byte = line[i];
    answer[i] = byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
  }
  answer[length] = LINE_FEED;
  return answer;
}
