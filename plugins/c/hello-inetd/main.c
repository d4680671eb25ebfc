/*
 * Greets the peer by its address, and then everybody whom it names, one a line.
 *
 * It knows nothing of portcell: a program that reads standard input and writes standard output, as
 * inetd starts them.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The text without the spaces around it. */
static char *trim(char *text) {
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

int main(void) {
    const char *peer = getenv("REMOTE_ADDR");
    printf("Hello, %s! Who is there?\n", peer != NULL ? peer : "stranger");

    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) >= 0) {
        const char *name = trim(line);
        printf("Hello, %s!\n", *name != '\0' ? name : "whoever you are");
    }
    free(line);
    return ferror(stdin) || fflush(stdout) != 0;
}
