/*
 * Accounts as rules, and as what the other floors ask of them: who is calling, who somebody is in a
 * talk, whether the house has an owner.
 *
 * The callers of the last requests are remembered by their token, so that a request costs one
 * look-up in memory. An entry is asked again from the database after half a minute, and forgotten
 * at once when something about that person changes in this process; so a change made by the command
 * line beside a running server takes half a minute at the most.
 */
#include "account/account.h"

#include "account/account_api.h"
#include "account/account_store.h"
#include "account/login.h"
#include "account/mail_store.h"
#include "account/outbox.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/embedded.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "base/zone.h"
#include "fetch/mail.h"
#include "store/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CALLERS_LIMIT           4096
#define CALLER_FRESH_MS         ((int64_t)30 * 1000)
#define KEY_TOUCH_MS            ((int64_t)60 * 1000)
#define SETUP_CODE_FOR_MS       ((int64_t)24 * 3600 * 1000)
#define SWEEP_EVERY_MS          ((int64_t)3600 * 1000)
#define DAY_MS                  ((int64_t)24 * 3600 * 1000)
#define TOKEN_LIMIT_BYTES       2048
#define PASSWORD_CHARACTERS_MAX 1024

struct account_settings account_settings;
static const char *const registrations[] = {"closed", "invite", "open", NULL};
enum { VERIFY_OFF, VERIFY_RELAY, VERIFY_ALWAYS };
static const char *const verifications[] = {"off", "relay", "always", NULL};

/* clang-format off */
const struct setting account_setting_rows[] = {
    {"accounts", "registration", SETTING_CHOICE, &account_settings.registration, "invite", .choices = registrations,
     .help = "Who may make an account: nobody, people with an invite code, or everybody."},
    {"accounts", "access_token_s", SETTING_INT, &account_settings.access_token_s, "900", 60, 86400, "s",
     .help = "How long an access token lives; clients renew it by themselves."},
    {"accounts", "session_days", SETTING_INT, &account_settings.session_days, "90", 1, 3650,
     .help = "Days after which a sign-in ends in any case."},
    {"accounts", "idle_days", SETTING_INT, &account_settings.idle_days, "30", 1, 3650,
     .help = "Days after which a sign-in that is not used ends."},
    {"accounts", "password_min", SETTING_INT, &account_settings.password_min, "8", 8, 128,
     .help = "The shortest password, in characters."},
    {"accounts", "verify_email", SETTING_CHOICE, &account_settings.verify_email, "relay", .choices = verifications,
     .help = "Whether those who register without an invitation must confirm their address before they sign in: never, where a relay sends mail (mail.smtp_url), or always: the link then rests in the outbox."},
    {0}};
/* clang-format on */

/* --- who is calling --------------------------------------------------------------------------- */

struct known_caller {
    struct caller caller;
    int64_t asked_at;   /* when the database last agreed */
    int64_t touched_at; /* of an API key: when its use was last written down */
    char *token;
    size_t token_len;
};

static struct map callers;

static void forget(struct known_caller *known) {
    map_remove(&callers, str_of(known->token, known->token_len));
    free(known->token);
    free(known);
}

/* All of a person, or all that is stale (user_id 0). */
static void forget_some(int64_t user_id, int64_t older_than) {
    struct known_caller *gone[256];
    size_t count;
    do {
        size_t cursor = 0;
        struct str key;
        int64_t id;
        void *value;
        count = 0;
        while (count < COUNT_OF(gone) && map_next(&callers, &cursor, &key, &id, &value)) {
            struct known_caller *known = value;
            if (user_id != 0 ? known->caller.user_id == user_id : known->asked_at < older_than)
                gone[count++] = known;
        }
        for (size_t i = 0; i < count; i++)
            forget(gone[i]);
    } while (count == COUNT_OF(gone));
}

void account_changed(int64_t user_id) {
    forget_some(user_id, 0);
}

static void remember(struct str token, const struct caller *caller, int64_t now) {
    if (callers.count >= CALLERS_LIMIT)
        forget_some(0, now - CALLER_FRESH_MS);
    if (callers.count >= CALLERS_LIMIT)
        return;
    struct known_caller *known = calloc(1, sizeof *known);
    BUG_IF(known == NULL);
    known->caller = *caller;
    known->asked_at = now;
    known->token = malloc(token.len + 1);
    BUG_IF(known->token == NULL);
    memcpy(known->token, token.at, token.len);
    known->token_len = token.len;
    map_put(&callers, str_of(known->token, token.len), known);
}

struct touch {
    int64_t api_key_id, now;
};

static enum err writer_touch(struct tx *tx, void *ctx) {
    const struct touch *touch = ctx;
    return api_key_touch(tx, touch->api_key_id, touch->now);
}

static void on_touched(enum err err, void *ctx) {
    (void)err; /* a missed "last used" is written by the next use */
    free(ctx);
}

static void note_key_use(int64_t api_key_id, int64_t now) {
    struct touch *touch = malloc(sizeof *touch);
    BUG_IF(touch == NULL);
    *touch = (struct touch){api_key_id, now};
    store_write(writer_touch, on_touched, touch);
}

/* What a stranger made up never gets into the map. */
bool account_knows(struct str token) {
    return token.len > 0 && token.len <= TOKEN_LIMIT_BYTES && map_find(&callers, token) != NULL;
}

enum err account_identify(struct str token, struct caller *caller) {
    if (token.len == 0 || token.len > TOKEN_LIMIT_BYTES)
        return E_DENIED;
    int64_t now = clock_now_ms();
    struct known_caller *known = map_find(&callers, token);
    if (known != NULL && now - known->asked_at < CALLER_FRESH_MS && now >= known->asked_at &&
        known->caller.until_ms > now) {
        *caller = known->caller;
        return E_OK;
    }
    int64_t touched_at = known != NULL ? known->touched_at : 0;
    if (known != NULL)
        forget(known);
    enum err err = token_caller(token, caller);
    if (err != E_OK)
        return err == E_STORAGE ? E_STORAGE : E_DENIED;
    remember(token, caller, now);
    if (caller->api_key_id != 0 && now - touched_at >= KEY_TOUCH_MS)
        note_key_use(caller->api_key_id, now);
    return E_OK;
}

/* --- the house -------------------------------------------------------------------------------- */

static bool has_owner;
static char setup_code[48];
static int64_t setup_code_until;

bool account_is_set_up(void) {
    if (!has_owner)
        has_owner = user_owner_exists(store_reader());
    return has_owner;
}

struct str account_setup_code(void) {
    struct arena arena;
    uint8_t random[18];
    arena_init(&arena);
    crypto_random(random, sizeof random);
    struct str code = base64url_encode(&arena, str_of((const char *)random, sizeof random));
    memcpy(setup_code, code.at, code.len);
    setup_code[code.len] = 0;
    setup_code_until = clock_now_ms() + SETUP_CODE_FOR_MS;
    arena_release(&arena);
    return str_from(setup_code);
}

bool account_check_setup_code(struct str code) {
    struct str right = str_from(setup_code);
    return right.len > 0 && clock_now_ms() < setup_code_until && crypto_equal(right, code);
}

bool account_must_verify(void) {
    return account_settings.verify_email == VERIFY_ALWAYS ||
           (account_settings.verify_email == VERIFY_RELAY && outbox_has_relay());
}

/* --- people ----------------------------------------------------------------------------------- */

static const char *const role_words[] = {"", "member", "creator", "moderator", "admin", "owner"};

struct str account_role_word(enum role role) {
    return str_from(role_words[role]);
}

enum role account_role(struct str word) {
    for (enum role role = ROLE_OWNER; role > ROLE_NOBODY; role--)
        if (str_eq(word, str_from(role_words[role])))
            return role;
    return ROLE_NOBODY;
}

enum err account_create(struct tx *tx, struct new_user *user) {
    struct arena arena;
    struct str folded;
    arena_init(&arena);
    enum err err = account_email_is_valid(&arena, user->email, &folded) ? E_OK : E_INPUT;
    user->id = id_new();
    if (err == E_OK)
        err = user_insert(tx, user, folded, account_role_word(user->role), clock_now_ms());
    arena_release(&arena);
    return err;
}

/* Not RFC 5322: one @, a dot in the domain, nothing that could break a header. Whether it exists,
 * only a mail can tell. */
bool account_email_is_valid(struct arena *arena, struct str email, struct str *folded) {
    ptrdiff_t at = str_find_char(email, '@', 0);
    if (email.len > 254 || at < 1 || at > 64 || str_find_char(email, '@', (size_t)at + 1) >= 0 ||
        !text_is_utf8(email))
        return false;
    struct str domain = str_slice(email, (size_t)at + 1, email.len);
    if (str_find_char(domain, '.', 0) < 1 || str_ends(domain, STR(".")) ||
        str_has(domain, STR("..")))
        return false;
    for (size_t i = 0; i < email.len; i++)
        if ((unsigned char)email.at[i] <= ' ' || email.at[i] == 0x7f ||
            strchr("()<>,;:\\\"[]", email.at[i]) != NULL)
            return false;
    *folded = text_fold(arena, email);
    return true;
}

/* True when the list of common passwords (assets/rules/passwords.txt, one a line, lower case) holds
 * it. */
static bool is_common(struct str password) {
    struct arena arena;
    const struct embedded *list = embedded_find(STR("rules/passwords.txt"));
    bool is_found = false;
    if (list == NULL)
        return false;
    arena_init(&arena);
    struct str folded = text_fold(&arena, password), rest = list->bytes;
    for (struct str line; !is_found && str_next(&rest, '\n', &line);)
        is_found = line.len > 0 && str_eq(str_trim(line), folded);
    arena_release(&arena);
    return is_found;
}

const char *account_password_problem(struct str password) {
    if (password.at == NULL || !text_is_utf8(password))
        return "The password must be text.";
    if ((int64_t)text_length(password) < account_settings.password_min)
        return "The password is too short. Several words in a row make a good one.";
    if (password.len > PASSWORD_CHARACTERS_MAX)
        return "The password is longer than 1,024 bytes.";
    if (is_common(password))
        return "This is one of the passwords that everybody tries first. Several words in a row make a good one.";
    return NULL;
}

enum err account_persona(struct db *db, struct arena *arena, int64_t user_id, int64_t persona_id,
                         struct persona *persona) {
    if (persona_id != 0 && persona_load(db, arena, user_id, persona_id, persona) == E_OK)
        return E_OK;
    if (persona_load_default(db, arena, user_id, persona) == E_OK)
        return E_OK;
    *persona = (struct persona){.description = STR("")};
    return user_load_name(db, arena, user_id, &persona->name);
}

static bool is_same_name(struct arena *arena, struct str a, struct str b) {
    return str_eq(text_fold(arena, a), text_fold(arena, b));
}

enum err account_persona_named(struct tx *tx, int64_t user_id, struct str name,
                               int64_t *persona_id) {
    struct arena arena;
    struct persona *items;
    size_t count;
    struct user user;
    arena_init(&arena);
    *persona_id = 0;
    enum err err = persona_list(tx_db(tx), &arena, user_id, &items, &count);
    if (err == E_OK)
        err = user_load(tx_db(tx), &arena, user_id, &user);
    for (size_t i = 0; i < count && err == E_OK && *persona_id == 0; i++)
        if (is_same_name(&arena, items[i].name, name))
            *persona_id = items[i].id;
    if (err == E_OK && *persona_id == 0 && !is_same_name(&arena, user.display_name, name)) {
        struct persona persona = {.id = id_new(), .name = name, .description = STR("")};
        err = persona_insert(tx, user_id, &persona, clock_now_ms());
        *persona_id = err == E_OK ? persona.id : 0;
        err = err == E_LIMIT ? E_OK : err;
    }
    arena_release(&arena);
    return err;
}

bool account_owns_persona(struct db *db, int64_t user_id, int64_t persona_id) {
    struct arena arena;
    struct persona persona;
    arena_init(&arena);
    bool owns = persona_load(db, &arena, user_id, persona_id, &persona) == E_OK;
    arena_release(&arena);
    return owns;
}

bool account_is_adult(struct db *db, int64_t user_id) {
    struct arena arena;
    struct user user;
    arena_init(&arena);
    bool is_adult = user_load(db, &arena, user_id, &user) == E_OK && user.is_adult;
    arena_release(&arena);
    return is_adult;
}

int64_t account_utc_offset_ms(struct db *db, int64_t user_id, int64_t at_ms) {
    struct arena arena;
    struct user user;
    const struct json_value *preferences;
    int64_t offset_ms = 0;
    arena_init(&arena);
    if (user_load(db, &arena, user_id, &user) == E_OK &&
        json_parse(&arena, user.preferences, &preferences, NULL) == E_OK)
        offset_ms =
            zone_offset_ms(json_string(json_member(preferences, "time_zone"), STR_NONE), at_ms);
    arena_release(&arena);
    return offset_ms;
}

/* --- the command line ------------------------------------------------------------------------- */

enum err account_print_users(struct db *db, struct buf *out) {
    enum err err = E_OK;
    struct arena arena;
    size_t count = 100;
    for (int64_t after = 0; err == E_OK && count == 100;) {
        struct user *users;
        arena_init(&arena);
        err = user_list(db, &arena, after, 100, &users, &count);
        for (size_t i = 0; err == E_OK && i < count; i++) {
            char at[RFC3339_LEN + 1];
            clock_rfc3339(users[i].created_at, at);
            buf_printf(out, "%s  %-9.*s  %.10s  " STR_FMT "  " STR_FMT "%s\n",
                       id_text(users[i].id).at, STR_ARG(users[i].role), at, STR_ARG(users[i].email),
                       STR_ARG(users[i].display_name),
                       users[i].disabled_at != 0 ? "  (disabled)" : "");
            after = users[i].id;
        }
        arena_release(&arena);
    }
    return err;
}

enum err writer_account_reset_password(struct tx *tx, void *ctx) {
    const struct password_reset *reset = ctx;
    struct arena arena;
    struct user user;
    struct str folded;
    int64_t now = clock_now_ms();
    arena_init(&arena);
    enum err err = account_email_is_valid(&arena, reset->email, &folded)
                       ? user_load_by_email(tx_db(tx), &arena, folded, &user)
                       : E_ABSENT;
    if (err == E_OK)
        err = account_replace_password(tx, user.id, folded, reset->password_phc, 0, now);
    if (err == E_OK)
        err = email_resets_end(tx, user.id, now);
    arena_release(&arena);
    return err;
}

/* --- start and sweep -------------------------------------------------------------------------- */

enum err account_start(void) {
    map_init(&callers);
    return signing_keys_open();
}

struct sweeping {
    struct job *job;
    int64_t keep_mail_ms;
};

static enum err writer_sweep(struct tx *tx, void *ctx) {
    const struct sweeping *sweeping = ctx;
    enum err err = account_sweep(tx, clock_now_ms());
    return err != E_OK ? err : outbox_sweep(tx, sweeping->keep_mail_ms, clock_now_ms());
}

static void on_swept(enum err err, void *ctx) {
    struct sweeping *sweeping = ctx;
    job_finish(sweeping->job, err, "what is over could not be removed");
}

static void sweep(struct job *job) {
    struct sweeping *sweeping = ARENA_NEW(&job->arena, struct sweeping);
    *sweeping = (struct sweeping){job, mail_settings.keep_days * DAY_MS};
    store_write(writer_sweep, on_swept, sweeping);
}

const struct job_kind account_jobs[] = {
    {.name = "account.sweep",
     .run = sweep,
     .attempts_limit = 5,
     .lease_ms = 60000,
     .running_limit = 1,
     .every_ms = SWEEP_EVERY_MS},
    {0},
};
