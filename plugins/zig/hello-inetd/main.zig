//! Greets the peer by its address, and then everybody whom it names, one a line.
//!
//! It knows nothing of portcell: a program that reads standard input and writes standard output, as
//! inetd starts them.

const std = @import("std");

pub fn main(init: std.process.Init) !void {
    // The longest name that is greeted.
    var input: [4096]u8 = undefined;
    var output: [256]u8 = undefined;
    var reader = std.Io.File.stdin().readerStreaming(init.io, &input);
    var writer = std.Io.File.stdout().writerStreaming(init.io, &output);
    const peer = init.environ_map.get("REMOTE_ADDR") orelse "stranger";
    try converse(peer, &reader.interface, &writer.interface);
}

fn converse(peer: []const u8, reader: *std.Io.Reader, writer: *std.Io.Writer) !void {
    try writer.print("Hello, {s}! Who is there?\n", .{peer});
    try writer.flush();
    while (try reader.takeDelimiter('\n')) |line| {
        const name = std.mem.trim(u8, line, &std.ascii.whitespace);
        if (name.len == 0) {
            try writer.writeAll("Hello, whoever you are!\n");
        } else {
            try writer.print("Hello, {s}!\n", .{name});
        }
        try writer.flush();
    }
}

test "the peer is greeted first and then every name" {
    var written: [256]u8 = undefined;
    var reader: std.Io.Reader = .fixed("Ada\n  Grace \r\n \nLin");
    var writer: std.Io.Writer = .fixed(&written);
    try converse("192.0.2.1", &reader, &writer);
    try std.testing.expectEqualStrings(
        "Hello, 192.0.2.1! Who is there?\nHello, Ada!\nHello, Grace!\nHello, whoever you are!\nHello, Lin!\n",
        writer.buffered(),
    );
}
