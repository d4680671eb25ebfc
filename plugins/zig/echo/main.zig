//! Sends back what it is sent, unchanged: the echo protocol of RFC 862, over TCP and over UDP.

const std = @import("std");
const portcell = @import("portcell");

comptime {
    portcell.handler(echo);
}

pub const panic = portcell.panic;

/// The longest datagram fits.
var buffer: [64 * 1024]u8 = undefined;

fn echo(conn: portcell.Connection) !void {
    const datagrams = isUdp(conn);
    while (true) {
        const length = conn.read(&buffer) catch |err| {
            if (datagrams and err == error.NotConnected) return;
            return err;
        };
        // Nothing is the end of a stream, but over UDP it is an empty datagram.
        if (length == 0 and !datagrams) return;
        var sent = try conn.write(buffer[0..length]);
        while (sent < length) sent += try conn.write(buffer[sent..length]);
    }
}

fn isUdp(conn: portcell.Connection) bool {
    var transport: [8]u8 = undefined;
    return std.mem.eql(u8, conn.info(portcell.Fact.transport, &transport) orelse "", "udp");
}
