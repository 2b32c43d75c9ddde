/*
 * One's own profile: name, picture, preferences, and the personas, which are who one is in a talk.
 *
 * Preferences are stored as the members that were said; the others follow the house's defaults.
 */
#include "account/account_api.h"

#include "account/login.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/image.h"
#include "base/zone.h"
#include "loop/pool.h"
#include "store/blob.h"

#include <string.h>

#include "base/banned.h"

#define PREFERENCES_LIMIT_BYTES 4096
#define AVATAR_LIMIT_BYTES      ((size_t)4 << 20)

struct me_body {
    struct str display_name;
};

struct preferences {
    struct str theme, contrast, language, content_tier, time_zone;
    int64_t font_percent;
    bool memory_panel, typing_indicator, notifications, enter_sends;
    bool memory, shared_memory, memory_approval;
};

struct persona_body {
    struct str name, description;
    bool is_default;
};

/* clang-format off */
static const char *const themes[] = {"system", "light", "dark", NULL};
static const char *const contrasts[] = {"system", "more", NULL};
static const char *const tiers[] = {"all_ages", "mature", "adult", NULL};
static const struct field me_fields[] = {
    {"display_name", FIELD_TEXT, AT(struct me_body, display_name), .min = 1, .max = 80, .help = "How characters call you."},
    {0}};
static const struct field preference_rows[] = {
    {"theme", FIELD_CHOICE, AT(struct preferences, theme), .choices = themes, .fallback = "system", .help = "Light, dark, or as the device has it."},
    {"contrast", FIELD_CHOICE, AT(struct preferences, contrast), .choices = contrasts, .fallback = "system", .help = "More than usual, or as the device has it."},
    {"language", FIELD_TEXT, AT(struct preferences, language), .max = 16, .fallback = "", .help = "Of the app: a language tag; empty: as the browser has it."},
    {"content_tier", FIELD_CHOICE, AT(struct preferences, content_tier), .choices = tiers, .fallback = "all_ages", .help = "The most that is shown; beyond all_ages only for adults."},
    {"time_zone", FIELD_TEXT, AT(struct preferences, time_zone), .max = ZONE_NAME_MAX, .fallback = "UTC", .help = "Your clock, for {{time}} and {{date}}: an IANA name such as Europe/Berlin."},
    {"font_percent", FIELD_INT, AT(struct preferences, font_percent), .min = 75, .max = 200, .fallback = "100", .help = "Size of text."},
    {"memory_panel", FIELD_BOOL, AT(struct preferences, memory_panel), .fallback = "true", .help = "Show what a character remembers."},
    {"memory", FIELD_BOOL, AT(struct preferences, memory), .fallback = "true", .help = "Characters learn from what you say; a conversation may differ."},
    {"shared_memory", FIELD_BOOL, AT(struct preferences, shared_memory), .fallback = "false", .help = "A character remembers what you said in all your talks with it, not only in the one; a conversation may differ."},
    {"memory_approval", FIELD_BOOL, AT(struct preferences, memory_approval), .fallback = "false", .help = "What is learnt waits until you approve it."},
    {"typing_indicator", FIELD_BOOL, AT(struct preferences, typing_indicator), .fallback = "true", .help = "Others see that you type."},
    {"notifications", FIELD_BOOL, AT(struct preferences, notifications), .fallback = "false", .help = "Tell about replies that nobody has seen."},
    {"enter_sends", FIELD_BOOL, AT(struct preferences, enter_sends), .fallback = "true", .help = "Enter sends, Shift+Enter begins a line."},
    {0}};
static const struct shape preferences_shape = {"Preferences", preference_rows, "How a person likes the app."};
static const struct field persona_fields[] = {
    {"name", FIELD_TEXT, AT(struct persona_body, name), .is_required = true, .min = 1, .max = 80, .help = "Your name in a talk."},
    {"description", FIELD_TEXT, AT(struct persona_body, description), .max = 10000, .fallback = "", .help = "Who you are there."},
    {"is_default", FIELD_BOOL, AT(struct persona_body, is_default), .fallback = "false", .help = "Used where no other is chosen."},
    {0}};
static const struct field persona_patch_fields[] = {
    {"name", FIELD_TEXT, AT(struct persona_body, name), .min = 1, .max = 80, .help = "Your name in a talk."},
    {"description", FIELD_TEXT, AT(struct persona_body, description), .max = 10000, .help = "Who you are there."},
    {"is_default", FIELD_BOOL, AT(struct persona_body, is_default), .help = "Used where no other is chosen."},
    {0}};
static const struct field persona_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The persona."},
    {"name", FIELD_TEXT, .is_required = true, .help = "The name in a talk."},
    {"description", FIELD_TEXT, .is_required = true, .help = "Who that is."},
    {"avatar_url", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Its picture."},
    {"is_default", FIELD_BOOL, .is_required = true, .help = "Used where no other is chosen."},
    {"revision", FIELD_INT, .is_required = true, .help = "Raised by every change."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was made."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "Last change."},
    {0}};
static const struct shape persona_shape = {"Persona", persona_rows, "Who a person is in a talk."};
static const struct field public_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The person."},
    {"display_name", FIELD_TEXT, .is_required = true, .help = "Their name."},
    {"avatar_url", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Their picture."},
    {0}};
static const struct shape public_shape = {"PublicUser", public_rows, "What others see of a person."};
/* clang-format on */

static struct str avatar_url(struct arena *arena, struct str blob) {
    return blob.len == 0 ? STR_NONE : str_printf(arena, "/api/v1/media/" STR_FMT, STR_ARG(blob));
}

struct op {
    struct request *request;
    struct user_change change;
    struct persona persona;
    int64_t expected; /* revision of the persona; -1: any */
    char blob_key[BLOB_KEY_LEN + 1];
    enum err blob_err;
    const char *blob_problem; /* for the person, when the picture is none that we take */
};

static struct op *op_new(struct request *request) {
    struct op *op = ARENA_NEW(request->arena, struct op);
    op->request = request;
    op->change.id = request->caller.user_id;
    return op;
}

static enum err load_me(struct request *request, struct user *user) {
    return user_load(store_reader(), request->arena, request->caller.user_id, user);
}

/* --- me --------------------------------------------------------------------------------------- */

static void reply_me(struct request *request) {
    struct user user;
    enum err err = load_me(request, &user);
    if (err != E_OK)
        return reply_error(request, err);
    if (reply_if_read_unchanged(request, user.revision))
        return;
    user_write(reply_json(request), &user);
    reply_send(request, 200);
}

static enum err writer_change(struct tx *tx, void *ctx) {
    return user_update(tx, &((struct op *)ctx)->change, clock_now_ms());
}

static void on_me_changed(enum err err, void *ctx) {
    struct op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    reply_me(op->request);
}

static void patch_me(struct request *request) {
    const struct me_body *body = request->body;
    struct user user;
    enum err err = load_me(request, &user);
    if (err != E_OK)
        return reply_error(request, err);
    if (!request_may_change(request, user.revision))
        return;
    struct op *op = op_new(request);
    op->change.display_name = body->display_name;
    store_write(writer_change, on_me_changed, op);
}

static void someone(struct request *request) {
    struct user user;
    enum err err = user_load(store_reader(), request->arena, request->ids[0], &user);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_ID(json, "id", user.id);
    JSON_STR(json, "display_name", user.display_name);
    JSON_STR(json, "avatar_url", avatar_url(request->arena, user.avatar_blob));
    json_object_end(json);
    reply_send(request, 200);
}

/* --- pictures --------------------------------------------------------------------------------- */

static struct pool_kind picture_kind = {.name = "avatar", .running_limit = 1, .queue_limit = 32};

/* The picture without what is not picture: nobody publishes by accident where they live. */
static void pool_store_picture(void *ctx) {
    struct op *op = ctx;
    struct image image;
    op->blob_err =
        pool_image_check(op->request->arena, op->request->content, &image, &op->blob_problem);
    if (op->blob_err == E_OK)
        op->blob_err = blob_port()->pool_put(image.bytes, op->blob_key);
}

/* By content, not by name or by what the sender says (ASVS 5.2.2). */
static void take_picture(struct request *request, struct op *op, pool_done_fn done) {
    if (image_sniff(request->content) == IMAGE_NONE)
        reply_problem(request, 415, "A picture is a PNG, JPEG or WebP file.");
    else if (pool_run(&picture_kind, pool_store_picture, done, op, NULL) != E_OK)
        reply_retry_later(request, 503, 2,
                          "Too many pictures are being stored at once. Try again in a moment.");
}

/* True when it was answered: the picture could not be taken. */
static bool was_refused(struct op *op, enum err err) {
    if (err != E_OK || op->blob_err == E_STORAGE)
        reply_error(op->request, err != E_OK ? err : op->blob_err);
    else if (op->blob_err != E_OK)
        reply_problem(op->request, op->blob_err == E_LIMIT ? 413 : 422, "%s", op->blob_problem);
    return err != E_OK || op->blob_err != E_OK;
}

static void on_my_picture(enum err err, void *ctx) {
    struct op *op = ctx;
    if (was_refused(op, err))
        return;
    op->change.avatar_blob = str_from(op->blob_key);
    store_write(writer_change, on_me_changed, op);
}

static void put_my_avatar(struct request *request) {
    take_picture(request, op_new(request), on_my_picture);
}

/* --- preferences ------------------------------------------------------------------------------ */

static void preference_write(struct json *json, const struct preferences *preferences,
                             const struct field *row) {
    const void *at = (const char *)preferences + row->offset;
    json_key(json, str_from(row->name));
    if (row->type == FIELD_BOOL)
        json_write_bool(json, *(const bool *)at);
    else if (row->type == FIELD_INT)
        json_write_int(json, *(const int64_t *)at);
    else
        json_write_str(json, *(const struct str *)at);
}

static struct preferences preferences_read(struct arena *arena, struct str text, uint64_t *has) {
    struct preferences preferences = {0};
    struct field_problems problems = {0};
    const struct json_value *object = NULL;
    if (json_parse(arena, text, &object, NULL) != E_OK)
        object = NULL;
    /* A stored member that this version does not know is passed over. */
    if (field_read(arena, preference_rows, object, &preferences, has, &problems) != E_OK)
        problems.count = 0;
    return preferences;
}

static void reply_preferences(struct request *request) {
    struct user user;
    uint64_t has = 0;
    enum err err = load_me(request, &user);
    if (err != E_OK)
        return reply_error(request, err);
    struct preferences preferences = preferences_read(request->arena, user.preferences, &has);
    struct json *json = reply_json(request);
    json_object_begin(json);
    for (const struct field *row = preference_rows; row->name != NULL; row++)
        preference_write(json, &preferences, row);
    json_object_end(json);
    reply_send(request, 200);
}

/* What was said over what is stored. Inside the write: of two changes at one moment none is lost. */
static struct str preferences_merge(const struct request *request, struct str text) {
    const struct preferences *said = request->body;
    struct buf buf;
    struct json json;
    uint64_t has = 0;
    struct preferences stored = preferences_read(request->arena, text, &has);
    buf_init(&buf, PREFERENCES_LIMIT_BYTES);
    json_init(&json, &buf);
    json_object_begin(&json);
    for (size_t i = 0; preference_rows[i].name != NULL; i++)
        if (request->body_has >> i & 1)
            preference_write(&json, said, &preference_rows[i]);
        else if (has >> i & 1)
            preference_write(&json, &stored, &preference_rows[i]);
    json_object_end(&json);
    struct str merged = str_dup(request->arena, buf_str(&buf));
    buf_release(&buf);
    return merged;
}

static enum err writer_preferences(struct tx *tx, void *ctx) {
    struct op *op = ctx;
    struct user user;
    enum err err = user_load(tx_db(tx), op->request->arena, op->change.id, &user);
    if (err != E_OK)
        return err;
    op->change.preferences = preferences_merge(op->request, user.preferences);
    return user_update(tx, &op->change, clock_now_ms());
}

static void on_preferences_changed(enum err err, void *ctx) {
    struct op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    reply_preferences(op->request);
}

static void patch_preferences(struct request *request) {
    const struct preferences *said = request->body;
    struct user user;
    enum err err = load_me(request, &user);
    if (err != E_OK)
        return reply_error(request, err);
    if (said->content_tier.len > 0 && !str_eq(said->content_tier, STR("all_ages")) &&
        !user.is_adult && request_has(request, struct preferences, content_tier))
        return reply_field_problem(request, "content_tier",
                                   "This tier is for adults. Declare your age first.");
    if (request_has(request, struct preferences, time_zone) && !zone_is_known(said->time_zone))
        return reply_field_problem(request, "time_zone",
                                   "This server knows no time zone of that name.");
    store_write(writer_preferences, on_preferences_changed, op_new(request));
}

/* --- personas --------------------------------------------------------------------------------- */

static void persona_write(struct json *json, struct arena *arena, const struct persona *persona) {
    json_object_begin(json);
    JSON_ID(json, "id", persona->id);
    JSON_STR(json, "name", persona->name);
    JSON_STR(json, "description", persona->description);
    JSON_STR(json, "avatar_url", avatar_url(arena, persona->avatar_blob));
    JSON_BOOL(json, "is_default", persona->is_default);
    JSON_INT(json, "revision", persona->revision);
    JSON_TIME(json, "created_at", persona->created_at);
    JSON_TIME(json, "updated_at", persona->updated_at);
    json_object_end(json);
}

static void list_personas(struct request *request) {
    struct persona *items;
    size_t count;
    enum err err =
        persona_list(store_reader(), request->arena, request->caller.user_id, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count; i++)
        persona_write(json, request->arena, &items[i]);
    reply_list_end(request, STR_NONE);
}

static enum err load_persona(struct request *request, struct persona *persona) {
    return persona_load(store_reader(), request->arena, request->caller.user_id, request->ids[0],
                        persona);
}

static void reply_persona(struct request *request, int64_t id, int status) {
    struct persona persona;
    enum err err =
        persona_load(store_reader(), request->arena, request->caller.user_id, id, &persona);
    if (err != E_OK)
        return reply_error(request, err);
    if (reply_if_read_unchanged(request, persona.revision))
        return;
    persona_write(reply_json(request), request->arena, &persona);
    reply_send(request, status);
}

static void get_persona(struct request *request) {
    reply_persona(request, request->ids[0], 200);
}

static enum err writer_add_persona(struct tx *tx, void *ctx) {
    const struct op *op = ctx;
    return persona_insert(tx, op->change.id, &op->persona, clock_now_ms());
}

static void on_persona_added(enum err err, void *ctx) {
    struct op *op = ctx;
    if (err == E_LIMIT)
        return reply_problem(op->request, 409,
                             "You have as many personas as one person may have. Delete one first.");
    if (err != E_OK)
        return reply_error(op->request, err);
    reply_persona(op->request, op->persona.id, 201);
}

static void add_persona(struct request *request) {
    const struct persona_body *body = request->body;
    struct op *op = op_new(request);
    op->persona = (struct persona){.id = id_new(),
                                   .name = body->name,
                                   .description = body->description,
                                   .is_default = body->is_default};
    store_write(writer_add_persona, on_persona_added, op);
}

static void edit_persona(struct persona *persona, const struct request *request) {
    const struct persona_body *body = request->body;
    if (request_has(request, struct persona_body, name))
        persona->name = body->name;
    if (request_has(request, struct persona_body, description))
        persona->description = body->description;
    if (request_has(request, struct persona_body, is_default))
        persona->is_default = body->is_default;
}

/* What was sent is laid over what is stored now: of two changes at one moment none is lost. */
static enum err writer_change_persona(struct tx *tx, void *ctx) {
    const struct op *op = ctx;
    struct persona persona;
    enum err err =
        persona_load(tx_db(tx), op->request->arena, op->change.id, op->persona.id, &persona);
    if (err == E_OK && op->expected >= 0 && op->expected != persona.revision)
        err = E_CONFLICT;
    if (err != E_OK)
        return err;
    if (op->blob_key[0] != '\0')
        persona.avatar_blob = str_from(op->blob_key);
    else
        edit_persona(&persona, op->request);
    return persona_update(tx, op->change.id, &persona, clock_now_ms());
}

static void on_persona_changed(enum err err, void *ctx) {
    struct op *op = ctx;
    if (err == E_CONFLICT)
        return reply_problem(op->request, 412, "This persona has been changed since you read it.");
    if (err != E_OK)
        return reply_error(op->request, err);
    reply_persona(op->request, op->persona.id, 200);
}

static void patch_persona(struct request *request) {
    struct op *op = op_new(request);
    enum err err = load_persona(request, &op->persona);
    if (err != E_OK)
        return reply_error(request, err);
    if (!request_may_change(request, op->persona.revision))
        return;
    op->expected = request_expected_revision(request) < 0 ? -1 : op->persona.revision;
    store_write(writer_change_persona, on_persona_changed, op);
}

static void on_persona_picture(enum err err, void *ctx) {
    struct op *op = ctx;
    if (was_refused(op, err))
        return;
    op->expected = -1;
    store_write(writer_change_persona, on_persona_changed, op);
}

static void put_persona_avatar(struct request *request) {
    struct op *op = op_new(request);
    enum err err = load_persona(request, &op->persona);
    if (err != E_OK)
        return reply_error(request, err);
    take_picture(request, op, on_persona_picture);
}

static enum err writer_delete_persona(struct tx *tx, void *ctx) {
    const struct op *op = ctx;
    return persona_delete(tx, op->change.id, op->persona.id);
}

static void on_persona_deleted(enum err err, void *ctx) {
    struct op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    reply_empty(op->request, 204);
}

static void delete_persona(struct request *request) {
    struct op *op = op_new(request);
    op->persona.id = request->ids[0];
    store_write(writer_delete_persona, on_persona_deleted, op);
}

/* clang-format off */
#define PERSONA "/api/v1/users/me/personas/{id}"
const struct route profile_routes[] = {
    {METHOD_GET, "/api/v1/users/me", reply_me, WHO_MEMBER, SCOPE_READ, .tag = "users", .operation = "getMe", .summary = "You.", .answer = &user_shape},
    {METHOD_PATCH, "/api/v1/users/me", patch_me, WHO_MEMBER, SCOPE_WRITE, .body = me_fields, .body_size = sizeof(struct me_body), .tag = "users",
     .operation = "updateMe", .summary = "Changes your name.", .answer = &user_shape},
    {METHOD_PUT, "/api/v1/users/me/avatar", put_my_avatar, WHO_MEMBER, SCOPE_WRITE, .is_raw = true, .body_limit_bytes = AVATAR_LIMIT_BYTES, .tag = "users",
     .operation = "putMyAvatar", .summary = "Your picture: the body is a PNG, JPEG or WebP file.", .answer = &user_shape},
    {METHOD_GET, "/api/v1/users/{id}", someone, WHO_MEMBER, SCOPE_READ, .tag = "users", .operation = "getUser", .summary = "What others see of a person.", .answer = &public_shape},
    {METHOD_GET, "/api/v1/users/me/preferences", reply_preferences, WHO_MEMBER, SCOPE_READ, .tag = "users", .operation = "getPreferences",
     .summary = "How you like the app.", .answer = &preferences_shape},
    {METHOD_PATCH, "/api/v1/users/me/preferences", patch_preferences, WHO_MEMBER, SCOPE_WRITE, .body = preference_rows, .body_size = sizeof(struct preferences),
     .tag = "users", .operation = "updatePreferences", .summary = "Changes the members that are sent.", .answer = &preferences_shape},
    {METHOD_GET, "/api/v1/users/me/personas", list_personas, WHO_MEMBER, SCOPE_READ, .tag = "users", .operation = "listPersonas", .summary = "Who you can be in a talk.",
     .answer = &persona_shape, .answer_is_list = true},
    {METHOD_POST, "/api/v1/users/me/personas", add_persona, WHO_MEMBER, SCOPE_WRITE, .body = persona_fields, .body_size = sizeof(struct persona_body), .tag = "users",
     .operation = "createPersona", .summary = "Somebody new to be.", .status = 201, .answer = &persona_shape},
    {METHOD_GET, PERSONA, get_persona, WHO_MEMBER, SCOPE_READ, .tag = "users", .operation = "getPersona", .summary = "One persona.", .answer = &persona_shape},
    {METHOD_PATCH, PERSONA, patch_persona, WHO_MEMBER, SCOPE_WRITE, .body = persona_patch_fields, .body_size = sizeof(struct persona_body), .tag = "users",
     .operation = "updatePersona", .summary = "Changes a persona.", .answer = &persona_shape},
    {METHOD_PUT, PERSONA "/avatar", put_persona_avatar, WHO_MEMBER, SCOPE_WRITE, .is_raw = true, .body_limit_bytes = AVATAR_LIMIT_BYTES, .tag = "users",
     .operation = "putPersonaAvatar", .summary = "A persona's picture: the body is a PNG, JPEG or WebP file.", .answer = &persona_shape},
    {METHOD_DELETE, PERSONA, delete_persona, WHO_MEMBER, SCOPE_WRITE, .tag = "users", .operation = "deletePersona",
     .summary = "Deletes a persona; talks that used it fall back to the default.", .status = 204},
    {0}};
/* clang-format on */
