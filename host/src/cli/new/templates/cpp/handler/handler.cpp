// Asks who is there, and repeats what they say until they say bye.

#include "portcell.hpp"

// The text without the spaces around it.
static std::string trimmed(const std::string &text) {
    constexpr const char *spaces = " \t\v\f\r";
    std::size_t begin = text.find_first_not_of(spaces);
    return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

PORTCELL_HANDLER int handle() {
    if (std::optional<std::string> address = portcell::fact(PORTCELL_PEER_ADDRESS))
        portcell::log(portcell::level::info, "a client at " + *address);

    portcell::connection peer;
    std::string line;
    peer.write("Hello! Who are you?\n");
    if (!peer.getline(line))
        return peer.failed();
    std::string name = trimmed(line);
    if (name.empty())
        name = "stranger";
    peer.write("Nice to meet you, " + name + "! Say something, or bye.\n");

    while (peer.getline(line)) {
        line = trimmed(line);
        if (line == "bye")
            return !peer.write("Bye, " + name + "!\n");
        if (!peer.write(name + " says: " + line + "\n"))
            break;
    }
    return peer.failed();
}
