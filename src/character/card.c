/*
 * Which version a card is, is decided by its shape, never by `spec_version` or a file's name
 * (specification V3; what programs really write: SillyTavern puts a V1 mirror beside `data`, and
 * trusts `data`; so do we).
 *
 * `character.unknown` remembers where a card came from:
 *
 *     {"spec": "chara_card_v2", "spec_version": "2.0", "top": {...}, "data": {...}}
 *
 * with the members of the top level and of `data` that are not ours. Ours live in columns, are
 * written first, and win over a kept member of the same name. Of what the exporter's program noted
 * for itself, `chat` is left out and `fav` is reset: they are about a person, not about the card.
 *
 * What Troupe alone knows (tagline, content tier ...) travels in `extensions.troupe`, where the
 * specification wants the data of applications.
 */
#include "character/card.h"

#include "base/check.h"
#include "base/text.h"
#include "lore/members.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define TALKATIVENESS 0.5 /* where nothing is said: SillyTavern's default */

#define ROW(member_, kind_, required)                                                    \
    {                                                                                    \
        .name = #member_, .kind = kind_, .offset = MEMBER_AT(struct character, member_), \
        .is_required = required                                                          \
    }

/* The V3-only rows stand last, so that a table of V2 is the first rows. */
static const struct member data_members[] = {
    ROW(name, MEMBER_TEXT, true),
    ROW(description, MEMBER_TEXT, true),
    ROW(personality, MEMBER_TEXT, true),
    ROW(scenario, MEMBER_TEXT, true),
    ROW(first_mes, MEMBER_TEXT, true),
    ROW(mes_example, MEMBER_TEXT, true),
    ROW(creator_notes, MEMBER_TEXT, true),
    ROW(system_prompt, MEMBER_TEXT, true),
    ROW(post_history_instructions, MEMBER_TEXT, true),
    ROW(alternate_greetings, MEMBER_TEXTS, true),
    ROW(tags, MEMBER_TEXTS, true),
    ROW(creator, MEMBER_TEXT, true),
    ROW(character_version, MEMBER_TEXT, true),
    ROW(nickname, MEMBER_TEXT, false),
    ROW(source, MEMBER_TEXTS, false),
    ROW(group_only_greetings, MEMBER_TEXTS, false),
};
#define GROUP_ONLY_ROW (COUNT_OF(data_members) - 1)

static const char *const tiers[] = {"all_ages", "mature", "adult", NULL};

static const struct member troupe_members[] = {
    ROW(tagline, MEMBER_TEXT, false),
    {.name = "content_tier",
     .kind = MEMBER_TEXT,
     .offset = MEMBER_AT(struct character, content_tier),
     .choices = tiers},
    ROW(voice, MEMBER_TEXT, false),
    ROW(model_settings, MEMBER_OBJECT, false),
};

/* Members that V2 does not have; a card that came as V2 with them keeps them. */
static const char *const v3_only[] = {"nickname",
                                      "source",
                                      "group_only_greetings",
                                      "assets",
                                      "creation_date",
                                      "modification_date",
                                      "creator_notes_multilingual",
                                      NULL};

struct character character_empty(void) {
    struct str none = STR(""), list = STR("[]"), object = STR("{}");
    return (struct character){
        .name = none,
        .nickname = none,
        .description = none,
        .personality = none,
        .scenario = none,
        .first_mes = none,
        .mes_example = none,
        .alternate_greetings = list,
        .group_only_greetings = list,
        .system_prompt = none,
        .post_history_instructions = none,
        .creator_notes = none,
        .tags = list,
        .creator = none,
        .character_version = none,
        .source = list,
        .extensions = object,
        .unknown = object,
        .tagline = none,
        .visibility = STR("private"),
        .content_tier = STR("all_ages"),
        .voice = none,
        .talkativeness = TALKATIVENESS,
        .model_settings = object,
        .origin = STR("created"),
    };
}

void card_warn(struct card *card, const char *warning) {
    for (size_t i = 0; i < card->warning_count; i++)
        if (card->warnings[i] == warning)
            return;
    if (card->warning_count < CARD_WARNINGS_LIMIT)
        card->warnings[card->warning_count++] = warning;
}

/* --- reading: extensions -------------------------------------------------------------------- */

static double talkativeness_of(const struct json_value *value) {
    double number = json_number(value, TALKATIVENESS);
    struct str text = json_string(value, STR_NONE);
    if (text.at && str_to_double(str_trim(text), &number) != E_OK)
        return TALKATIVENESS;
    return number < 0 ? 0 : number > 1 ? 1 : number;
}

static struct str take(struct arena *arena, struct buf *buf) {
    struct str text = str_dup(arena, buf_str(buf));
    buf_release(buf);
    return text;
}

/* All members of `extensions` but `troupe`, of which only what is not ours stays. */
static struct str without_ours(struct arena *arena, const struct json_value *extensions,
                               struct str troupe_kept) {
    struct buf buf;
    struct json json;
    buf_init(&buf, CARD_JSON_LIMIT_BYTES * 2);
    json_init(&json, &buf);
    json_object_begin(&json);
    for (const struct json_value *i = json_first(extensions); i; i = json_next(i)) {
        bool is_ours = str_eq(json_name(i), STR("troupe")) && json_type(i) == JSON_OBJECT;
        if (is_ours && troupe_kept.len <= 2)
            continue;
        json_key(&json, json_name(i));
        if (is_ours)
            json_write_raw(&json, troupe_kept);
        else
            json_write_value(&json, i);
    }
    json_object_end(&json);
    return take(arena, &buf);
}

static void read_extensions(struct arena *arena, const struct json_value *extensions,
                            struct character *character) {
    if (json_type(extensions) != JSON_OBJECT)
        return;
    character->talkativeness = talkativeness_of(json_member(extensions, "talkativeness"));
    const struct json_value *troupe = json_member(extensions, "troupe");
    struct str kept =
        members_read(arena, troupe_members, COUNT_OF(troupe_members), troupe, character, NULL);
    character->extensions = without_ours(arena, extensions, kept);
}

/* --- reading: the card ---------------------------------------------------------------------- */

static const char data_text[] = "data", book_text[] = "character_book";

static void read_book(struct arena *arena, const struct json_value *value, struct card *card) {
    if (json_type(value) != JSON_OBJECT)
        return;
    enum err err = lore_book_read(arena, value, &card->book);
    card->has_book = err == E_OK;
    if (err == E_LIMIT)
        card_warn(card, "The lorebook has more entries than we take, and was left out.");
}

/* A name must be there, and short enough to be shown. */
static void mend_name(struct card *card) {
    struct character *character = &card->character;
    character->name = str_trim(character->name);
    if (character->name.len == 0) {
        struct str nickname = str_trim(character->nickname);
        character->name = nickname.len > 0 ? nickname : STR("Unnamed");
        card_warn(card, "The card has no name.");
    }
    if (text_length(character->name) > CARD_NAME_LENGTH) {
        character->name = text_cut(character->name, CARD_NAME_LENGTH);
        card_warn(card, "The name was too long, and was cut.");
    }
}

/* Everything under `data`; gives what is kept of it. */
static struct str read_data(struct arena *arena, const struct json_value *data, struct card *card) {
    static const char *const own[] = {"extensions", NULL};
    static const char *const own_with_book[] = {"extensions", book_text, NULL};
    read_extensions(arena, json_member(data, "extensions"), &card->character);
    read_book(arena, json_member(data, book_text), card);
    return members_read(arena, data_members, COUNT_OF(data_members), data, &card->character,
                        card->has_book ? own_with_book : own);
}

static void remember(struct arena *arena, struct card *card, struct str spec,
                     struct str spec_version, struct str top, struct str data) {
    struct buf buf;
    struct json json;
    buf_init(&buf, CARD_JSON_LIMIT_BYTES * 2);
    json_init(&json, &buf);
    json_object_begin(&json);
    JSON_STR(&json, "spec", spec);
    if (spec_version.at)
        JSON_STR(&json, "spec_version", spec_version);
    if (top.len > 2)
        JSON_RAW(&json, "top", top);
    if (data.len > 2)
        JSON_RAW(&json, "data", data);
    json_object_end(&json);
    card->character.unknown = take(arena, &buf);
}

/* V2, V3, and what calls itself something newer. */
static void read_wrapped(struct arena *arena, const struct json_value *root, struct card *card) {
    static const char *const own[] = {"spec", "spec_version", data_text, NULL};
    struct str spec = json_string(json_member(root, "spec"), STR(""));
    struct str version = member_text(arena, json_member(root, "spec_version"));
    double number = 0;
    card->version = str_eq(spec, STR("chara_card_v2")) ? 2 : 3;
    if (card->version == 3 && !str_eq(spec, STR("chara_card_v3")))
        card_warn(card, "The card says it is of a kind that we do not know; it was read as V3.");
    if (card->version == 3 && str_to_double(version.at ? version : STR(""), &number) == E_OK &&
        number > 3)
        card_warn(card, "The card is newer than V3; what we do not know was kept.");
    struct str top = members_read(arena, NULL, 0, root, NULL, own);
    struct str data = read_data(arena, json_member(root, data_text), card);
    remember(arena, card, spec, version, top, data);
}

#define FLAT_OWN \
    "extensions", "talkativeness", "creatorcomment", "spec", "spec_version", data_text, book_text
static const char *const v1_own[] = {FLAT_OWN, NULL};
static const char *const pygmalion_own[] = {
    FLAT_OWN,         "char_name", "char_persona", "char_greeting", "example_dialogue",
    "world_scenario", NULL};

/* V1: all on one level. */
static void read_flat(struct arena *arena, const struct json_value *root, struct card *card,
                      const char *const *own) {
    card->version = 1;
    read_extensions(arena, json_member(root, "extensions"), &card->character);
    if (json_member(root, "talkativeness"))
        card->character.talkativeness = talkativeness_of(json_member(root, "talkativeness"));
    read_book(arena, json_member(root, book_text), card);
    struct str rest =
        members_read(arena, data_members, COUNT_OF(data_members), root, &card->character, own);
    struct str comment = member_text(arena, json_member(root, "creatorcomment"));
    if (card->character.creator_notes.len == 0 && comment.at)
        card->character.creator_notes = comment;
    remember(arena, card, STR(""), STR_NONE, rest, STR("{}"));
}

/* Pygmalion and text-generation-webui. CAI Tools writes these members beside those of V1. */
static const struct {
    const char *theirs;
    size_t offset;
} pygmalion[] = {
    {"char_name", MEMBER_AT(struct character, name)},
    {"char_persona", MEMBER_AT(struct character, description)},
    {"char_greeting", MEMBER_AT(struct character, first_mes)},
    {"example_dialogue", MEMBER_AT(struct character, mes_example)},
    {"world_scenario", MEMBER_AT(struct character, scenario)},
};

static void read_pygmalion(struct arena *arena, const struct json_value *root, struct card *card) {
    read_flat(arena, root, card, pygmalion_own);
    for (size_t i = 0; i < COUNT_OF(pygmalion); i++) {
        struct str *at = (struct str *)((char *)&card->character + pygmalion[i].offset);
        struct str text = member_text(arena, json_member(root, pygmalion[i].theirs));
        if (text.at && at->len == 0)
            *at = text;
    }
}

static bool has(const struct json_value *root, const char *name) {
    return json_member(root, name) != NULL;
}

/* Other files that people take for cards, and what to tell them. NULL: none of these. */
static const char *other_kind(const struct json_value *root) {
    struct str type = json_string(json_member(root, "type"), STR(""));
    if (str_eq(type, STR("risuModule")))
        return "This is a RisuAI module, not a character card.";
    if (str_eq(type, STR("risu")) ||
        str_eq(json_string(json_member(root, "spec"), STR("")), STR("lorebook_v3")))
        return "This is a lorebook, not a character card.";
    if (has(root, "persona") && has(root, "greeting") && has(root, "sampleChat"))
        return "This is a character of Agnai's own format; export it there as a Tavern card.";
    if (has(root, "entries") && !has(root, "name") && !has(root, "char_name"))
        return "This is a lorebook, not a character card.";
    return "This JSON is not a character card.";
}

static bool is_flat(const struct json_value *root) {
    return has(root, "name") && (has(root, "first_mes") || has(root, "description") ||
                                 has(root, "personality") || has(root, "mes_example"));
}

static enum err read_root(struct arena *arena, const struct json_value *root, struct card *card,
                          const char **problem) {
    bool is_wrapped = json_type(json_member(root, "spec")) == JSON_STRING &&
                      json_type(json_member(root, data_text)) == JSON_OBJECT;
    bool is_lorebook = str_eq(json_string(json_member(root, "spec"), STR("")), STR("lorebook_v3"));
    *problem = other_kind(root);
    if (json_type(root) != JSON_OBJECT || is_lorebook)
        return E_INPUT;
    if (is_wrapped)
        read_wrapped(arena, root, card);
    else if (has(root, "char_name"))
        read_pygmalion(arena, root, card);
    else if (is_flat(root) && !(has(root, "persona") && has(root, "sampleChat")))
        read_flat(arena, root, card, v1_own);
    else
        return E_INPUT;
    *problem = NULL;
    return E_OK;
}

enum err card_read(struct arena *arena, struct str text, struct card *card, const char **problem) {
    struct json_error error = {0};
    const struct json_value *root;
    *card = (struct card){.character = character_empty()};
    card->character.origin = STR("imported");
    if (str_starts(text, STR("\xEF\xBB\xBF")))
        text = str_slice(text, 3, text.len);
    *problem = "The card's text is larger than 8 MiB.";
    if (text.len > CARD_JSON_LIMIT_BYTES)
        return E_LIMIT;
    *problem = "The card is encrypted by RisuAI; export it there without encryption.";
    if (str_starts(text, STR("rcc||")))
        return E_INPUT;
    enum err err = json_parse(arena, text, &root, &error);
    *problem = error.is_duplicate ? "The card's JSON has two members of one name."
                                  : "The card's text is not valid JSON.";
    if (err != E_OK || (err = read_root(arena, root, card, problem)) != E_OK)
        return err;
    mend_name(card);
    return E_OK;
}

/* --- writing -------------------------------------------------------------------------------- */

/* What `character.unknown` says, for writing. */
struct origin {
    struct str spec, spec_version;
    const struct json_value *top;
    struct str data; /* JSON object */
};

static struct origin origin_of(struct arena *arena, struct str unknown) {
    const struct json_value *root = NULL;
    if (unknown.len > 2 && json_parse(arena, unknown, &root, NULL) != E_OK)
        root = NULL;
    const struct json_value *data = json_member(root, data_text);
    return (struct origin){
        .spec = json_string(json_member(root, "spec"), STR("")),
        .spec_version = json_string(json_member(root, "spec_version"), STR("")),
        .top = json_member(root, "top"),
        .data = data ? member_json(arena, data) : STR("{}"),
    };
}

static bool has_ours(const struct character *character) {
    return character->tagline.len > 0 || character->voice.len > 0 ||
           character->model_settings.len > 2 ||
           (character->content_tier.len > 0 && !str_eq(character->content_tier, STR("all_ages")));
}

static void write_ours(struct json *json, const struct character *character,
                       const struct json_value *foreign, struct arena *arena) {
    struct character shown = *character;
    if (str_eq(shown.content_tier, STR("all_ages")))
        shown.content_tier = STR("");
    struct str kept = foreign ? member_json(arena, foreign) : STR("{}");
    json_key(json, STR("troupe"));
    json_object_begin(json);
    members_write(json, troupe_members, COUNT_OF(troupe_members), &shown, kept, NULL);
    json_object_end(json);
}

/* A favourite is the exporter's own; the member stays, so that the shape does. */
static bool write_private(struct json *json, const struct json_value *member) {
    if (!str_eq(json_name(member), STR("fav")))
        return false;
    JSON_BOOL(json, "fav", false);
    return true;
}

static bool write_talkativeness(struct json *json, const struct json_value *member, double value) {
    if (!str_eq(json_name(member), STR("talkativeness")) || talkativeness_of(member) == value)
        return false;
    JSON_DOUBLE(json, "talkativeness", value);
    return true;
}

static void write_extensions(struct json *json, struct arena *arena,
                             const struct character *character) {
    const struct json_value *extensions = NULL;
    if (json_parse(arena, character->extensions, &extensions, NULL) != E_OK)
        extensions = NULL;
    const struct json_value *troupe = json_member(extensions, "troupe");
    bool is_object = json_type(troupe) == JSON_OBJECT;
    JSON_OBJECT(json, "extensions");
    for (const struct json_value *i = json_first(extensions); i; i = json_next(i)) {
        if ((i == troupe && has_ours(character)) || write_private(json, i) ||
            write_talkativeness(json, i, character->talkativeness))
            continue;
        json_key(json, json_name(i));
        json_write_value(json, i);
    }
    if (!has(extensions, "talkativeness") && character->talkativeness != TALKATIVENESS)
        JSON_DOUBLE(json, "talkativeness", character->talkativeness);
    if (has_ours(character))
        write_ours(json, character, is_object ? troupe : NULL, arena);
    json_object_end(json);
}

/* The members that V1 had, repeated on the top level: old readers look nowhere else. */
static const struct member mirror_members[] = {
    ROW(name, MEMBER_TEXT, true),        ROW(description, MEMBER_TEXT, true),
    ROW(personality, MEMBER_TEXT, true), ROW(scenario, MEMBER_TEXT, true),
    ROW(first_mes, MEMBER_TEXT, true),   ROW(mes_example, MEMBER_TEXT, true),
};

static bool write_mirrored(struct json *json, const struct json_value *member,
                           const struct character *character) {
    for (size_t i = 0; i < COUNT_OF(mirror_members); i++) {
        if (!str_eq(json_name(member), str_from(mirror_members[i].name)))
            continue;
        json_key(json, json_name(member));
        json_write_str(json,
                       *(const struct str *)((const char *)character + mirror_members[i].offset));
        return true;
    }
    return false;
}

static bool is_mirrored(struct str name) {
    for (size_t i = 0; i < COUNT_OF(mirror_members); i++)
        if (str_eq(name, str_from(mirror_members[i].name)))
            return true;
    return false;
}

/* The top level beside `spec` and `data`: kept members at their place, the mirror as it is now. */
static void write_top(struct json *json, const struct character *character,
                      const struct json_value *top, bool has_mirror) {
    if (has_mirror)
        members_write(json, mirror_members, COUNT_OF(mirror_members), character, STR("{}"), NULL);
    for (const struct json_value *i = json_first(top); i; i = json_next(i)) {
        if (str_eq(json_name(i), STR("chat")) || (has_mirror && is_mirrored(json_name(i))) ||
            write_private(json, i) || write_talkativeness(json, i, character->talkativeness) ||
            write_mirrored(json, i, character))
            continue;
        json_key(json, json_name(i));
        json_write_value(json, i);
    }
}

/* V3 wants to know when a card was changed: of one that was made or edited here, we know. */
static bool write_dates(struct json *json, const struct character *character,
                        const struct origin *origin) {
    if (character->updated_at == 0 ||
        (str_eq(character->origin, STR("imported")) && character->revision <= 1))
        return false;
    if (origin->spec.len == 0 && character->created_at > 0)
        JSON_INT(json, "creation_date", character->created_at / 1000);
    JSON_INT(json, "modification_date", character->updated_at / 1000);
    return true;
}

static enum lore_format lore_format_of(enum card_format format, bool came_as_v2) {
    return format == CARD_V3 ? LORE_V3 : format == CARD_V2 && came_as_v2 ? LORE_V2 : LORE_V2_PLAIN;
}

static struct str with_hint(struct arena *arena, struct str notes) {
    return str_printf(arena, "%.*s%sThis is a reduced copy of a Character Card V3.", STR_ARG(notes),
                      notes.len > 0 ? "\n\n" : "");
}

/* Names of kept members that are not given back, NULL at the end. */
struct omitted {
    const char *names[COUNT_OF(v3_only) + 2];
};

static struct omitted omitted_of(bool is_reduced, bool has_dates, bool has_book) {
    struct omitted omitted = {{NULL}};
    size_t n = 0;
    for (size_t i = 0; is_reduced && v3_only[i]; i++)
        omitted.names[n++] = v3_only[i];
    if (has_dates)
        omitted.names[n++] = "modification_date";
    if (has_book)
        omitted.names[n++] = book_text;
    return omitted;
}

static void write_data(struct json *json, struct arena *arena, const struct card *card,
                       enum card_format format, const struct origin *origin) {
    bool came_as_v2 = str_eq(origin->spec, STR("chara_card_v2"));
    struct member rows[COUNT_OF(data_members)];
    memcpy(rows, data_members, sizeof(rows));
    rows[GROUP_ONLY_ROW].is_required = format == CARD_V3;
    struct character shown = card->character;
    if (format == CARD_V2_COPY)
        shown.creator_notes = with_hint(arena, shown.creator_notes);
    JSON_OBJECT(json, "data");
    bool has_dates = format == CARD_V3 && write_dates(json, &shown, origin);
    struct omitted omitted =
        omitted_of(format != CARD_V3 && !came_as_v2, has_dates, card->has_book);
    members_write(json, rows, COUNT_OF(rows), &shown, origin->data, omitted.names);
    write_extensions(json, arena, &shown);
    if (card->has_book) {
        json_key(json, str_from(book_text));
        lore_book_write(json, &card->book, lore_format_of(format, came_as_v2));
    }
    json_object_end(json);
}

void card_write(struct json *json, const struct card *card, enum card_format format) {
    struct arena arena;
    arena_init(&arena);
    struct origin origin = origin_of(&arena, card->character.unknown);
    bool keeps_version = str_eq(origin.spec, STR("chara_card_v3")) && origin.spec_version.len > 0;
    json_object_begin(json);
    write_top(json, &card->character, origin.top, format != CARD_V3);
    JSON_STR(json, "spec", format == CARD_V3 ? STR("chara_card_v3") : STR("chara_card_v2"));
    JSON_STR(json, "spec_version",
             format != CARD_V3 ? STR("2.0")
             : keeps_version   ? origin.spec_version
                               : STR("3.0"));
    write_data(json, &arena, card, format, &origin);
    json_object_end(json);
    arena_release(&arena);
}
