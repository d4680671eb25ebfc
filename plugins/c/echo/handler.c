/* Sends back what it is sent, unchanged: the echo protocol of RFC 862, over TCP. */

#include "portcell.h"

static char buffer[16 * 1024];

PORTCELL_HANDLER int handle(void) {
    int32_t count;
    while ((count = portcell_read(buffer, sizeof buffer)) > 0) {
        if (portcell_write_all(buffer, (size_t)count) < 0)
            return 1;
    }
    return count < 0;
}
