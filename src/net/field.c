/*
 * Rows at work: one pass over a JSON object (or the pairs of a query), each member judged by its
 * row.
 *
 * Every problem is named by its path ("book.entries.3.keys") and told in plain words; reading goes
 * on, so that a person sees all of them at once, up to the sixteen that struct field_problems
 * holds. What is not in the rows is a problem too, with the nearest name that is.
 *
 * Everything that is kept lives in the arena; texts borrow from the parsed tree, which lives there
 * as well.
 */
#include "net/field.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/banned.h"

#define JSON_DEFAULT_MAX (64 << 10)
#define ROWS_LIMIT       64 /* bits of `has` */
#define SIMILAR_ENOUGH   0.4
#define NAME_SHOWN_BYTES 64

/* Where we are, from the inside out; turned into text only when something is wrong. */
struct place {
    const struct place *outer;
    struct str name;
    size_t index; /* of an item, when name is absent */
};

struct reader {
    struct arena *arena;
    struct field_problems *problems;
};

static bool read_rows(struct reader *reader, const struct place *outer, const struct field *rows,
                      const struct json_value *object, void *out, uint64_t *has);

/* --- problems --------------------------------------------------------------------------------- */

static struct str place_text(struct arena *arena, const struct place *place) {
    if (place == NULL)
        return STR("");
    struct str outer = place_text(arena, place->outer);
    const char *dot = outer.len > 0 ? "." : "";
    if (place->name.at == NULL)
        return str_printf(arena, STR_FMT "%s%zu", STR_ARG(outer), dot, place->index);
    struct str name = str_slice(place->name, 0, NAME_SHOWN_BYTES);
    name = str_slice(name, 0, text_whole_prefix(name));
    return str_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(outer), dot, STR_ARG(name));
}

/* Always false, so that a check can end in it. */
static bool wrong(struct reader *reader, const struct place *place, const char *message) {
    struct field_problems *problems = reader->problems;
    if (problems->count < COUNT_OF(problems->items)) {
        struct field_problem *problem = &problems->items[problems->count++];
        problem->field = str_dup_z(reader->arena, place_text(reader->arena, place));
        problem->message = message;
    }
    return false;
}

/* Enough is wrong: more would cost time and be told to nobody. */
static bool is_enough(const struct reader *reader) {
    return reader->problems->count == COUNT_OF(reader->problems->items);
}

static bool wrong_number(struct reader *reader, const struct place *place, const char *format,
                         double number) {
    char digits[32];
    snprintf(digits, sizeof(digits), "%.15g", number);
    return wrong(reader, place, str_printf(reader->arena, format, digits).at);
}

/* --- single values ---------------------------------------------------------------------------- */

static bool check_text(struct reader *reader, const struct place *place, struct str text,
                       double min, double max) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return wrong(reader, place, "must not hold control characters");
    }
    if (max <= 0)
        max = FIELD_TEXT_MAX;
    /* A code point has at least one byte, so short texts need no count. */
    if ((double)text.len > max && (double)text_length(text) > max)
        return wrong_number(reader, place, "must have at most %s characters", max);
    if (min > 0 && (double)text_length(text) < min)
        return text.len == 0 ? wrong(reader, place, "must not be empty")
                             : wrong_number(reader, place, "must have at least %s characters", min);
    return true;
}

/* 0 and 0 mean no bounds; a lower bound alone leaves the top open unless it is below zero. */
static bool check_bounds(struct reader *reader, const struct place *place, const struct field *row,
                         double number) {
    bool has_max = row->max != 0 || row->min < 0;
    if ((row->min != 0 || row->max != 0) && number < row->min)
        return wrong_number(reader, place, "must be at least %s", row->min);
    if (has_max && number > row->max)
        return wrong_number(reader, place, "must be at most %s", row->max);
    return true;
}

static bool check_choice(struct reader *reader, const struct place *place, const struct field *row,
                         struct str text) {
    struct str list = STR("");
    for (size_t i = 0; row->choices[i] != NULL; i++) {
        if (str_eq(text, str_from(row->choices[i])))
            return true;
        list = str_printf(reader->arena, STR_FMT "%s%s", STR_ARG(list), i > 0 ? ", " : "",
                          row->choices[i]);
    }
    return wrong(reader, place,
                 str_printf(reader->arena, "must be one of: " STR_FMT, STR_ARG(list)).at);
}

/* 0 ms stands for "no moment" in every struct and row behind this (bind_time), so the first moment of
 * 1970 is told from it by a millisecond: what ends then has ended, and is not for ever. */
static bool read_time(struct str text, int64_t *at_ms) {
    enum err err = clock_parse_rfc3339(text, at_ms);
    if (err == E_OK && *at_ms == 0)
        *at_ms = 1;
    return err == E_OK;
}

/* A value that is a text: of a query, or of a JSON string whose type is written as one. */
static bool text_store(struct reader *reader, const struct place *place, const struct field *row,
                       struct str text, void *to) {
    switch (row->type) {
    case FIELD_TEXT:
        *(struct str *)to = text;
        return check_text(reader, place, text, row->min, row->max);
    case FIELD_CHOICE:
        *(struct str *)to = text;
        return check_choice(reader, place, row, text);
    case FIELD_ID:
        return id_parse(text, to) == E_OK || wrong(reader, place, "must be an id of 13 letters");
    case FIELD_TIME:
        return read_time(text, to) ||
               wrong(reader, place, "must be a time like 2026-11-21T03:52:00Z");
    default:
        BUG("field %s is no text", row->name);
    }
}

/* What stands as text in a query or a fallback but is a number or a truth in JSON. */
static bool word_store(struct reader *reader, const struct place *place, const struct field *row,
                       struct str text, void *to) {
    double number;
    switch (row->type) {
    case FIELD_INT:
        return (str_to_int(text, to) == E_OK || wrong(reader, place, "must be a whole number")) &&
               check_bounds(reader, place, row, (double)*(int64_t *)to);
    case FIELD_NUMBER:
        if (str_to_double(text, &number) != E_OK)
            return wrong(reader, place, "must be a number");
        *(double *)to = number;
        return check_bounds(reader, place, row, number);
    case FIELD_BOOL:
        *(bool *)to = str_eq(text, STR("true")) || str_eq(text, STR("1"));
        return *(bool *)to || str_eq(text, STR("false")) || str_eq(text, STR("0")) ||
               wrong(reader, place, "must be true or false");
    default:
        return text_store(reader, place, row, text, to);
    }
}

static bool int_store(struct reader *reader, const struct place *place, const struct field *row,
                      const struct json_value *value, void *to) {
    int64_t number = json_int(value, 0);
    if (number != json_int(value, 1))
        return wrong(reader, place, "must be a whole number");
    *(int64_t *)to = number;
    return check_bounds(reader, place, row, (double)number);
}

static bool json_store(struct reader *reader, const struct place *place, const struct field *row,
                       const struct json_value *value, void *to) {
    struct buf text;
    struct json json;
    size_t max = row->max > 0 ? (size_t)row->max : JSON_DEFAULT_MAX;
    buf_init(&text, max);
    json_init(&json, &text);
    json_write_value(&json, value);
    bool fits = text.err == E_OK;
    buf_release(&text);
    *(const struct json_value **)to = value;
    return fits || wrong_number(reader, place, "must have at most %s bytes", (double)max);
}

/* --- lists and objects ------------------------------------------------------------------------ */

static bool check_count(struct reader *reader, const struct place *place, const struct field *row,
                        size_t count) {
    double max = row->max > 0 ? row->max : FIELD_ITEMS_MAX;
    if ((double)count > max)
        return wrong_number(reader, place, "must have at most %s items", max);
    if ((double)count < row->min)
        return wrong_number(reader, place, "must have at least %s items", row->min);
    return true;
}

static bool texts_store(struct reader *reader, const struct place *place, const struct field *row,
                        const struct json_value *array, struct field_texts *to) {
    bool is_fine = true;
    to->items = ARENA_ARRAY(reader->arena, struct str, json_count(array));
    for (const struct json_value *item = json_first(array); item != NULL; item = json_next(item)) {
        struct place inner = {.outer = place, .index = to->count};
        if (json_type(item) != JSON_STRING)
            return wrong(reader, &inner, "must be a text");
        to->items[to->count] = json_string(item, STR(""));
        is_fine = check_text(reader, &inner, to->items[to->count++], 0, row->item_max) && is_fine;
    }
    return is_fine;
}

static bool ids_store(struct reader *reader, const struct place *place,
                      const struct json_value *array, struct field_ids *to) {
    to->items = ARENA_ARRAY(reader->arena, int64_t, json_count(array));
    for (const struct json_value *item = json_first(array); item != NULL; item = json_next(item)) {
        struct place inner = {.outer = place, .index = to->count};
        if (id_parse(json_string(item, STR("")), &to->items[to->count++]) != E_OK)
            return wrong(reader, &inner, "must be an id of 13 letters");
    }
    return true;
}

static bool object_store(struct reader *reader, const struct place *place, const struct field *row,
                         const struct json_value *object, void *to) {
    if (json_type(object) != JSON_OBJECT)
        return wrong(reader, place, "must be an object");
    return read_rows(reader, place, row->rows, object, to, NULL);
}

static bool objects_store(struct reader *reader, const struct place *place, const struct field *row,
                          const struct json_value *array, struct field_objects *to) {
    bool is_fine = true;
    to->items = arena_zero(reader->arena, row->size * json_count(array) + 1);
    for (const struct json_value *item = json_first(array); item != NULL; item = json_next(item)) {
        struct place inner = {.outer = place, .index = to->count};
        void *at = (char *)to->items + row->size * to->count++;
        is_fine = object_store(reader, &inner, row, item, at) && is_fine;
    }
    return is_fine;
}

static bool list_store(struct reader *reader, const struct place *place, const struct field *row,
                       const struct json_value *value, void *to) {
    if (json_type(value) != JSON_ARRAY)
        return wrong(reader, place, "must be a list");
    if (!check_count(reader, place, row, json_count(value)))
        return false;
    if (row->type == FIELD_TEXTS)
        return texts_store(reader, place, row, value, to);
    if (row->type == FIELD_IDS)
        return ids_store(reader, place, value, to);
    return objects_store(reader, place, row, value, to);
}

static bool value_store(struct reader *reader, const struct place *place, const struct field *row,
                        const struct json_value *value, void *to) {
    enum json_type type = json_type(value);
    switch (row->type) {
    case FIELD_INT:
        return int_store(reader, place, row, value, to);
    case FIELD_NUMBER:
        *(double *)to = json_number(value, 0);
        return type == JSON_NUMBER ? check_bounds(reader, place, row, *(double *)to)
                                   : wrong(reader, place, "must be a number");
    case FIELD_BOOL:
        *(bool *)to = json_bool(value, false);
        return type == JSON_BOOL || wrong(reader, place, "must be true or false");
    case FIELD_TEXTS:
    case FIELD_IDS:
    case FIELD_OBJECTS:
        return list_store(reader, place, row, value, to);
    case FIELD_OBJECT:
        *(void **)to = arena_zero(reader->arena, row->size + 1);
        return object_store(reader, place, row, value, *(void **)to);
    case FIELD_JSON:
        return json_store(reader, place, row, value, to);
    case FIELD_FILE:
        return wrong(reader, place, "must be uploaded as a file");
    default:
        return type == JSON_STRING ? text_store(reader, place, row, json_string(value, STR("")), to)
                                   : wrong(reader, place, "must be a text");
    }
}

/* --- rows ------------------------------------------------------------------------------------- */

static ptrdiff_t row_find(const struct field *rows, struct str name) {
    for (size_t i = 0; rows[i].name != NULL; i++)
        if (str_eq(str_from(rows[i].name), name))
            return (ptrdiff_t)i;
    return -1;
}

static bool unknown_name(struct reader *reader, const struct place *place,
                         const struct field *rows) {
    const char *nearest = NULL;
    double best = SIMILAR_ENOUGH;
    struct str name = str_slice(place->name, 0, NAME_SHOWN_BYTES);
    for (size_t i = 0; rows[i].name != NULL; i++) {
        double similarity = text_similarity(str_from(rows[i].name), name);
        if (similarity >= best) {
            best = similarity;
            nearest = rows[i].name;
        }
    }
    if (nearest == NULL)
        return wrong(reader, place, "is not a field here");
    return wrong(reader, place,
                 str_printf(reader->arena, "is not a field here; did you mean %s?", nearest).at);
}

/* Absent members: required ones are a problem, others get their fallback. */
static bool fill_absent(struct reader *reader, const struct place *outer, const struct field *rows,
                        uint64_t has, char *out) {
    bool is_fine = true;
    for (size_t i = 0; rows[i].name != NULL; i++) {
        const struct field *row = &rows[i];
        struct place place = {.outer = outer, .name = str_from(row->name)};
        if ((has & UINT64_C(1) << i) != 0)
            continue;
        if (row->is_required)
            is_fine = wrong(reader, &place, "is required");
        else if (row->fallback != NULL &&
                 !word_store(reader, &place, row, str_from(row->fallback), out + row->offset))
            BUG("the fallback of field %s does not fit its own row", row->name);
    }
    return is_fine;
}

static bool read_rows(struct reader *reader, const struct place *outer, const struct field *rows,
                      const struct json_value *object, void *out, uint64_t *has) {
    bool is_fine = true;
    uint64_t seen = 0;
    for (const struct json_value *member = json_first(object); member != NULL;
         member = json_next(member)) {
        if (is_enough(reader))
            return false;
        struct place place = {.outer = outer, .name = json_name(member)};
        ptrdiff_t i = row_find(rows, place.name);
        BUG_IF(i >= ROWS_LIMIT);
        if (i < 0) {
            is_fine = unknown_name(reader, &place, rows);
            continue;
        }
        seen |= UINT64_C(1) << i;
        if (json_type(member) == JSON_NULL && rows[i].may_be_null)
            continue;
        is_fine =
            value_store(reader, &place, &rows[i], member, (char *)out + rows[i].offset) && is_fine;
    }
    is_fine = fill_absent(reader, outer, rows, seen, out) && is_fine;
    if (has != NULL)
        *has = seen;
    return is_fine;
}

bool field_takes_any(const struct field *rows) {
    return rows[0].name != NULL && strcmp(rows[0].name, "*") == 0;
}

enum err field_read(struct arena *arena, const struct field *rows, const struct json_value *object,
                    void *out, uint64_t *has, struct field_problems *problems) {
    struct reader reader = {.arena = arena, .problems = problems};
    if (json_type(object) != JSON_OBJECT) {
        wrong(&reader, NULL, "The body must be a JSON object.");
        return E_INPUT;
    }
    if (field_takes_any(rows)) {
        memcpy((char *)out + rows[0].offset, &object, sizeof(object));
        return E_OK;
    }
    return read_rows(&reader, NULL, rows, object, out, has) ? E_OK : E_INPUT;
}

/* --- queries ---------------------------------------------------------------------------------- */

/* Lists grow with each pair of their name; room is made for all pairs of the query at once. */
static bool query_list_add(struct reader *reader, const struct place *place,
                           const struct field *row, struct str text, char *to, size_t room) {
    if (row->type == FIELD_TEXTS) {
        struct field_texts *texts = (struct field_texts *)(void *)to;
        if (texts->items == NULL)
            texts->items = ARENA_ARRAY(reader->arena, struct str, room);
        texts->items[texts->count++] = text;
        return check_count(reader, place, row, texts->count) &&
               check_text(reader, place, text, 0, row->item_max);
    }
    struct field_ids *ids = (struct field_ids *)(void *)to;
    if (ids->items == NULL)
        ids->items = ARENA_ARRAY(reader->arena, int64_t, room);
    return check_count(reader, place, row, ids->count + 1) &&
           (id_parse(text, &ids->items[ids->count++]) == E_OK ||
            wrong(reader, place, "must be an id of 13 letters"));
}

static bool query_pair(struct reader *reader, const struct field *rows, struct str pair, char *out,
                       uint64_t *seen, size_t room) {
    struct str value = pair, name;
    if (!str_next(&value, '=', &name))
        return true;
    if (value.at == NULL)
        value = STR("");
    struct place place = {.name = STR("query")};
    if (percent_decode(reader->arena, name, true, &name) != E_OK ||
        percent_decode(reader->arena, value, true, &value) != E_OK || !text_is_utf8(name) ||
        !text_is_utf8(value))
        return wrong(reader, &place, "is not well encoded");
    place.name = name;
    ptrdiff_t i = row_find(rows, name);
    if (i < 0)
        return unknown_name(reader, &place, rows);
    bool is_list = rows[i].type == FIELD_TEXTS || rows[i].type == FIELD_IDS;
    if (is_list) {
        *seen |= UINT64_C(1) << i;
        return query_list_add(reader, &place, &rows[i], value, out + rows[i].offset, room);
    }
    if ((*seen & UINT64_C(1) << i) != 0)
        return wrong(reader, &place, "is there twice");
    *seen |= UINT64_C(1) << i;
    return word_store(reader, &place, &rows[i], value, out + rows[i].offset);
}

enum err field_read_query(struct arena *arena, const struct field *rows, struct str query,
                          void *out, uint64_t *has, struct field_problems *problems) {
    struct reader reader = {.arena = arena, .problems = problems};
    bool is_fine = true;
    uint64_t seen = 0;
    size_t room = 1;
    for (size_t i = 0; i < query.len; i++)
        room += query.at[i] == '&';
    struct str pair;
    while (!is_enough(&reader) && str_next(&query, '&', &pair))
        is_fine = (pair.len == 0 || query_pair(&reader, rows, pair, out, &seen, room)) && is_fine;
    is_fine = fill_absent(&reader, NULL, rows, seen, out) && is_fine;
    if (has != NULL)
        *has = seen;
    return is_fine ? E_OK : E_INPUT;
}
