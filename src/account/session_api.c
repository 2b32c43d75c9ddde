/* One's own sign-ins and keys: look at them, end them. */
#include "account/account_api.h"

#include "account/login.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "net/channel.h"

#include "base/banned.h"

struct key_body {
    struct str name;
    struct field_texts scopes;
    int64_t expires_at;
};

/* clang-format off */
static const struct field key_fields[] = {
    {"name", FIELD_TEXT, AT(struct key_body, name), .is_required = true, .min = 1, .max = 80, .help = "What it is for."},
    {"scopes", FIELD_TEXTS, AT(struct key_body, scopes), .is_required = true, .min = 1, .max = 4, .item_max = 8,
     .help = "What it may do: read, write, chat, admin."},
    {"expires_at", FIELD_TIME, AT(struct key_body, expires_at), .may_be_null = true, .help = "When it ends; null: never."},
    {0}};
static const struct field session_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The session."},
    {"device", FIELD_TEXT, .is_required = true, .help = "What the browser called itself."},
    {"address", FIELD_TEXT, .is_required = true, .help = "Where it was last used from."},
    {"is_current", FIELD_BOOL, .is_required = true, .help = "It is the one that asks."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it began."},
    {"last_used_at", FIELD_TIME, .is_required = true, .help = "When it was last renewed."},
    {"expires_at", FIELD_TIME, .is_required = true, .help = "When it ends in any case."},
    {0}};
static const struct shape session_shape = {"Session", session_rows, "A sign-in on one device."};
static const struct field api_key_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The key."},
    {"name", FIELD_TEXT, .is_required = true, .help = "What it is for."},
    {"hint", FIELD_TEXT, .is_required = true, .help = "Its first letters."},
    {"scopes", FIELD_TEXTS, .is_required = true, .is_list = true, .help = "What it may do."},
    {"key", FIELD_TEXT, .help = "The key itself: only in the answer that made it."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When it was made."},
    {"expires_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "When it ends."},
    {"last_used_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "When it was last used, to the minute."},
    {0}};
static const struct shape api_key_shape = {"ApiKey", api_key_rows, "A key for programs."};
/* clang-format on */

static void list_sessions(struct request *request) {
    struct session *items;
    size_t count;
    enum err err = session_list(store_reader(), request->arena, request->caller.user_id,
                                clock_now_ms(), &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count; i++) {
        json_object_begin(json);
        JSON_ID(json, "id", items[i].id);
        JSON_STR(json, "device", items[i].device);
        JSON_STR(json, "address", items[i].address);
        JSON_BOOL(json, "is_current", items[i].id == request->caller.session_id);
        JSON_TIME(json, "created_at", items[i].created_at);
        JSON_TIME(json, "last_used_at", items[i].last_used_at);
        JSON_TIME(json, "expires_at", items[i].expires_at);
        json_object_end(json);
    }
    reply_list_end(request, STR_NONE);
}

struct ending {
    struct request *request;
    int64_t id; /* 0: all but the one that asks */
};

static enum err writer_end_session(struct tx *tx, void *ctx) {
    const struct ending *ending = ctx;
    const struct caller *caller = &ending->request->caller;
    return session_revoke(tx, caller->user_id, ending->id, ending->id == 0 ? caller->session_id : 0,
                          STR("revoked"), clock_now_ms());
}

static void on_session_ended(enum err err, void *ctx) {
    struct ending *ending = ctx;
    if (err != E_OK)
        return reply_error(ending->request, err);
    account_changed(ending->request->caller.user_id);
    const struct caller *caller = &ending->request->caller;
    if (ending->id == 0)
        channel_end_other_sessions(caller->user_id, caller->session_id);
    else
        channel_end_session(0, ending->id, 0);
    reply_empty(ending->request, 204);
}

static void end_session(struct request *request) {
    struct ending *ending = ARENA_NEW(request->arena, struct ending);
    *ending = (struct ending){request, request->ids[0]};
    store_write(writer_end_session, on_session_ended, ending);
}

/* --- API keys --------------------------------------------------------------------------------- */

static void api_key_write(struct json *json, const struct api_key *key, struct str text) {
    json_object_begin(json);
    JSON_ID(json, "id", key->id);
    JSON_STR(json, "name", key->name);
    JSON_STR(json, "hint", key->hint);
    JSON_ARRAY(json, "scopes");
    struct str rest = key->scopes;
    for (struct str word; str_next(&rest, ' ', &word);)
        if (word.len > 0)
            json_write_str(json, word);
    json_array_end(json);
    if (text.at != NULL)
        JSON_STR(json, "key", text);
    JSON_TIME(json, "created_at", key->created_at);
    JSON_TIME(json, "expires_at", key->expires_at);
    JSON_TIME(json, "last_used_at", key->last_used_at);
    json_object_end(json);
}

static void list_keys(struct request *request) {
    struct api_key *items;
    size_t count;
    enum err err =
        api_key_list(store_reader(), request->arena, request->caller.user_id, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count; i++)
        api_key_write(json, &items[i], STR_NONE);
    reply_list_end(request, STR_NONE);
}

struct key_op {
    struct request *request;
    struct api_key key;
    struct str text;
};

static enum err writer_add_key(struct tx *tx, void *ctx) {
    struct key_op *op = ctx;
    enum err err = session_check(tx, &op->request->caller);
    return err == E_OK ? api_key_insert(tx, &op->key) : err;
}

static void on_key_added(enum err err, void *ctx) {
    struct key_op *op = ctx;
    if (err == E_DENIED)
        return reply_problem(op->request, 401, "The session has ended. Sign in again.");
    if (err == E_LIMIT)
        return reply_problem(op->request, 409,
                             "You have as many keys as one person may have. Revoke one first.");
    if (err != E_OK)
        return reply_error(op->request, err);
    log_info("account", "API key was made", LF_ID("user", op->key.user_id),
             LF_ID("api_key", op->key.id));
    api_key_write(reply_json(op->request), &op->key, op->text);
    reply_send(op->request, 201);
}

/* The scopes as one line of words, each known and once. STR_NONE: one is not known. */
static struct str join_scopes(struct arena *arena, const struct field_texts *scopes,
                              enum role role) {
    static const char *const known[] = {"read", "write", "chat", "admin"};
    struct str joined = STR("");
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
        for (size_t i = 0; i < scopes->count; i++)
            if (str_eq(scopes->items[i], str_from(known[k]))) {
                joined = str_printf(arena, STR_FMT "%s%s", STR_ARG(joined),
                                    joined.len > 0 ? " " : "", known[k]);
                break;
            }
    for (size_t i = 0; i < scopes->count; i++)
        if (!str_has(joined, scopes->items[i]) ||
            (str_eq(scopes->items[i], STR("admin")) && role < ROLE_ADMIN))
            return STR_NONE;
    return joined;
}

static void add_key(struct request *request) {
    const struct key_body *body = request->body;
    struct key_op *op = ARENA_NEW(request->arena, struct key_op);
    struct str scopes = join_scopes(request->arena, &body->scopes, request->caller.role);
    if (scopes.at == NULL)
        return reply_field_problem(request, "scopes",
                                   "Known scopes are read, write, chat and, for admins, admin.");
    if (body->expires_at != 0 && body->expires_at <= clock_now_ms())
        return reply_field_problem(request, "expires_at", "This moment has passed.");
    op->request = request;
    op->key = (struct api_key){
        .id = id_new(),
        .user_id = request->caller.user_id,
        .name = body->name,
        .scopes = scopes,
        .created_at = clock_now_ms(),
        .expires_at = body->expires_at,
    };
    op->text = api_key_new(request->arena, &op->key);
    store_write(writer_add_key, on_key_added, op);
}

static enum err writer_revoke_key(struct tx *tx, void *ctx) {
    const struct ending *ending = ctx;
    return api_key_revoke(tx, ending->request->caller.user_id, ending->id, clock_now_ms());
}

static void on_key_revoked(enum err err, void *ctx) {
    struct ending *ending = ctx;
    if (err != E_OK)
        return reply_error(ending->request, err);
    account_changed(ending->request->caller.user_id);
    channel_end_session(0, 0, ending->id);
    reply_empty(ending->request, 204);
}

static void revoke_key(struct request *request) {
    struct ending *ending = ARENA_NEW(request->arena, struct ending);
    *ending = (struct ending){request, request->ids[0]};
    store_write(writer_revoke_key, on_key_revoked, ending);
}

/* Keys are made and ended by people who signed in, never by keys: no scope opens these routes. */
/* clang-format off */
const struct route session_routes[] = {
    {METHOD_GET, "/api/v1/auth/sessions", list_sessions, WHO_MEMBER, .tag = "auth", .operation = "listSessions", .summary = "Your sign-ins.",
     .answer = &session_shape, .answer_is_list = true},
    {METHOD_DELETE, "/api/v1/auth/sessions", end_session, WHO_MEMBER, .tag = "auth", .operation = "endOtherSessions", .summary = "Ends every session but this one.", .status = 204},
    {METHOD_DELETE, "/api/v1/auth/sessions/{id}", end_session, WHO_MEMBER, .tag = "auth", .operation = "endSession", .summary = "Ends one session.", .status = 204},
    {METHOD_GET, "/api/v1/auth/api-keys", list_keys, WHO_MEMBER, .tag = "auth", .operation = "listApiKeys", .summary = "Your API keys.", .answer = &api_key_shape, .answer_is_list = true},
    {METHOD_POST, "/api/v1/auth/api-keys", add_key, WHO_MEMBER, .body = key_fields, .body_size = sizeof(struct key_body), .tag = "auth", .answers_secret = true, .operation = "createApiKey",
     .summary = "A new key; it is shown once.", .status = 201, .answer = &api_key_shape},
    {METHOD_DELETE, "/api/v1/auth/api-keys/{id}", revoke_key, WHO_MEMBER, .tag = "auth", .operation = "revokeApiKey", .summary = "Ends a key.", .status = 204},
    {0}};
/* clang-format on */
