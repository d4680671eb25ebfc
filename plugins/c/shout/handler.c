/* Sends back every line in capitals, those of ASCII. A line has up to 64 KiB. */

#include "portcell.h"

static char buffer[PORTCELL_LINE(64 * 1024)];

PORTCELL_HANDLER int handle(void) {
    struct portcell_reader reader = PORTCELL_READER(buffer);
    char *line;
    uint32_t length;
    int32_t more;
    while ((more = portcell_read_line(&reader, &line, &length)) > 0) {
        for (uint32_t i = 0; i < length; i++) {
            if (line[i] >= 'a' && line[i] <= 'z')
                line[i] -= 'a' - 'A';
        }
        if (portcell_write_all(line, length) < 0 || portcell_print("\n") < 0)
            return 1;
    }
    return more < 0;
}
