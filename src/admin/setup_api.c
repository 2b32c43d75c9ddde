/*
 * The first five minutes. While there is no account, POST /setup makes the owner: whoever holds the
 * one-time code that the server printed, which only somebody who can read its output does. Owner
 * and starter cast are one transaction: there is no half set-up house.
 */
#include "admin/setup_api.h"

#include "account/account.h"
#include "account/outbox.h"
#include "base/log.h"
#include "character/character.h"
#include "model/discover.h"

#include "base/banned.h"

struct setup_body {
    struct str code, email, password, display_name;
};

/* clang-format off */
static const struct field setup_fields[] = {
    {"code", FIELD_TEXT, AT(struct setup_body, code), .is_secret = true, .is_required = true, .min = 1, .max = 100, .help = "From the link that the server printed."},
    {"email", FIELD_TEXT, AT(struct setup_body, email), .is_required = true, .min = 3, .max = 254, .help = "The owner's address, to sign in with."},
    {"password", FIELD_TEXT, AT(struct setup_body, password), .is_secret = true, .is_required = true, .min = 1, .max = 1024, .help = "A long one; any characters."},
    {"display_name", FIELD_TEXT, AT(struct setup_body, display_name), .is_required = true, .min = 1, .max = 80, .help = "How characters will call the owner."},
    {0}};
static const char *const registrations[] = {"closed", "invite", "open", NULL};
static const struct field state_rows[] = {
    {"needed", FIELD_BOOL, .is_required = true, .help = "There is no owner yet."},
    {"registration", FIELD_CHOICE, .choices = registrations, .is_required = true, .help = "Who may make an account."},
    {"sends_mail", FIELD_BOOL, .is_required = true, .help = "Mail leaves this house; else it rests in the outbox, where admins read it."},
    {"version", FIELD_TEXT, .is_required = true, .help = "Of this server."},
    {0}};
static const struct shape state_shape = {"SetupState", state_rows, "Whether this house is set up."};
/* clang-format on */

static void state(struct request *request) {
    struct json *json = reply_json(request);
    json_object_begin(json);
    JSON_BOOL(json, "needed", !account_is_set_up());
    JSON_STR(json, "registration", str_from(registrations[account_settings.registration]));
    JSON_BOOL(json, "sends_mail", outbox_has_relay());
    JSON_STR(json, "version", str_from(TROUPE_VERSION));
    json_object_end(json);
    reply_send(request, 200);
}

struct setup {
    struct request *request;
    struct new_user owner;
};

static enum err writer_set_up(struct tx *tx, void *ctx) {
    struct setup *setup = ctx;
    enum err err = account_create(tx, &setup->owner);
    return err != E_OK ? err : character_add_starters(tx, setup->owner.id);
}

static void on_set_up(enum err err, void *ctx) {
    struct setup *setup = ctx;
    if (err == E_CONFLICT)
        return reply_problem(setup->request, 409,
                             "This house has an owner already. Sign in instead.");
    if (err != E_OK)
        return reply_error(setup->request, err);
    account_changed(setup->owner.id);
    log_info("setup", "owner was made", LF_ID("user", setup->owner.id));
    account_reply_signed_in(setup->request, setup->owner.id, 201);
}

static void on_hashed(enum err err, struct str phc, void *ctx) {
    struct setup *setup = ctx;
    if (err != E_OK)
        return reply_error(setup->request, err);
    setup->owner.password_phc = phc;
    store_write(writer_set_up, on_set_up, setup);
}

static void set_up(struct request *request) {
    const struct setup_body *body = request->body;
    struct str folded;
    if (account_is_set_up())
        return reply_problem(request, 409, "This house has an owner already. Sign in instead.");
    if (!account_check_setup_code(body->code))
        return reply_problem(
            request, 403,
            "The set-up code is wrong or has expired. The server prints the right link each time it starts; restart it for a new one.");
    if (!account_email_is_valid(request->arena, body->email, &folded))
        return reply_field_problem(request, "email", "This is not an e-mail address.");
    const char *problem = account_password_problem(body->password);
    if (problem != NULL)
        return reply_field_problem(request, "password", "%s", problem);
    struct setup *setup = ARENA_NEW(request->arena, struct setup);
    setup->request = request;
    setup->owner = (struct new_user){
        .email = body->email, .display_name = body->display_name, .role = ROLE_OWNER};
    account_hash_password(request, body->password, on_hashed, setup);
}

/* --- models on this box ----------------------------------------------------------------------- */

static void on_discovered(void *ctx, const struct discovery *found) {
    struct request *request = ctx;
    struct json *json = reply_json(request);
    json_object_begin(json);
    json_key(json, STR("items"));
    discover_write(json, found);
    JSON_NULL_AT(json, "next_cursor");
    json_object_end(json);
    reply_send(request, 200);
}

static void discover(struct request *request) {
    discover_start(on_discovered, request);
}

/* clang-format off */
static const struct field found_rows[] = {
    {"kind", FIELD_TEXT, .is_required = true, .help = "Which server it is: ollama, llamacpp, lmstudio, koboldcpp, vllm, openai."},
    {"label", FIELD_TEXT, .is_required = true, .help = "Its name for people."},
    {"provider", FIELD_TEXT, .is_required = true, .help = "The provider to add it with."},
    {"base_url", FIELD_TEXT, .is_required = true, .help = "Where it is."},
    {"version", FIELD_TEXT, .may_be_null = true, .is_required = true, .help = "Its version, if it says."},
    {"models", FIELD_TEXTS, .is_list = true, .is_required = true, .help = "The models it has."},
    {"context_tokens", FIELD_INT, .may_be_null = true, .is_required = true, .help = "The context it is set to, if it says."},
    {"needs_key", FIELD_BOOL, .is_required = true, .help = "It wants to know who asks."},
    {"is_loading", FIELD_BOOL, .is_required = true, .help = "It is still loading its model."},
    {0}};
static const struct shape found_shape = {"DiscoveredServer", found_rows, "A model server near by."};

const struct route setup_routes[] = {
    {METHOD_GET, "/api/v1/setup", state, WHO_ANYONE, .tag = "setup", .operation = "getSetup", .summary = "Whether this house is set up.", .answer = &state_shape},
    {METHOD_POST, "/api/v1/setup", set_up, WHO_ANYONE, .body = setup_fields, .body_size = sizeof(struct setup_body), .is_costly = true, .tag = "setup", .answers_secret = true, .operation = "setUp",
     .summary = "Makes the owner and the starter cast, once.", .status = 201, .answer = &account_signed_in_shape},
    {METHOD_POST, "/api/v1/setup/discover", discover, WHO_ADMIN, SCOPE_ADMIN, .tag = "setup", .operation = "discoverModels",
     .summary = "Looks for model servers near by: Ollama, llama.cpp, LM Studio, KoboldCpp, vLLM.", .answer = &found_shape, .answer_is_list = true},
    {0}};
/* clang-format on */
