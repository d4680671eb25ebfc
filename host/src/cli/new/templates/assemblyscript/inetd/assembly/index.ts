// Asks who is there, and repeats what they say until they say bye.
//
// A plain program: standard input and output are the connection, standard error is the log. `process`
// comes from @assemblyscript/wasi-shim.

/** The longest line, in bytes with its end. */
const MAX_LINE: i32 = 1001;
const LINE_FEED: u8 = 0x0a;

const input = new ArrayBuffer(MAX_LINE);
const bytes = Uint8Array.wrap(input);
let there = 0; // how much of it was read and is not taken yet

main();

function main(): void {
  if (process.env.has("REMOTE_ADDR")) {
    process.stderr.write(`a client at ${process.env.get("REMOTE_ADDR")}\n`);
  }

  process.stdout.write("Hello! Who are you?\n");
  const first = nextLine();
  if (first === null) return;
  const name = first.length > 0 ? first : "stranger";
  process.stdout.write(`Nice to meet you, ${name}! Say something, or bye.\n`);

  while (true) {
    const line = nextLine();
    if (line === null) return;
    if (line == "bye") break;
    process.stdout.write(`${name} says: ${line}\n`);
  }
  process.stdout.write(`Bye, ${name}!\n`);
}

/** The next line without the spaces around it; `null` at the end. */
function nextLine(): string | null {
  let length = bytes.subarray(0, there).indexOf(LINE_FEED);
  while (length < 0) {
    if (there == MAX_LINE) process.exit(1); // no line is so long
    const got = process.stdin.read(input, there);
    if (got == 0 && there == 0) return null;
    const found = bytes.subarray(there, there + got).indexOf(LINE_FEED);
    if (found >= 0) length = there + found;
    else if (got == 0) length = there;
    there += got;
  }
  const line = String.UTF8.decodeUnsafe(changetype<usize>(input), length).trim();
  const taken = min(length + 1, there);
  bytes.copyWithin(0, taken, there);
  there -= taken;
  return line;
}
