/*
 * Sends characters until the peer goes: the character generator of RFC 864, over TCP.
 *
 * Each line has 72 of the 95 printable characters of ASCII, and begins one later than the last.
 * What the peer sends is thrown away. A drain ends it.
 */

#include "portcell.h"

enum { FIRST = ' ', CHARACTERS = 95, WIDTH = 72 };

/* The lines from one to the next that is like it. */
static char lines[CHARACTERS][WIDTH + 2];

static void draw(void) {
    for (int line = 0; line < CHARACTERS; line++) {
        for (int column = 0; column < WIDTH; column++)
            lines[line][column] = (char)(FIRST + (line + column) % CHARACTERS);
        lines[line][WIDTH] = '\r';
        lines[line][WIDTH + 1] = '\n';
    }
}

PORTCELL_HANDLER int handle(void) {
    static char ignored[4096];
    uint16_t events = PORTCELL_WRITABLE | PORTCELL_DRAINING | PORTCELL_READABLE;
    draw();
    for (;;) {
        int32_t ready = portcell_poll(events, -1);
        if (ready < 0)
            return 1;
        if (ready & PORTCELL_DRAINING)
            return 0;
        /* A peer that has ended its side may still read. */
        if ((ready & PORTCELL_READABLE) && portcell_read(ignored, sizeof ignored) <= 0)
            events &= (uint16_t)~PORTCELL_READABLE;
        if ((ready & PORTCELL_WRITABLE) && portcell_write_all(lines, sizeof lines) < 0)
            return 0;
    }
}
