/*
 * The command line: argv to a command. No logic of its own.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong use.
 */
#include "app.h"
#include "command.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static const char usage[] =
    "troupe " TROUPE_VERSION ": a private theatre for AI characters\n"
    "\n"
    "  troupe serve                         the server; prints the link to open\n"
    "  troupe doctor                        what is wrong, in plain words\n"
    "  troupe config check|example          judges the settings, prints the commented example file\n"
    "  troupe user add EMAIL [--role ROLE] [--name NAME] [--password-stdin]\n"
    "  troupe user list\n"
    "  troupe user reset-password EMAIL [--password-stdin]\n"
    "  troupe reindex                       makes all words and vectors of the search again, offline\n"
    "  troupe version                       version, schema, libraries\n"
    "\n"
    "Every command takes --config FILE (default ./troupe.ini if it is there), --data DIR (default ./troupe-data, or the\n"
    "service's folder), and any setting as --section.key=value. `serve` takes --listen ADDRESS:PORT.\n";

#define WORDS_LIMIT 16
#define FLAGS_LIMIT 256

struct line {
    struct app_options options;
    const char *flags[FLAGS_LIMIT];
    struct command command;
};

static int wrong(const char *why, const char *what) {
    fprintf(stderr, "troupe: %s: %s\n\n%s", why, what, usage);
    return 2;
}

/* The value of `--name value` or `--name=value`; NULL when this is not that option. */
static const char *value_of(const char *name, int argc, char **argv, int *i) {
    size_t len = strlen(name);
    if (strncmp(argv[*i], name, len) != 0)
        return NULL;
    if (argv[*i][len] == '=')
        return argv[*i] + len + 1;
    return argv[*i][len] == 0 && *i + 1 < argc ? argv[++*i] : NULL;
}

/* One word of the command line. False when it means nothing. */
static bool take_word(struct line *line, int argc, char **argv, int *i) {
    const char *value;
    struct command *command = &line->command;
    if ((value = value_of("--config", argc, argv, i)) != NULL)
        line->options.config_path = value;
    else if ((value = value_of("--data", argc, argv, i)) != NULL)
        line->options.data = value;
    else if ((value = value_of("--listen", argc, argv, i)) != NULL)
        line->options.listen = str_from(value);
    else if ((value = value_of("--role", argc, argv, i)) != NULL)
        command->role = value;
    else if ((value = value_of("--name", argc, argv, i)) != NULL)
        command->name = value;
    else if (strcmp(argv[*i], "--password-stdin") == 0)
        command->reads_password = true;
    else if (strncmp(argv[*i], "--", 2) == 0 && strchr(argv[*i], '.') != NULL &&
             line->options.flag_count < FLAGS_LIMIT)
        line->flags[line->options.flag_count++] = argv[*i] + 2;
    else if (argv[*i][0] != '-' && command->word_count < WORDS_LIMIT)
        command->words[command->word_count++] = argv[*i];
    else
        return false;
    return true;
}

/* systemd's StateDirectory= when we are its service, else a folder here. */
static const char *default_data(void) {
    const char *state = getenv("STATE_DIRECTORY");
    return state != NULL && state[0] == '/' ? state : "./troupe-data";
}

int main(int argc, char **argv) {
    static struct line line;
    line.options.data = default_data();
    line.options.flags = line.flags;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (!take_word(&line, argc, argv, &i))
            return wrong("what does this mean", argv[i]);
    }
    if (line.command.word_count == 0)
        return wrong("say what to do", "no command");
    clock_init();
    int code = command_run(&line.command, &line.options);
    return code == COMMAND_UNKNOWN ? wrong("there is no such command", line.command.words[0])
                                   : code;
}
