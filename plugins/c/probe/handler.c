/*
 * Does what its peer tells it, one command a line: for tests, and to see what a handler can ask.
 *
 *     fact NAME     NAME=VALUE, or NAME: ENOENT
 *     timeout MS    reads once, with this bound: ETIMEDOUT, EAGAIN or "read" and how many bytes
 *     bad           reads from a descriptor that is not the connection: EBADF
 *     drain         "waiting", and when the host drains "draining" and the end
 *     end           ends its side, and then itself when the peer does
 *     code N        ends with this code
 *     log TEXT      a line in the host's log: "logged"
 *     tls           asks for TLS: "go", and over TLS "secured"; or why not: ENOTSUP
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portcell.h"

enum { GO_ON = -1 };

static char buffer[PORTCELL_LINE(1024)];
static char answer[8 * 1024];

static int tell_fact(const char *name) {
    static char value[4 * 1024];
    int32_t length = portcell_fact(name, value, sizeof value);
    if (length < 0)
        snprintf(answer, sizeof answer, "%s: %s", name, portcell_errno_name(length));
    else
        snprintf(answer, sizeof answer, "%s=%s", name, value);
    return GO_ON;
}

static int read_once(struct portcell_reader *reader, const char *bound) {
    char bytes[64];
    portcell_set_timeout(PORTCELL_TIMEOUT_READ, atoi(bound));
    int32_t count = portcell_reader_read(reader, bytes, sizeof bytes);
    portcell_set_timeout(PORTCELL_TIMEOUT_READ, -1);
    if (count < 0)
        snprintf(answer, sizeof answer, "%s", portcell_errno_name(count));
    else
        snprintf(answer, sizeof answer, "read %d", (int)count);
    return GO_ON;
}

static int read_elsewhere(void) {
    char byte;
    int32_t error = portcell_v1_read(7, &byte, 1);
    snprintf(answer, sizeof answer, "%s", portcell_errno_name(error));
    return GO_ON;
}

static int wait_for_a_drain(void) {
    if (portcell_print("waiting\n") < 0 || portcell_poll(PORTCELL_DRAINING, -1) < 0)
        return 1;
    return portcell_print("draining\n") < 0;
}

static int end(struct portcell_reader *reader) {
    char bytes[64];
    int32_t count;
    portcell_shutdown(PORTCELL_SHUTDOWN_WRITE);
    while ((count = portcell_reader_read(reader, bytes, sizeof bytes)) > 0)
        continue;
    return count < 0;
}

static int log_line(const char *text) {
    portcell_log(PORTCELL_LOG_INFO, text);
    snprintf(answer, sizeof answer, "logged");
    return GO_ON;
}

static int start_tls(struct portcell_reader *reader) {
    int32_t error = portcell_start_tls("go\n");
    if (error == 0)
        portcell_reader_clear(reader); /* it came in plaintext, from whom nobody knows */
    snprintf(answer, sizeof answer, "%s", error == 0 ? "secured" : portcell_errno_name(error));
    return GO_ON;
}

/* What is behind `word` in the line; NULL if the line begins with something else. */
static const char *behind(const char *line, const char *word) {
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 ? line + length : NULL;
}

/* Puts the answer into `answer`, or gives the code to end with. */
static int obey(struct portcell_reader *reader, const char *line) {
    const char *rest;
    if ((rest = behind(line, "fact ")) != NULL)
        return tell_fact(rest);
    if ((rest = behind(line, "timeout ")) != NULL)
        return read_once(reader, rest);
    if ((rest = behind(line, "code ")) != NULL)
        return atoi(rest);
    if ((rest = behind(line, "log ")) != NULL)
        return log_line(rest);
    if (strcmp(line, "bad") == 0)
        return read_elsewhere();
    if (strcmp(line, "drain") == 0)
        return wait_for_a_drain();
    if (strcmp(line, "end") == 0)
        return end(reader);
    if (strcmp(line, "tls") == 0)
        return start_tls(reader);
    snprintf(answer, sizeof answer, "?");
    return GO_ON;
}

PORTCELL_HANDLER int handle(void) {
    struct portcell_reader reader = PORTCELL_READER(buffer);
    char *line;
    uint32_t length;
    int32_t more;
    while ((more = portcell_read_line(&reader, &line, &length)) > 0) {
        char command[sizeof buffer];
        memcpy(command, line, length);
        command[length] = '\0';
        int code = obey(&reader, command);
        if (code != GO_ON)
            return code;
        if (portcell_print(answer) < 0 || portcell_print("\n") < 0)
            return 1;
    }
    return more < 0;
}
