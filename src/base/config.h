/*
 * Settings are rows: section, key, where the value lives, default, bounds, one sentence. Each
 * feature owns a table; app.c lists the tables. From the rows come the INI reader,
 * TROUPE_SECTION_KEY, --section.key=value, `troupe config check`, and config.example.ini.
 *
 * Priority: flag, environment, stored by an admin, file, default. What an admin says in the running
 * house is newer than the file, which packages bring and which must not make the page of settings
 * dead; flags and environment belong to whoever starts the process, and win over all.
 *
 * A value lives in a plain static struct of its feature
 * ("limits.requests_per_minute" in net/limit.h), written before the loop runs and afterwards only
 * on the loop thread, so reading it is reading a variable.
 *
 * Values, wherever they come from: integers with an optional unit (of "bytes": KiB MiB GiB; of
 * "ms": ms s min h d; of "s": s min h d), booleans as true/false, yes/no, on/off, 1/0, texts as
 * UTF-8 without control characters. A bad value leaves the setting as it was.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#include <stddef.h>

enum setting_type { SETTING_INT, SETTING_BOOL, SETTING_TEXT, SETTING_CHOICE };

struct setting {
    const char *section;
    const char *key;
    enum setting_type type;
    void *at;             /* int64_t *, bool *, struct str *, int * (index of the choice) */
    const char *fallback; /* the default, as it would stand in the file */
    int64_t min,
        max; /* of SETTING_INT; of SETTING_TEXT the bytes. Both 0: any integer, texts up to 4,096 */
    const char *unit;           /* "ms", "s", "bytes", NULL */
    const char *const *choices; /* of SETTING_CHOICE, NULL-terminated */
    bool needs_restart;         /* a reload (SIGHUP) does not change it */
    bool is_secret;             /* never printed */
    bool is_owners;             /* in the running house only the owner changes it */
    const char *help;           /* one sentence */
};

/* Where a value came from, from the weakest to the strongest. */
enum setting_source {
    SOURCE_DEFAULT,
    SOURCE_FILE,
    SOURCE_STORED, /* an admin said so in the running house */
    SOURCE_ENVIRONMENT,
    SOURCE_FLAG,
};

#define CONFIG_ROWS_MAX 256

/* A table ends with a row whose section is NULL. */
struct config {
    struct arena arena;                  /* owns the texts */
    const struct setting *const *tables; /* NULL-terminated */
    struct buf problems;                 /* one line per problem, for a person */
    int problem_count;
    bool is_reload;              /* rows that need a restart are judged, but keep their values */
    enum setting_source reading; /* what is being read now */
    uint8_t sources[CONFIG_ROWS_MAX]; /* of each row in table order: enum setting_source */
};

/* Sets every default. Then call the readers in the order file, stored, environment, flags: what is
 * read later wins. */
void config_init(struct config *config, const struct setting *const *tables);
/* The same for SIGHUP: what needs a restart stays, so the config before this one must live on (its
 * texts are in use). */
void config_init_reload(struct config *config, const struct setting *const *tables);
/* Frees the texts, so the settings may not be read afterwards. */
void config_release(struct config *config);
/* Each adds to config->problems what is wrong (unknown names, bad values) and goes on. */
/* INI: [section], key = value, comments behind ; or #. Lines longer than 190 bytes are refused; a
 * key may stand once. */
void config_read_file(struct config *config, const char *path, bool must_exist);
/* TROUPE_SECTION_KEY. Other names that begin with TROUPE_ are problems when they look like a
 * setting, and none of ours otherwise. */
void config_read_environment(struct config *config, char **environment);
/* One `section.key=value`, with or without the two dashes. */
void config_read_flag(struct config *config, struct str flag);
/* One value that an admin stored. */
void config_read_stored(struct config *config, struct str name, struct str value);
/* After config_init_reload: rows that kept their values keep what is known of their origin. */
void config_keep_sources(struct config *config, const struct config *before);

/* The rows in table order; NULL past the end. */
const struct setting *config_row(const struct config *config, size_t index);
/* The index of "section.key"; -1 when there is none, and the most similar row if one is close. */
ptrdiff_t config_find(const struct config *config, struct str name, const struct setting **nearest);

/* A value in the member of its type. */
struct setting_value {
    int64_t number;
    bool truth;
    int choice;
    struct str text;
};
/* Judges a text by the row and stores nothing. NULL when it is good and *value is filled; else what
 * it must be, for a person. Texts are the arena's. */
const char *setting_parse(struct arena *arena, const struct setting *setting, struct str text,
                          struct setting_value *value);
/* The commented example file, the rows in table order. */
void config_print_example(const struct config *config, struct buf *out);
