// portcell.hpp: handlers for portcell in C++ (17 or later), over the header for C.
//
// A handler is a function that the host calls once, with a connection of its own:
//
//     #include "portcell.hpp"
//
//     PORTCELL_HANDLER int handle() {
//         portcell::connection peer;
//         std::string line;
//         while (peer.getline(line))
//             peer.write("hello " + line + "\n");
//         return peer.failed();
//     }
//
// Nothing throws. Errors are those of std::errc, whose numbers in wasi-libc are the contract's.
// Limits of the host are no errors: they end the handler where it waits.
#pragma once

#if __cplusplus < 201703L
#error "portcell.hpp wants C++17 or later: compile with -std=c++17"
#endif

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <streambuf>
#include <string>
#include <string_view>
#include <system_error>

#include "portcell.h"

namespace portcell {

/// A level of the log.
enum class level : std::int32_t {
    error = PORTCELL_LOG_ERROR,
    warn = PORTCELL_LOG_WARN,
    info = PORTCELL_LOG_INFO,
    debug = PORTCELL_LOG_DEBUG,
    trace = PORTCELL_LOG_TRACE,
};

/// Writes a line into the host's log.
inline void log(level level, std::string_view text) {
    portcell_v1_log(static_cast<std::int32_t>(level), text.data(),
                    static_cast<std::uint32_t>(text.size()));
}

/// The name of an error in C, "ETIMEDOUT"; empty if it is none of the contract's.
inline std::string_view name(std::errc error) {
    const char *name = portcell_errno_name(static_cast<std::int32_t>(error));
    return name != nullptr ? name : std::string_view();
}

/// A fact about the connection, by its name in ABI.md; none if there is no such fact here.
inline std::optional<std::string> fact(std::string_view name) {
    std::string value(64, '\0');
    for (;;) {
        std::int32_t length =
            portcell_v1_info(name.data(), static_cast<std::uint32_t>(name.size()), value.data(),
                             static_cast<std::uint32_t>(value.size()));
        if (length < 0)
            return std::nullopt;
        bool whole = static_cast<std::size_t>(length) <= value.size();
        value.resize(static_cast<std::size_t>(length));
        if (whole)
            return value;
    }
}

/// What poll has found.
struct readiness {
    bool readable, writable, draining, failed;
};

/// The connection of this instance. There is one; a copy would share it without its buffer.
///
/// A call that says that it did not work leaves the reason in error(), up to the next call.
class connection {
  public:
    connection() = default;
    connection(const connection &) = delete;
    connection &operator=(const connection &) = delete;

    /// Waits until something is there and reads up to `size` bytes: at least 1; 0 at the peer's end
    /// or with an error.
    std::size_t read(void *bytes, std::size_t size) {
        if (there() == 0)
            return count(portcell_read(bytes, size));
        error_ = {};
        size = std::min(size, there());
        std::memcpy(bytes, buffer_.data() + start_, size);
        start_ += size;
        return size;
    }

    /// Reads a line without its end. The last one need not have an end. False at the peer's end,
    /// with an error, and with message_size if there are more than `most` bytes.
    bool getline(std::string &line, std::size_t most = 64 * 1024) {
        line.clear();
        for (;;) {
            const char *begin = buffer_.data() + start_;
            const void *found = there() > 0 ? std::memchr(begin, '\n', there()) : nullptr;
            std::size_t length =
                found != nullptr ? static_cast<const char *>(found) - begin : there();
            if (length > most - line.size()) {
                error_ = std::errc::message_size;
                return false;
            }
            line.append(begin, length);
            start_ += length + (found != nullptr ? 1 : 0);
            if (found != nullptr) {
                error_ = {};
                return true;
            }
            if (!fill())
                return !failed() && !line.empty();
        }
    }

    /// Sends all of it.
    bool write(std::string_view bytes) { return done(portcell_write_all(bytes.data(), bytes.size())); }

    /// Ends this side: the peer sees the end, and reading goes on.
    bool end() { return done(portcell_shutdown(PORTCELL_SHUTDOWN_WRITE)); }

    /// Breaks the connection: the peer sees an error.
    bool reset() { return done(portcell_shutdown(PORTCELL_SHUTDOWN_RESET)); }

    /// Ends the connection in good order, which waits for the peer, for 2 s at most.
    bool close() { return done(portcell_close()); }

    /// Bounds each read from now on; 0 never waits.
    bool set_read_timeout(std::optional<std::chrono::milliseconds> bound) {
        return done(portcell_set_timeout(PORTCELL_TIMEOUT_READ, milliseconds(bound)));
    }

    /// Bounds each write from now on; 0 never waits.
    bool set_write_timeout(std::optional<std::chrono::milliseconds> bound) {
        return done(portcell_set_timeout(PORTCELL_TIMEOUT_WRITE, milliseconds(bound)));
    }

    /// Waits until something of `events` is so, PORTCELL_READABLE and its like, or the time is over.
    /// What was read ahead counts as readable.
    readiness poll(std::uint16_t events,
                   std::optional<std::chrono::milliseconds> bound = std::nullopt) {
        bool ahead = there() > 0 && (events & PORTCELL_READABLE) != 0;
        std::int32_t bits = portcell_poll(events, ahead ? 0 : milliseconds(bound));
        done(bits);
        if (bits < 0)
            return {false, false, false, true};
        return {ahead || (bits & PORTCELL_READABLE) != 0, (bits & PORTCELL_WRITABLE) != 0,
                (bits & PORTCELL_DRAINING) != 0, (bits & PORTCELL_FAILED) != 0};
    }

    /// Sends `reply` in plaintext and goes on over TLS, with the settings of the listener; what was
    /// read ahead is forgotten. not_supported where there are none: then nothing has changed.
    bool start_tls(std::string_view reply) {
        bool begun = done(portcell_v1_start_tls(PORTCELL_CONNECTION, "", 0, reply.data(),
                                                static_cast<std::uint32_t>(reply.size())));
        if (begun)
            start_ = end_ = 0;
        return begun;
    }

    /// Why the last call did not work; std::errc() if it did, and at the peer's end.
    std::errc error() const { return error_; }

    /// Whether the last call met an error. The peer's end is none.
    bool failed() const { return error_ != std::errc(); }

  private:
    std::size_t there() const { return end_ - start_; }

    /// Reads ahead when all that was is taken. False at the end or with an error.
    bool fill() {
        start_ = 0;
        end_ = count(portcell_read(buffer_.data(), buffer_.size()));
        return end_ > 0;
    }

    bool done(std::int32_t result) {
        error_ = result < 0 ? std::errc(-result) : std::errc();
        return result >= 0;
    }

    std::size_t count(std::int32_t result) {
        return done(result) ? static_cast<std::size_t>(result) : 0;
    }

    static std::int32_t milliseconds(std::optional<std::chrono::milliseconds> bound) {
        constexpr std::int64_t most = INT32_MAX;
        return bound ? static_cast<std::int32_t>(std::clamp<std::int64_t>(bound->count(), 0, most))
                     : -1;
    }

    std::array<char, 4096> buffer_;
    std::size_t start_ = 0; // of what was read and not yet taken
    std::size_t end_ = 0;
    std::errc error_ = {};
};

/// A buffer for iostreams: `portcell::streambuf buffer(peer); std::istream in(&buffer);
/// std::ostream out(&buffer);`. They are two, because the end of the input is not that of the output.
///
/// What was written is sent before a read waits, and on std::flush. iostreams cost about 270 KB of
/// code; getline and write of a connection cost hardly any.
class streambuf : public std::streambuf {
  public:
    explicit streambuf(connection &peer) : peer_(peer) {
        setp(output_.data(), output_.data() + output_.size());
    }

    ~streambuf() override { streambuf::sync(); }

  protected:
    int_type underflow() override {
        if (sync() != 0)
            return traits_type::eof();
        std::size_t count = peer_.read(input_.data(), input_.size());
        setg(input_.data(), input_.data(), input_.data() + count);
        return count > 0 ? traits_type::to_int_type(*gptr()) : traits_type::eof();
    }

    int_type overflow(int_type next) override {
        if (sync() != 0)
            return traits_type::eof();
        return traits_type::eq_int_type(next, traits_type::eof())
                   ? traits_type::not_eof(next)
                   : sputc(traits_type::to_char_type(next));
    }

    int sync() override {
        std::string_view written(pbase(), static_cast<std::size_t>(pptr() - pbase()));
        setp(output_.data(), output_.data() + output_.size());
        return written.empty() || peer_.write(written) ? 0 : -1;
    }

  private:
    connection &peer_;
    std::array<char, 4096> input_;
    std::array<char, 4096> output_;
};

// The errors of the contract are those of the library.
#ifdef __wasm__
static_assert(static_cast<int>(std::errc::resource_unavailable_try_again) == PORTCELL_EAGAIN);
static_assert(static_cast<int>(std::errc::bad_file_descriptor) == PORTCELL_EBADF);
static_assert(static_cast<int>(std::errc::connection_aborted) == PORTCELL_ECONNABORTED);
static_assert(static_cast<int>(std::errc::connection_reset) == PORTCELL_ECONNRESET);
static_assert(static_cast<int>(std::errc::invalid_argument) == PORTCELL_EINVAL);
static_assert(static_cast<int>(std::errc::io_error) == PORTCELL_EIO);
static_assert(static_cast<int>(std::errc::message_size) == PORTCELL_EMSGSIZE);
static_assert(static_cast<int>(std::errc::no_such_file_or_directory) == PORTCELL_ENOENT);
static_assert(static_cast<int>(std::errc::not_connected) == PORTCELL_ENOTCONN);
static_assert(static_cast<int>(std::errc::not_supported) == PORTCELL_ENOTSUP);
static_assert(static_cast<int>(std::errc::broken_pipe) == PORTCELL_EPIPE);
static_assert(static_cast<int>(std::errc::timed_out) == PORTCELL_ETIMEDOUT);
#endif

} // namespace portcell
