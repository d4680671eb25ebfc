// Sends back every line in capitals, those of ASCII. A line has up to 64 KiB.

#include "portcell.hpp"

PORTCELL_HANDLER int handle() {
    portcell::connection peer;
    std::string line;
    while (peer.getline(line, 64 * 1024)) {
        for (char &letter : line) {
            if (letter >= 'a' && letter <= 'z')
                letter -= 'a' - 'A';
        }
        line += '\n';
        if (!peer.write(line))
            return 1;
    }
    return peer.failed();
}
