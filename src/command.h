/* What the program does when it is not serving, and the way to serving. */
#pragma once

#include "app.h"

#define COMMAND_UNKNOWN (-1)

struct command {
    const char *words[16]; /* "user", "add", "olive@example.com" */
    int word_count;
    const char *role; /* of user add */
    const char *name;
    bool reads_password; /* from standard input, one line */
};

/* Runs a command; the exit code, or COMMAND_UNKNOWN. */
int command_run(const struct command *command, const struct app_options *options);
