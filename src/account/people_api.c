/*
 * The people of the house, for those who look after it: invitations, accounts, roles.
 *
 * Nobody can give or take a role at or above their own, and the owner is nobody's to change: so no
 * admin can lock the owner out, or raise themself.
 */
#include "account/account_api.h"

#include "account/login.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "net/channel.h"
#include "store/audit.h"

#include "base/banned.h"

#define CODE_LETTERS \
    12 /* 60 bits of Crockford base32: not to be guessed, short enough to read out */

struct page_query {
    int64_t limit;
    int64_t cursor;
};
struct users_query {
    int64_t limit;
    int64_t cursor;
    struct str q, role;
};
struct invite_body {
    struct str role, note;
    int64_t uses, expires_at;
};
struct user_body {
    struct str role;
    bool disabled;
};

/* clang-format off */
static const char *const given_roles[] = {"member", "creator", "moderator", "admin", NULL};
static const struct field page_query[] = {
    {"limit", FIELD_INT, AT(struct page_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_ID, AT(struct page_query, cursor), .help = "next_cursor of the page before."},
    {0}};
static const char *const all_roles[] = {"member", "creator", "moderator", "admin", "owner", NULL};
static const struct field users_query[] = {
    {"limit", FIELD_INT, AT(struct users_query, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."},
    {"cursor", FIELD_ID, AT(struct users_query, cursor), .help = "next_cursor of the page before."},
    {"q", FIELD_TEXT, AT(struct users_query, q), .max = 100, .help = "Only people whose name or e-mail address holds this."},
    {"role", FIELD_CHOICE, AT(struct users_query, role), .choices = all_roles, .help = "Only people of this role."},
    {0}};
static const struct field invite_fields[] = {
    {"role", FIELD_CHOICE, AT(struct invite_body, role), .choices = given_roles, .fallback = "member", .help = "What the invited become."},
    {"note", FIELD_TEXT, AT(struct invite_body, note), .max = 200, .fallback = "", .help = "For whom; only seen here."},
    {"uses", FIELD_INT, AT(struct invite_body, uses), .min = 1, .max = 1000, .fallback = "1", .help = "How many may come in with it."},
    {"expires_at", FIELD_TIME, AT(struct invite_body, expires_at), .may_be_null = true, .help = "When it ends; null: never."},
    {0}};
static const struct field user_fields[] = {
    {"role", FIELD_CHOICE, AT(struct user_body, role), .choices = given_roles, .help = "What they may do."},
    {"disabled", FIELD_BOOL, AT(struct user_body, disabled), .help = "They may not sign in; their sessions end at once."},
    {0}};
static const struct field invite_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The invitation."},
    {"code", FIELD_TEXT, .is_required = true, .help = "What the invited type in."},
    {"role", FIELD_CHOICE, .choices = given_roles, .is_required = true, .help = "What they become."},
    {"note", FIELD_TEXT, .is_required = true, .help = "For whom."},
    {"uses_left", FIELD_INT, .is_required = true, .help = "How many may still come in."},
    {"created_by", FIELD_ID, .is_required = true, .help = "Who made it."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "When."},
    {"expires_at", FIELD_TIME, .may_be_null = true, .is_required = true, .help = "When it ends."},
    {0}};
static const struct shape invite_shape = {"Invite", invite_rows, "A code to come in with."};
/* clang-format on */

/* --- invitations ------------------------------------------------------------------------------ */

static void invite_write(struct json *json, const struct invite *invite) {
    json_object_begin(json);
    JSON_ID(json, "id", invite->id);
    JSON_STR(json, "code", invite->code);
    JSON_STR(json, "role", invite->role);
    JSON_STR(json, "note", invite->note);
    JSON_INT(json, "uses_left", invite->uses_left);
    JSON_ID(json, "created_by", invite->created_by);
    JSON_TIME(json, "created_at", invite->created_at);
    JSON_TIME(json, "expires_at", invite->expires_at);
    json_object_end(json);
}

static struct str cursor_text(struct arena *arena, int64_t id) {
    return str_dup(arena, str_from(id_text(id).at));
}

/* A code makes whoever types it in what it says: it is shown to those above that, and to no equal. */
static bool is_theirs_to_give(const struct request *request, struct str role) {
    return account_role(role) < request->caller.role;
}

static void list_invites(struct request *request) {
    const struct page_query *query = request->query_fields;
    struct invite *items;
    size_t count, limit = (size_t)query->limit;
    enum err err =
        invite_list(store_reader(), request->arena, query->cursor, limit + 1, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++)
        if (is_theirs_to_give(request, items[i].role))
            invite_write(json, &items[i]);
    reply_list_end(request,
                   count > limit ? cursor_text(request->arena, items[limit - 1].id) : STR_NONE);
}

struct invite_op {
    struct request *request;
    struct invite invite;
};

static enum err note_invite(struct tx *tx, const struct invite_op *op, const char *action) {
    return audit_add(
        tx, &(struct audit){
                .actor_id = op->request->caller.user_id,
                .action = str_from(action),
                .target_kind = STR("invite"),
                .target_id = op->invite.id,
                .detail = op->invite.role.len > 0
                              ? audit_change(op->request->arena, "role", STR_NONE, op->invite.role)
                              : STR_NONE,
            });
}

static enum err writer_invite(struct tx *tx, void *ctx) {
    const struct invite_op *op = ctx;
    enum err err = invite_insert(tx, &op->invite);
    return err != E_OK ? err : note_invite(tx, op, "invite.create");
}

static void on_invited(enum err err, void *ctx) {
    struct invite_op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    log_info("account", "invitation was made", LF_ID("invite", op->invite.id),
             LF_ID("by", op->invite.created_by), LF_STR("role", op->invite.role));
    invite_write(reply_json(op->request), &op->invite);
    reply_send(op->request, 201);
}

static struct str new_code(struct arena *arena) {
    static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t random[CODE_LETTERS];
    char *code = arena_alloc(arena, CODE_LETTERS + 3);
    size_t n = 0;
    crypto_random(random, sizeof random);
    for (size_t i = 0; i < CODE_LETTERS; i++) {
        if (i > 0 && i % 4 == 0)
            code[n++] = '-';
        code[n++] = letters[random[i] & 31];
    }
    return str_of(code, n);
}

static void add_invite(struct request *request) {
    const struct invite_body *body = request->body;
    if (!is_theirs_to_give(request, body->role))
        return reply_field_problem(request, "role", "You can only invite to roles below your own.");
    if (body->expires_at != 0 && body->expires_at <= clock_now_ms())
        return reply_field_problem(request, "expires_at", "This moment has passed.");
    struct invite_op *op = ARENA_NEW(request->arena, struct invite_op);
    op->request = request;
    op->invite = (struct invite){
        .id = id_new(),
        .code = new_code(request->arena),
        .role = body->role,
        .note = body->note,
        .uses_left = body->uses,
        .created_by = request->caller.user_id,
        .created_at = clock_now_ms(),
        .expires_at = body->expires_at,
    };
    store_write(writer_invite, on_invited, op);
}

static enum err writer_revoke_invite(struct tx *tx, void *ctx) {
    const struct invite_op *op = ctx;
    struct str role;
    enum err err = invite_revoke(tx, op->request->arena, op->invite.id, clock_now_ms(), &role);
    if (err == E_OK && !is_theirs_to_give(op->request, role))
        err = E_ABSENT;
    return err != E_OK ? err : note_invite(tx, op, "invite.revoke");
}

static void on_invite_revoked(enum err err, void *ctx) {
    struct invite_op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    reply_empty(op->request, 204);
}

static void revoke_invite(struct request *request) {
    struct invite_op *op = ARENA_NEW(request->arena, struct invite_op);
    op->request = request;
    op->invite.id = request->ids[0];
    store_write(writer_revoke_invite, on_invite_revoked, op);
}

/* --- users ------------------------------------------------------------------------------------ */

static void list_users(struct request *request) {
    const struct users_query *query = request->query_fields;
    struct user *items;
    size_t count, limit = (size_t)query->limit;
    struct str words = query->q.len > 0 ? text_fold(request->arena, query->q) : STR_NONE;
    enum err err =
        user_search(store_reader(), request->arena, query->cursor, words,
                    query->role.len > 0 ? query->role : STR_NONE, limit + 1, &items, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++)
        user_write(json, &items[i]);
    reply_list_end(request,
                   count > limit ? cursor_text(request->arena, items[limit - 1].id) : STR_NONE);
}

struct user_op {
    struct request *request;
    struct user_change change;
    struct str role_before;
};

static enum err note_user(struct tx *tx, const struct user_op *op, const char *action,
                          struct str detail) {
    return audit_add(tx, &(struct audit){.actor_id = op->request->caller.user_id,
                                         .action = str_from(action),
                                         .target_kind = STR("user"),
                                         .target_id = op->change.id,
                                         .detail = detail});
}

static enum err writer_change_user(struct tx *tx, void *ctx) {
    const struct user_op *op = ctx;
    const struct user_change *change = &op->change;
    int64_t now = clock_now_ms();
    enum err err = user_update(tx, change, now);
    if (err == E_OK && change->is_disabled)
        err = session_revoke(tx, change->id, 0, 0, STR("disabled"), now);
    if (err == E_OK && change->role.at != NULL)
        err = note_user(tx, op, "user.role",
                        audit_change(op->request->arena, "role", op->role_before, change->role));
    if (err == E_OK && change->has_disabled)
        err = note_user(tx, op, change->is_disabled ? "user.disable" : "user.enable", STR_NONE);
    return err;
}

static void reply_user(struct request *request, int64_t id) {
    struct user user;
    enum err err = user_load(store_reader(), request->arena, id, &user);
    if (err != E_OK)
        return reply_error(request, err);
    reply_etag(request, user.revision);
    user_write(reply_json(request), &user);
    reply_send(request, 200);
}

static void on_user_changed(enum err err, void *ctx) {
    struct user_op *op = ctx;
    if (err != E_OK)
        return reply_error(op->request, err);
    account_changed(op->change.id);
    if (op->change.is_disabled)
        channel_end_session(op->change.id, 0, 0);
    log_info("account", "account was changed by staff", LF_ID("user", op->change.id),
             LF_ID("by", op->request->caller.user_id));
    reply_user(op->request, op->change.id);
}

static void get_user(struct request *request) {
    reply_user(request, request->ids[0]);
}

static void patch_user(struct request *request) {
    const struct user_body *body = request->body;
    struct user user;
    enum err err = user_load(store_reader(), request->arena, request->ids[0], &user);
    if (err != E_OK)
        return reply_error(request, err);
    if (!request_may_change(request, user.revision))
        return;
    if (account_role(user.role) >= request->caller.role || user.id == request->caller.user_id)
        return reply_problem(request, 403,
                             "You can only change accounts with a role below your own.");
    if (body->role.len > 0 && account_role(body->role) >= request->caller.role)
        return reply_field_problem(request, "role", "You can only give roles below your own.");
    struct user_op *op = ARENA_NEW(request->arena, struct user_op);
    op->request = request;
    op->role_before = user.role;
    op->change = (struct user_change){
        .id = user.id,
        .role = body->role.len > 0 ? body->role : STR_NONE,
        .has_disabled = request_has(request, struct user_body, disabled),
        .is_disabled = body->disabled,
    };
    store_write(writer_change_user, on_user_changed, op);
}

/* clang-format off */
#define PAGE .query = page_query, .query_size = sizeof(struct page_query)
const struct route people_routes[] = {
    {METHOD_GET, "/api/v1/admin/invites", list_invites, WHO_ADMIN, SCOPE_ADMIN, PAGE, .tag = "admin", .operation = "listInvites", .summary = "Invitations to roles below your own, newest first.",
     .answer = &invite_shape, .answer_is_list = true},
    {METHOD_POST, "/api/v1/admin/invites", add_invite, WHO_ADMIN, SCOPE_ADMIN, .body = invite_fields, .body_size = sizeof(struct invite_body), .body_is_optional = true,
     .tag = "admin", .operation = "createInvite", .summary = "A new code to come in with.", .status = 201, .answer = &invite_shape},
    {METHOD_DELETE, "/api/v1/admin/invites/{id}", revoke_invite, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "revokeInvite", .summary = "Ends an invitation.", .status = 204},
    {METHOD_GET, "/api/v1/admin/users", list_users, WHO_ADMIN, SCOPE_ADMIN, .query = users_query, .query_size = sizeof(struct users_query), .tag = "admin", .operation = "listUsers", .summary = "Everybody, or who is looked for, oldest first.",
     .answer = &user_shape, .answer_is_list = true},
    {METHOD_GET, "/api/v1/admin/users/{id}", get_user, WHO_ADMIN, SCOPE_ADMIN, .tag = "admin", .operation = "getUserAsAdmin", .summary = "One account.", .answer = &user_shape},
    {METHOD_PATCH, "/api/v1/admin/users/{id}", patch_user, WHO_ADMIN, SCOPE_ADMIN, .body = user_fields, .body_size = sizeof(struct user_body), .tag = "admin",
     .operation = "updateUser", .summary = "Changes a role, or locks an account.", .answer = &user_shape},
    {0}};
/* clang-format on */
