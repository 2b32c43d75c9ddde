/*
 * A block of lines that begin with `@@`, blank lines among them; the first other line ends it. A
 * `@@@name value` line is the fallback of the decorator before it: it counts when that one was not
 * understood, and so on down the chain. Of two with the same name the first counts.
 */
#include "lore/decorator.h"

#include "base/check.h"

#include "base/banned.h"

struct line {
    struct str name, value;
    bool is_fallback;
};

/* Takes one line off the front; false when it is neither blank nor a decorator. */
static bool next_line(struct str *rest, struct line *line) {
    ptrdiff_t end = str_find_char(*rest, '\n', 0);
    size_t len = end < 0 ? rest->len : (size_t)end;
    struct str text = str_trim(str_slice(*rest, 0, len));
    if (text.len > 0 && !str_starts(text, STR("@@")))
        return false;
    *rest = str_slice(*rest, len + 1, rest->len);
    line->is_fallback = str_starts(text, STR("@@@"));
    text = str_slice(text, line->is_fallback ? 3 : 2, text.len);
    size_t name = 0;
    while (name < text.len && text.at[name] != ' ' && text.at[name] != '\t')
        name++;
    line->name = str_slice(text, 0, name);
    line->value = str_trim(str_slice(text, name, text.len));
    return true;
}

enum known { ACTIVATE, DONT_ACTIVATE, SCAN_DEPTH, ADDITIONAL_KEYS, EXCLUDE_KEYS, MAX_CONTEXT };

static const char *const names[] = {"activate",        "dont_activate", "scan_depth",
                                    "additional_keys", "exclude_keys",  "ignore_on_max_context"};

static bool set_depth(struct decorators *decorators, struct str value) {
    int64_t depth;
    if (str_to_int(value, &depth) != E_OK || depth < 0)
        return false;
    decorators->scan_depth = depth;
    return true;
}

static bool add_keys(struct decorators *decorators, struct str value) {
    if (value.len == 0 || decorators->additional_count == DECORATOR_LISTS_LIMIT)
        return false;
    decorators->additional[decorators->additional_count++] = value;
    return true;
}

static bool apply(struct decorators *decorators, enum known known, struct str value) {
    switch (known) {
    case ACTIVATE:
        return decorators->is_always = true;
    case DONT_ACTIVATE:
        return decorators->is_never = true;
    case SCAN_DEPTH:
        return set_depth(decorators, value);
    case ADDITIONAL_KEYS:
        return add_keys(decorators, value);
    case EXCLUDE_KEYS:
        decorators->excluded = value;
        return value.len > 0;
    case MAX_CONTEXT:
        return decorators->yields = true;
    }
    return false;
}

/* True when it was understood. */
static bool take(struct decorators *decorators, const struct line *line, unsigned *seen) {
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!str_eq(line->name, str_from(names[i])))
            continue;
        bool is_repeat = (*seen >> i & 1) && i != ADDITIONAL_KEYS;
        bool is_taken = is_repeat || apply(decorators, (enum known)i, line->value);
        *seen |= (unsigned)is_taken << i;
        return is_taken;
    }
    return false;
}

struct str decorators_read(struct str content, struct decorators *decorators) {
    *decorators = (struct decorators){.scan_depth = -1};
    struct str rest = content;
    struct line line;
    unsigned seen = 0;
    bool has_decorator = false, is_understood = true;
    while (rest.len > 0 && next_line(&rest, &line)) {
        if (line.name.len == 0)
            continue;
        has_decorator = true;
        if (!line.is_fallback)
            is_understood = take(decorators, &line, &seen);
        else if (!is_understood)
            is_understood = take(decorators, &line, &seen);
    }
    return has_decorator ? rest : content;
}

struct str decorators_skip(struct str content) {
    struct decorators ignored;
    return decorators_read(content, &ignored);
}
