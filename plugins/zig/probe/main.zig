//! Answers commands, one a line: what a handler can ask the host, and how calls fail.
//!
//!     fact NAME    the fact: NAME=VALUE, or NAME: ENOENT
//!     timeout MS   reads once with this bound: read N, ETIMEDOUT or EAGAIN
//!     bad          reads from a descriptor that is none: EBADF
//!     drain        says waiting, and when the host drains says draining and ends
//!     end          ends its side, and then waits for the peer's end
//!     code N       ends with this code
//!     log TEXT     writes a line to the log: logged
//!     tls          asks for TLS: go, and over TLS secured; or why not: ENOTSUP

const std = @import("std");
const portcell = @import("portcell");

comptime {
    portcell.handler(probe);
}

pub const panic = portcell.panic;

var input: [4096]u8 = undefined;
var output: [4096]u8 = undefined;
/// Certificates are the longest facts.
var fact: [64 * 1024]u8 = undefined;

const Command = enum { fact, timeout, bad, drain, end, code, log, tls };

fn probe(conn: portcell.Connection) !i32 {
    var reading = conn.reader(&input);
    var writing = conn.writer(&output);
    const reader = &reading.interface;
    const writer = &writing.interface;

    while (try reader.takeDelimiter('\n')) |line| {
        var words = std.mem.splitScalar(u8, line, ' ');
        const command = std.meta.stringToEnum(Command, words.first());
        const rest = words.rest();

        if (command) |known| switch (known) {
            .fact => if (conn.info(rest, &fact)) |value| {
                try writer.print("{s}={s}\n", .{ rest, value });
            } else {
                try writer.print("{s}: ENOENT\n", .{rest});
            },
            .timeout => {
                try conn.setReadTimeout(try std.fmt.parseInt(u31, rest, 10));
                if (reader.peekGreedy(1)) |bytes| {
                    try writer.print("read {d}\n", .{bytes.len});
                    reader.tossBuffered();
                } else |err| switch (err) {
                    error.EndOfStream => try writer.writeAll("read 0\n"),
                    error.ReadFailed => try writer.print("{s}\n", .{portcell.errnoName(reading.err.?)}),
                }
                try conn.setReadTimeout(null);
            },
            .bad => {
                const other: portcell.Connection = .{ .fd = 7 };
                const what = if (other.read(&fact)) |_| "no error" else |err| portcell.errnoName(err);
                try writer.print("{s}\n", .{what});
            },
            .drain => {
                try writer.writeAll("waiting\n");
                try writer.flush();
                const found = try conn.poll(.{ .draining = true }, null);
                if (!found.draining) return error.NotDraining;
                try writer.writeAll("draining\n");
                try writer.flush();
                return 0;
            },
            .end => {
                try conn.shutdown(.write);
                _ = try reader.discardRemaining();
                return 0;
            },
            .code => return std.fmt.parseInt(i32, rest, 10),
            .log => {
                portcell.log(.info, rest);
                try writer.writeAll("logged\n");
            },
            .tls => {
                const answer = if (conn.startTls("", "go\n", &reading)) "secured" else |err| portcell.errnoName(err);
                try writer.print("{s}\n", .{answer});
            },
        } else {
            try writer.writeAll("?\n");
        }
        try writer.flush();
    }
    return 0;
}
