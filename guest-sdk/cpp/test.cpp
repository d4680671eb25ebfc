// Tests of portcell.hpp on this machine. The host is below: each read gives one of `come`, and then
// the end.

#undef NDEBUG
#include <cassert>
#include <deque>
#include <iostream>

#include "portcell.hpp"

namespace {

std::deque<std::string> come;
std::string written;
std::optional<std::string> known;
int32_t timeout;
int32_t reads_fail; // an errno that comes when `come` is empty

} // namespace

extern "C" {

int32_t portcell_v1_read(int32_t fd, void *buf, uint32_t len) {
    assert(fd == PORTCELL_CONNECTION);
    if (come.empty())
        return -reads_fail;
    std::string piece = come.front();
    come.pop_front();
    assert(piece.size() <= len);
    std::memcpy(buf, piece.data(), piece.size());
    return static_cast<int32_t>(piece.size());
}

int32_t portcell_v1_write(int32_t fd, const void *buf, uint32_t len) {
    assert(fd == PORTCELL_CONNECTION);
    written.append(static_cast<const char *>(buf), len);
    return static_cast<int32_t>(len);
}

int32_t portcell_v1_poll(portcell_record *records, uint32_t n, int32_t timeout_ms) {
    assert(n == 1 && records->fd == PORTCELL_CONNECTION);
    timeout = timeout_ms;
    records->revents = records->events & PORTCELL_DRAINING;
    return 1;
}

int32_t portcell_v1_set_timeout(int32_t fd, int32_t which, int32_t ms) {
    assert(fd == PORTCELL_CONNECTION && which == PORTCELL_TIMEOUT_READ);
    timeout = ms;
    return 0;
}

int32_t portcell_v1_info(const char *, uint32_t, char *buf, uint32_t len) {
    if (!known)
        return -PORTCELL_ENOENT;
    std::memcpy(buf, known->data(), std::min<std::size_t>(known->size(), len));
    return static_cast<int32_t>(known->size());
}

int32_t portcell_v1_start_tls(int32_t, const char *, uint32_t length, const void *, uint32_t) {
    assert(length == 0);
    return 0;
}

} // extern "C"

namespace {

void lines_are_whole_however_they_come() {
    come = {"a", "b\n\nc", "d\n", "end"};
    portcell::connection peer;
    std::string line;
    for (const char *expected : {"ab", "", "cd", "end"})
        assert(peer.getline(line) && line == expected);
    assert(!peer.getline(line) && !peer.failed());
}

void a_line_has_a_bound() {
    come = {"12", "34\n", "12345\n"};
    portcell::connection peer;
    std::string line;
    assert(peer.getline(line, 4) && line == "1234");
    assert(!peer.getline(line, 4) && peer.error() == std::errc::message_size);
}

void what_was_read_ahead_comes_first_and_is_readable() {
    come = {"line\n123", "4"};
    portcell::connection peer;
    std::string line;
    char bytes[8];
    assert(peer.getline(line) && line == "line");
    assert(peer.poll(PORTCELL_READABLE).readable && timeout == 0);
    assert(peer.read(bytes, 2) == 2 && peer.read(bytes, 8) == 1 && bytes[0] == '3');
    assert(!peer.poll(PORTCELL_READABLE).readable && timeout == -1);
    assert(peer.poll(PORTCELL_DRAINING, std::chrono::milliseconds(5)).draining && timeout == 5);
    assert(peer.read(bytes, 8) == 1 && peer.read(bytes, 8) == 0 && !peer.failed());
}

void what_was_read_ahead_is_forgotten_with_tls() {
    come = {"STARTTLS\nforged\n", "real\n"};
    portcell::connection peer;
    std::string line;
    assert(peer.getline(line) && peer.start_tls("220 ready\r\n"));
    assert(peer.getline(line) && line == "real");
}

void an_error_is_told_until_the_next_call() {
    come = {};
    reads_fail = PORTCELL_ECONNRESET;
    portcell::connection peer;
    char byte;
    assert(peer.read(&byte, 1) == 0 && peer.failed());
    assert(static_cast<int32_t>(peer.error()) == PORTCELL_ECONNRESET);
    assert(portcell::name(peer.error()) == "ECONNRESET" && portcell::name(std::errc(1)).empty());
    assert(peer.write("x") && !peer.failed());
    reads_fail = 0;
}

void bounds_are_milliseconds_and_none_is_none() {
    portcell::connection peer;
    assert(peer.set_read_timeout(std::chrono::seconds(5)) && timeout == 5000);
    assert(peer.set_read_timeout(std::chrono::hours(10'000)) && timeout == INT32_MAX);
    assert(peer.set_read_timeout(std::nullopt) && timeout == -1);
}

void facts_are_whole() {
    known = std::nullopt;
    assert(!portcell::fact(PORTCELL_TLS_VERSION));
    for (std::size_t length : {0, 3, 64, 65, 5000}) {
        known = std::string(length, 'x');
        assert(portcell::fact(PORTCELL_PEER_ADDRESS) == known);
    }
}

void a_stream_sends_before_it_waits_and_in_the_end() {
    come = {"1 2\n", "3 4"};
    written.clear();
    portcell::connection peer;
    {
        portcell::streambuf buffer(peer);
        std::istream in(&buffer);
        std::ostream out(&buffer);
        int a, b;
        out << "? ";
        assert(written.empty());
        assert(in >> a >> b && a + b == 3 && written == "? ");
        out << a + b << "\n";
        assert(in >> a >> b && written == "? 3\n");
        out << std::string(10'000, 'x') << a + b << std::flush;
        assert(written == "? 3\n" + std::string(10'000, 'x') + "7");
        assert(!(in >> a));
        out << "bye";
    }
    assert(written.substr(written.size() - 4) == "7bye");
}

} // namespace

int main() {
    lines_are_whole_however_they_come();
    a_line_has_a_bound();
    what_was_read_ahead_comes_first_and_is_readable();
    what_was_read_ahead_is_forgotten_with_tls();
    an_error_is_told_until_the_next_call();
    bounds_are_milliseconds_and_none_is_none();
    facts_are_whole();
    a_stream_sends_before_it_waits_and_in_the_end();
}
