//! Asks who is there, and repeats what they say until they say bye.

const std = @import("std");
const portcell = @import("portcell");

comptime {
    portcell.handler(handle);
}

pub const panic = portcell.panic;
pub const std_options: std.Options = .{ .logFn = portcell.logFn };

/// The longest line that is taken.
var input: [1000]u8 = undefined;
var output: [1000]u8 = undefined;

fn handle(conn: portcell.Connection) !void {
    var address: [128]u8 = undefined;
    if (conn.info(portcell.Fact.peer_address, &address)) |peer| {
        std.log.info("a client at {s}", .{peer});
    }
    var reader = conn.reader(&input);
    var writer = conn.writer(&output);
    try greet(&reader.interface, &writer.interface);
}

fn greet(reader: *std.Io.Reader, writer: *std.Io.Writer) !void {
    try say(writer, "Hello! Who are you?\n", .{});
    const first = try nextLine(reader) orelse return;
    // The next line takes the place of this one.
    var buffer: [1000]u8 = undefined;
    const name = try std.fmt.bufPrint(&buffer, "{s}", .{if (first.len > 0) first else "stranger"});
    try say(writer, "Nice to meet you, {s}! Say something, or bye.\n", .{name});

    while (try nextLine(reader)) |line| {
        if (std.mem.eql(u8, line, "bye")) return say(writer, "Bye, {s}!\n", .{name});
        try say(writer, "{s} says: {s}\n", .{ name, line });
    }
}

fn say(writer: *std.Io.Writer, comptime format: []const u8, arguments: anytype) !void {
    try writer.print(format, arguments);
    try writer.flush();
}

/// The next line without the spaces around it; null at the end.
fn nextLine(reader: *std.Io.Reader) !?[]const u8 {
    const line = try reader.takeDelimiter('\n') orelse return null;
    return std.mem.trim(u8, line, &std.ascii.whitespace);
}

test "whoever has a name is repeated until they say bye" {
    var written: [200]u8 = undefined;
    var reader: std.Io.Reader = .fixed("Ada\nHow are you?\nbye\n");
    var writer: std.Io.Writer = .fixed(&written);
    try greet(&reader, &writer);
    try std.testing.expectEqualStrings(
        "Hello! Who are you?\nNice to meet you, Ada! Say something, or bye.\n" ++
            "Ada says: How are you?\nBye, Ada!\n",
        writer.buffered(),
    );
}
