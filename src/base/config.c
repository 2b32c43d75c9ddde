/*
 * One way in for a value, whatever its source: `config_set` judges the text by the row's type and
 * bounds, and either stores it or adds a line to the problems. File, environment and flags only
 * find the row and name the place ("troupe.ini line 12", "TROUPE_LIMITS_BURST"). The file's way
 * there is config_file.c.
 */
#include "base/config.h"

#include "base/check.h"
#include "base/config_inside.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define PROBLEMS_CEILING_BYTES (64 * 1024)
#define TEXT_DEFAULT_MAX       4096
#define LIKENESS_MIN           0.4 /* one slip in ten letters gives 0.6, another word in it 0.45 */
#define LIKENESS_SURE          0.7
#define ENVIRONMENT_PREFIX     "TROUPE_"

/* --- rows ------------------------------------------------------------------------------------- */

/* Steps through every row of every table: start with table 0 and row 0; NULL at the end. */
struct cursor {
    size_t table, row;
};

static const struct setting *next_row(const struct config *config, struct cursor *cursor) {
    for (; config->tables[cursor->table]; cursor->table++, cursor->row = 0) {
        const struct setting *setting = &config->tables[cursor->table][cursor->row];
        if (setting->section) {
            cursor->row++;
            return setting;
        }
    }
    return NULL;
}

size_t config_count_rows(const struct config *config) {
    struct cursor cursor = {0};
    size_t count = 0;
    while (next_row(config, &cursor))
        count++;
    return count;
}

struct str config_full_name(struct arena *arena, const struct setting *setting) {
    return str_printf(arena, "%s.%s", setting->section, setting->key);
}

static struct str environment_name(struct arena *arena, const struct setting *setting) {
    char *name = str_dup_z(
        arena, str_printf(arena, ENVIRONMENT_PREFIX "%s_%s", setting->section, setting->key));
    for (char *c = name; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c & ~0x20) : *c == '.' || *c == '-' ? '_' : *c;
    return str_from(name);
}

/* The row of that name, or NULL and the most similar row with its likeness. */
const struct setting *config_find_row(const struct config *config, struct str name,
                                      config_name_fn name_of, const struct setting **nearest,
                                      double *likeness) {
    char scratch[1024];
    struct cursor cursor = {0};
    *nearest = NULL;
    *likeness = 0;
    for (const struct setting *row; (row = next_row(config, &cursor));) {
        struct arena arena;
        arena_init_with(&arena, scratch, sizeof(scratch));
        struct str row_name = name_of(&arena, row);
        bool is_it = str_eq(row_name, name);
        double like = is_it ? 1 : text_similarity(row_name, name);
        arena_release(&arena);
        if (is_it)
            return row;
        if (like > *likeness) {
            *likeness = like;
            *nearest = row;
        }
    }
    return NULL;
}

/* --- problems --------------------------------------------------------------------------------- */

bool config_problem(struct config *config, const char *place, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    buf_printf(&config->problems, "%s: %s\n", place, line);
    config->problem_count++;
    return false;
}

void config_problem_unknown(struct config *config, const char *place, const char *what,
                            struct str name, const struct setting *nearest, double likeness,
                            config_name_fn name_of) {
    char scratch[1024];
    struct arena arena;
    arena_init_with(&arena, scratch, sizeof(scratch));
    name = text_repair(&arena, text_cut(name, 100));
    if (nearest && likeness >= LIKENESS_MIN) {
        struct str near = name_of(&arena, nearest);
        config_problem(config, place, "unknown %s %.*s (did you mean %.*s?)", what, STR_ARG(name),
                       STR_ARG(near));
    } else {
        config_problem(config, place, "unknown %s %.*s", what, STR_ARG(name));
    }
    arena_release(&arena);
}

/* --- values ----------------------------------------------------------------------------------- */

static const struct suffix {
    const char *unit, *suffix;
    int64_t factor;
} SUFFIXES[] = {
    {"bytes", "KiB", 1024},
    {"bytes", "MiB", 1 << 20},
    {"bytes", "GiB", 1 << 30},
    {"ms", "ms", 1},
    {"ms", "s", 1000},
    {"ms", "min", 60 * 1000},
    {"ms", "h", 3600 * 1000},
    {"ms", "d", 24 * 3600 * 1000},
    {"s", "s", 1},
    {"s", "min", 60},
    {"s", "h", 3600},
    {"s", "d", 24 * 3600},
};

/* Takes a unit off the end of *text and gives its factor; 1 when there is none. */
static int64_t take_suffix(const struct setting *setting, struct str *text) {
    const struct suffix *best = NULL;
    for (size_t i = 0; setting->unit && i < COUNT_OF(SUFFIXES); i++) {
        const struct suffix *suffix = &SUFFIXES[i];
        if (strcmp(suffix->unit, setting->unit) == 0 && str_ends(*text, str_from(suffix->suffix)) &&
            (best == NULL || strlen(suffix->suffix) > strlen(best->suffix)))
            best = suffix;
    }
    if (best == NULL)
        return 1;
    *text = str_trim(str_slice(*text, 0, text->len - strlen(best->suffix)));
    return best->factor;
}

static bool read_int(struct config *config, const char *place, const struct setting *setting,
                     struct str text, int64_t *out) {
    int64_t value, factor = take_suffix(setting, &text);
    if (str_to_int(text, &value) != E_OK || __builtin_mul_overflow(value, factor, &value))
        return config_problem(config, place, "%s.%s must be a whole number%s%s", setting->section,
                              setting->key, setting->unit ? " of " : "",
                              setting->unit ? setting->unit : "");
    bool has_bounds = setting->min != 0 || setting->max != 0;
    if (has_bounds && (value < setting->min || value > setting->max))
        return config_problem(config, place, "%s.%s must be between %lld and %lld",
                              setting->section, setting->key, (long long)setting->min,
                              (long long)setting->max);
    *out = value;
    return true;
}

static bool read_bool(struct config *config, const char *place, const struct setting *setting,
                      struct str text, bool *out) {
    static const char *const WORDS[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
        for (int value = 0; value < 2; value++) {
            if (str_eq_nocase(text, str_from(WORDS[i][value]))) {
                *out = value;
                return true;
            }
        }
    }
    return config_problem(config, place, "%s.%s must be true or false", setting->section,
                          setting->key);
}

static bool has_control_character(struct str text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7F)
            return true;
    return false;
}

static bool read_text(struct config *config, const char *place, const struct setting *setting,
                      struct str text, struct str *out) {
    size_t max = setting->max > 0 ? (size_t)setting->max : TEXT_DEFAULT_MAX;
    if (text.len > max || text.len < (size_t)setting->min)
        return config_problem(config, place, "%s.%s must have %lld to %zu bytes", setting->section,
                              setting->key, (long long)setting->min, max);
    if (!text_is_utf8(text) || has_control_character(text))
        return config_problem(config, place, "%s.%s must be UTF-8 without control characters",
                              setting->section, setting->key);
    *out = str_dup(&config->arena, text.at ? text : STR(""));
    return true;
}

static bool read_choice(struct config *config, const char *place, const struct setting *setting,
                        struct str text, int *out) {
    char list[256];
    size_t used = 0;
    list[0] = '\0';
    for (int i = 0; setting->choices[i]; i++) {
        if (str_eq(text, str_from(setting->choices[i]))) {
            *out = i;
            return true;
        }
        int len = snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "",
                           setting->choices[i]);
        used += len > 0 && (size_t)len < sizeof(list) - used ? (size_t)len : 0;
    }
    return config_problem(config, place, "%s.%s must be one of: %s", setting->section, setting->key,
                          list);
}

static ptrdiff_t row_index(const struct config *config, const struct setting *setting) {
    struct cursor cursor = {0};
    ptrdiff_t index = 0;
    for (const struct setting *row; (row = next_row(config, &cursor)); index++)
        if (row == setting)
            return index;
    return -1;
}

static void note_source(struct config *config, const struct setting *setting) {
    ptrdiff_t index = row_index(config, setting);
    BUG_IF(index >= CONFIG_ROWS_MAX);
    if (index >= 0)
        config->sources[index] = (uint8_t)config->reading;
}

/* Judges and stores. On a reload what needs a restart is judged only. */
void config_set(struct config *config, const char *place, const struct setting *setting,
                struct str text) {
    bool is_kept = config->is_reload && setting->needs_restart;
    int64_t number = 0;
    bool truth = false;
    struct str copy;
    int choice = 0, problems_before = config->problem_count;
    switch (setting->type) {
    case SETTING_INT:
        if (read_int(config, place, setting, text, &number) && !is_kept)
            *(int64_t *)setting->at = number;
        break;
    case SETTING_BOOL:
        if (read_bool(config, place, setting, text, &truth) && !is_kept)
            *(bool *)setting->at = truth;
        break;
    case SETTING_TEXT:
        if (read_text(config, place, setting, text, &copy) && !is_kept)
            *(struct str *)setting->at = copy;
        break;
    case SETTING_CHOICE:
        if (read_choice(config, place, setting, text, &choice) && !is_kept)
            *(int *)setting->at = choice;
        break;
    }
    if (config->problem_count == problems_before && !is_kept)
        note_source(config, setting);
}

static void init(struct config *config, const struct setting *const *tables, bool is_reload) {
    *config = (struct config){.tables = tables, .is_reload = is_reload};
    arena_init(&config->arena);
    buf_init(&config->problems, PROBLEMS_CEILING_BYTES);
    struct cursor cursor = {0};
    for (const struct setting *row; (row = next_row(config, &cursor));) {
        BUG_IF(row->key == NULL || row->at == NULL || row->fallback == NULL || row->help == NULL);
        BUG_IF(row->type == SETTING_CHOICE && row->choices == NULL);
        config_set(config, "default", row, str_from(row->fallback));
    }
    if (config->problem_count > 0) /* a row that refuses its own default */
        BUG(STR_FMT, STR_ARG(buf_str(&config->problems)));
}

void config_init(struct config *config, const struct setting *const *tables) {
    init(config, tables, false);
}

void config_init_reload(struct config *config, const struct setting *const *tables) {
    init(config, tables, true);
}

void config_release(struct config *config) {
    arena_release(&config->arena);
    buf_release(&config->problems);
}

/* --- environment and flags -------------------------------------------------------------------- */

/* A name of ours in the part of a section that exists, or close to one of our names: a slip, not
 * somebody else's variable. */
static bool looks_like_setting(const struct config *config, struct str name, double likeness) {
    struct cursor cursor = {0};
    for (const struct setting *row; (row = next_row(config, &cursor));) {
        char prefix[128];
        int len = snprintf(prefix, sizeof(prefix), ENVIRONMENT_PREFIX "%s_", row->section);
        if (len > 0 && (size_t)len <= name.len &&
            str_eq_nocase(str_of(name.at, (size_t)len), str_of(prefix, (size_t)len)))
            return true;
    }
    return likeness >= LIKENESS_SURE;
}

static void read_variable(struct config *config, struct str variable) {
    struct str name = STR_NONE, value = variable;
    const struct setting *nearest;
    double likeness;
    str_next(&value, '=', &name);
    if (!str_starts(name, STR(ENVIRONMENT_PREFIX)) || value.at == NULL)
        return;
    const struct setting *setting =
        config_find_row(config, name, environment_name, &nearest, &likeness);
    char place[128];
    snprintf(place, sizeof(place), STR_FMT, STR_ARG(str_slice(name, 0, 100)));
    if (setting)
        config_set(config, place, setting, value);
    else if (looks_like_setting(config, name, likeness))
        config_problem_unknown(config, "environment", "variable", name, nearest, likeness,
                               environment_name);
}

void config_read_environment(struct config *config, char **environment) {
    config->reading = SOURCE_ENVIRONMENT;
    for (char **variable = environment; *variable; variable++)
        read_variable(config, str_from(*variable));
}

void config_read_flag(struct config *config, struct str flag) {
    const struct setting *nearest;
    double likeness;
    config->reading = SOURCE_FLAG;
    if (str_starts(flag, STR("--")))
        flag = str_slice(flag, 2, flag.len);
    struct str value = flag, name = STR_NONE;
    if (!str_next(&value, '=', &name) || value.at == NULL) {
        config_problem(config, "command line", "expected --section.key=value");
        return;
    }
    const struct setting *setting =
        config_find_row(config, name, config_full_name, &nearest, &likeness);
    if (setting)
        config_set(config, "command line", setting, value);
    else
        config_problem_unknown(config, "command line", "setting", name, nearest, likeness,
                               config_full_name);
}

/* --- stored, and one by one ------------------------------------------------------------------- */

/* A name that this version does not have any more is no problem: the next one may have it again. */
void config_read_stored(struct config *config, struct str name, struct str value) {
    const struct setting *nearest;
    double likeness;
    config->reading = SOURCE_STORED;
    const struct setting *setting =
        config_find_row(config, name, config_full_name, &nearest, &likeness);
    if (setting)
        config_set(config, "stored setting", setting, value);
}

void config_keep_sources(struct config *config, const struct config *before) {
    struct cursor cursor = {0};
    size_t index = 0;
    for (const struct setting *row; (row = next_row(config, &cursor)); index++)
        if (row->needs_restart)
            config->sources[index] = before->sources[index];
}

const struct setting *config_row(const struct config *config, size_t index) {
    struct cursor cursor = {0};
    const struct setting *row;
    do
        row = next_row(config, &cursor);
    while (row && index-- > 0);
    return row;
}

ptrdiff_t config_find(const struct config *config, struct str name,
                      const struct setting **nearest) {
    double likeness;
    const struct setting *row = config_find_row(config, name, config_full_name, nearest, &likeness);
    if (likeness < LIKENESS_MIN)
        *nearest = NULL;
    return row ? row_index(config, row) : -1;
}

static void *member_of_type(enum setting_type type, struct setting_value *value) {
    switch (type) {
    case SETTING_INT:
        return &value->number;
    case SETTING_BOOL:
        return &value->truth;
    case SETTING_TEXT:
        return &value->text;
    case SETTING_CHOICE:
        return &value->choice;
    }
    BUG("a setting of no type");
}

const char *setting_parse(struct arena *arena, const struct setting *setting, struct str text,
                          struct setting_value *value) {
    static const struct setting *const none[] = {NULL};
    struct config scratch = {.tables = none};
    struct setting copy = *setting;
    const char *wrong = NULL;
    *value = (struct setting_value){0};
    copy.at = member_of_type(setting->type, value);
    arena_init(&scratch.arena);
    buf_init(&scratch.problems, PROBLEMS_CEILING_BYTES);
    config_set(&scratch, "", &copy, text);
    struct str line = str_trim(buf_str(&scratch.problems)); /* ": section.key must be ..." */
    if (scratch.problem_count > 0)
        wrong = str_dup_z(
            arena,
            str_slice(line, 2 + strlen(setting->section) + 1 + strlen(setting->key) + 1, line.len));
    value->text = str_dup(arena, value->text);
    config_release(&scratch);
    return wrong;
}

/* --- example ---------------------------------------------------------------------------------- */

static void print_bounds(struct buf *out, const struct setting *setting) {
    static const char *const KINDS[] = {"whole number", "true or false", "text", ""};
    buf_printf(out, "; (%s", KINDS[setting->type]);
    for (int i = 0; setting->type == SETTING_CHOICE && setting->choices[i]; i++)
        buf_printf(out, "%s%s", i ? ", " : "one of ", setting->choices[i]);
    if (setting->type == SETTING_INT && (setting->min || setting->max))
        buf_printf(out, ", %lld to %lld", (long long)setting->min, (long long)setting->max);
    if (setting->unit)
        buf_printf(out, ", %s", setting->unit);
    if (setting->needs_restart)
        buf_add_str(out, STR(", needs a restart"));
    buf_add_str(out, STR(")\n"));
}

static void print_row(struct buf *out, const struct setting *setting) {
    buf_printf(out, "\n; %s\n", setting->help);
    print_bounds(out, setting);
    buf_printf(out, ";%s =%s%s\n", setting->key, *setting->fallback ? " " : "", setting->fallback);
}

/* True for the first row of its section in all tables: there the whole section is printed. */
static bool opens_section(const struct config *config, const struct setting *setting) {
    struct cursor cursor = {0};
    for (const struct setting *row; (row = next_row(config, &cursor));)
        if (strcmp(row->section, setting->section) == 0)
            return row == setting;
    return false;
}

void config_print_example(const struct config *config, struct buf *out) {
    buf_add_str(
        out,
        STR("; Every setting of Troupe with its default. Remove the ; before a line to change it.\n"
            "; The environment (TROUPE_SECTION_KEY) and flags (--section.key=value) win over this file.\n"
            "; A ; behind a blank begins a comment, in values too.\n"));
    struct cursor sections = {0};
    for (const struct setting *head; (head = next_row(config, &sections));) {
        if (!opens_section(config, head))
            continue;
        buf_printf(out, "\n[%s]\n", head->section);
        struct cursor rows = {0};
        for (const struct setting *row; (row = next_row(config, &rows));)
            if (strcmp(row->section, head->section) == 0)
                print_row(out, row);
    }
}
