// The contract with the host as it is: its imports, numbers and names. guest-sdk/abi/ABI.md says
// what they mean, and a test holds this file against it; so there is one name a line.

/** The descriptor of the connection. */
export const CONNECTION: i32 = 0;

/** Why a call failed. Results of imports below 0 are these numbers, negated. */
export enum Errno {
  /** The call may not wait and had nothing to do. */
  EAGAIN = 6,
  /** Not a descriptor, or closed. */
  EBADF = 8,
  /** A TLS stream ended without `close_notify`. */
  ECONNABORTED = 13,
  /** The peer reset the connection. */
  ECONNRESET = 15,
  /** An argument is out of its range. */
  EINVAL = 28,
  /** The transport failed in a way that has no number of its own. */
  EIO = 29,
  /** The datagram is longer than the protocol allows; of `readLine`: the line is too long. */
  EMSGSIZE = 35,
  /** There is no such fact here. */
  ENOENT = 44,
  /** There is no peer: the flow of datagrams is over, or this is a trial instance. */
  ENOTCONN = 53,
  /** The configuration does not offer it. */
  ENOTSUP = 58,
  /** This direction has ended. */
  EPIPE = 64,
  /** The guest's own bound ran out. */
  ETIMEDOUT = 73,
}

/** What `poll` waits for, and what it finds. */
export enum Poll {
  /** A read would not wait. */
  READABLE = 0x0001,
  /** A write would not wait. */
  WRITABLE = 0x0002,
  /** The host asks the handler to finish. */
  DRAINING = 0x0008,
  /** The connection broke. Found only, never asked for. */
  FAILED = 0x1000,
  /** Both directions have ended. Found only. */
  OVER = 0x2000,
  /** Not a descriptor, or closed. Found only. */
  INVALID = 0x4000,
}

/** How much a line of the log matters. */
export enum Level {
  /** Something failed. */
  ERROR = 1,
  /** Something is not as it should be. */
  WARN = 2,
  /** Worth knowing. */
  INFO = 3,
  /** For whoever writes the handler. */
  DEBUG = 4,
  /** Everything. */
  TRACE = 5,
}

/** What `shutdown` ends. */
export enum Shutdown {
  /** Reading. */
  READ = 0,
  /** Writing. */
  WRITE = 1,
  /** Both. */
  BOTH = 2,
  /** Everything at once: the peer sees an error. */
  RESET = 3,
}

/** What `set_timeout` bounds. */
export enum Timeout {
  /** Each read. */
  READ = 0,
  /** Each write. */
  WRITE = 1,
}

/** The names that `info` knows. */
export namespace Fact {
  export const PEER_ADDRESS = "peer.address";
  export const LOCAL_ADDRESS = "local.address";
  export const PEER_PID = "peer.pid";
  export const PEER_UID = "peer.uid";
  export const PEER_GID = "peer.gid";
  export const TRANSPORT = "transport";
  export const CONNECTION_ID = "connection.id";
  export const LISTENER = "listener";
  export const HANDLER = "handler";
  export const HANDLER_VERSION = "handler.version";
  export const TENANT = "tenant";
  export const DATAGRAM_SIZE = "datagram.size";
  export const LIMITS_MEMORY = "limits.memory";
  export const LIMITS_CPU = "limits.cpu";
  export const LIMITS_IDLE_TIMEOUT = "limits.idle_timeout";
  export const TLS_OFFERED = "tls.offered";
  export const TLS_VERSION = "tls.version";
  export const TLS_CIPHER = "tls.cipher";
  export const TLS_SERVER_NAME = "tls.server_name";
  export const TLS_ALPN = "tls.alpn";
  export const TLS_RESUMED = "tls.resumed";
  export const TLS_PEER_SUBJECT = "tls.peer.subject";
  export const TLS_PEER_ISSUER = "tls.peer.issuer";
  export const TLS_PEER_SERIAL = "tls.peer.serial";
  export const TLS_PEER_SHA256 = "tls.peer.sha256";
  export const TLS_PEER_NAMES = "tls.peer.names";
  export const TLS_PEER_CHAIN = "tls.peer.chain";
}

// @ts-ignore: decorator
@external("portcell_v1", "read")
export declare function read(fd: i32, buf: usize, len: i32): i32;

// @ts-ignore: decorator
@external("portcell_v1", "write")
export declare function write(fd: i32, buf: usize, len: i32): i32;

// @ts-ignore: decorator
@external("portcell_v1", "shutdown")
export declare function shutdown(fd: i32, how: i32): i32;

// @ts-ignore: decorator
@external("portcell_v1", "close")
export declare function close(fd: i32): i32;

// @ts-ignore: decorator
@external("portcell_v1", "poll")
export declare function poll(ptr: usize, n: i32, timeout_ms: i32): i32;

// @ts-ignore: decorator
@external("portcell_v1", "set_timeout")
export declare function set_timeout(fd: i32, which: i32, ms: i32): i32;

// @ts-ignore: decorator
@external("portcell_v1", "info")
export declare function info(name: usize, name_len: i32, buf: usize, len: i32): i32;

// @ts-ignore: decorator
@external("portcell_v1", "log")
export declare function log(level: i32, ptr: usize, len: i32): i32;

// @ts-ignore: decorator
@external("portcell_v1", "start_tls")
export declare function start_tls(fd: i32, profile: usize, profile_len: i32, reply: usize, reply_len: i32): i32;
