/*
 * The rows below are what openapi.json says, in the order in which the members are written.
 *
 * A revision is not the API's object: it also keeps the portrait's key and what an imported card
 * had that we have no name for, so that bringing it back loses nothing.
 */
#include "character/character_json.h"

#include "base/check.h"
#include "lore/members.h"

#include <math.h>

#include "base/banned.h"

#define SAVED_LIMIT_BYTES ((size_t)64 << 20)

const char *const character_visibilities[] = {"private", "unlisted", "public", NULL};
const char *const character_tiers[] = {"all_ages", "mature", "adult", NULL};

/* clang-format off */
#define SHARED_ROWS \
    {"id", FIELD_ID, .is_required = true, .help = "The character."}, \
    {"owner_id", FIELD_ID, .is_required = true, .help = "Whose it is."}, \
    {"name", FIELD_TEXT, .is_required = true, .help = "Its name."}, \
    {"nickname", FIELD_TEXT, .is_required = true, .help = "What {{char}} becomes, when it is not empty."}, \
    {"tagline", FIELD_TEXT, .is_required = true, .help = "One line for the playbill."}, \
    {"tags", FIELD_TEXTS, .is_required = true, .help = "For finding it."}, \
    {"creator", FIELD_TEXT, .is_required = true, .help = "Who wrote it."}, \
    {"visibility", FIELD_CHOICE, .choices = character_visibilities, .is_required = true, .help = "Who may see it: its owner; whoever has its address; everybody here."}, \
    {"content_tier", FIELD_CHOICE, .choices = character_tiers, .is_required = true, .help = "For whom it is."}, \
    {"avatar_url", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Its portrait; loads without a token."}, \
    {"talkativeness", FIELD_NUMBER, .is_required = true, .help = "0 to 1: how readily it speaks in a group."}, \
    {"favourite", FIELD_BOOL, .is_required = true, .help = "It is among your favourites."}, \
    {"rating", FIELD_NUMBER, .may_be_null = true, .is_required = true, .help = "What people think of it; null: nobody has said."}, \
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every save."}, \
    {"created_at", FIELD_TIME, .is_required = true, .help = "Since when."}, \
    {"updated_at", FIELD_TIME, .is_required = true, .help = "Last save."}
static const struct field summary_rows[] = {SHARED_ROWS,
    {"deleted_at", FIELD_TIME, .help = "In the trash since then; only in the list of the trash."}, {0}};
const struct shape character_summary_shape = {"CharacterSummary", summary_rows, "A character as lists show it."};
static const struct field character_rows[] = {SHARED_ROWS,
    {"description", FIELD_TEXT, .is_required = true, .help = "Who it is."},
    {"personality", FIELD_TEXT, .is_required = true, .help = "In short."},
    {"scenario", FIELD_TEXT, .is_required = true, .help = "Where it begins."},
    {"first_mes", FIELD_TEXT, .is_required = true, .help = "Its first line."},
    {"mes_example", FIELD_TEXT, .is_required = true, .help = "How it talks; blocks begin with <START>."},
    {"alternate_greetings", FIELD_TEXTS, .is_required = true, .help = "Other first lines."},
    {"group_only_greetings", FIELD_TEXTS, .is_required = true, .help = "First lines in groups."},
    {"system_prompt", FIELD_TEXT, .is_required = true, .help = "Instead of the house's; {{original}} is what it replaces."},
    {"post_history_instructions", FIELD_TEXT, .is_required = true, .help = "Said after the talk."},
    {"creator_notes", FIELD_TEXT, .is_required = true, .help = "For people, never for the model."},
    {"creator_notes_multilingual", FIELD_JSON, .may_be_null = true, .is_required = true, .help = "The same in other languages, by their two letters."},
    {"character_version", FIELD_TEXT, .is_required = true, .help = "The creator's own version."},
    {"source", FIELD_TEXTS, .is_required = true, .help = "Where the card came from."},
    {"assets", FIELD_JSON, .may_be_null = true, .is_required = true, .help = "Files that the card names, kept for export."},
    {"extensions", FIELD_JSON, .is_required = true, .help = "Data of other programs, kept as it is."},
    {"voice", FIELD_TEXT, .is_required = true, .help = "The voice it speaks with."},
    {"vrm_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "Its 3D model."},
    {"model_settings", FIELD_JSON, .is_required = true, .help = "Sampler settings of its own."},
    {"lorebook_id", FIELD_ID, .may_be_null = true, .is_required = true, .help = "Its own lorebook, for the routes of lorebooks."},
    {"character_book", FIELD_JSON, .may_be_null = true, .is_required = true, .help = "Its own lorebook, as Character Card V3 has it."},
    {0}};
const struct shape character_shape = {"Character", character_rows, "A character: Character Card V3, and what is ours."};
/* clang-format on */

/* --- the API's objects ---------------------------------------------------------------------- */

static void write_avatar(struct json *json, struct str blob) {
    struct arena arena;
    char scratch[256];
    arena_init_with(&arena, scratch, sizeof(scratch));
    JSON_STR(json, "avatar_url", character_avatar_url(&arena, 0, blob));
    arena_release(&arena);
}

/* A share from 0 to 1. People set hundredths: those are written without the search for the shortest
 * digits that any double needs, which cost a list a tenth of its time. */
static void write_share(struct json *json, double share) {
    int hundredths = (int)(share * 100 + 0.5);
    char digits[4] = {'0', '.', (char)('0' + hundredths / 10), (char)('0' + hundredths % 10)};
    if (hundredths <= 0 || hundredths >= 100 || hundredths / 100.0 != share)
        json_write_double(json, share);
    else
        json_write_raw(json, str_of(digits, digits[3] == '0' ? 3 : 4));
}

/* SHARED_ROWS, of a summary. */
static void write_shared(struct json *json, const struct character_summary *c) {
    JSON_ID(json, "id", c->id);
    JSON_ID(json, "owner_id", c->owner_id);
    JSON_STR(json, "name", c->name);
    JSON_STR(json, "nickname", c->nickname);
    JSON_STR(json, "tagline", c->tagline);
    JSON_RAW(json, "tags", c->tags);
    JSON_STR(json, "creator", c->creator);
    JSON_STR(json, "visibility", c->visibility);
    JSON_STR(json, "content_tier", c->content_tier);
    write_avatar(json, c->avatar_blob);
    json_key(json, STR("talkativeness"));
    write_share(json, c->talkativeness);
    JSON_BOOL(json, "favourite", c->is_favourite);
    JSON_NULL_AT(json, "rating");
    JSON_INT(json, "revision", c->revision);
    JSON_TIME(json, "created_at", c->created_at);
    JSON_TIME(json, "updated_at", c->updated_at);
}

void character_write_summary(struct json *json, const struct character_summary *summary) {
    json_object_begin(json);
    write_shared(json, summary);
    if (summary->deleted_at != 0)
        JSON_TIME(json, "deleted_at", summary->deleted_at);
    json_object_end(json);
}

static struct character_summary summary_of(const struct character *c) {
    return (struct character_summary){
        .id = c->id,
        .owner_id = c->owner_id,
        .name = c->name,
        .nickname = c->nickname,
        .tagline = c->tagline,
        .tags = c->tags,
        .creator = c->creator,
        .visibility = c->visibility,
        .content_tier = c->content_tier,
        .avatar_blob = c->avatar_blob,
        .talkativeness = c->talkativeness,
        .is_favourite = c->is_favourite,
        .revision = c->revision,
        .created_at = c->created_at,
        .updated_at = c->updated_at,
    };
}

static void write_kept(struct json *json, struct str unknown, const char *name) {
    struct arena arena;
    json_key(json, str_from(name));
    if (unknown.len <= 2) {
        json_write_null(json);
        return;
    }
    arena_init(&arena);
    json_write_value(json, character_kept(&arena, unknown, name));
    arena_release(&arena);
}

static void write_texts(struct json *json, const struct character *c) {
    JSON_STR(json, "description", c->description);
    JSON_STR(json, "personality", c->personality);
    JSON_STR(json, "scenario", c->scenario);
    JSON_STR(json, "first_mes", c->first_mes);
    JSON_STR(json, "mes_example", c->mes_example);
    JSON_RAW(json, "alternate_greetings", c->alternate_greetings);
    JSON_RAW(json, "group_only_greetings", c->group_only_greetings);
    JSON_STR(json, "system_prompt", c->system_prompt);
    JSON_STR(json, "post_history_instructions", c->post_history_instructions);
    JSON_STR(json, "creator_notes", c->creator_notes);
    write_kept(json, c->unknown, "creator_notes_multilingual");
    JSON_STR(json, "character_version", c->character_version);
    JSON_RAW(json, "source", c->source);
    write_kept(json, c->unknown, "assets");
    JSON_RAW(json, "extensions", c->extensions);
    JSON_STR(json, "voice", c->voice);
    JSON_ID(json, "vrm_id", c->vrm_id);
    JSON_RAW(json, "model_settings", c->model_settings);
}

void character_write(struct json *json, const struct character *character,
                     const struct lore_book *book) {
    struct character_summary summary = summary_of(character);
    json_object_begin(json);
    write_shared(json, &summary);
    write_texts(json, character);
    JSON_ID(json, "lorebook_id", book ? book->id : 0);
    json_key(json, STR("character_book"));
    if (book)
        lore_book_write(json, book, LORE_V3);
    else
        json_write_null(json);
    json_object_end(json);
}

/* --- revisions ------------------------------------------------------------------------------ */

#define SAVED(member_, kind_)                                                            \
    {                                                                                    \
        .name = #member_, .kind = kind_, .offset = MEMBER_AT(struct character, member_), \
        .is_required = true                                                              \
    }

static const struct member saved_members[] = {
    SAVED(name, MEMBER_TEXT),
    SAVED(nickname, MEMBER_TEXT),
    SAVED(description, MEMBER_TEXT),
    SAVED(personality, MEMBER_TEXT),
    SAVED(scenario, MEMBER_TEXT),
    SAVED(first_mes, MEMBER_TEXT),
    SAVED(mes_example, MEMBER_TEXT),
    SAVED(alternate_greetings, MEMBER_TEXTS),
    SAVED(group_only_greetings, MEMBER_TEXTS),
    SAVED(system_prompt, MEMBER_TEXT),
    SAVED(post_history_instructions, MEMBER_TEXT),
    SAVED(creator_notes, MEMBER_TEXT),
    SAVED(tags, MEMBER_TEXTS),
    SAVED(creator, MEMBER_TEXT),
    SAVED(character_version, MEMBER_TEXT),
    SAVED(source, MEMBER_TEXTS),
    SAVED(extensions, MEMBER_OBJECT),
    SAVED(unknown, MEMBER_OBJECT),
    SAVED(tagline, MEMBER_TEXT),
    SAVED(visibility, MEMBER_TEXT),
    SAVED(content_tier, MEMBER_TEXT),
    SAVED(talkativeness, MEMBER_NUMBER),
    SAVED(voice, MEMBER_TEXT),
    SAVED(model_settings, MEMBER_OBJECT),
    {.name = "avatar_blob",
     .kind = MEMBER_TEXT,
     .offset = MEMBER_AT(struct character, avatar_blob)},
};

struct str character_saved(struct arena *arena, const struct character *character,
                           const struct lore_book *book) {
    struct buf buf;
    struct json json;
    buf_init(&buf, SAVED_LIMIT_BYTES);
    json_init(&json, &buf);
    json_object_begin(&json);
    members_write(&json, saved_members, COUNT_OF(saved_members), character, STR("{}"), NULL);
    if (book) {
        json_key(&json, STR("character_book"));
        lore_book_write(&json, book, LORE_V3);
    }
    json_object_end(&json);
    struct str text = buf.err == E_OK ? str_dup(arena, buf_str(&buf)) : STR_NONE;
    buf_release(&buf);
    return text;
}

enum err character_read_saved(struct arena *arena, struct str text, struct character *character,
                              struct lore_book *book, bool *has_book) {
    const struct json_value *saved;
    if (json_parse(arena, text, &saved, NULL) != E_OK || json_type(saved) != JSON_OBJECT)
        return E_INPUT;
    character->avatar_blob = STR_NONE; /* absent means none */
    (void)members_read(arena, saved_members, COUNT_OF(saved_members), saved, character, NULL);
    const struct json_value *own = json_member(saved, "character_book");
    *has_book = own != NULL;
    return own ? lore_book_read(arena, own, book) : E_OK;
}

/* --- what has no column --------------------------------------------------------------------- */

const struct json_value *character_kept(struct arena *arena, struct str unknown, const char *name) {
    const struct json_value *root;
    if (unknown.len <= 2 || json_parse(arena, unknown, &root, NULL) != E_OK)
        return NULL;
    return json_member(json_member(root, "data"), name);
}

static void copy_members(struct json *json, const struct json_value *object, const char *but) {
    for (const struct json_value *i = json_first(object); i; i = json_next(i)) {
        if (str_eq(json_name(i), str_from(but)))
            continue;
        json_key(json, json_name(i));
        json_write_value(json, i);
    }
}

struct str character_keep(struct arena *arena, struct str unknown, const char *name,
                          const struct json_value *value) {
    const struct json_value *root = NULL;
    struct buf buf;
    struct json json;
    if (json_parse(arena, unknown, &root, NULL) != E_OK)
        root = NULL;
    buf_init(&buf, SAVED_LIMIT_BYTES);
    json_init(&json, &buf);
    json_object_begin(&json);
    copy_members(&json, root, "data");
    JSON_OBJECT(&json, "data");
    copy_members(&json, json_member(root, "data"), name);
    if (value) {
        json_key(&json, str_from(name));
        json_write_value(&json, value);
    }
    json_object_end(&json);
    json_object_end(&json);
    struct str text = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return text;
}
