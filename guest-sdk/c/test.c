/* Tests of portcell.h on this machine. The host is below: it gives what a test has put into it. */

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "portcell.h"

/* What reads give, one after the other: text, or an errno where that is NULL. The end follows. */
struct piece {
    const char *text;
    int32_t error;
};

static const struct piece *pieces;
static size_t pieces_left;
static char written[64];
static int32_t writes_at_most;
static const char *fact;

#define GIVE(array) (pieces = (array), pieces_left = sizeof(array) / sizeof *(array))

int32_t portcell_v1_read(int32_t fd, void *buf, uint32_t len) {
    assert(fd == PORTCELL_CONNECTION && len > 0);
    if (pieces_left == 0)
        return 0;
    pieces_left--;
    const struct piece *piece = pieces++;
    if (piece->text == NULL)
        return -piece->error;
    assert(strlen(piece->text) <= len);
    memcpy(buf, piece->text, strlen(piece->text));
    return (int32_t)strlen(piece->text);
}

int32_t portcell_v1_write(int32_t fd, const void *buf, uint32_t len) {
    assert(fd == PORTCELL_CONNECTION && len > 0);
    if (writes_at_most == 0)
        return -PORTCELL_EPIPE;
    int32_t count = (int32_t)len < writes_at_most ? (int32_t)len : writes_at_most;
    writes_at_most -= count;
    strncat(written, buf, (size_t)count);
    return count;
}

int32_t portcell_v1_info(const char *name, uint32_t name_len, char *buf, uint32_t len) {
    assert(name_len == strlen(name));
    if (fact == NULL)
        return -PORTCELL_ENOENT;
    uint32_t whole = (uint32_t)strlen(fact);
    memcpy(buf, fact, whole < len ? whole : len);
    return (int32_t)whole;
}

/* Whether the next line is this one. */
static bool is_next(struct portcell_reader *reader, const char *expected) {
    char *line;
    uint32_t length;
    return portcell_read_line(reader, &line, &length) == 1 && length == strlen(expected) &&
           memcmp(line, expected, length) == 0;
}

static int32_t next(struct portcell_reader *reader) {
    char *line;
    uint32_t length;
    return portcell_read_line(reader, &line, &length);
}

static void lines_are_whole_however_they_come(void) {
    char buffer[PORTCELL_LINE(8)];
    struct portcell_reader reader = PORTCELL_READER(buffer);
    static const struct piece come[] = {
        {"a", 0}, {"b\n\nc", 0}, {"d\n", 0}, {"12345678", 0}, {"\n", 0}, {"end", 0},
    };
    GIVE(come);
    assert(is_next(&reader, "ab"));
    assert(is_next(&reader, ""));
    assert(is_next(&reader, "cd"));
    assert(is_next(&reader, "12345678"));
    assert(is_next(&reader, "end"));
    assert(next(&reader) == 0 && next(&reader) == 0);
}

static void a_line_has_a_bound(void) {
    char buffer[PORTCELL_LINE(4)];
    struct portcell_reader reader = PORTCELL_READER(buffer);
    static const struct piece come[] = {{"1234", 0}, {"5", 0}, {"\n", 0}};
    GIVE(come);
    assert(next(&reader) == -PORTCELL_EMSGSIZE);
    assert(next(&reader) == -PORTCELL_EMSGSIZE);
}

static void an_error_in_a_line_loses_nothing_of_it(void) {
    char buffer[PORTCELL_LINE(8)];
    struct portcell_reader reader = PORTCELL_READER(buffer);
    static const struct piece come[] = {{"ab", 0}, {NULL, PORTCELL_ETIMEDOUT}, {"c\n", 0}};
    GIVE(come);
    assert(next(&reader) == -PORTCELL_ETIMEDOUT);
    assert(is_next(&reader, "abc"));
}

static void what_was_read_ahead_comes_first(void) {
    char buffer[PORTCELL_LINE(16)], bytes[4];
    struct portcell_reader reader = PORTCELL_READER(buffer);
    static const struct piece come[] = {{"line\n123456", 0}, {"7", 0}};
    GIVE(come);
    assert(is_next(&reader, "line"));
    assert(portcell_reader_read(&reader, bytes, 4) == 4 && memcmp(bytes, "1234", 4) == 0);
    assert(portcell_reader_read(&reader, bytes, 4) == 2 && memcmp(bytes, "56", 2) == 0);
    assert(portcell_reader_read(&reader, bytes, 4) == 1 && bytes[0] == '7');
    assert(portcell_reader_read(&reader, bytes, 4) == 0);
}

static void what_was_read_ahead_can_be_forgotten(void) {
    char buffer[PORTCELL_LINE(16)];
    struct portcell_reader reader = PORTCELL_READER(buffer);
    static const struct piece come[] = {{"STARTTLS\nforged\n", 0}, {"real\n", 0}};
    GIVE(come);
    assert(is_next(&reader, "STARTTLS"));
    portcell_reader_clear(&reader);
    assert(is_next(&reader, "real"));
}

static void writing_all_goes_on_until_an_error(void) {
    written[0] = '\0';
    writes_at_most = 100;
    assert(portcell_print("whole") == 0 && portcell_print("") == 0);
    writes_at_most = 2;
    assert(portcell_print("part") == -PORTCELL_EPIPE);
    assert(strcmp(written, "wholepa") == 0);
}

static void a_fact_is_a_string_that_is_cut(void) {
    char value[5] = "????";
    fact = "tcp";
    assert(portcell_fact(PORTCELL_TRANSPORT, value, sizeof value) == 3);
    assert(strcmp(value, "tcp") == 0);
    fact = "12345";
    assert(portcell_fact(PORTCELL_TRANSPORT, value, sizeof value) == 5);
    assert(strcmp(value, "1234") == 0);
    assert(portcell_fact(PORTCELL_TRANSPORT, NULL, 0) == 5);
    fact = NULL;
    assert(portcell_fact(PORTCELL_TRANSPORT, value, sizeof value) == -PORTCELL_ENOENT);
    assert(strcmp(value, "") == 0);
}

static void errnos_have_names_negated_or_not(void) {
    assert(strcmp(portcell_errno_name(PORTCELL_EPIPE), "EPIPE") == 0);
    assert(strcmp(portcell_errno_name(-PORTCELL_ETIMEDOUT), "ETIMEDOUT") == 0);
    assert(portcell_errno_name(1) == NULL);
}

int main(void) {
    lines_are_whole_however_they_come();
    a_line_has_a_bound();
    an_error_in_a_line_loses_nothing_of_it();
    what_was_read_ahead_comes_first();
    what_was_read_ahead_can_be_forgotten();
    writing_all_goes_on_until_an_error();
    a_fact_is_a_string_that_is_cut();
    errnos_have_names_negated_or_not();
}
