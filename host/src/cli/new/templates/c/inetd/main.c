/*
 * Asks who is there, and repeats what they say until they say bye.
 *
 * A plain program: standard input and output are the connection, standard error is the log.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next line without the spaces around it; NULL if there is none. It stays until the next call. */
static char *next_line(void) {
    static char buffer[1001];
    char *line = fgets(buffer, sizeof buffer, stdin);
    if (line == NULL)
        return NULL;
    size_t length = strlen(line);
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    line[length] = '\0';
    while (isspace((unsigned char)*line))
        line++;
    return line;
}

int main(void) {
    const char *peer = getenv("REMOTE_ADDR");
    fprintf(stderr, "a client at %s\n", peer != NULL ? peer : "no address");

    printf("Hello! Who are you?\n");
    const char *line = next_line();
    if (line == NULL)
        return ferror(stdin);
    char name[1001];
    strcpy(name, *line != '\0' ? line : "stranger");
    printf("Nice to meet you, %s! Say something, or bye.\n", name);

    while ((line = next_line()) != NULL) {
        if (strcmp(line, "bye") == 0) {
            printf("Bye, %s!\n", name);
            return 0;
        }
        printf("%s says: %s\n", name, line);
    }
    return ferror(stdin);
}
