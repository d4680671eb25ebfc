// Does what its peer tells it, one command a line: for tests, and to see what a handler can ask.
//
//     fact NAME     NAME=VALUE, or NAME: ENOENT
//     timeout MS    reads once, with this bound: ETIMEDOUT, EAGAIN or "read" and how many bytes
//     bad           reads from a descriptor that is not the connection: EBADF
//     drain         "waiting", and when the host drains "draining" and the end
//     end           ends its side, and then itself when the peer does
//     code N        ends with this code
//     log TEXT      a line in the host's log: "logged"
//     tls           asks for TLS: "go", and over TLS "secured"; or why not: ENOTSUP

#include <cstdlib>

#include "portcell.hpp"

namespace {

// The answer to a command, or the code to end with.
struct outcome {
    std::string answer;
    std::optional<int> code;

    outcome(std::string answer) : answer(std::move(answer)) {}
    outcome(int code) : code(code) {}
};

outcome tell_fact(const std::string &name) {
    std::optional<std::string> value = portcell::fact(name);
    return value ? name + "=" + *value : name + ": ENOENT";
}

outcome read_once(portcell::connection &peer, const std::string &bound) {
    char bytes[64];
    peer.set_read_timeout(std::chrono::milliseconds(std::atoi(bound.c_str())));
    std::size_t count = peer.read(bytes, sizeof bytes);
    std::errc error = peer.error();
    peer.set_read_timeout(std::nullopt);
    if (error != std::errc())
        return std::string(portcell::name(error));
    return "read " + std::to_string(count);
}

outcome read_elsewhere() {
    char byte;
    return std::string(portcell::name(std::errc(-portcell_v1_read(7, &byte, 1))));
}

outcome wait_for_a_drain(portcell::connection &peer) {
    bool heard = peer.write("waiting\n") && peer.poll(PORTCELL_DRAINING).draining;
    return heard && peer.write("draining\n") ? 0 : 1;
}

outcome end(portcell::connection &peer) {
    char bytes[64];
    peer.end();
    while (peer.read(bytes, sizeof bytes) > 0)
        continue;
    return peer.failed() ? 1 : 0;
}

outcome log_line(const std::string &text) {
    portcell::log(portcell::level::info, text);
    return std::string("logged");
}

outcome start_tls(portcell::connection &peer) {
    bool begun = peer.start_tls("go\n");
    return std::string(begun ? "secured" : portcell::name(peer.error()));
}

outcome obey(portcell::connection &peer, const std::string &line) {
    std::size_t space = line.find(' ');
    std::string command = line.substr(0, space);
    std::string rest = space == line.npos ? "" : line.substr(space + 1);
    if (command == "fact")
        return tell_fact(rest);
    if (command == "timeout")
        return read_once(peer, rest);
    if (command == "bad")
        return read_elsewhere();
    if (command == "drain")
        return wait_for_a_drain(peer);
    if (command == "end")
        return end(peer);
    if (command == "code")
        return std::atoi(rest.c_str());
    if (command == "log")
        return log_line(rest);
    if (command == "tls")
        return start_tls(peer);
    return std::string("?");
}

} // namespace

PORTCELL_HANDLER int handle() {
    portcell::connection peer;
    std::string line;
    while (peer.getline(line, 1024)) {
        outcome outcome = obey(peer, line);
        if (outcome.code)
            return *outcome.code;
        if (!peer.write(outcome.answer + "\n"))
            return 1;
    }
    return peer.failed();
}
