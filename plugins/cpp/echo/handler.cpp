// Sends back what it is sent, unchanged: the echo protocol of RFC 862, over TCP.

#include "portcell.hpp"

static std::array<char, 16 * 1024> buffer;

PORTCELL_HANDLER int handle() {
    portcell::connection peer;
    while (std::size_t count = peer.read(buffer.data(), buffer.size())) {
        if (!peer.write({buffer.data(), count}))
            return 1;
    }
    return peer.failed();
}
