/*
 * One pass from left to right. Before it, one linear scan pairs every `{{` with its `}}` (a stack),
 * so that a text of nothing but opening braces costs as little as any other. A pair whose name is
 * not known is copied as it stands, and what is inside it is looked at again; so macros work inside
 * somebody else's templates.
 *
 * Arguments are split before they are expanded: a name with a comma in it cannot become two choices
 * of {{random}}. What a macro yields goes straight to the output and is never read again.
 *
 * Semantics: character card specification V3 (section "curly braced syntaxes"); where it is silent,
 * SillyTavern's: `{{random::a::b}}` keeps blanks, `{{roll 2d6+1}}`, moment.js formats, trim.
 *
 * Not here: variables ({{setvar}} ...), {{if}} blocks and scripting. They stay as written.
 */
#include "character/macro.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "character/dice.h"
#include "character/moment.h"

#include <string.h>

#include "base/banned.h"

#define NAME_BYTES 32 /* no macro has a longer name */

struct pair {
    size_t open, close; /* of the first brace of `{{` and of `}}` */
};

/* The pairs of one text, by their opening. */
struct pairs {
    struct pair *at;
    size_t count, next; /* `next`: the first that the pass has not reached */
};

struct expander {
    struct arena *arena;
    const struct macro_context *context;
    struct buf *out;
    uint64_t random; /* state of {{random}} and {{roll}} */
    int64_t expansions;
    int depth;
    bool names_only; /* inside a card's field: only {{char}} and {{user}} */
};

/* A macro as it was found: {{name:argument}} */
struct call {
    struct str name, argument; /* argument: STR_NONE when there is no separator */
    struct str body;           /* all between the braces */
    bool is_list;              /* written with `::` */
    size_t offset;             /* in its text; part of what a pick depends on */
};

typedef void (*macro_fn)(struct expander *expander, const struct call *call);

static void expand(struct expander *expander, struct str text);

/* --- chance --------------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood 2014): good enough for play, and the same everywhere. */
static uint64_t mix(uint64_t x) {
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static uint64_t chance(struct expander *expander) {
    expander->random += UINT64_C(0x9E3779B97F4A7C15);
    return mix(expander->random);
}

/* The same conversation, the same words at the same place: the same choice. FNV-1a over the words.
 */
static uint64_t lasting_chance(const struct expander *expander, const struct call *call) {
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < call->body.len; i++)
        hash = (hash ^ (unsigned char)call->body.at[i]) * UINT64_C(0x100000001B3);
    return mix(hash ^ mix((uint64_t)expander->context->seed) ^ mix(call->offset));
}

/* --- choices -------------------------------------------------------------------------------- */

struct choices {
    struct str *items;
    size_t count;
};

/* Steps over one whole inner macro, so that its commas are its own. */
static size_t skip_inner(struct str text, size_t at) {
    int depth = 0;
    while (at + 1 < text.len) {
        bool opens = text.at[at] == '{' && text.at[at + 1] == '{';
        bool closes = text.at[at] == '}' && text.at[at + 1] == '}';
        depth += opens - closes;
        at += opens || closes ? 2 : 1;
        if (depth == 0)
            return at;
    }
    return text.len;
}

static bool is_separator(const struct call *call, size_t at) {
    if (call->is_list)
        return call->argument.at[at] == ':' && at + 1 < call->argument.len &&
               call->argument.at[at + 1] == ':';
    return call->argument.at[at] == ',';
}

static void add_choice(struct choices *choices, const struct call *call, size_t from, size_t to) {
    struct str item = str_slice(call->argument, from, to);
    choices->items[choices->count++] = call->is_list ? item : str_trim(item);
}

static bool is_inner(struct str text, size_t at) {
    return text.at[at] == '{' && at + 1 < text.len && text.at[at + 1] == '{';
}

static struct choices split(struct expander *expander, const struct call *call) {
    size_t len = call->argument.len, from = 0, at = 0, most = 1;
    for (size_t i = 0; i < len; i++)
        most += call->argument.at[i] == ',' || call->argument.at[i] == ':';
    struct choices choices = {ARENA_ARRAY(expander->arena, struct str, most), 0};
    while (at < len) {
        if (call->argument.at[at] == '\\' && !call->is_list) {
            at += 2;
        } else if (is_inner(call->argument, at)) {
            at = skip_inner(call->argument, at);
        } else if (is_separator(call, at)) {
            add_choice(&choices, call, from, at);
            from = at += call->is_list ? 2 : 1;
        } else {
            at++;
        }
    }
    add_choice(&choices, call, from, len);
    return choices;
}

/* `\,` is a comma that does not separate. */
static struct str without_escapes(struct arena *arena, struct str item) {
    if (str_find(item, STR("\\,"), 0) < 0)
        return item;
    char *out = arena_alloc(arena, item.len);
    size_t n = 0;
    for (size_t i = 0; i < item.len; i++)
        if (item.at[i] != '\\' || i + 1 == item.len || item.at[i + 1] != ',')
            out[n++] = item.at[i];
    return str_of(out, n);
}

static void choose(struct expander *expander, const struct call *call, uint64_t chance_value) {
    struct choices choices = split(expander, call);
    struct str item = choices.items[chance_value % choices.count];
    expand(expander, call->is_list ? item : without_escapes(expander->arena, item));
}

static void do_random(struct expander *expander, const struct call *call) {
    choose(expander, call, chance(expander));
}

static void do_pick(struct expander *expander, const struct call *call) {
    choose(expander, call, lasting_chance(expander, call));
}

/* --- dice ----------------------------------------------------------------------------------- */

/* A roll that makes no sense yields nothing. */
static void do_roll(struct expander *expander, const struct call *call) {
    struct dice dice;
    struct str formula = call->argument.at ? str_trim(call->argument) : STR("1d6");
    if (!dice_read(formula, &dice))
        return;
    int64_t sum = dice.plus;
    for (int64_t i = 0; i < dice.count; i++)
        sum += 1 + (int64_t)(chance(expander) % (uint64_t)dice.faces);
    buf_add_int(expander->out, sum);
}

/* --- time ----------------------------------------------------------------------------------- */

static void add_time(struct expander *expander, int64_t offset_ms, struct str format) {
    moment_write(expander->out, expander->context->now_ms + offset_ms, format);
}

static void do_time(struct expander *expander, const struct call *call) {
    int64_t offset_ms = expander->context->utc_offset_ms;
    if (call->argument.at && !moment_read_offset(str_trim(call->argument), &offset_ms)) {
        buf_add_str(expander->out, STR("{{"));
        buf_add_str(expander->out, call->body);
        buf_add_str(expander->out, STR("}}"));
        return;
    }
    add_time(expander, offset_ms, STR("h:mm A"));
}

static void do_date(struct expander *expander, const struct call *call) {
    (void)call;
    add_time(expander, expander->context->utc_offset_ms, STR("MMMM D, YYYY"));
}

static void do_weekday(struct expander *expander, const struct call *call) {
    (void)call;
    add_time(expander, expander->context->utc_offset_ms, STR("dddd"));
}

static void do_isotime(struct expander *expander, const struct call *call) {
    (void)call;
    add_time(expander, expander->context->utc_offset_ms, STR("HH:mm"));
}

static void do_isodate(struct expander *expander, const struct call *call) {
    (void)call;
    add_time(expander, expander->context->utc_offset_ms, STR("YYYY-MM-DD"));
}

static void do_datetimeformat(struct expander *expander, const struct call *call) {
    if (call->argument.at)
        add_time(expander, expander->context->utc_offset_ms, str_trim(call->argument));
}

static void do_idle(struct expander *expander, const struct call *call) {
    (void)call;
    moment_write_span(expander->out, expander->context->idle_ms);
}

/* --- text ----------------------------------------------------------------------------------- */

static void do_nothing(struct expander *expander, const struct call *call) {
    (void)expander;
    (void)call;
}

static void do_newline(struct expander *expander, const struct call *call) {
    int64_t count = 1;
    if (call->argument.at && str_to_int(str_trim(call->argument), &count) != E_OK)
        count = 1;
    for (int64_t i = 0; i < count && i < 100; i++)
        buf_add_char(expander->out, '\n');
}

static void do_space(struct expander *expander, const struct call *call) {
    (void)call;
    buf_add_char(expander->out, ' ');
}

/* Writes into a buffer of its own, turns it round by code points. */
static void do_reverse(struct expander *expander, const struct call *call) {
    struct buf inner, *outer = expander->out;
    buf_init(&inner, MACRO_OUTPUT_LIMIT_BYTES);
    expander->out = &inner;
    expand(expander, call->argument);
    expander->out = outer;
    struct str text = buf_str(&inner);
    size_t end = text.len;
    while (end > 0) {
        size_t at = end - 1;
        while (at > 0 && ((unsigned char)text.at[at] & 0xC0) == 0x80)
            at--;
        buf_add(outer, text.at + at, end - at);
        end = at;
    }
    if (inner.err && !outer->err)
        outer->err = inner.err;
    buf_release(&inner);
}

/* --- values --------------------------------------------------------------------------------- */

#define VALUE(macro, member) \
    { macro, offsetof(struct macro_context, member), false }
#define FIELD(macro, member) \
    { macro, offsetof(struct macro_context, member), true }

/* What is simply put in. A field of a card may itself name {{char}} and {{user}}, nothing else. */
static const struct value_macro {
    const char *name;
    size_t offset;
    bool is_field;
} value_macros[] = {
    FIELD("description", description),
    FIELD("personality", personality),
    FIELD("scenario", scenario),
    FIELD("persona", persona),
    FIELD("mesExamples", mes_example),
    FIELD("mesExamplesRaw", mes_example),
    FIELD("charFirstMessage", first_mes),
    FIELD("charPrompt", system_prompt),
    FIELD("charInstruction", post_history_instructions),
    FIELD("charJailbreak", post_history_instructions),
    VALUE("charVersion", character_version),
    VALUE("char_version", character_version),
    VALUE("charCreatorNotes", creator_notes),
    VALUE("original", original),
    VALUE("lastMessage", last_message),
    VALUE("lastUserMessage", last_user_message),
    VALUE("lastCharMessage", last_character_message),
    VALUE("model", model),
};

enum argument { NONE, MAY, MUST };

static const struct macro {
    const char *name;
    macro_fn expand;
    enum argument argument; /* another form than this is no macro, and stays as written */
} macros[] = {
    {"random", do_random, MUST},
    {"pick", do_pick, MUST},
    {"roll", do_roll, MAY},
    {"reverse", do_reverse, MUST},
    {"comment", do_nothing, MUST},
    {"hidden_key", do_nothing, MUST},
    {"hiddenkey", do_nothing, MUST},
    {"noop", do_nothing, NONE},
    {"banned", do_nothing, MUST},
    {"newline", do_newline, MAY},
    {"space", do_space, NONE},
    {"time", do_time, MAY},
    {"date", do_date, NONE},
    {"weekday", do_weekday, NONE},
    {"isotime", do_isotime, NONE},
    {"isodate", do_isodate, NONE},
    {"datetimeformat", do_datetimeformat, MUST},
    {"idle_duration", do_idle, NONE},
    {"idleDuration", do_idle, NONE},
};

static struct str name_of_character(const struct macro_context *context) {
    return context->character.at ? context->character : STR("");
}

static struct str name_of_user(const struct macro_context *context) {
    return context->user.len > 0 ? context->user : STR("User");
}

static struct str name_of_group(const struct macro_context *context) {
    return context->group.len > 0 ? context->group : name_of_character(context);
}

/* {{char}} and its like: the macros that may stand inside a field too. */
static bool name_macro(const struct macro_context *context, struct str name, struct str *value) {
    if (str_eq_nocase(name, STR("char")) || str_eq_nocase(name, STR("bot")))
        *value = name_of_character(context);
    else if (str_eq_nocase(name, STR("user")))
        *value = name_of_user(context);
    else if (str_eq_nocase(name, STR("group")) || str_eq_nocase(name, STR("charIfNotGroup")) ||
             str_eq_nocase(name, STR("groupNotMuted")))
        *value = name_of_group(context);
    else
        return false;
    return true;
}

static void add_field(struct expander *expander, struct str field) {
    if (expander->depth >= MACRO_DEPTH_LIMIT) {
        buf_add_str(expander->out, field);
        return;
    }
    expander->names_only = true;
    expand(expander, field);
    expander->names_only = false;
}

static bool value_macro(struct expander *expander, const struct call *call) {
    for (size_t i = 0; i < COUNT_OF(value_macros); i++) {
        if (!str_eq_nocase(call->name, str_from(value_macros[i].name)))
            continue;
        struct str value;
        memcpy(&value, (const char *)expander->context + value_macros[i].offset, sizeof(value));
        if (value_macros[i].is_field)
            add_field(expander, value);
        else
            buf_add_str(expander->out, value);
        return true;
    }
    return false;
}

/* {{time_UTC+2}}: the offset is part of the name. */
static bool time_macro(struct expander *expander, const struct call *call) {
    int64_t offset_ms;
    if (!str_eq_nocase(str_slice(call->body, 0, 5), STR("time_")) ||
        !moment_read_offset(str_slice(call->body, 5, call->body.len), &offset_ms))
        return false;
    add_time(expander, offset_ms, STR("h:mm A"));
    return true;
}

static bool function_macro(struct expander *expander, const struct call *call) {
    for (size_t i = 0; i < COUNT_OF(macros); i++) {
        if (!str_eq_nocase(call->name, str_from(macros[i].name)))
            continue;
        bool has_argument = call->argument.at != NULL;
        if ((macros[i].argument == MUST && !has_argument) ||
            (macros[i].argument == NONE && has_argument))
            return false;
        macros[i].expand(expander, call);
        return true;
    }
    return time_macro(expander, call);
}

/* --- the pass ------------------------------------------------------------------------------- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* "name", "name:argument", "name::a::b", "name argument" */
static struct call read_call(struct str body, size_t offset) {
    struct str trimmed = str_trim(body);
    size_t end = 0;
    while (end < trimmed.len && end < NAME_BYTES && trimmed.at[end] != ':' &&
           !is_blank(trimmed.at[end]))
        end++;
    struct call call = {.name = str_slice(trimmed, 0, end), .body = body, .offset = offset};
    while (end < trimmed.len && is_blank(trimmed.at[end]))
        end++;
    if (end == trimmed.len)
        return call;
    size_t skip = trimmed.at[end] != ':' ? 0 : 1;
    call.is_list = skip == 1 && end + 1 < trimmed.len && trimmed.at[end + 1] == ':';
    size_t start = (size_t)(trimmed.at - body.at) + end + skip + call.is_list;
    call.argument = str_slice(body, start, body.len);
    if (!call.is_list)
        call.argument = str_trim(call.argument);
    return call;
}

/* False: it is no macro of ours. */
static bool expand_call(struct expander *expander, struct str body, size_t offset) {
    if (expander->expansions >= MACRO_EXPANSIONS_LIMIT)
        return false;
    struct call call = read_call(body, offset);
    struct str value;
    expander->expansions++;
    if (call.argument.at == NULL && name_macro(expander->context, call.name, &value)) {
        buf_add_str(expander->out, value);
        return true;
    }
    if (expander->names_only)
        return false;
    if (str_starts(str_trim(body), STR("//")))
        return true;
    if (call.argument.at == NULL && value_macro(expander, &call))
        return true;
    return function_macro(expander, &call);
}

/*
 * Of three braces in a row the last two open: `{{{char}}}` is a macro in braces. A closer belongs
 * to the nearest opener before it; openers without one are no macros.
 */
static struct pairs find_pairs(struct arena *arena, struct str text) {
    size_t openers = 0, depth = 0, count = 0;
    for (size_t i = 0; i + 1 < text.len; i++)
        openers += is_inner(text, i);
    struct pairs pairs = {ARENA_ARRAY(arena, struct pair, openers + 1), 0, 0};
    size_t *stack = arena_alloc(arena, (openers + 1) * sizeof(*stack));
    for (size_t i = 0; i + 1 < text.len;) {
        if (is_inner(text, i)) {
            if (i + 2 < text.len && text.at[i + 2] == '{') {
                i++;
                continue;
            }
            pairs.at[count] = (struct pair){i, SIZE_MAX};
            stack[depth++] = count++;
            i += 2;
        } else if (text.at[i] == '}' && text.at[i + 1] == '}') {
            if (depth > 0)
                pairs.at[stack[--depth]].close = i;
            i += 2;
        } else {
            i++;
        }
    }
    pairs.count = count;
    return pairs;
}

/* <user>, <BOT>: what cards wrote before there were braces. The bytes of it, or 0. */
static size_t legacy_name(struct expander *expander, struct str text, size_t at,
                          struct str *value) {
    size_t end = at + 1;
    while (end < text.len && end < at + 6 && text.at[end] != '>')
        end++;
    if (end >= text.len || text.at[end] != '>')
        return 0;
    struct str name = str_slice(text, at + 1, end);
    bool is_one = str_eq_nocase(name, STR("user")) || str_eq_nocase(name, STR("bot")) ||
                  str_eq_nocase(name, STR("char"));
    if (!is_one || expander->expansions++ >= MACRO_EXPANSIONS_LIMIT)
        return 0;
    return name_macro(expander->context, name, value) ? end + 1 - at : 0;
}

/* {{trim}} takes the line ends on both sides with it. */
static size_t trim_around(struct expander *expander, size_t floor, struct str text, size_t at) {
    size_t len = expander->out->len;
    while (len > floor &&
           (expander->out->at[len - 1] == '\n' || expander->out->at[len - 1] == '\r'))
        len--;
    if (len < expander->out->len && !expander->out->err)
        buf_cut(expander->out, len);
    while (at < text.len && (text.at[at] == '\n' || text.at[at] == '\r'))
        at++;
    return at;
}

static struct pair *pair_at(struct pairs *pairs, size_t at) {
    while (pairs->next < pairs->count && pairs->at[pairs->next].open < at)
        pairs->next++;
    struct pair *pair = &pairs->at[pairs->next];
    return pairs->next < pairs->count && pair->open == at && pair->close != SIZE_MAX ? pair : NULL;
}

/* What begins at `at` with a brace or an angle: expands it and gives the place behind it, or `at`.
 */
static size_t expand_at(struct expander *expander, struct pairs *pairs, size_t floor,
                        struct str text, size_t at) {
    struct str value;
    if (text.at[at] == '<') {
        size_t len = legacy_name(expander, text, at, &value);
        if (len)
            buf_add_str(expander->out, value);
        return at + len;
    }
    struct pair *pair = pair_at(pairs, at);
    if (pair == NULL)
        return at;
    struct str body = str_slice(text, at + 2, pair->close);
    if (!expander->names_only && str_eq_nocase(str_trim(body), STR("trim")))
        return trim_around(expander, floor, text, pair->close + 2);
    return expand_call(expander, body, at) ? pair->close + 2 : at;
}

static void expand(struct expander *expander, struct str text) {
    if (expander->depth >= MACRO_DEPTH_LIMIT) {
        buf_add_str(expander->out, text);
        return;
    }
    expander->depth++;
    struct pairs pairs = find_pairs(expander->arena, text);
    size_t at = 0, copied = 0, floor = expander->out->len;
    while (at < text.len && expander->out->err == E_OK) {
        if (text.at[at] != '{' && text.at[at] != '<') {
            at++;
            continue;
        }
        buf_add_str(expander->out, str_slice(text, copied, at));
        copied = at;
        size_t next = expand_at(expander, &pairs, floor, text, at);
        if (next > at)
            copied = at = next;
        else
            at++;
    }
    buf_add_str(expander->out, str_slice(text, copied, text.len));
    expander->depth--;
}

enum err macro_expand(struct arena *arena, struct str text, const struct macro_context *context,
                      struct str *out) {
    if (text.len > MACRO_OUTPUT_LIMIT_BYTES)
        return E_LIMIT;
    if (str_find(text, STR("{{"), 0) < 0 && str_find_char(text, '<', 0) < 0) {
        *out = text;
        return E_OK;
    }
    struct buf buf;
    buf_init(&buf, MACRO_OUTPUT_LIMIT_BYTES);
    struct arena scratch;
    arena_init(&scratch);
    struct expander expander = {
        .arena = &scratch, .context = context, .out = &buf, .random = context->random};
    expand(&expander, text);
    enum err err = buf.err;
    if (err == E_OK)
        *out = str_dup(arena, str_of(buf.at ? buf.at : "", buf.len));
    arena_release(&scratch);
    buf_release(&buf);
    return err;
}
