/*
 * The strict reader: one pass over a private copy of the text, in which strings are unescaped in
 * place (they only shrink), so that a tree is that copy and one node per value.
 *
 * A parser of our own, for measured reasons: cJSON 1.7.15, even behind a strict scan, cuts strings
 * and member names at \u0000 (two different passwords become equal), loses the digits of large
 * numbers, which cards must keep, and allocates twice per member. The fuzzer compares us with it
 * wherever it is right.
 *
 * Invariants: the copy ends with zeros, which no rule below accepts, so only the string loop (which
 * reads eight bytes at once) and nothing else thinks about the end. Recursion is bounded by
 * JSON_DEPTH_LIMIT. Memory is bounded by JSON_VALUES_LIMIT and the arena's ceiling.
 *
 * Duplicate members: the first eight members of an object are compared with each other; beyond them
 * names go into one hash table (keyed, so that nobody can choose collisions) for the whole text. A
 * hostile object of a million members costs a million look-ups, not a trillion.
 */
#include "base/json.h"

#include "base/check.h"
#include "base/json_bits.h"
#include "base/map.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define FEW_MEMBERS       8
#define PAD_BYTES         8    /* zeros behind the copy */
#define ROOM_LEFT_BYTES   4096 /* of the arena; below that the text is too large */
#define FIRST_NAMES       64
#define LARGEST_EXACT_INT 9007199254740991.0 /* 2^53 - 1 */

struct json_value {
    struct json_value *next;
    struct str name;
    union {
        struct str text; /* of a string, and of a number as it was written */
        struct {
            struct json_value *first;
            size_t count;
        };
    };
    double number;
    enum json_type type;
    bool boolean;
};

struct name_slot {
    const struct json_value *member; /* NULL: free */
    uint32_t object;                 /* the serial number of the object it is a member of */
    uint32_t hash;
};

struct reader {
    struct arena *arena;
    char *text;
    char *at;
    size_t depth;
    size_t values;
    uint32_t objects;
    struct name_slot *names; /* malloc'ed; open addressing, at most half full */
    size_t names_count, names_room;
    struct json_error error;
    struct json_error
        twice; /* the first name that an object has twice: told when all else is JSON */
    enum err err;
};

static bool read_value(struct reader *reader, struct json_value *value);

static bool fail(struct reader *reader, const char *reason) {
    reader->error =
        (struct json_error){.offset_bytes = (size_t)(reader->at - reader->text), .reason = reason};
    reader->err = E_INPUT;
    return false;
}

static bool fail_limit(struct reader *reader, const char *reason) {
    fail(reader, reason);
    reader->err = E_LIMIT;
    return false;
}

static void skip_blanks(struct reader *reader) {
    while (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t')
        reader->at++;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* --- strings ---------------------------------------------------------------------------------- */

static int hex4(const char *at) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i], letter = (char)(c | 0x20);
        if (!is_digit(c) && (letter < 'a' || letter > 'f'))
            return -1;
        value = value << 4 | (is_digit(c) ? c - '0' : letter - 'a' + 10);
    }
    return value;
}

static char *put_utf8(char *to, uint32_t code_point) {
    if (code_point < 0x80) {
        *to++ = (char)code_point;
    } else if (code_point < 0x800) {
        *to++ = (char)(0xC0 | code_point >> 6);
        *to++ = (char)(0x80 | (code_point & 0x3F));
    } else {
        if (code_point < 0x10000) {
            *to++ = (char)(0xE0 | code_point >> 12);
        } else {
            *to++ = (char)(0xF0 | code_point >> 18);
            *to++ = (char)(0x80 | (code_point >> 12 & 0x3F));
        }
        *to++ = (char)(0x80 | (code_point >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code_point & 0x3F));
    }
    return to;
}

/* reader->at is at the four digits behind \u. Six bytes become at most three, twelve (a surrogate
 * pair) four. */
static bool unescape_unicode(struct reader *reader, char **to) {
    int unit = hex4(reader->at), low;
    if (unit < 0)
        return fail(reader, "\\u needs four hexadecimal digits");
    if ((unit & 0xFC00) == 0xDC00)
        return fail(reader, "half of a surrogate pair");
    uint32_t code_point = (uint32_t)unit;
    if ((unit & 0xFC00) == 0xD800) {
        if (reader->at[4] != '\\' || reader->at[5] != 'u' ||
            ((low = hex4(reader->at + 6)) & ~0x3FF) != 0xDC00)
            return fail(reader, "half of a surrogate pair");
        code_point = 0x10000 + (((uint32_t)unit & 0x3FF) << 10 | ((uint32_t)low & 0x3FF));
        reader->at += 6;
    }
    reader->at += 4;
    *to = put_utf8(*to, code_point);
    return true;
}

/* reader->at is at the backslash. */
static bool unescape(struct reader *reader, char **to) {
    static const char MEANING[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                      ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    unsigned char letter = (unsigned char)reader->at[1];
    if (letter == 'u') {
        reader->at += 2;
        return unescape_unicode(reader, to);
    }
    if (letter >= sizeof(MEANING) || MEANING[letter] == '\0')
        return fail(reader, "unknown escape in a string");
    *(*to)++ = MEANING[letter];
    reader->at += 2;
    return true;
}

/* The first quote, backslash or control byte; there is one, because zeros follow the text. */
static char *plain_end(char *at) {
    uint64_t marks;
    while ((marks = json_special8(json_load8(at))) == 0)
        at += 8;
    return at + json_first_mark(marks);
}

/* reader->at is at the opening quote. The text was found to be UTF-8 as a whole. */
static bool read_string(struct reader *reader, struct str *string) {
    char *start = ++reader->at, *to = start;
    for (;;) {
        char *end = plain_end(reader->at);
        if (to != reader->at)
            memmove(to, reader->at, (size_t)(end - reader->at));
        to += end - reader->at;
        reader->at = end;
        if (*end == '"')
            break;
        if (*end != '\\')
            return fail(reader, *end ? "control character in a string" : "a string without an end");
        if (!unescape(reader, &to))
            return false;
    }
    reader->at++;
    *string = (struct str){start, (size_t)(to - start)};
    *to = '\0'; /* on the quote, or on bytes already read */
    return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* What the digits say: mantissa * 10^exponent, exact while `is_exact`. */
struct decimal {
    uint64_t mantissa;
    int exponent;
    bool is_negative;
    bool is_exact;
};

static const char *read_digits(const char *at, struct decimal *decimal, int step) {
    for (; is_digit(*at); at++) {
        if (decimal->mantissa >= (UINT64_C(1) << 53) / 10) {
            decimal->is_exact = false;
            continue;
        }
        decimal->mantissa = decimal->mantissa * 10 + (uint64_t)(*at - '0');
        decimal->exponent += step;
    }
    return at;
}

static const char *read_exponent(const char *at, struct decimal *decimal) {
    bool is_negative = *at == '-';
    at += *at == '-' || *at == '+';
    int value = 0;
    for (; is_digit(*at); at++)
        value = value < 100000 ? value * 10 + (*at - '0') : value;
    decimal->exponent += is_negative ? -value : value;
    return at;
}

/* Both factors are exact doubles, so the result is rounded once (Clinger 1990). */
static bool small_double(const struct decimal *decimal, double *value) {
    static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!decimal->is_exact || decimal->exponent < -22 || decimal->exponent > 22)
        return false;
    double mantissa = decimal->is_negative ? -(double)decimal->mantissa : (double)decimal->mantissa;
    *value = decimal->exponent < 0 ? mantissa / POWERS[-decimal->exponent]
                                   : mantissa * POWERS[decimal->exponent];
    return true;
}

/* RFC 8259 section 6: -?int frac? exp? */
static bool read_number(struct reader *reader, struct json_value *value) {
    const char *start = reader->at, *at = start;
    struct decimal decimal = {.is_exact = true, .is_negative = *at == '-'};
    at += decimal.is_negative;
    if (!is_digit(*at) || (*at == '0' && is_digit(at[1])))
        return fail(reader,
                    is_digit(*at) ? "a number with a leading zero" : "a number needs digits");
    at = read_digits(at, &decimal, 0);
    if (*at == '.') {
        if (!is_digit(*++at))
            return fail(reader, "a number needs digits behind its point");
        at = read_digits(at, &decimal, -1);
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (!is_digit(*at) && !((*at == '+' || *at == '-') && is_digit(at[1])))
            return fail(reader, "a number needs digits in its exponent");
        at = read_exponent(at, &decimal);
    }
    value->type = JSON_NUMBER;
    value->text = str_of(start, (size_t)(at - start));
    if (!small_double(&decimal, &value->number))
        value->number =
            strtod(start, NULL); /* the C locale; what follows a number never continues it */
    if (!isfinite(value->number))
        return fail(reader, "a number too large");
    reader->at += at - start;
    return true;
}

/* --- arrays and objects ----------------------------------------------------------------------- */

static struct json_value *new_value(struct reader *reader) {
    if (++reader->values > JSON_VALUES_LIMIT || arena_room(reader->arena) < ROOM_LEFT_BYTES) {
        fail_limit(reader, "too many values");
        return NULL;
    }
    return ARENA_NEW(reader->arena, struct json_value);
}

static void append(struct json_value *container, struct json_value **last,
                   struct json_value *child) {
    if (*last)
        (*last)->next = child;
    else
        container->first = child;
    *last = child;
    container->count++;
}

static bool enter(struct reader *reader) {
    if (reader->depth == JSON_DEPTH_LIMIT)
        return fail(reader, "nested deeper than 64 levels");
    reader->depth++;
    reader->at++;
    skip_blanks(reader);
    return true;
}

/* Behind a child: a comma (true in *goes_on) or the end of the container. */
static bool read_separator(struct reader *reader, char closing, bool *goes_on) {
    skip_blanks(reader);
    *goes_on = *reader->at == ',';
    if (!*goes_on && *reader->at != closing)
        return fail(reader, closing == ']' ? "expected , or ]" : "expected , or }");
    reader->at++;
    skip_blanks(reader);
    return true;
}

static bool read_array(struct reader *reader, struct json_value *array) {
    array->type = JSON_ARRAY;
    if (!enter(reader))
        return false;
    bool goes_on = *reader->at != ']';
    reader->at += !goes_on;
    for (struct json_value *last = NULL; goes_on;) {
        struct json_value *item = new_value(reader);
        if (item == NULL || !read_value(reader, item))
            return false;
        append(array, &last, item);
        if (!read_separator(reader, ']', &goes_on))
            return false;
    }
    reader->depth--;
    return true;
}

/* The slot of a member of that name in that object, or the free one where it belongs. */
static struct name_slot *name_slot(struct reader *reader, uint32_t object, struct str name,
                                   uint32_t hash) {
    size_t mask = reader->names_room - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct name_slot *slot = &reader->names[i];
        if (slot->member == NULL ||
            (slot->hash == hash && slot->object == object && str_eq(slot->member->name, name)))
            return slot;
    }
}

static void grow_names(struct reader *reader) {
    struct name_slot *old = reader->names;
    size_t old_room = reader->names_room;
    reader->names_room = old_room ? old_room * 2 : FIRST_NAMES;
    reader->names = calloc(reader->names_room, sizeof(*reader->names));
    if (reader->names == NULL)
        BUG("out of memory: a table of %zu names", reader->names_room);
    for (size_t i = 0; i < old_room; i++)
        if (old[i].member)
            *name_slot(reader, old[i].object, old[i].member->name, old[i].hash) = old[i];
    free(old);
}

/* False when the object has a member of that name already. */
static bool remember_name(struct reader *reader, uint32_t object, const struct json_value *member) {
    if (reader->names_count >= reader->names_room / 2)
        grow_names(reader);
    uint32_t hash = (uint32_t)map_hash(member->name.at, member->name.len) ^ object * 0x9E3779B9u;
    struct name_slot *slot = name_slot(reader, object, member->name, hash);
    if (slot->member)
        return false;
    *slot = (struct name_slot){.member = member, .object = object, .hash = hash};
    reader->names_count++;
    return true;
}

/* `object` holds the members before this one. */
static bool is_new_name(struct reader *reader, const struct json_value *object, uint32_t serial,
                        const struct json_value *member) {
    if (object->count < FEW_MEMBERS) {
        for (const struct json_value *other = object->first; other; other = other->next)
            if (str_eq(other->name, member->name))
                return false;
        return true;
    }
    if (object->count == FEW_MEMBERS)
        for (const struct json_value *other = object->first; other; other = other->next)
            remember_name(reader, serial, other);
    return remember_name(reader, serial, member);
}

static bool read_name(struct reader *reader, const struct json_value *object, uint32_t serial,
                      struct json_value *member) {
    char *start = reader->at;
    if (*start != '"')
        return fail(reader, "expected a member name in quotes");
    if (!read_string(reader, &member->name))
        return false;
    if (!is_new_name(reader, object, serial, member) && !reader->twice.is_duplicate)
        reader->twice = (struct json_error){.offset_bytes = (size_t)(start - reader->text),
                                            .reason = "two members of one name",
                                            .is_duplicate = true,
                                            .name = member->name};
    skip_blanks(reader);
    if (*reader->at != ':')
        return fail(reader, "expected :");
    reader->at++;
    skip_blanks(reader);
    return true;
}

static bool read_object(struct reader *reader, struct json_value *object) {
    object->type = JSON_OBJECT;
    if (!enter(reader))
        return false;
    uint32_t serial = reader->objects++;
    bool goes_on = *reader->at != '}';
    reader->at += !goes_on;
    for (struct json_value *last = NULL; goes_on;) {
        struct json_value *member = new_value(reader);
        if (member == NULL || !read_name(reader, object, serial, member) ||
            !read_value(reader, member))
            return false;
        append(object, &last, member);
        if (!read_separator(reader, '}', &goes_on))
            return false;
    }
    reader->depth--;
    return true;
}

/* --- values ----------------------------------------------------------------------------------- */

static bool read_word(struct reader *reader, const char *word, struct json_value *value,
                      enum json_type type) {
    size_t len = strlen(word);
    if (strncmp(reader->at, word, len) != 0)
        return fail(reader, "expected a value");
    value->type = type;
    value->boolean = *word == 't';
    reader->at += len;
    return true;
}

static bool read_value(struct reader *reader, struct json_value *value) {
    switch (*reader->at) {
    case '{':
        return read_object(reader, value);
    case '[':
        return read_array(reader, value);
    case '"':
        value->type = JSON_STRING;
        return read_string(reader, &value->text);
    case 't':
        return read_word(reader, "true", value, JSON_BOOL);
    case 'f':
        return read_word(reader, "false", value, JSON_BOOL);
    case 'n':
        return read_word(reader, "null", value, JSON_NULL);
    default:
        if (*reader->at == '-' || is_digit(*reader->at))
            return read_number(reader, value);
        return fail(reader, "expected a value");
    }
}

static bool read_text(struct reader *reader, struct str text, struct json_value **root) {
    reader->at = reader->text =
        (char *)text.at; /* for the offset of an early error; not written to */
    if (arena_room(reader->arena) < text.len + PAD_BYTES + ROOM_LEFT_BYTES)
        return fail_limit(reader, "the text is too large");
    size_t whole = text_whole_prefix(text);
    if (whole < text.len) {
        reader->at += whole;
        return fail(reader, "not UTF-8");
    }
    reader->at = reader->text = arena_alloc(reader->arena, text.len + PAD_BYTES);
    if (text.len)
        memcpy(reader->text, text.at, text.len);
    memset(reader->text + text.len, 0, PAD_BYTES);
    skip_blanks(reader);
    *root = new_value(reader);
    if (*root == NULL || !read_value(reader, *root))
        return false;
    skip_blanks(reader);
    if (reader->at != reader->text + text.len)
        return fail(reader, "bytes after the value");
    return true;
}

enum err json_parse(struct arena *arena, struct str text, const struct json_value **value,
                    struct json_error *error) {
    struct reader reader = {.arena = arena};
    struct json_value *root = NULL;
    bool is_good = read_text(&reader, text, &root);
    free(reader.names);
    if (is_good && !reader.twice.is_duplicate) {
        *value = root;
        return E_OK;
    }
    if (error)
        *error = is_good ? reader.twice : reader.error;
    return is_good ? E_INPUT : reader.err;
}

enum err json_scan(struct str text, struct json_error *error) {
    char scratch[8192];
    struct arena arena;
    const struct json_value *value;
    arena_init_with(&arena, scratch, sizeof(scratch));
    enum err err = json_parse(&arena, text, &value, error);
    arena_release(&arena);
    if (err != E_OK && error)
        error->name = STR_NONE;
    return err;
}

/* --- getters ---------------------------------------------------------------------------------- */

enum json_type json_type(const struct json_value *value) {
    return value ? value->type : JSON_ABSENT;
}

static bool is_container(const struct json_value *value) {
    return value && (value->type == JSON_ARRAY || value->type == JSON_OBJECT);
}

static const struct json_value *member_of(const struct json_value *object, struct str name) {
    if (json_type(object) != JSON_OBJECT)
        return NULL;
    for (const struct json_value *member = object->first; member; member = member->next)
        if (str_eq(member->name, name))
            return member;
    return NULL;
}

const struct json_value *json_member(const struct json_value *object, const char *name) {
    return member_of(object, str_from(name));
}

const struct json_value *json_item(const struct json_value *array, size_t index) {
    if (json_type(array) != JSON_ARRAY || index >= array->count)
        return NULL;
    const struct json_value *item = array->first;
    while (index-- > 0)
        item = item->next;
    return item;
}

const struct json_value *json_path(const struct json_value *object, const char *dotted) {
    struct str rest = str_from(dotted), part;
    while (object && str_next(&rest, '.', &part)) {
        int64_t index;
        if (object->type == JSON_OBJECT)
            object = member_of(object, part);
        else if (str_to_int(part, &index) == E_OK && index >= 0)
            object = json_item(object, (size_t)index);
        else
            object = NULL;
    }
    return object;
}

size_t json_count(const struct json_value *container) {
    return is_container(container) ? container->count : 0;
}

const struct json_value *json_first(const struct json_value *container) {
    return is_container(container) ? container->first : NULL;
}

const struct json_value *json_next(const struct json_value *child) {
    return child ? child->next : NULL;
}

struct str json_name(const struct json_value *child) {
    return child ? child->name : STR_NONE;
}

struct str json_string(const struct json_value *value, struct str fallback) {
    return json_type(value) == JSON_STRING ? value->text : fallback;
}

double json_number(const struct json_value *value, double fallback) {
    return json_type(value) == JSON_NUMBER ? value->number : fallback;
}

int64_t json_int(const struct json_value *value, int64_t fallback) {
    if (json_type(value) != JSON_NUMBER || value->number != trunc(value->number) ||
        fabs(value->number) > LARGEST_EXACT_INT)
        return fallback;
    return (int64_t)value->number;
}

bool json_bool(const struct json_value *value, bool fallback) {
    return json_type(value) == JSON_BOOL ? value->boolean : fallback;
}

struct str json_number_text(const struct json_value *value) {
    return json_type(value) == JSON_NUMBER ? value->text : STR_NONE;
}
