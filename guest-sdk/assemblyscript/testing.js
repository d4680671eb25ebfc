// Plays the host for a handler's tests, in node: no server and no sockets.
//
//     import { converse } from "portcell/testing";
//
//     const { code, output } = await converse("shout.wasm", "hello\n");
//
// It knows streams only, and nothing of WASI, TLS and limits.

import { readFile } from "node:fs/promises";

const Errno = { EAGAIN: 6, EBADF: 8, EINVAL: 28, ENOENT: 44, ENOTSUP: 58, EPIPE: 64 };
const READABLE = 0x0001;
const DRAINING = 0x0008;

/**
 * Runs the handler in the file `module` with a peer that sends `input` and then ends its side. Gives
 * what `handle` returned, what the peer has read, and the lines of the log.
 *
 * `atOnce`: how many bytes a read finds; all by default. `facts`: an object of facts by name.
 * A handler that traps rejects, with the message of its `abort` if there is one.
 */
export async function converse(module, input, { atOnce = Infinity, facts = {} } = {}) {
  const host = new Host(typeof input === "string" ? new TextEncoder().encode(input) : input, atOnce, facts);
  const { instance } = await WebAssembly.instantiate(await readFile(module), host.imports());
  host.memory = instance.exports.memory;
  instance.exports._initialize?.();
  const code = instance.exports.handle() ?? 0;
  return { code, output: Buffer.concat(host.output).toString(), bytes: Buffer.concat(host.output), log: host.log };
}

class Host {
  output = [];
  log = [];
  memory = undefined;
  #input;
  #atOnce;
  #facts;
  #timeout = -1;
  #readEnded = false;
  #writeEnded = false;
  #closed = false;

  constructor(input, atOnce, facts) {
    this.#input = input;
    this.#atOnce = atOnce;
    this.#facts = facts;
  }

  imports() {
    const onConnection = (call) => (fd, ...rest) => fd !== 0 || this.#closed ? -Errno.EBADF : call(...rest);
    return {
      portcell_v1: {
        read: onConnection((buf, len) => this.#read(buf, len)),
        write: onConnection((buf, len) => this.#write(buf, len)),
        shutdown: onConnection((how) => this.#shutdown(how)),
        close: onConnection(() => this.#close()),
        poll: (ptr, n, timeout) => this.#poll(ptr, n, timeout),
        set_timeout: onConnection((which, ms) => (which >>> 0 > 1 || ms < -1 ? -Errno.EINVAL : 0)),
        info: (name, nameLength, buf, len) => this.#info(this.#text(name, nameLength), buf, len),
        log: (level, ptr, len) => this.#logLine(level, ptr, len),
        start_tls: onConnection(() => -Errno.ENOTSUP),
      },
      env: { abort: (message, file, line, column) => this.#abort(message, file, line, column) },
    };
  }

  #read(buf, len) {
    const got = this.#readEnded ? 0 : Math.min(len, this.#input.length, this.#atOnce);
    this.#bytes(buf, len).set(this.#input.subarray(0, got));
    this.#input = this.#input.subarray(got);
    return got;
  }

  #write(buf, len) {
    if (this.#writeEnded) return -Errno.EPIPE;
    this.output.push(this.#bytes(buf, len).slice());
    return len;
  }

  #shutdown(how) {
    if (how < 0 || how > 3) return -Errno.EINVAL;
    if (how !== 1) this.#readEnded = true;
    if (how !== 0) this.#writeEnded = true;
    return 0;
  }

  #close() {
    this.#closed = true;
    return 0;
  }

  // Whatever is asked for is there at once, also a drain: a test shall end.
  #poll(ptr, n) {
    const records = new DataView(this.memory.buffer, ptr, n * 8);
    let ready = 0;
    for (let at = 0; at < n * 8; at += 8) {
      const fd = records.getInt32(at, true);
      const invalid = fd !== 0 || this.#closed;
      const found = fd < 0 ? 0 : invalid ? 0x4000 : records.getUint16(at + 4, true);
      records.setUint16(at + 6, found, true);
      if (found !== 0) ready += 1;
    }
    return ready;
  }

  #info(name, buf, len) {
    if (!Object.hasOwn(this.#facts, name)) return -Errno.ENOENT;
    const fact = new TextEncoder().encode(this.#facts[name]);
    this.#bytes(buf, len).set(fact.subarray(0, len));
    return fact.length;
  }

  #logLine(level, ptr, len) {
    if (level < 1 || level > 5) return -Errno.EINVAL;
    this.log.push({ level, text: this.#text(ptr, len) });
    return 0;
  }

  #abort(message, file, line, column) {
    throw new Error(`${this.#string(message)} (${this.#string(file)}:${line}:${column})`);
  }

  #bytes(ptr, len) {
    return new Uint8Array(this.memory.buffer, ptr >>> 0, len >>> 0);
  }

  #text(ptr, len) {
    return new TextDecoder().decode(this.#bytes(ptr, len));
  }

  // A string of AssemblyScript: UTF-16, with its size in bytes in front.
  #string(ptr) {
    if (ptr === 0) return "";
    const size = new DataView(this.memory.buffer).getUint32(ptr - 4, true);
    return new TextDecoder("utf-16le").decode(this.#bytes(ptr, size));
  }
}
