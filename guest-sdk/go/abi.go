package portcell

// The constants of the contract, guest-sdk/abi/ABI.md. A test holds this file and imports_wasip1.go
// against it: one NAME = NUMBER a line.

// connection is the descriptor of the connection, the only one there is.
const connection = 0

// maxLen is the largest length that an import takes.
const maxLen = 2147483647

// An Errno is why a call failed, with the number that WASI has for it.
type Errno int32

// What calls fail with.
const (
	EAGAIN       Errno = 6  // the call may not wait and had nothing to do
	EBADF        Errno = 8  // not a descriptor, or closed
	ECONNABORTED Errno = 13 // a TLS stream ended without close_notify
	ECONNRESET   Errno = 15 // the peer reset the connection
	EINVAL       Errno = 28 // an argument is out of its range
	EIO          Errno = 29 // the transport failed in a way that has no number of its own
	EMSGSIZE     Errno = 35 // the datagram is longer than the protocol allows
	ENOENT       Errno = 44 // there is no such fact here
	ENOTCONN     Errno = 53 // there is no peer
	ENOTSUP      Errno = 58 // the configuration does not offer it
	EPIPE        Errno = 64 // this direction has ended
	ETIMEDOUT    Errno = 73 // the guest's own bound ran out
)

// Events are what [Connection.Poll] waits for, and what it has found.
type Events uint16

// The first three can be asked for, the others are always reported.
const (
	Readable Events = 0x0001 // a read gives bytes, the end, or an error without waiting
	Writable Events = 0x0002 // a write takes at least one byte, or gives an error, without waiting
	Draining Events = 0x0008 // the host asks the handler to finish; stays set
	Failed   Events = 0x1000 // the connection broke
	Over     Events = 0x2000 // both directions have ended
	Invalid  Events = 0x4000 // the connection is closed
)

// A Level says how much a line of the log matters.
type Level int32

// Levels of the log.
const (
	LevelError Level = 1
	LevelWarn  Level = 2
	LevelInfo  Level = 3
	LevelDebug Level = 4
	LevelTrace Level = 5
)

// How much of the connection [imports.shutdown] ends.
const (
	shutdownRead  = 0
	shutdownWrite = 1
	shutdownBoth  = 2
	shutdownReset = 3
)

// Which bound [imports.setTimeout] sets.
const (
	timeoutRead  = 0
	timeoutWrite = 1
)

// Names of facts, for [Fact].
const (
	FactPeerAddress       = "peer.address"
	FactLocalAddress      = "local.address"
	FactPeerPID           = "peer.pid"
	FactPeerUID           = "peer.uid"
	FactPeerGID           = "peer.gid"
	FactTransport         = "transport"
	FactConnectionID      = "connection.id"
	FactListener          = "listener"
	FactHandler           = "handler"
	FactHandlerVersion    = "handler.version"
	FactTenant            = "tenant"
	FactDatagramSize      = "datagram.size"
	FactLimitsMemory      = "limits.memory"
	FactLimitsCPU         = "limits.cpu"
	FactLimitsIdleTimeout = "limits.idle_timeout"
	FactTLSOffered        = "tls.offered"
	FactTLSVersion        = "tls.version"
	FactTLSCipher         = "tls.cipher"
	FactTLSServerName     = "tls.server_name"
	FactTLSALPN           = "tls.alpn"
	FactTLSResumed        = "tls.resumed"
	FactTLSPeerSubject    = "tls.peer.subject"
	FactTLSPeerIssuer     = "tls.peer.issuer"
	FactTLSPeerSerial     = "tls.peer.serial"
	FactTLSPeerSHA256     = "tls.peer.sha256"
	FactTLSPeerNames      = "tls.peer.names"
	FactTLSPeerChain      = "tls.peer.chain"
)
