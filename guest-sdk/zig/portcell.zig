//! Handlers for portcell: one function, one connection.
//!
//! ```zig
//! const portcell = @import("portcell");
//!
//! comptime {
//!     portcell.handler(greet);
//! }
//!
//! fn greet(conn: portcell.Connection) !void {
//!     var writer = conn.writer(&.{});
//!     try writer.interface.print("hello\n", .{});
//! }
//! ```
//!
//! What waits parks this instance and nobody else. The host closes the connection when the handler
//! returns; an error is logged and ends the connection as `failed` with code 1.

const builtin = @import("builtin");
const std = @import("std");

pub const abi = @import("abi.zig");
pub const Fact = abi.Fact;
pub const Level = abi.Level;
pub const Poll = abi.Poll;
pub const Shutdown = abi.Shutdown;

/// Exports `function` as the module's entry, `handle`. It takes the connection, and gives nothing or
/// an `i32`, with or without errors. The number is the code of the connection's end, 0 is success.
/// Off wasm, where tests run, it does nothing.
pub fn handler(comptime function: anytype) void {
    if (!builtin.cpu.arch.isWasm()) return;
    const entry = struct {
        fn handle() callconv(.c) i32 {
            const result = function(Connection{});
            return switch (@typeInfo(@TypeOf(result))) {
                .error_union => code(result catch |err| return failed(err)),
                else => code(result),
            };
        }

        fn code(result: anytype) i32 {
            return if (@TypeOf(result) == void) 0 else result;
        }

        fn failed(err: anyerror) i32 {
            var buffer: [128]u8 = undefined;
            var message: std.Io.Writer = .fixed(&buffer);
            // What does not fit is cut.
            message.writeAll(@errorName(err)) catch {};
            if (err == error.ReadFailed or err == error.WriteFailed) {
                if (last_failure) |failure| message.print(": {s}", .{errnoName(failure)}) catch {};
            }
            log(.err, message.buffered());
            return 1;
        }
    };
    @export(&entry.handle, .{ .name = "handle" });
}

/// What is behind the last `error.ReadFailed` or `error.WriteFailed`: an instance has one connection.
var last_failure: ?Error = null;

/// Why a call failed. After each is the errno that it stands for.
pub const Error = error{
    /// `EAGAIN`: the call may not wait and had nothing to do.
    WouldBlock,
    /// `EBADF`: the connection is closed.
    NotOpen,
    /// `ECONNABORTED`: a TLS stream ended without `close_notify`.
    ConnectionAborted,
    /// `ECONNRESET`
    ConnectionResetByPeer,
    /// `EINVAL`: an argument is out of its range.
    InvalidArgument,
    /// `EIO`: the transport failed, or gave a number that is not in the contract.
    InputOutput,
    /// `EMSGSIZE`: the datagram is longer than the protocol allows.
    MessageTooBig,
    /// `ENOENT`: there is no such fact here.
    NotFound,
    /// `ENOTCONN`: the flow of datagrams is over, or this is a trial instance.
    NotConnected,
    /// `ENOTSUP`: the configuration does not offer it.
    Unsupported,
    /// `EPIPE`: this direction has ended.
    BrokenPipe,
    /// `ETIMEDOUT`: the guest's own bound ran out.
    TimedOut,
};

/// One client's bytes or, over UDP, one client's datagrams.
pub const Connection = struct {
    fd: i32 = abi.CONNECTION,

    /// Waits until something is there. On a stream 0 is the peer's end. On datagrams it is the next
    /// one, cut to `buffer`, and 0 is an empty one; the end of the flow is `NotConnected`.
    pub fn read(conn: Connection, buffer: []u8) Error!usize {
        return count(abi.imports.read(conn.fd, buffer.ptr, buffer.len));
    }

    /// Writes all of `bytes`, or fewer if an error or the end of the bound came in between; the error
    /// comes at the next call. On datagrams it sends one. The host may hold what it took until the
    /// handler next waits or returns.
    pub fn write(conn: Connection, bytes: []const u8) Error!usize {
        return count(abi.imports.write(conn.fd, bytes.ptr, bytes.len));
    }

    /// What `std.Io.Reader` needs to read a stream: `reader.interface`. Lines and what else has to
    /// be in one piece can be as long as `buffer`.
    pub fn reader(conn: Connection, buffer: []u8) Reader {
        return .{
            .conn = conn,
            .interface = .{
                .vtable = &.{ .stream = Reader.stream, .readVec = Reader.readVec },
                .buffer = buffer,
                .seek = 0,
                .end = 0,
            },
        };
    }

    /// What `std.Io.Writer` needs to write a stream: `writer.interface`. What is in `buffer` is sent
    /// by `flush`; without a buffer nothing has to be flushed.
    pub fn writer(conn: Connection, buffer: []u8) Writer {
        return .{
            .conn = conn,
            .interface = .{ .vtable = &.{ .drain = Writer.drain }, .buffer = buffer },
        };
    }

    /// Waits until one of `events` is there, the connection fails, or `timeout` milliseconds are
    /// over; `null` waits for ever, 0 does not wait. Gives what is there, nothing after the time. It
    /// knows only what the host has, not what a `Reader` has read ahead.
    pub fn poll(conn: Connection, events: Poll, timeout: ?u31) Error!Poll {
        var records = [_]abi.Record{.{ .fd = conn.fd, .events = @bitCast(events), .revents = 0 }};
        _ = try count(abi.imports.poll(&records, records.len, milliseconds(timeout)));
        return @bitCast(records[0].revents);
    }

    /// Bounds each later read in milliseconds; `null`, as at the start, not at all; 0 never waits. A
    /// read whose bound runs out is `TimedOut`, one that may not wait `WouldBlock`.
    pub fn setReadTimeout(conn: Connection, timeout: ?u31) Error!void {
        _ = try count(abi.imports.set_timeout(conn.fd, @backingInt(abi.Timeout.read), milliseconds(timeout)));
    }

    /// Bounds each later write, as `setReadTimeout` does reads.
    pub fn setWriteTimeout(conn: Connection, timeout: ?u31) Error!void {
        _ = try count(abi.imports.set_timeout(conn.fd, @backingInt(abi.Timeout.write), milliseconds(timeout)));
    }

    /// A fact by its name, such as `Fact.peer_address`, in `buffer` and cut to it. `null` if it does
    /// not exist here.
    pub fn info(conn: Connection, name: []const u8, buffer: []u8) ?[]u8 {
        const length = conn.infoLength(name, buffer) orelse return null;
        return buffer[0..@min(length, buffer.len)];
    }

    /// As `info`, but gives how long the whole fact is, also where that is more than `buffer`.
    pub fn infoLength(_: Connection, name: []const u8, buffer: []u8) ?usize {
        return count(abi.imports.info(name.ptr, name.len, buffer.ptr, buffer.len)) catch null;
    }

    /// Ends directions. After `.write` the peer reads the end, and reading goes on.
    pub fn shutdown(conn: Connection, how: Shutdown) Error!void {
        _ = try count(abi.imports.shutdown(conn.fd, @backingInt(how)));
    }

    /// Ends the connection in good order, and waits up to 2 s for the peer's end. A handler that
    /// only wants to end returns instead.
    pub fn close(conn: Connection) Error!void {
        _ = try count(abi.imports.close(conn.fd));
    }

    /// Sends `reply` in plaintext and does the handshake of TLS. `profile` names the settings: empty
    /// for the listener's own. A handshake that fails ends the handler.
    ///
    /// Flush the writer before. `ahead` is the reader of this connection, if there is one: what it
    /// has read ahead in plaintext is forgotten, because anybody may have sent it; so must be what
    /// the client said of itself. After `InvalidArgument` or `Unsupported` nothing was sent or
    /// forgotten, and plaintext goes on.
    pub fn startTls(conn: Connection, profile: []const u8, reply: []const u8, ahead: ?*Reader) Error!void {
        const result = abi.imports.start_tls(conn.fd, profile.ptr, profile.len, reply.ptr, reply.len);
        _ = try count(result);
        if (ahead) |reading| reading.interface.tossBuffered();
    }
};

/// Reads a connection as a `std.Io.Reader`.
pub const Reader = struct {
    conn: Connection,
    interface: std.Io.Reader,
    /// What is behind the last `error.ReadFailed`.
    err: ?Error = null,

    fn stream(interface: *std.Io.Reader, to: *std.Io.Writer, limit: std.Io.Limit) std.Io.Reader.StreamError!usize {
        const from: *Reader = @alignCast(@fieldParentPtr("interface", interface));
        const length = try from.fill(limit.slice(try to.writableSliceGreedy(1)));
        to.advance(length);
        return length;
    }

    fn readVec(interface: *std.Io.Reader, data: [][]u8) std.Io.Reader.Error!usize {
        const from: *Reader = @alignCast(@fieldParentPtr("interface", interface));
        for (data) |buffer| {
            if (buffer.len > 0) return from.fill(buffer);
        }
        interface.end += try from.fill(interface.buffer[interface.end..]);
        return 0;
    }

    fn fill(from: *Reader, buffer: []u8) std.Io.Reader.Error!usize {
        const length = from.conn.read(buffer) catch |err| {
            from.err = err;
            last_failure = err;
            return error.ReadFailed;
        };
        return if (length == 0) error.EndOfStream else length;
    }
};

/// Writes a connection as a `std.Io.Writer`.
pub const Writer = struct {
    conn: Connection,
    interface: std.Io.Writer,
    /// What is behind the last `error.WriteFailed`.
    err: ?Error = null,

    fn drain(interface: *std.Io.Writer, data: []const []const u8, splat: usize) std.Io.Writer.Error!usize {
        const to: *Writer = @alignCast(@fieldParentPtr("interface", interface));
        const buffered = interface.buffered();
        if (buffered.len > 0) return interface.consume(try to.send(buffered));
        for (data[0 .. data.len - 1]) |bytes| {
            if (bytes.len > 0) return to.send(bytes);
        }
        const last = data[data.len - 1];
        return if (last.len > 0 and splat > 0) to.send(last) else 0;
    }

    fn send(to: *Writer, bytes: []const u8) std.Io.Writer.Error!usize {
        return to.conn.write(bytes) catch |err| {
            to.err = err;
            last_failure = err;
            return error.WriteFailed;
        };
    }
};

/// Writes a line to the host's log, under the handler's name. The host bounds length and rate, drops
/// what is too much, and escapes control characters.
pub fn log(level: Level, text: []const u8) void {
    _ = abi.imports.log(@backingInt(level), text.ptr, text.len);
}

/// Lets `std.log` write to the host's log; in the root file:
/// `pub const std_options: std.Options = .{ .logFn = portcell.logFn };`
pub fn logFn(
    comptime level: std.log.Level,
    comptime scope: @EnumLiteral(),
    comptime format: []const u8,
    args: anytype,
) void {
    const prefix = if (scope == .default) "" else @tagName(scope) ++ ": ";
    var buffer: [1024]u8 = undefined;
    var writer: std.Io.Writer = .fixed(&buffer);
    // What does not fit is cut.
    writer.print(prefix ++ format, args) catch {};
    log(switch (level) {
        .err => .err,
        .warn => .warn,
        .info => .info,
        .debug => .debug,
    }, writer.buffered());
}

/// Logs why the handler panicked, then traps; in the root file:
/// `pub const panic = portcell.panic;`
pub const panic = std.debug.FullPanic(struct {
    fn panic(message: []const u8, _: ?usize) noreturn {
        log(.err, message);
        @trap();
    }
}.panic);

/// The name of an errno, as in C.
pub fn errnoName(err: Error) []const u8 {
    return switch (err) {
        error.WouldBlock => "EAGAIN",
        error.NotOpen => "EBADF",
        error.ConnectionAborted => "ECONNABORTED",
        error.ConnectionResetByPeer => "ECONNRESET",
        error.InvalidArgument => "EINVAL",
        error.InputOutput => "EIO",
        error.MessageTooBig => "EMSGSIZE",
        error.NotFound => "ENOENT",
        error.NotConnected => "ENOTCONN",
        error.Unsupported => "ENOTSUP",
        error.BrokenPipe => "EPIPE",
        error.TimedOut => "ETIMEDOUT",
    };
}

/// The count in a result of an import, or its errno as an error.
pub fn count(result: i32) Error!usize {
    if (result >= 0) return @intCast(result);
    return switch (@as(abi.Errno, @fromBackingInt(@intCast(-%result)))) {
        .EAGAIN => error.WouldBlock,
        .EBADF => error.NotOpen,
        .ECONNABORTED => error.ConnectionAborted,
        .ECONNRESET => error.ConnectionResetByPeer,
        .EINVAL => error.InvalidArgument,
        .EMSGSIZE => error.MessageTooBig,
        .ENOENT => error.NotFound,
        .ENOTCONN => error.NotConnected,
        .ENOTSUP => error.Unsupported,
        .EPIPE => error.BrokenPipe,
        .ETIMEDOUT => error.TimedOut,
        .EIO, _ => error.InputOutput,
    };
}

fn milliseconds(timeout: ?u31) i32 {
    return timeout orelse -1;
}

test "every errno is an error of its own, with its name" {
    for (std.enums.values(abi.Errno)) |errno| {
        const err = if (count(-@intFromEnum(errno))) |_| unreachable else |err| err;
        try std.testing.expectEqualStrings(@tagName(errno), errnoName(err));
    }
}

test "a result is a count, or an error also where its number is not in the contract" {
    try std.testing.expectEqual(7, count(7));
    try std.testing.expectError(error.InputOutput, count(-1));
    try std.testing.expectError(error.InputOutput, count(std.math.minInt(i32)));
}

test "what needs the host compiles, where there could be one" {
    if (!builtin.cpu.arch.isWasm()) return error.SkipZigTest;
    std.testing.refAllDecls(abi.imports);
    std.testing.refAllDecls(Connection);
    var reader = (Connection{}).reader(&.{});
    var writer = (Connection{}).writer(&.{});
    _ = try reader.interface.streamRemaining(&writer.interface);
}
