/*
 * Settings from a file (INI).
 *
 * The file is split by libinih, through a reader of ours that strips leading blanks (so its
 * multi-line values never begin), counts lines and refuses what does not fit libinih's line buffer,
 * which would otherwise be cut in two in silence.
 */
#include "base/config.h"

#include "base/check.h"
#include "base/config_inside.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LINE_BYTES      190 /* libinih's buffer holds 200, of which some are line ends */
#define FILE_BYTES_MAX  (1 << 20)
#define BYTE_ORDER_MARK "\xEF\xBB\xBF" /* editors of Windows write it */

struct file_reader {
    struct config *config;
    const char *path;
    FILE *file;
    int line;
    size_t bytes_left;
    const struct setting **seen; /* rows set by this file; room for all */
    size_t seen_count;
};

static __attribute__((format(printf, 2, 3))) void line_problem(struct file_reader *reader,
                                                               const char *format, ...) {
    char place[300], text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(place, sizeof(place), "%s line %d", reader->path, reader->line);
    config_problem(reader->config, place, "%s", text);
}

/* Keeps the first LINE_BYTES bytes of the next line, reads past the rest, and gives its whole
 * length; -1 at the end of the file. */
static ssize_t read_raw_line(struct file_reader *reader, char kept[LINE_BYTES + 1]) {
    ssize_t len = 0;
    int c = EOF;
    while (reader->bytes_left > 0 && (c = fgetc(reader->file)) != EOF && c != '\n') {
        reader->bytes_left--;
        if (len < LINE_BYTES)
            kept[len] =
                c ? (char)c : '\x01'; /* a NUL is refused as the control character that it is */
        len++;
    }
    kept[len < LINE_BYTES ? len : LINE_BYTES] = '\0';
    return len == 0 && c != '\n' ? -1 : len;
}

/* What is wrong with a line before its meaning is known; NULL when nothing is. */
static const char *flaw_of_line(const char *line, ssize_t len) {
    if (len > LINE_BYTES)
        return "the line is longer than 190 bytes";
    if (*line == '[')
        return strchr(line, ']') ? NULL : "a section without its closing bracket";
    if (*line == '\0' || *line == ';' || *line == '#' || strpbrk(line, "=:"))
        return NULL;
    return "neither [section] nor key = value";
}

/* libinih's fgets: one line without leading blanks. A line with a flaw is reported and passed on
 * empty. */
static char *read_line(char *out, int size, void *ctx) {
    struct file_reader *reader = ctx;
    char line[LINE_BYTES + 1];
    ssize_t len = read_raw_line(reader, line);
    if (len < 0)
        return NULL;
    reader->line++;
    const char *start = line;
    if (reader->line == 1 && strncmp(start, BYTE_ORDER_MARK, 3) == 0)
        start += 3;
    start += strspn(start, " \t\r");
    const char *flaw = flaw_of_line(start, len);
    if (flaw)
        line_problem(reader, "%s", flaw);
    int printed = snprintf(out, (size_t)size, "%s\n", flaw ? "" : start);
    BUG_IF(printed >= size); /* libinih came with a smaller line buffer than any version we know */
    return out;
}

static bool was_seen(struct file_reader *reader, const struct setting *setting) {
    for (size_t i = 0; i < reader->seen_count; i++)
        if (reader->seen[i] == setting)
            return true;
    reader->seen[reader->seen_count++] = setting;
    return false;
}

static int take_pair(void *ctx, const char *section, const char *key, const char *value) {
    struct file_reader *reader = ctx;
    char name[128], place[300];
    const struct setting *nearest;
    double likeness;
    struct str trimmed = str_trim(str_from(section)); /* libinih keeps the blanks of [ section ] */
    snprintf(name, sizeof(name), STR_FMT ".%s", STR_ARG(trimmed), key);
    snprintf(place, sizeof(place), "%s line %d", reader->path, reader->line);
    const struct setting *setting =
        config_find_row(reader->config, str_from(name), config_full_name, &nearest, &likeness);
    if (setting == NULL)
        config_problem_unknown(reader->config, place, "setting", str_from(name), nearest, likeness,
                               config_full_name);
    else if (was_seen(reader, setting))
        line_problem(reader, "%s stands twice", name);
    else
        config_set(reader->config, place, setting, str_from(value));
    return 1;
}

static void read_open_file(struct config *config, const char *path, FILE *file) {
    struct arena arena;
    arena_init(&arena);
    struct file_reader reader = {
        .config = config, .path = path, .file = file, .bytes_left = FILE_BYTES_MAX};
    reader.seen = arena_alloc(&arena, (config_count_rows(config) + 1) * sizeof(*reader.seen));
    int before = config->problem_count;
    int flawed_line = ini_parse_stream(read_line, &reader, take_pair, &reader);
    if (ferror(file))
        config_problem(config, path, "cannot be read: %s", strerror(errno));
    else if (reader.bytes_left == 0)
        config_problem(config, path, "is larger than %d bytes", FILE_BYTES_MAX);
    else if (flawed_line != 0 && config->problem_count == before)
        config_problem(config, path, "line %d is neither [section] nor key = value", flawed_line);
    arena_release(&arena);
}

void config_read_file(struct config *config, const char *path, bool must_exist) {
    config->reading = SOURCE_FILE;
    FILE *file = fopen(path, "re");
    if (file) {
        read_open_file(config, path, file);
        fclose(file);
    } else if (must_exist || errno != ENOENT) {
        config_problem(config, path, "cannot be opened: %s", strerror(errno));
    }
}
