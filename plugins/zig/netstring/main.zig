//! Netstrings: each one comes back with its bytes in reverse order.
//!
//! A netstring is a length, a colon, so many bytes and a comma: `5:hello,`. What is none ends the
//! handler with an error, and so does one of more than 64 KiB.
//! See https://cr.yp.to/proto/netstrings.txt

const std = @import("std");
const portcell = @import("portcell");

comptime {
    portcell.handler(handle);
}

pub const panic = portcell.panic;

const longest = 64 * 1024;
/// So many digits has the longest length.
const digits = std.fmt.count("{d}", .{longest});

/// A netstring behind its colon fits.
var input: [longest + 1]u8 = undefined;
var output: [digits + 1 + longest + 1]u8 = undefined;

fn handle(conn: portcell.Connection) !void {
    var reader = conn.reader(&input);
    var writer = conn.writer(&output);
    try reverse(&reader.interface, &writer.interface);
}

fn reverse(reader: *std.Io.Reader, writer: *std.Io.Writer) !void {
    while (try takeLength(reader)) |length| {
        const bytes = try reader.take(length + 1);
        if (bytes[length] != ',') return error.NotANetstring;
        const string = bytes[0..length];
        std.mem.reverse(u8, string);
        try writer.print("{d}:{s},", .{ length, string });
        try writer.flush();
    }
}

/// Reads a length and its colon; `null` if the peer has ended instead.
fn takeLength(reader: *std.Io.Reader) !?usize {
    var length: usize = 0;
    var taken: usize = 0;
    while (true) : (taken += 1) {
        const byte = reader.takeByte() catch |err| {
            return if (err == error.EndOfStream and taken == 0) null else err;
        };
        if (byte == ':' and taken > 0) return length;
        // No zeros in front: 0 has one way to be written.
        if (!std.ascii.isDigit(byte) or (taken > 0 and length == 0)) return error.NotANetstring;
        length = length * 10 + (byte - '0');
        if (length > longest) return error.TooLong;
    }
}

fn expect(expected: []const u8, comptime netstrings: []const u8) !void {
    var written: [64]u8 = undefined;
    var bytes = netstrings[0..netstrings.len].*;
    var reader: std.Io.Reader = .fixed(&bytes);
    var writer: std.Io.Writer = .fixed(&written);
    try reverse(&reader, &writer);
    try std.testing.expectEqualStrings(expected, writer.buffered());
}

test "netstrings come back reversed" {
    try expect("5:olleh,0:,2:,:,", "5:hello,0:,2::,,");
}

test "what is no netstring is an error" {
    inline for (.{ ":", ":,", "a:", "-1:", "01:a,", "00:,", "1:ab", "1:a;", " 1:a," }) |wrong| {
        try std.testing.expectError(error.NotANetstring, expect("", wrong));
    }
    inline for (.{ "1", "1:", "1:a", "12" }) |cut| {
        try std.testing.expectError(error.EndOfStream, expect("", cut));
    }
    try std.testing.expectError(error.TooLong, expect("", "65537:"));
    try std.testing.expectError(error.TooLong, expect("", "99999999999999999999:"));
}
