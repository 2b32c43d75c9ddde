/*
 * The routes of one character: make it, read it, change it, throw it away and bring it back, copy
 * it, and its revisions.
 *
 * A change is a struct in the request's arena. The writer loads the character, compares the
 * revision, lays the members that were sent over it, and saves; the answer is read afterwards, so
 * what is shown is what is on disk.
 */
#include "character/character_api.h"

#include "base/check.h"
#include "base/id.h"
#include "character/card.h"
#include "character/character_json.h"
#include "character/character_reply.h"
#include "lore/lore.h"
#include "lore/members.h"

#include "base/banned.h"

#define TEXT_LENGTH 200000 /* code points of one field: a long card has 20,000 */

struct character_body {
    struct str name, nickname, description, personality, scenario, first_mes, mes_example;
    struct str system_prompt, post_history_instructions, creator_notes, creator, character_version;
    struct str tagline, visibility, content_tier, voice;
    struct field_texts alternate_greetings, group_only_greetings, tags, source;
    const struct json_value *extensions, *model_settings, *character_book;
    const struct json_value *creator_notes_multilingual, *assets;
    double talkativeness;
};

struct page_query {
    int64_t limit;
    struct str cursor;
};

/* clang-format off */
#define BODY_ROWS \
    {"nickname", FIELD_TEXT, AT(struct character_body, nickname), .max = CARD_NAME_LENGTH, .help = "What {{char}} becomes, when it is not empty."}, \
    {"description", FIELD_TEXT, AT(struct character_body, description), .max = TEXT_LENGTH, .help = "Who it is."}, \
    {"personality", FIELD_TEXT, AT(struct character_body, personality), .max = TEXT_LENGTH, .help = "In short."}, \
    {"scenario", FIELD_TEXT, AT(struct character_body, scenario), .max = TEXT_LENGTH, .help = "Where it begins."}, \
    {"first_mes", FIELD_TEXT, AT(struct character_body, first_mes), .max = TEXT_LENGTH, .help = "Its first line."}, \
    {"mes_example", FIELD_TEXT, AT(struct character_body, mes_example), .max = TEXT_LENGTH, .help = "How it talks; blocks begin with <START>."}, \
    {"alternate_greetings", FIELD_TEXTS, AT(struct character_body, alternate_greetings), .max = 100, .item_max = TEXT_LENGTH, .help = "Other first lines."}, \
    {"group_only_greetings", FIELD_TEXTS, AT(struct character_body, group_only_greetings), .max = 100, .item_max = TEXT_LENGTH, .help = "First lines in groups."}, \
    {"system_prompt", FIELD_TEXT, AT(struct character_body, system_prompt), .max = TEXT_LENGTH, .help = "Instead of the house's; {{original}} is what it replaces."}, \
    {"post_history_instructions", FIELD_TEXT, AT(struct character_body, post_history_instructions), .max = TEXT_LENGTH, .help = "Said after the talk."}, \
    {"creator_notes", FIELD_TEXT, AT(struct character_body, creator_notes), .max = TEXT_LENGTH, .help = "For people, never for the model."}, \
    {"creator_notes_multilingual", FIELD_JSON, AT(struct character_body, creator_notes_multilingual), .may_be_null = true, .max = 1000000, .help = "The same in other languages: an object of texts by two letters."}, \
    {"tags", FIELD_TEXTS, AT(struct character_body, tags), .max = 200, .item_max = 200, .help = "For finding it."}, \
    {"creator", FIELD_TEXT, AT(struct character_body, creator), .max = 1000, .help = "Who wrote it."}, \
    {"character_version", FIELD_TEXT, AT(struct character_body, character_version), .max = 1000, .help = "The creator's own version."}, \
    {"source", FIELD_TEXTS, AT(struct character_body, source), .max = 200, .item_max = 2000, .help = "Where the card came from."}, \
    {"assets", FIELD_JSON, AT(struct character_body, assets), .may_be_null = true, .max = 1000000, .help = "An array of files that the card names, kept for export."}, \
    {"extensions", FIELD_JSON, AT(struct character_body, extensions), .max = 1000000, .help = "Data of other programs: any object, kept as it is."}, \
    {"tagline", FIELD_TEXT, AT(struct character_body, tagline), .max = 500, .help = "One line for the playbill."}, \
    {"visibility", FIELD_CHOICE, AT(struct character_body, visibility), .choices = character_visibilities, .help = "Who may see it: its owner; whoever has its address; everybody here."}, \
    {"content_tier", FIELD_CHOICE, AT(struct character_body, content_tier), .choices = character_tiers, .help = "For whom it is; others than all_ages need a declared adult age."}, \
    {"talkativeness", FIELD_NUMBER, AT(struct character_body, talkativeness), .min = 0, .max = 1, .help = "How readily it speaks in a group."}, \
    {"voice", FIELD_TEXT, AT(struct character_body, voice), .max = 200, .help = "The voice it speaks with."}, \
    {"model_settings", FIELD_JSON, AT(struct character_body, model_settings), .max = 65536, .help = "Sampler settings of its own: an object."}, \
    {"character_book", FIELD_JSON, AT(struct character_body, character_book), .may_be_null = true, .max = 1000000, .help = "Its own lorebook, as V2 or V3 has it, in place of the one it has; null: none."}, \
    {0}
static const struct field create_fields[] = {
    {"name", FIELD_TEXT, AT(struct character_body, name), .is_required = true, .min = 1, .max = CARD_NAME_LENGTH, .help = "Its name."},
    BODY_ROWS};
static const struct field patch_fields[] = {
    {"name", FIELD_TEXT, AT(struct character_body, name), .min = 1, .max = CARD_NAME_LENGTH, .help = "Its name."},
    BODY_ROWS};
static const struct field page_rows[] = {
    {"limit", FIELD_INT, AT(struct page_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_TEXT, AT(struct page_query, cursor), .max = 40, .help = "next_cursor of the page before."},
    {0}};
#define REVISION_ROWS \
    {"revision", FIELD_INT, .is_required = true, .help = "Its number."}, \
    {"saved_by", FIELD_ID, .is_required = true, .help = "Who saved it."}, \
    {"created_at", FIELD_TIME, .is_required = true, .help = "When."}
static const struct field revision_rows[] = {REVISION_ROWS, {0}};
static const struct shape revision_shape = {"CharacterRevision", revision_rows, "A save."};
static const struct field whole_revision_rows[] = {REVISION_ROWS,
    {"character", FIELD_OBJECT, .shape = &character_shape, .is_required = true, .help = "The character as it was."}, {0}};
static const struct shape whole_revision_shape = {"CharacterRevisionWhole", whole_revision_rows, "A save, with what was saved."};
/* clang-format on */

/* --- answers -------------------------------------------------------------------------------- */

static enum err load_book(struct request *request, int64_t id, struct lore_book *book,
                          bool *has_book) {
    enum err err = lore_book_of_character(store_reader(), request->arena, id, book);
    *has_book = err == E_OK;
    return err == E_ABSENT ? E_OK : err;
}

void reply_character(struct request *request, int64_t id, int status) {
    struct character character;
    struct lore_book book;
    bool has_book = false;
    enum err err =
        character_load(store_reader(), request->arena, id, request->caller.user_id, &character);
    if (err != E_OK)
        return reply_error(request, err);
    int64_t state = character.revision * 2 + character.is_favourite;
    if (reply_if_read_unchanged(request, state))
        return;
    if ((err = load_book(request, id, &book, &has_book)) != E_OK)
        return reply_error(request, err);
    character_write(reply_json(request), &character, has_book ? &book : NULL);
    reply_send(request, status);
}

int64_t expected_revision(const struct request *request) {
    int64_t state = request_expected_revision(request);
    return state <= 0 ? state : state / 2;
}

void reply_too_young(struct request *request) {
    reply_problem(request, 403,
                  "Content that is not for all ages needs a declared adult age in your profile.");
}

/* What is refused to its owner is refused by the age gate. */
static void reply_denied(struct request *request) {
    struct character character;
    if (character_load_own(store_reader(), request->arena, request->ids[0], request->caller.user_id,
                           &character) == E_OK)
        reply_too_young(request);
    else
        reply_problem(request, 403, "This character is somebody else's.");
}

bool reply_failed(struct request *request, enum err err) {
    if (err == E_CONFLICT)
        reply_problem(request, 412,
                      "The character has been changed since you read it. Read it "
                      "again and repeat the change.");
    else if (err == E_DENIED)
        reply_denied(request);
    else if (err != E_OK)
        reply_error(request, err);
    return err != E_OK;
}

enum err revision_number(struct str word, int64_t *n) {
    return str_to_int(word, n) == E_OK && *n > 0 ? E_OK : E_ABSENT;
}

static void get(struct request *request) {
    reply_character(request, request->ids[0], 200);
}

/* --- what a body changes -------------------------------------------------------------------- */

#define SAME(member) \
    { offsetof(struct character_body, member), offsetof(struct character, member) }
static const struct {
    size_t from, to;
} text_members[] =
    {
        SAME(name),          SAME(nickname),      SAME(description),
        SAME(personality),   SAME(scenario),      SAME(first_mes),
        SAME(mes_example),   SAME(system_prompt), SAME(post_history_instructions),
        SAME(creator_notes), SAME(creator),       SAME(character_version),
        SAME(tagline),       SAME(visibility),    SAME(content_tier),
        SAME(voice),
},
  list_members[] = {
      SAME(alternate_greetings),
      SAME(group_only_greetings),
      SAME(tags),
      SAME(source),
};

static void apply_objects(struct request *request, struct character *character) {
    const struct character_body *body = request->body;
    struct arena *arena = request->arena;
    if (body->extensions)
        character->extensions = member_json(arena, body->extensions);
    if (body->model_settings)
        character->model_settings = member_json(arena, body->model_settings);
    if (request_has(request, struct character_body, creator_notes_multilingual))
        character->unknown = character_keep(arena, character->unknown, "creator_notes_multilingual",
                                            body->creator_notes_multilingual);
    if (request_has(request, struct character_body, assets))
        character->unknown = character_keep(arena, character->unknown, "assets", body->assets);
}

/* Lays what was sent over the character. */
static void apply(struct request *request, struct character *character) {
    const char *body = request->body;
    char *to = (char *)character;
    for (size_t i = 0; i < COUNT_OF(text_members); i++)
        if (request_has_field(request, text_members[i].from))
            *(struct str *)(to + text_members[i].to) =
                *(const struct str *)(body + text_members[i].from);
    for (size_t i = 0; i < COUNT_OF(list_members); i++)
        if (request_has_field(request, list_members[i].from))
            *(struct str *)(to + list_members[i].to) = member_of_texts(
                request->arena, (const struct field_texts *)(body + list_members[i].from));
    if (request_has(request, struct character_body, talkativeness))
        character->talkativeness = ((const struct character_body *)request->body)->talkativeness;
    apply_objects(request, character);
    character->name = str_trim(character->name);
}

static bool is_type(const struct json_value *value, enum json_type type) {
    return value == NULL || json_type(value) == type || json_type(value) == JSON_NULL;
}

/* False: the 422 has been sent. */
static bool check_types(struct request *request) {
    const struct character_body *body = request->body;
    const char *wrong = !is_type(body->extensions, JSON_OBJECT)       ? "extensions"
                        : !is_type(body->model_settings, JSON_OBJECT) ? "model_settings"
                        : !is_type(body->creator_notes_multilingual, JSON_OBJECT)
                            ? "creator_notes_multilingual"
                        : !is_type(body->character_book, JSON_OBJECT) ? "character_book"
                                                                      : NULL;
    if (wrong)
        reply_field_problem(request, wrong, "This must be an object.");
    else if (!is_type(body->assets, JSON_ARRAY))
        reply_field_problem(request, wrong = "assets", "This must be an array.");
    else if (request_has(request, struct character_body, name) && str_trim(body->name).len == 0)
        reply_field_problem(request, wrong = "name", "A name has at least one letter.");
    return wrong == NULL;
}

/* --- changes -------------------------------------------------------------------------------- */

struct change {
    struct request *request;
    int64_t id, user_id, expected;
    int64_t n; /* of a revision */
    struct character character;
    enum book_change book_change;
    struct lore_book book;
};

static struct change *change_new(struct request *request) {
    struct change *c = ARENA_NEW(request->arena, struct change);
    c->request = request;
    c->id = request->ids[0];
    c->user_id = request->caller.user_id;
    c->expected = expected_revision(request);
    return c;
}

/* False: the 422 has been sent. */
static bool take_book(struct request *request, struct change *c) {
    const struct character_body *body = request->body;
    if (!request_has(request, struct character_body, character_book))
        return true;
    c->book_change = BOOK_IS_REMOVED;
    if (body->character_book == NULL || json_type(body->character_book) == JSON_NULL)
        return true;
    c->book_change = BOOK_IS_REPLACED;
    if (lore_book_read(request->arena, body->character_book, &c->book) == E_OK)
        return true;
    reply_field_problem(request, "character_book", "A lorebook has at most %d entries.",
                        LORE_ENTRIES_LIMIT);
    return false;
}

static enum err writer_create(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    return character_insert(tx, &c->character,
                            c->book_change == BOOK_IS_REPLACED ? &c->book : NULL);
}

static void reply_created(struct change *c, int64_t id) {
    reply_header(c->request, "Location",
                 str_printf(c->request->arena, "/api/v1/characters/%s", id_text(id).at));
    reply_character(c->request, id, 201);
}

static void on_created(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err == E_DENIED)
        reply_too_young(c->request);
    else if (!reply_failed(c->request, err))
        reply_created(c, c->character.id);
}

static void create(struct request *request) {
    struct change *c = change_new(request);
    if (!check_types(request) || !take_book(request, c))
        return;
    c->character = character_empty();
    c->character.owner_id = request->caller.user_id;
    apply(request, &c->character);
    store_write(writer_create, on_created, c);
}

static enum err writer_patch(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    enum err err =
        character_load_own(tx_db(tx), c->request->arena, c->id, c->user_id, &c->character);
    if (err != E_OK)
        return err;
    if (c->expected >= 0 && c->expected != c->character.revision)
        return E_CONFLICT;
    apply(c->request, &c->character);
    return character_save(tx, &c->character, c->user_id, c->book_change, &c->book);
}

static void on_changed(enum err err, void *ctx) {
    struct change *c = ctx;
    if (!reply_failed(c->request, err))
        reply_character(c->request, c->id, 200);
}

static void patch(struct request *request) {
    struct change *c = change_new(request);
    if (check_types(request) && take_book(request, c))
        store_write(writer_patch, on_changed, c);
}

/* --- trash, copies -------------------------------------------------------------------------- */

static enum err writer_trash(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    enum err err =
        character_load_own(tx_db(tx), c->request->arena, c->id, c->user_id, &c->character);
    if (err == E_OK && c->expected >= 0 && c->expected != c->character.revision)
        return E_CONFLICT;
    return err == E_OK ? character_trash(tx, c->id, c->user_id) : err;
}

static void on_trashed(enum err err, void *ctx) {
    struct change *c = ctx;
    if (!reply_failed(c->request, err))
        reply_empty(c->request, 204);
}

static void delete (struct request *request) {
    store_write(writer_trash, on_trashed, change_new(request));
}

static enum err writer_restore(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    return character_restore(tx, c->id, c->user_id);
}

static void on_restored(enum err err, void *ctx) {
    struct change *c = ctx;
    if (err == E_CONFLICT)
        return reply_problem(c->request, 409, "The character is not in the trash.");
    if (err == E_DENIED)
        return reply_too_young(c->request);
    on_changed(err, ctx);
}

static void restore(struct request *request) {
    store_write(writer_restore, on_restored, change_new(request));
}

static enum err writer_duplicate(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    return character_duplicate(tx, c->id, c->user_id, &c->character.id);
}

static void duplicate(struct request *request) {
    store_write(writer_duplicate, on_created, change_new(request));
}

/* --- revisions ------------------------------------------------------------------------------ */

static enum err load_own(struct request *request, struct character *character) {
    return character_load_own(store_reader(), request->arena, request->ids[0],
                              request->caller.user_id, character);
}

static void write_revision(struct json *json, const struct revision *revision) {
    JSON_INT(json, "revision", revision->revision);
    JSON_ID(json, "saved_by", revision->saved_by);
    JSON_TIME(json, "created_at", revision->created_at);
}

static void list_revisions(struct request *request) {
    const struct page_query *query = request->query_fields;
    struct character character;
    int64_t before = INT64_MAX;
    size_t count, limit = (size_t)query->limit;
    if (reply_failed(request, load_own(request, &character)))
        return;
    if (query->cursor.len > 0 && str_to_int(query->cursor, &before) != E_OK)
        return reply_field_problem(request, "cursor", "This is not a cursor of this list.");
    struct revision *revisions = ARENA_ARRAY(request->arena, struct revision, limit + 1);
    enum err err = character_store_revisions(store_reader(), character.id, before, query->limit + 1,
                                             revisions, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++) {
        json_object_begin(json);
        write_revision(json, &revisions[i]);
        json_object_end(json);
    }
    struct str next = STR_NONE;
    if (count > limit)
        next = str_printf(request->arena, "%lld", (long long)revisions[limit - 1].revision);
    reply_list_end(request, next);
}

static void get_revision(struct request *request) {
    struct character character;
    struct revision revision;
    struct lore_book book;
    bool has_book = false;
    int64_t n = 0;
    enum err err = load_own(request, &character);
    if (err == E_OK)
        err = revision_number(request->words[0], &n);
    if (err == E_OK)
        err = character_store_revision(store_reader(), request->arena, character.id, n, &revision);
    if (err == E_OK)
        err = character_read_saved(request->arena, revision.card, &character, &book, &has_book);
    if (reply_failed(request, err))
        return;
    character.revision = revision.revision;
    character.updated_at = revision.created_at;
    book.id = 0; /* the book of then has no address */
    struct json *json = reply_json(request);
    json_object_begin(json);
    write_revision(json, &revision);
    json_key(json, STR("character"));
    character_write(json, &character, has_book ? &book : NULL);
    json_object_end(json);
    reply_send(request, 200);
}

static enum err writer_bring_back(struct tx *tx, void *ctx) {
    struct change *c = ctx;
    enum err err =
        character_load_own(tx_db(tx), c->request->arena, c->id, c->user_id, &c->character);
    if (err == E_OK && c->expected >= 0 && c->expected != c->character.revision)
        return E_CONFLICT;
    return err == E_OK ? character_bring_back(tx, c->id, c->user_id, c->n) : err;
}

static void bring_back(struct request *request) {
    struct change *c = change_new(request);
    enum err err = revision_number(request->words[0], &c->n);
    if (err != E_OK)
        return reply_error(request, err);
    store_write(writer_bring_back, on_changed, c);
}

/* clang-format off */
#define CHARACTER "/api/v1/characters/{id}"
const struct route character_routes[] = {
    {METHOD_POST, "/api/v1/characters", create, WHO_MEMBER, SCOPE_WRITE, .body = create_fields, .body_size = sizeof(struct character_body),
     .tag = "characters", .operation = "createCharacter", .summary = "Makes a character; only its name is required.",
     .status = 201, .answer = &character_shape},
    {METHOD_GET, CHARACTER, get, WHO_MEMBER, SCOPE_READ, .tag = "characters", .operation = "getCharacter", .summary = "One character, with everything.",
     .answer = &character_shape},
    {METHOD_PATCH, CHARACTER, patch, WHO_MEMBER, SCOPE_WRITE, .body = patch_fields, .body_size = sizeof(struct character_body),
     .tag = "characters", .operation = "updateCharacter", .summary = "Changes the members that are sent; every save is a revision.",
     .answer = &character_shape},
    {METHOD_DELETE, CHARACTER, delete, WHO_MEMBER, SCOPE_WRITE, .tag = "characters", .operation = "deleteCharacter", .summary = "To the trash, for 30 days.", .status = 204},
    {METHOD_POST, CHARACTER "/restore", restore, WHO_MEMBER, SCOPE_WRITE, .tag = "characters", .operation = "restoreCharacter", .summary = "Back from the trash.",
     .answer = &character_shape},
    {METHOD_POST, CHARACTER "/duplicate", duplicate, WHO_MEMBER, SCOPE_WRITE, .tag = "characters", .operation = "duplicateCharacter",
     .summary = "A private copy of a character that you may see.", .status = 201, .answer = &character_shape},
    {METHOD_GET, CHARACTER "/revisions", list_revisions, WHO_MEMBER, SCOPE_READ, .query = page_rows, .query_size = sizeof(struct page_query), .tag = "characters",
     .operation = "listCharacterRevisions", .summary = "The saves, newest first; the last 200 are kept.", .answer = &revision_shape, .answer_is_list = true},
    {METHOD_GET, CHARACTER "/revisions/{n}", get_revision, WHO_MEMBER, SCOPE_READ, .tag = "characters", .operation = "getCharacterRevision",
     .summary = "The character as a save left it.", .answer = &whole_revision_shape},
    {METHOD_POST, CHARACTER "/revisions/{n}/restore", bring_back, WHO_MEMBER, SCOPE_WRITE, .tag = "characters", .operation = "bringBackCharacterRevision",
     .summary = "Saves anew what an older save held; visibility stays.", .answer = &character_shape},
    {0}};
/* clang-format on */
