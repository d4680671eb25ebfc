/**
 * Handlers for portcell in AssemblyScript.
 *
 * A handler is a function `handle` that the module exports. It makes a `Connection`, reads, writes
 * and waits; only this instance is parked meanwhile. What it returns is how it ended: 0 is success.
 *
 * AssemblyScript has no exceptions to catch, so failures are results: a method that gives an `i32`
 * gives a negated `Errno` if it failed, one that gives an object gives `null`.
 */
export { Connection, MAX_LINE } from "./connection";
export { Errno, Fact, Level, Poll, Shutdown } from "./abi";
export { errnoName } from "./errno";
export { log } from "./log";
