// Greets the peer by its address, and then everybody whom it names, one a line.
//
// It knows nothing of portcell: a program that reads standard input and writes standard output, as
// inetd starts them. `process` comes from @assemblyscript/wasi-shim.

/** The longest name. */
const MAX_LINE: i32 = 4096;
const LINE_FEED: u8 = 0x0a;

const peer = process.env.has("REMOTE_ADDR") ? process.env.get("REMOTE_ADDR") : "stranger";
process.stdout.write(`Hello, ${peer}! Who is there?\n`);

const input = new ArrayBuffer(MAX_LINE);
const bytes = Uint8Array.wrap(input);
let length = 0; // of what is there and not greeted yet
while (true) {
  const got = process.stdin.read(input, length);
  if (got == 0) break;
  length = greetLines(length, length + got);
  if (length == MAX_LINE) process.exit(1);
}
if (length > 0) greet(0, length);

/** Greets those in the first `end` bytes, in which the first line feed is not before `from`. Gives how much is left. */
function greetLines(from: i32, end: i32): i32 {
  let start = 0;
  for (let i = from; i < end; i++) {
    if (bytes[i] != LINE_FEED) continue;
    greet(start, i);
    start = i + 1;
  }
  bytes.copyWithin(0, start, end);
  return end - start;
}

function greet(start: i32, end: i32): void {
  const name = String.UTF8.decodeUnsafe(changetype<usize>(input) + start, end - start).trim();
  process.stdout.write(name.length > 0 ? `Hello, ${name}!\n` : "Hello, whoever you are!\n");
}
