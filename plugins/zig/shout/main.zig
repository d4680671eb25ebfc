//! Sends back every line in capitals: those of ASCII, other bytes stay as they are.

const std = @import("std");
const portcell = @import("portcell");

comptime {
    portcell.handler(handle);
}

pub const panic = portcell.panic;

const longest_line = 64 * 1024;

/// A line with its end fits.
var input: [longest_line + 1]u8 = undefined;
var output: [4096]u8 = undefined;

fn handle(conn: portcell.Connection) !void {
    var reader = conn.reader(&input);
    var writer = conn.writer(&output);
    try shout(&reader.interface, &writer.interface);
}

fn shout(reader: *std.Io.Reader, writer: *std.Io.Writer) !void {
    while (try reader.takeDelimiter('\n')) |line| {
        for (line) |*byte| byte.* = std.ascii.toUpper(byte.*);
        try writer.writeAll(line);
        try writer.writeByte('\n');
        try writer.flush();
    }
}

test "every line comes back in capitals, and the last one needs no end" {
    var written: [64]u8 = undefined;
    var lines = "hello\r\nw\xc3\xb6rld\n\nbye".*;
    var reader: std.Io.Reader = .fixed(&lines);
    var writer: std.Io.Writer = .fixed(&written);
    try shout(&reader, &writer);
    try std.testing.expectEqualStrings("HELLO\r\nW\xc3\xb6RLD\n\nBYE\n", writer.buffered());
}
