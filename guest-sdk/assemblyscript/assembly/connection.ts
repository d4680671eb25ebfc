import * as abi from "./abi";
import { CONNECTION, Errno, Poll, Shutdown, Timeout } from "./abi";

/** The longest line that `readLine` takes if it is not told another, in bytes without the line end. */
export const MAX_LINE: i32 = 64 * 1024;

/** How much room for input there is at first; it grows with the lines that come. */
const FIRST_ROOM: i32 = 4096;

/** Longer than all facts but lists and certificates. */
const SHORT_FACT: i32 = 128;

const LINE_FEED: u8 = 0x0a;
const CARRIAGE_RETURN: u8 = 0x0d;

/** One record of `poll`. */
const RECORD: usize = memory.data(8);

/**
 * One client's bytes or, over UDP, one client's datagrams: that of this instance, however often it
 * is made. Make it once, because it holds what was read ahead.
 *
 * The host closes the connection when the handler returns.
 */
export class Connection {
  /** Why the last `readLine` or `readText` gave `null`: an `Errno`, or 0 for the peer's end. */
  error: i32 = 0;

  /** What was read ahead is from `start` to `end`. */
  private input: Uint8Array = new Uint8Array(0);
  private start: i32 = 0;
  private end: i32 = 0;

  /**
   * Waits until something is there, and puts it at the start of `buffer`. Gives how much: 1 or more
   * bytes of a stream, 0 at its end. Over UDP it is the next datagram, cut to `buffer`; an empty one
   * is 0, and the end of the flow is `-Errno.ENOTCONN`.
   */
  read(buffer: Uint8Array): i32 {
    const ahead = min(this.end - this.start, buffer.length);
    if (ahead > 0) {
      memory.copy(buffer.dataStart, this.input.dataStart + this.start, ahead);
      this.start += ahead;
      return ahead;
    }
    return abi.read(CONNECTION, buffer.dataStart, buffer.length);
  }

  /**
   * Waits for a line, and gives its bytes without `\n`. The last one needs no line end. `null` at
   * the peer's end and after an error, which `error` tells apart; a line of more than `limit` bytes
   * is `EMSGSIZE`. After a timeout what has come so far is kept, and the next call goes on.
   */
  readLine(limit: i32 = MAX_LINE): Uint8Array | null {
    let searched = 0;
    while (true) {
      const length = this.findLineFeed(searched);
      if (length > limit) return this.failed(Errno.EMSGSIZE);
      if (length >= 0) {
        const line = this.take(length);
        this.start += 1;
        return line;
      }
      searched = this.end - this.start;
      if (searched > limit) return this.failed(Errno.EMSGSIZE);

      const got = this.readAhead();
      if (got < 0) return this.failed(-got);
      if (got == 0) return searched > 0 ? this.take(searched) : this.failed(0);
    }
  }

  /**
   * As `readLine`, as text and also without a `\r` before the line end. Bytes that are not UTF-8
   * become other characters.
   */
  readText(limit: i32 = MAX_LINE): string | null {
    const line = this.readLine(limit);
    if (line === null) return null;
    let length = line.length;
    if (length > 0 && line[length - 1] == CARRIAGE_RETURN) length -= 1;
    return String.UTF8.decodeUnsafe(line.dataStart, length);
  }

  /**
   * Writes the first `length` bytes of `data`, all of it if no length is given; over UDP they are
   * one datagram. Gives `length`, or why not all of them were taken. The host may hold them until
   * the handler next waits or returns.
   */
  write(data: Uint8Array, length: i32 = data.length): i32 {
    assert(<u32>length <= <u32>data.length, "write: length is more than there is");
    return this.writeAll(data.dataStart, length);
  }

  /** Writes a text as UTF-8, as `write` does. */
  writeText(text: string): i32 {
    const bytes = String.UTF8.encode(text);
    return this.writeAll(changetype<usize>(bytes), bytes.byteLength);
  }

  /**
   * Waits until one of `events` is there, bits of `Poll`, or `ms` milliseconds are over; -1 waits
   * for ever, 0 does not wait. Gives what is there: bits of `Poll`, 0 after the time.
   */
  poll(events: i32, ms: i32 = -1): i32 {
    const ahead = this.end > this.start ? events & Poll.READABLE : 0;
    store<i32>(RECORD, CONNECTION);
    store<u16>(RECORD, <u16>events, 4);
    store<u16>(RECORD, 0, 6);
    const ready = abi.poll(RECORD, 1, ahead ? 0 : ms);
    return ready < 0 ? ready : <i32>load<u16>(RECORD, 6) | ahead;
  }

  /**
   * Bounds each later read in milliseconds: -1, as at the start, not at all; 0 never waits. A read
   * whose bound runs out is `-Errno.ETIMEDOUT`, one that may not wait `-Errno.EAGAIN`.
   */
  setReadTimeout(ms: i32): i32 {
    return abi.set_timeout(CONNECTION, Timeout.READ, ms);
  }

  /**
   * Bounds each later write, as `setReadTimeout` does reads. How much was taken before the bound ran
   * out is not told, so all that can be done then is to end.
   */
  setWriteTimeout(ms: i32): i32 {
    return abi.set_timeout(CONNECTION, Timeout.WRITE, ms);
  }

  /** A fact about the connection by its name, such as `Fact.PEER_ADDRESS`; `null` if it does not exist here. */
  info(name: string): string | null {
    const key = String.UTF8.encode(name);
    let buffer = new ArrayBuffer(SHORT_FACT);
    while (true) {
      const length = abi.info(changetype<usize>(key), key.byteLength, changetype<usize>(buffer), buffer.byteLength);
      if (length < 0) return null;
      if (length <= buffer.byteLength) return String.UTF8.decodeUnsafe(changetype<usize>(buffer), length);
      buffer = new ArrayBuffer(length);
    }
  }

  /** Ends directions. After `Shutdown.WRITE` the peer reads the end, and reading goes on. */
  shutdown(how: Shutdown): i32 {
    return abi.shutdown(CONNECTION, how);
  }

  /**
   * Ends the connection in good order, and waits up to 2 s for the peer's end. A handler that only
   * wants to end returns instead.
   */
  close(): i32 {
    return abi.close(CONNECTION);
  }

  /**
   * Sends `reply` in plaintext and does the handshake of TLS; 0 when it is done. `profile` names the
   * settings: empty for the listener's own. What was read ahead in plaintext is forgotten, because
   * anybody may have sent it; so must be what the client said of itself. After an error nothing was
   * sent, and plaintext goes on. A handshake that fails ends the handler.
   */
  startTls(reply: string, profile: string = ""): i32 {
    const settings = String.UTF8.encode(profile);
    const answer = String.UTF8.encode(reply);
    const result = abi.start_tls(
      CONNECTION,
      changetype<usize>(settings), settings.byteLength,
      changetype<usize>(answer), answer.byteLength,
    );
    if (result == 0) this.start = this.end = 0;
    return result;
  }

  /** Where the first line feed is behind `start`, not looking at the first `from` bytes; -1 if there is none. */
  private findLineFeed(from: i32): i32 {
    const first = this.input.dataStart + this.start;
    const length = this.end - this.start;
    for (let i = from; i < length; i++) {
      if (load<u8>(first + i) == LINE_FEED) return i;
    }
    return -1;
  }

  /** Takes `length` bytes of what was read ahead. */
  private take(length: i32): Uint8Array {
    const bytes = this.input.slice(this.start, this.start + length);
    this.start += length;
    return bytes;
  }

  /** Reads more behind what was read ahead, with room made for it. */
  private readAhead(): i32 {
    const length = this.end - this.start;
    if (this.end == this.input.length) {
      const old = this.input;
      if (length > old.length / 2) this.input = new Uint8Array(old.length * 2);
      else if (old.length == 0) this.input = new Uint8Array(FIRST_ROOM);
      memory.copy(this.input.dataStart, old.dataStart + this.start, length);
      this.start = 0;
      this.end = length;
    }
    const got = abi.read(CONNECTION, this.input.dataStart + this.end, this.input.length - this.end);
    if (got > 0) this.end += got;
    return got;
  }

  private failed(error: i32): Uint8Array | null {
    this.error = error;
    return null;
  }

  private writeAll(data: usize, length: i32): i32 {
    let done = 0;
    do {
      const taken = abi.write(CONNECTION, data + done, length - done);
      if (taken < 0) return taken;
      done += taken;
    } while (done < length);
    return length;
  }
}
