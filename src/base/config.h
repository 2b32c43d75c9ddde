/*
 * Settings are rows: section, key, where the value lives, default, bounds, one sentence. Each feature owns a table; app.c lists the tables. From the rows
 * come the INI reader, TROUPE_SECTION_KEY, --section.key=value, `troupe config check`, and config.example.ini.
 *
 * Priority: flag, environment, file, default. A value lives in a plain static struct of its feature ("limits.requests_per_minute" in
 * net/limit.h), written before the loop runs and afterwards only on the loop thread, so reading it is reading a variable.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

enum setting_type { SETTING_INT, SETTING_BOOL, SETTING_TEXT, SETTING_CHOICE };

struct setting {
    const char *section;
    const char *key;
    enum setting_type type;
    void *at;               /* int64_t *, bool *, struct str *, int * (index of the choice) */
    const char *fallback;   /* the default, as it would stand in the file */
    int64_t min, max;       /* of SETTING_INT; of SETTING_TEXT the bytes */
    const char *unit;       /* "ms", "bytes", NULL */
    const char *const *choices; /* of SETTING_CHOICE, NULL-terminated */
    bool needs_restart;     /* a reload (SIGHUP) does not change it */
    bool is_secret;         /* never printed */
    const char *help;       /* one sentence */
};

/* A table ends with a row whose section is NULL. */
struct config {
    struct arena arena;                  /* owns the texts */
    const struct setting *const *tables; /* NULL-terminated */
    struct buf problems;                 /* one line per problem, for a person */
    int problem_count;
};

void config_init(struct config *config, const struct setting *const *tables); /* sets every default */
void config_release(struct config *config);
/* Each adds to config->problems what is wrong (unknown names, bad values) and goes on. */
void config_read_file(struct config *config, const char *path, bool must_exist);
void config_read_environment(struct config *config, char **environment);
/* One `section.key=value`. */
void config_read_flag(struct config *config, struct str flag);
/* The commented example file, the rows in table order. */
void config_print_example(const struct config *config, struct buf *out);
