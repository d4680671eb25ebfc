//! The contract with the host as it is: its imports, numbers and names. guest-sdk/abi/ABI.md says
//! what they mean, and a test holds this file against it; so there is one name a line.

const std = @import("std");

/// The descriptor of the connection.
pub const CONNECTION: i32 = 0;

/// What the host offers. Results below 0 are negated errnos.
pub const imports = struct {
    pub extern "portcell_v1" fn read(fd: i32, buf: [*]u8, len: usize) i32;
    pub extern "portcell_v1" fn write(fd: i32, buf: [*]const u8, len: usize) i32;
    pub extern "portcell_v1" fn shutdown(fd: i32, how: i32) i32;
    pub extern "portcell_v1" fn close(fd: i32) i32;
    pub extern "portcell_v1" fn poll(ptr: [*]Record, n: usize, timeout_ms: i32) i32;
    pub extern "portcell_v1" fn set_timeout(fd: i32, which: i32, ms: i32) i32;
    pub extern "portcell_v1" fn info(name: [*]const u8, name_len: usize, buf: [*]u8, len: usize) i32;
    pub extern "portcell_v1" fn log(level: i32, ptr: [*]const u8, len: usize) i32;
    pub extern "portcell_v1" fn start_tls(fd: i32, profile: [*]const u8, profile_len: usize, reply: [*]const u8, reply_len: usize) i32;
};

/// One record of `poll`.
pub const Record = extern struct {
    fd: i32,
    events: u16,
    revents: u16,
};

/// Why a call failed.
pub const Errno = enum(i32) {
    /// The call may not wait and had nothing to do.
    EAGAIN = 6,
    /// Not a descriptor, or closed.
    EBADF = 8,
    /// A TLS stream ended without `close_notify`.
    ECONNABORTED = 13,
    /// The peer reset the connection.
    ECONNRESET = 15,
    /// An argument is out of its range.
    EINVAL = 28,
    /// The transport failed in a way that has no number of its own.
    EIO = 29,
    /// The datagram is longer than the protocol allows.
    EMSGSIZE = 35,
    /// There is no such fact here.
    ENOENT = 44,
    /// There is no peer: the flow of datagrams is over, or this is a trial instance.
    ENOTCONN = 53,
    /// The configuration does not offer it.
    ENOTSUP = 58,
    /// This direction has ended.
    EPIPE = 64,
    /// The guest's own bound ran out.
    ETIMEDOUT = 73,
    _,
};

/// The bits of `Poll`.
pub const PollBit = struct {
    pub const READABLE: u16 = 0x0001;
    pub const WRITABLE: u16 = 0x0002;
    pub const DRAINING: u16 = 0x0008;
    pub const FAILED: u16 = 0x1000;
    pub const OVER: u16 = 0x2000;
    pub const INVALID: u16 = 0x4000;
};

/// What `poll` waits for, and what it finds.
pub const Poll = packed struct(u16) {
    /// A read would not wait.
    readable: bool = false,
    /// A write would not wait.
    writable: bool = false,
    _2: u1 = 0,
    /// The host asks the handler to finish.
    draining: bool = false,
    _4: u8 = 0,
    /// The connection broke. Found only, never asked for.
    failed: bool = false,
    /// Both directions have ended. Found only.
    over: bool = false,
    /// Not a descriptor, or closed. Found only.
    invalid: bool = false,
    _15: u1 = 0,
};

comptime {
    std.debug.assert(@as(u16, @bitCast(Poll{ .readable = true })) == PollBit.READABLE);
    std.debug.assert(@as(u16, @bitCast(Poll{ .writable = true })) == PollBit.WRITABLE);
    std.debug.assert(@as(u16, @bitCast(Poll{ .draining = true })) == PollBit.DRAINING);
    std.debug.assert(@as(u16, @bitCast(Poll{ .failed = true })) == PollBit.FAILED);
    std.debug.assert(@as(u16, @bitCast(Poll{ .over = true })) == PollBit.OVER);
    std.debug.assert(@as(u16, @bitCast(Poll{ .invalid = true })) == PollBit.INVALID);
}

/// How much a line of the log matters.
pub const Level = enum(i32) {
    /// Something failed.
    err = 1,
    /// Something is not as it should be.
    warn = 2,
    /// Worth knowing.
    info = 3,
    /// For whoever writes the handler.
    debug = 4,
    /// Everything.
    trace = 5,
};

/// What `shutdown` ends.
pub const Shutdown = enum(i32) {
    read = 0,
    write = 1,
    both = 2,
    /// Everything at once: the peer sees an error.
    reset = 3,
};

/// What `set_timeout` bounds.
pub const Timeout = enum(i32) {
    read = 0,
    write = 1,
};

/// The names that `info` knows.
pub const Fact = struct {
    pub const peer_address = "peer.address";
    pub const local_address = "local.address";
    pub const peer_pid = "peer.pid";
    pub const peer_uid = "peer.uid";
    pub const peer_gid = "peer.gid";
    pub const transport = "transport";
    pub const connection_id = "connection.id";
    pub const listener = "listener";
    pub const handler = "handler";
    pub const handler_version = "handler.version";
    pub const tenant = "tenant";
    pub const datagram_size = "datagram.size";
    pub const limits_memory = "limits.memory";
    pub const limits_cpu = "limits.cpu";
    pub const limits_idle_timeout = "limits.idle_timeout";
    pub const tls_offered = "tls.offered";
    pub const tls_version = "tls.version";
    pub const tls_cipher = "tls.cipher";
    pub const tls_server_name = "tls.server_name";
    pub const tls_alpn = "tls.alpn";
    pub const tls_resumed = "tls.resumed";
    pub const tls_peer_subject = "tls.peer.subject";
    pub const tls_peer_issuer = "tls.peer.issuer";
    pub const tls_peer_serial = "tls.peer.serial";
    pub const tls_peer_sha256 = "tls.peer.sha256";
    pub const tls_peer_names = "tls.peer.names";
    pub const tls_peer_chain = "tls.peer.chain";
};
