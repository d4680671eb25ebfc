/*
 * portcell.h: handlers for portcell in C.
 *
 * A handler is a function that the host calls once, with a connection of its own. It reads and
 * writes that, returns 0 if all was well, and its instance is thrown away:
 *
 *     #include "portcell.h"
 *
 *     PORTCELL_HANDLER int handle(void) {
 *         char buffer[4096];
 *         int32_t count;
 *         while ((count = portcell_read(buffer, sizeof buffer)) > 0)
 *             if (portcell_write_all(buffer, (size_t)count) < 0)
 *                 return 1;
 *         return count < 0;
 *     }
 *
 * Every function returns 0 or more when it did what it was asked, and a negated errno when not:
 * -PORTCELL_ETIMEDOUT. There is no state and no allocation. The header wants no libc; with
 * wasi-libc the errnos are those of <errno.h>.
 *
 * Limits of the host are no errors: they end the handler where it waits.
 */
#ifndef PORTCELL_H
#define PORTCELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers of the contract: ABI.md of portcell. ------------------------------------------------ */

/* Why a call failed, before it is negated. */
enum portcell_errno {
    PORTCELL_EAGAIN = 6,        /* the call may not wait and had nothing to do */
    PORTCELL_EBADF = 8,         /* not a descriptor, or closed */
    PORTCELL_ECONNABORTED = 13, /* a TLS stream ended without close_notify */
    PORTCELL_ECONNRESET = 15,   /* the peer reset the connection */
    PORTCELL_EINVAL = 28,       /* an argument is out of its range */
    PORTCELL_EIO = 29,          /* the transport failed in another way */
    PORTCELL_EMSGSIZE = 35,     /* a datagram, or here a line, is too long */
    PORTCELL_ENOENT = 44,       /* there is no such fact here */
    PORTCELL_ENOTCONN = 53,     /* there is no peer */
    PORTCELL_ENOTSUP = 58,      /* the configuration does not offer it */
    PORTCELL_EPIPE = 64,        /* this direction has ended */
    PORTCELL_ETIMEDOUT = 73,    /* the timeout ran out */
};

/* Bits of portcell_poll. One may ask for the first three; the others are always told. */
enum portcell_bits {
    PORTCELL_READABLE = 0x0001, /* a read gives bytes, the end, or an error without waiting */
    PORTCELL_WRITABLE = 0x0002, /* a write takes a byte, or gives an error, without waiting */
    PORTCELL_DRAINING = 0x0008, /* the host asks the handler to finish */
    PORTCELL_FAILED = 0x1000,   /* the connection broke */
    PORTCELL_OVER = 0x2000,     /* both directions have ended */
    PORTCELL_INVALID = 0x4000,  /* the connection is closed */
};

/* What portcell_shutdown ends. */
enum portcell_how {
    PORTCELL_SHUTDOWN_READ = 0,  /* later reads give the end */
    PORTCELL_SHUTDOWN_WRITE = 1, /* the peer sees the end; reading goes on */
    PORTCELL_SHUTDOWN_BOTH = 2,
    PORTCELL_SHUTDOWN_RESET = 3, /* the peer sees an error; what it was not yet sent is lost */
};

/* What portcell_set_timeout bounds. */
enum portcell_which {
    PORTCELL_TIMEOUT_READ = 0,
    PORTCELL_TIMEOUT_WRITE = 1,
};

/* Levels of portcell_log. */
enum portcell_level {
    PORTCELL_LOG_ERROR = 1,
    PORTCELL_LOG_WARN = 2,
    PORTCELL_LOG_INFO = 3,
    PORTCELL_LOG_DEBUG = 4,
    PORTCELL_LOG_TRACE = 5,
};

/* Names for portcell_fact. ABI.md says what each is; one that there is not here is ENOENT. */
#define PORTCELL_PEER_ADDRESS "peer.address"
#define PORTCELL_LOCAL_ADDRESS "local.address"
#define PORTCELL_PEER_PID "peer.pid"
#define PORTCELL_PEER_UID "peer.uid"
#define PORTCELL_PEER_GID "peer.gid"
#define PORTCELL_TRANSPORT "transport"
#define PORTCELL_CONNECTION_ID "connection.id"
#define PORTCELL_LISTENER "listener"
#define PORTCELL_HANDLER_NAME "handler"
#define PORTCELL_HANDLER_VERSION "handler.version"
#define PORTCELL_TENANT "tenant"
#define PORTCELL_DATAGRAM_SIZE "datagram.size"
#define PORTCELL_LIMITS_MEMORY "limits.memory"
#define PORTCELL_LIMITS_CPU "limits.cpu"
#define PORTCELL_LIMITS_IDLE_TIMEOUT "limits.idle_timeout"
#define PORTCELL_TLS_OFFERED "tls.offered"
#define PORTCELL_TLS_VERSION "tls.version"
#define PORTCELL_TLS_CIPHER "tls.cipher"
#define PORTCELL_TLS_SERVER_NAME "tls.server_name"
#define PORTCELL_TLS_ALPN "tls.alpn"
#define PORTCELL_TLS_RESUMED "tls.resumed"
#define PORTCELL_TLS_PEER_SUBJECT "tls.peer.subject"
#define PORTCELL_TLS_PEER_ISSUER "tls.peer.issuer"
#define PORTCELL_TLS_PEER_SERIAL "tls.peer.serial"
#define PORTCELL_TLS_PEER_SHA256 "tls.peer.sha256"
#define PORTCELL_TLS_PEER_NAMES "tls.peer.names"
#define PORTCELL_TLS_PEER_CHAIN "tls.peer.chain"

/* The imports, as they are in the contract. --------------------------------------------------- */

#ifdef __wasm__
#define PORTCELL_IMPORT(name) __attribute__((import_module("portcell_v1"), import_name(#name)))
/* Stands before the function that handles the connection: PORTCELL_HANDLER int handle(void) */
#define PORTCELL_HANDLER __attribute__((export_name("handle")))
#else
/* Elsewhere a test provides the imports. */
#define PORTCELL_IMPORT(name)
#define PORTCELL_HANDLER
#endif

/* A record of poll. */
struct portcell_record {
    int32_t fd;
    uint16_t events;
    uint16_t revents;
};

PORTCELL_IMPORT(read)
int32_t portcell_v1_read(int32_t fd, void *buf, uint32_t len);
PORTCELL_IMPORT(write)
int32_t portcell_v1_write(int32_t fd, const void *buf, uint32_t len);
PORTCELL_IMPORT(shutdown)
int32_t portcell_v1_shutdown(int32_t fd, int32_t how);
PORTCELL_IMPORT(close)
int32_t portcell_v1_close(int32_t fd);
PORTCELL_IMPORT(poll)
int32_t portcell_v1_poll(struct portcell_record *records, uint32_t n, int32_t timeout_ms);
PORTCELL_IMPORT(set_timeout)
int32_t portcell_v1_set_timeout(int32_t fd, int32_t which, int32_t ms);
PORTCELL_IMPORT(info)
int32_t portcell_v1_info(const char *name, uint32_t name_len, char *buf, uint32_t len);
PORTCELL_IMPORT(log)
int32_t portcell_v1_log(int32_t level, const char *text, uint32_t len);
PORTCELL_IMPORT(start_tls)
int32_t portcell_v1_start_tls(int32_t fd, const char *profile, uint32_t profile_len,
                              const void *reply, uint32_t reply_len);

#define PORTCELL_CONNECTION 0 /* the descriptor of the connection */

/* The connection. ----------------------------------------------------------------------------- */

/* The length of a C string. */
static inline uint32_t portcell_length(const char *text) {
    uint32_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

/*
 * Waits until something is there and reads up to `size` bytes of it: at least 1, or 0 at the peer's
 * end. Over UDP one datagram, which is cut to `size`; -ENOTCONN is the end there.
 */
static inline int32_t portcell_read(void *buffer, size_t size) {
    return portcell_v1_read(PORTCELL_CONNECTION, buffer, (uint32_t)size);
}

/*
 * Sends bytes, over UDP as one datagram. Gives how many: fewer than `size` if an error or a timeout
 * came in between, and the next call gives the error.
 */
static inline int32_t portcell_write(const void *bytes, size_t size) {
    return portcell_v1_write(PORTCELL_CONNECTION, bytes, (uint32_t)size);
}

/* Sends all of the bytes: gives 0, or what kept it from that. For streams. */
static inline int32_t portcell_write_all(const void *bytes, size_t size) {
    const char *rest = (const char *)bytes;
    while (size > 0) {
        int32_t count = portcell_write(rest, size);
        if (count < 0)
            return count;
        rest += count;
        size -= (size_t)count;
    }
    return 0;
}

/* Sends a C string. */
static inline int32_t portcell_print(const char *text) {
    return portcell_write_all(text, portcell_length(text));
}

/* Ends directions: one of enum portcell_how. */
static inline int32_t portcell_shutdown(int32_t how) {
    return portcell_v1_shutdown(PORTCELL_CONNECTION, how);
}

/* Ends the connection in good order; waits until the peer has ended it too, for at most 2 s. */
static inline int32_t portcell_close(void) {
    return portcell_v1_close(PORTCELL_CONNECTION);
}

/* Bounds each read or write from now on, in milliseconds: -1 not at all, 0 never waits. */
static inline int32_t portcell_set_timeout(int32_t which, int32_t ms) {
    return portcell_v1_set_timeout(PORTCELL_CONNECTION, which, ms);
}

/*
 * Waits until one of `events` is so, for at most `timeout_ms` (-1: without a bound of its own; 0:
 * only looks). Gives what is so, as bits; 0 after the timeout.
 */
static inline int32_t portcell_poll(uint16_t events, int32_t timeout_ms) {
    struct portcell_record record = {PORTCELL_CONNECTION, events, 0};
    int32_t ready = portcell_v1_poll(&record, 1, timeout_ms);
    return ready < 0 ? ready : record.revents;
}

/*
 * Puts a fact about the connection into `buffer`, as a C string that is cut to `size`. Gives the
 * length of the whole fact: `size` or more means that it was cut.
 */
static inline int32_t portcell_fact(const char *name, char *buffer, size_t size) {
    uint32_t room = size > 0 ? (uint32_t)size - 1 : 0;
    int32_t length = portcell_v1_info(name, portcell_length(name), buffer, room);
    if (size > 0)
        buffer[length < 0 ? 0 : (uint32_t)length < room ? (uint32_t)length : room] = '\0';
    return length;
}

/* Writes a line into the host's log: one of enum portcell_level. */
static inline int32_t portcell_log(int32_t level, const char *text) {
    return portcell_v1_log(level, text, portcell_length(text));
}

/*
 * Sends `reply` in plaintext and makes the connection one of TLS, with the listener's settings.
 * -ENOTSUP where there are none. A handshake that fails ends the handler. What was read before and
 * not used is to be forgotten: portcell_reader_clear.
 */
static inline int32_t portcell_start_tls(const char *reply) {
    return portcell_v1_start_tls(PORTCELL_CONNECTION, "", 0, reply, portcell_length(reply));
}

/* The name of an errno, negated or not: "ETIMEDOUT". NULL if it is none of the contract's. */
static inline const char *portcell_errno_name(int32_t number) {
    switch (number < 0 ? -number : number) {
    case PORTCELL_EAGAIN: return "EAGAIN";
    case PORTCELL_EBADF: return "EBADF";
    case PORTCELL_ECONNABORTED: return "ECONNABORTED";
    case PORTCELL_ECONNRESET: return "ECONNRESET";
    case PORTCELL_EINVAL: return "EINVAL";
    case PORTCELL_EIO: return "EIO";
    case PORTCELL_EMSGSIZE: return "EMSGSIZE";
    case PORTCELL_ENOENT: return "ENOENT";
    case PORTCELL_ENOTCONN: return "ENOTCONN";
    case PORTCELL_ENOTSUP: return "ENOTSUP";
    case PORTCELL_EPIPE: return "EPIPE";
    case PORTCELL_ETIMEDOUT: return "ETIMEDOUT";
    default: return NULL;
    }
}

/* Lines. -------------------------------------------------------------------------------------- */

/*
 * Reads ahead into a buffer of the caller's, whose size is the bound of a line:
 *
 *     static char buffer[PORTCELL_LINE(1000)];
 *     struct portcell_reader reader = PORTCELL_READER(buffer);
 */
struct portcell_reader {
    char *buffer;
    uint32_t capacity;
    uint32_t start; /* of what was read and not yet taken */
    uint32_t end;
};

/* Room for lines of `length` bytes, with the line end. */
#define PORTCELL_LINE(length) ((length) + 1)

#define PORTCELL_READER(array) {(array), (uint32_t)sizeof(array), 0, 0}

/* Forgets what was read ahead. */
static inline void portcell_reader_clear(struct portcell_reader *reader) {
    reader->start = reader->end = 0;
}

/* Reads more behind what is there. As portcell_read; -EMSGSIZE if there is no room. */
static inline int32_t portcell_reader_fill(struct portcell_reader *reader) {
    if (reader->start > 0) {
        uint32_t length = reader->end - reader->start;
        for (uint32_t i = 0; i < length; i++)
            reader->buffer[i] = reader->buffer[reader->start + i];
        reader->start = 0;
        reader->end = length;
    }
    if (reader->end == reader->capacity)
        return -PORTCELL_EMSGSIZE;
    int32_t count = portcell_read(reader->buffer + reader->end, reader->capacity - reader->end);
    if (count > 0)
        reader->end += (uint32_t)count;
    return count;
}

/*
 * Reads a line, which stays in the buffer until the next call. 1: `line` and `length` are set, the
 * line end "\n" is not part of it, and the last line need not have had one. 0: the peer's end.
 * -EMSGSIZE: the line is longer than the buffer.
 */
static inline int32_t portcell_read_line(struct portcell_reader *reader, char **line,
                                         uint32_t *length) {
    uint32_t seen = 0; /* bytes of the line that are no line end */
    for (;;) {
        char *begin = reader->buffer + reader->start;
        uint32_t there = reader->end - reader->start;
        while (seen < there && begin[seen] != '\n')
            seen++;
        bool whole = seen < there;
        if (!whole) {
            int32_t count = portcell_reader_fill(reader);
            if (count > 0)
                continue;
            if (count < 0 || there == 0)
                return count;
            begin = reader->buffer + reader->start;
        }
        *line = begin;
        *length = seen;
        reader->start += seen + (whole ? 1 : 0);
        return 1;
    }
}

/* As portcell_read, and begins with what was read ahead. */
static inline int32_t portcell_reader_read(struct portcell_reader *reader, void *buffer,
                                           size_t size) {
    uint32_t there = reader->end - reader->start;
    if (there == 0)
        return portcell_read(buffer, size);
    uint32_t count = size < there ? (uint32_t)size : there;
    for (uint32_t i = 0; i < count; i++)
        ((char *)buffer)[i] = reader->buffer[reader->start + i];
    reader->start += count;
    return (int32_t)count;
}

#ifdef __cplusplus
}
#endif

#endif
