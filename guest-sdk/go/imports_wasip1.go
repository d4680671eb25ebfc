package portcell

import "unsafe"

//go:wasmimport portcell_v1 read
//go:noescape
func hostRead(fd int32, buf unsafe.Pointer, len uint32) int32

//go:wasmimport portcell_v1 write
//go:noescape
func hostWrite(fd int32, buf unsafe.Pointer, len uint32) int32

//go:wasmimport portcell_v1 shutdown
func hostShutdown(fd int32, how int32) int32

//go:wasmimport portcell_v1 close
func hostClose(fd int32) int32

//go:wasmimport portcell_v1 poll
//go:noescape
func hostPoll(ptr unsafe.Pointer, n uint32, timeoutMs int32) int32

//go:wasmimport portcell_v1 set_timeout
func hostSetTimeout(fd int32, which int32, ms int32) int32

//go:wasmimport portcell_v1 info
//go:noescape
func hostInfo(name unsafe.Pointer, nameLen uint32, buf unsafe.Pointer, len uint32) int32

//go:wasmimport portcell_v1 log
//go:noescape
func hostLog(level int32, ptr unsafe.Pointer, len uint32) int32

//go:wasmimport portcell_v1 start_tls
//go:noescape
func hostStartTLS(fd int32, profile unsafe.Pointer, profileLen uint32, reply unsafe.Pointer, replyLen uint32) int32

// host is the server that this instance runs in.
type host struct{}

var here imports = host{}

func (host) read(p []byte) int32 {
	return hostRead(connection, unsafe.Pointer(unsafe.SliceData(p)), length(len(p)))
}

func (host) write(p []byte) int32 {
	return hostWrite(connection, unsafe.Pointer(unsafe.SliceData(p)), length(len(p)))
}

func (host) shutdown(how int32) int32 { return hostShutdown(connection, how) }

func (host) close() int32 { return hostClose(connection) }

func (host) poll(events Events, ms int32) (Events, int32) {
	record := struct {
		fd              int32
		events, revents Events
	}{fd: connection, events: events}
	ready := hostPoll(unsafe.Pointer(&record), 1, ms)
	return record.revents, ready
}

func (host) setTimeout(which, ms int32) int32 { return hostSetTimeout(connection, which, ms) }

func (host) info(name string, p []byte) int32 {
	return hostInfo(
		unsafe.Pointer(unsafe.StringData(name)), length(len(name)),
		unsafe.Pointer(unsafe.SliceData(p)), length(len(p)))
}

func (host) log(level Level, text string) int32 {
	return hostLog(int32(level), unsafe.Pointer(unsafe.StringData(text)), length(len(text)))
}

func (host) startTLS(profile, reply string) int32 {
	return hostStartTLS(connection,
		unsafe.Pointer(unsafe.StringData(profile)), length(len(profile)),
		unsafe.Pointer(unsafe.StringData(reply)), length(len(reply)))
}

// length is what the host may be told of n bytes.
func length(n int) uint32 { return uint32(min(n, maxLen)) }
