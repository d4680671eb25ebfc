/* Asks who is there, and repeats what they say until they say bye. */

#include <ctype.h>
#include <string.h>

#include "portcell.h"

static char buffer[PORTCELL_LINE(1000)];
static struct portcell_reader reader = PORTCELL_READER(buffer);

/* Gives the next line, of up to 1000 bytes, as a text without the spaces around it. As portcell_read. */
static int32_t next_line(char text[1001]) {
    char *line;
    uint32_t length;
    int32_t more = portcell_read_line(&reader, &line, &length);
    if (more <= 0)
        return more;
    for (; length > 0 && isspace((unsigned char)line[length - 1]); length--)
        ;
    for (; length > 0 && isspace((unsigned char)*line); length--)
        line++;
    memcpy(text, line, length);
    text[length] = '\0';
    return 1;
}

PORTCELL_HANDLER int handle(void) {
    static char name[1001], line[1001], note[100] = "a client at ";
    size_t length = strlen(note);
    if (portcell_fact(PORTCELL_PEER_ADDRESS, note + length, sizeof note - length) >= 0)
        portcell_log(PORTCELL_LOG_INFO, note);

    portcell_print("Hello! Who are you?\n");
    int32_t more = next_line(name);
    if (more <= 0)
        return more < 0;
    if (name[0] == '\0')
        strcpy(name, "stranger");
    portcell_print("Nice to meet you, ");
    portcell_print(name);
    portcell_print("! Say something, or bye.\n");

    while ((more = next_line(line)) > 0) {
        if (strcmp(line, "bye") == 0) {
            portcell_print("Bye, ");
            portcell_print(name);
            return portcell_print("!\n") < 0;
        }
        portcell_print(name);
        portcell_print(" says: ");
        portcell_print(line);
        portcell_print("\n");
    }
    return more < 0;
}
