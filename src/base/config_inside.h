/*
 * What the files of the settings know of each other.
 *
 *   config.c       rows, values, environment and flags, the example
 *   config_file.c  the INI file
 */
#pragma once

#include "base/config.h"

size_t config_count_rows(const struct config *config);

/* How a row is called where it is looked for. */
typedef struct str (*config_name_fn)(struct arena *, const struct setting *);
struct str config_full_name(struct arena *arena, const struct setting *setting); /* section.key */
/* The row of that name, or NULL and the most similar row with its likeness. */
const struct setting *config_find_row(const struct config *config, struct str name,
                                      config_name_fn name_of, const struct setting **nearest,
                                      double *likeness);

/* Judges the text and stores it; what is wrong becomes a problem at that place. On a reload what
 * needs a restart is judged only. */
void config_set(struct config *config, const char *place, const struct setting *setting,
                struct str text);

/* One more line for a person. Always false, so that a check can end in it. */
bool config_problem(struct config *config, const char *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void config_problem_unknown(struct config *config, const char *place, const char *what,
                            struct str name, const struct setting *nearest, double likeness,
                            config_name_fn name_of);
