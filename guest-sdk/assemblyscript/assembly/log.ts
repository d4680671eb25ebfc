import * as abi from "./abi";
import { Level } from "./abi";

/**
 * Writes a line to the host's log, under the handler's name. The host bounds length and rate, drops
 * what is too much, and escapes control characters.
 */
export function log(level: Level, text: string): void {
  const bytes = String.UTF8.encode(text);
  abi.log(level, changetype<usize>(bytes), bytes.byteLength);
}
