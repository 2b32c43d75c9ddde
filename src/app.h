/* Everything that the program is made of, started in rank order and stopped in reverse. */
#pragma once

#include "base/config.h"
#include "base/err.h"
#include "model/index.h"

/* What the command line asks of every command. */
struct app_options {
    const char *config_path;  /* NULL: ./troupe.ini if it is there */
    const char *data;         /* the folder; never NULL */
    struct str listen;        /* STR_NONE: the setting */
    const char *const *flags; /* "section.key=value", as they stood */
    size_t flag_count;
};

extern const struct setting *const app_settings[]; /* every setting table */

extern const struct index_kind *const app_index_kinds[]; /* NULL-terminated */

/* Reads file, environment and flags. False when something is wrong: one line per problem is in
 * app_config()->problems. */
bool app_configure(const struct app_options *options);
struct config *app_config(void);

/* Opens data folder, key and store: what every command that touches data needs. The reason of a
 * failure is logged for a person. */
MUST_USE enum err app_open(const struct app_options *options);
void app_close(void);

/* The server: runs until it is told to stop. The exit code. */
int app_serve(const struct app_options *options);
/* Makes the route tables known without listening, for `troupe test openapi`. */
void app_routes(void);
