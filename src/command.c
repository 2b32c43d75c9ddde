/*
 * Commands as rows: words, function. A command that touches data opens the store itself, so it also
 * works beside a running server (SQLite's locks keep them apart).
 */
#include "command.h"
#include "command_reindex.h"

#include "account/account.h"
#include "admin/doctor.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/version.h"
#include "character/character.h"
#include "loop/version.h"
#include "net/router.h"
#include "net/version.h"
#include "store/audit.h"
#include "store/migrate.h"
#include "store/store.h"
#include "store/inspect.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define PASSWORD_LIMIT_BYTES 1024

/* --- settings --------------------------------------------------------------------------------- */

static int print_problems(void) {
    fwrite(app_config()->problems.at, 1, app_config()->problems.len, stderr);
    return 1;
}

static int config_check(const struct command *command, const struct app_options *options) {
    (void)command;
    if (!app_configure(options))
        return print_problems();
    puts("the settings are fine");
    return 0;
}

static int config_example(const struct command *command, const struct app_options *options) {
    (void)command;
    struct buf buf;
    buf_init(&buf, (size_t)1 << 20);
    app_configure(options);
    config_print_example(app_config(), &buf);
    fwrite(buf.at, 1, buf.len, stdout);
    buf_release(&buf);
    return 0;
}

/* --- people ----------------------------------------------------------------------------------- */

static bool role_of(const char *word, enum role *role) {
    *role = word == NULL ? ROLE_MEMBER : account_role(str_from(word));
    return *role != ROLE_NOBODY;
}

/* One line from standard input, or a random one that is printed. */
static struct str take_password(const struct command *command, struct arena *arena) {
    static char line[PASSWORD_LIMIT_BYTES + 2];
    if (command->reads_password) {
        if (fgets(line, sizeof line, stdin) == NULL)
            return STR_NONE;
        line[strcspn(line, "\r\n")] = 0;
        return str_from(line);
    }
    uint8_t random[15];
    crypto_random(random, sizeof random);
    struct str password = base64url_encode(arena, str_of((const char *)random, sizeof random));
    printf("password: " STR_FMT "\n", STR_ARG(password));
    return password;
}

static int fail(const char *why) {
    fprintf(stderr, "troupe: %s\n", why);
    return 1;
}

static bool hash_password(const struct command *command, struct arena *arena, struct str *phc) {
    struct str password = take_password(command, arena);
    const char *problem = account_password_problem(password);
    if (problem == NULL)
        return pool_password_hash(arena, password, phc) == E_OK;
    fail(problem);
    return false;
}

static enum err writer_add_user(struct tx *tx, void *ctx) {
    struct new_user *user = ctx;
    struct arena arena;
    arena_init(&arena);
    enum err err = account_create(tx, user);
    if (err == E_OK && user->role == ROLE_OWNER)
        err = character_add_starters(tx, user->id);
    if (err == E_OK) /* by nobody: whoever may run this command owns the machine */
        err = audit_add(tx, &(struct audit){.action = STR("user.create"),
                                            .target_kind = STR("user"),
                                            .target_id = user->id,
                                            .detail = audit_change(&arena, "role", STR_NONE,
                                                                   account_role_word(user->role))});
    arena_release(&arena);
    return err;
}

static int user_add(const struct command *command, const struct app_options *options) {
    struct arena arena;
    struct new_user user = {.email = str_from(command->words[2])};
    struct str folded;
    int code = 1;
    arena_init(&arena);
    if (command->word_count != 3 || !role_of(command->role, &user.role) ||
        !account_email_is_valid(&arena, user.email, &folded)) {
        code =
            fail(
                "user add EMAIL [--role member|creator|moderator|admin|owner] [--name NAME] [--password-stdin]") +
            1;
        goto out;
    }
    user.display_name = command->name != NULL
                            ? str_from(command->name)
                            : str_slice(user.email, 0, (size_t)str_find_char(user.email, '@', 0));
    if (!app_configure(options) || app_open(options) != E_OK)
        goto out;
    if (hash_password(command, &arena, &user.password_phc)) {
        enum err err = store_write_and_wait(writer_add_user, &user);
        code = err == E_OK
                   ? 0
                   : fail(err == E_CONFLICT ? "this address is taken, or there is an owner already"
                                            : "the user could not be stored");
    }
    app_close();
out:
    arena_release(&arena);
    return code;
}

static int user_list(const struct command *command, const struct app_options *options) {
    (void)command;
    if (!app_configure(options) || app_open(options) != E_OK)
        return 1;
    struct buf buf;
    buf_init(&buf, (size_t)16 << 20);
    enum err err = account_print_users(store_reader(), &buf);
    fwrite(buf.at, 1, buf.len, stdout);
    buf_release(&buf);
    app_close();
    return err == E_OK ? 0 : fail("the users could not be read");
}

static int user_reset_password(const struct command *command, const struct app_options *options) {
    struct arena arena;
    struct password_reset reset = {.email = str_from(command->words[2])};
    int code = 1;
    if (command->word_count != 3)
        return fail("user reset-password EMAIL [--password-stdin]") + 1;
    if (!app_configure(options) || app_open(options) != E_OK)
        return 1;
    arena_init(&arena);
    if (hash_password(command, &arena, &reset.password_phc)) {
        enum err err = store_write_and_wait(writer_account_reset_password, &reset);
        code = err == E_OK ? 0
                           : fail(err == E_ABSENT ? "there is no such user"
                                                  : "the password could not be stored");
    }
    arena_release(&arena);
    app_close();
    return code;
}

/* --- serve, doctor, version ------------------------------------------------------------------- */

static int serve(const struct command *command, const struct app_options *options) {
    (void)command;
    return app_configure(options) ? app_serve(options) : print_problems();
}

static int doctor(const struct command *command, const struct app_options *options) {
    (void)command;
    struct str config_problems =
        app_configure(options) ? STR_NONE : buf_str(&app_config()->problems);
    return doctor_run(options->data, options->listen, config_problems);
}

static int version(const struct command *command, const struct app_options *options) {
    (void)command;
    (void)options;
    struct buf buf;
    buf_init(&buf, 1 << 16);
    buf_printf(&buf, "troupe %s\nschema %d\n", TROUPE_VERSION, migrate_latest());
    store_print_versions(&buf);
    base_print_versions(&buf);
    loop_print_versions(&buf);
    net_print_versions(&buf);
    fwrite(buf.at, 1, buf.len, stdout);
    buf_release(&buf);
    return 0;
}

/* --- hidden: what our own tests and tools ask the binary -------------------------------------- */

static int test_openapi(const struct command *command, const struct app_options *options) {
    (void)command;
    (void)options;
    app_routes();
    struct str text = router_openapi();
    fwrite(text.at, 1, text.len, stdout);
    putchar('\n');
    return 0;
}

/* One line per route, from the live table: "GET /api/v1/characters/{id}". */
static int test_routes(const struct command *command, const struct app_options *options) {
    static const char *const methods[] = {"GET",   "HEAD",   "POST",    "PUT",
                                          "PATCH", "DELETE", "OPTIONS", "OTHER"};
    (void)command;
    (void)options;
    app_routes();
    for (size_t i = 0; router_at(i) != NULL; i++)
        printf("%s %s\n", methods[router_at(i)->method], router_at(i)->pattern);
    return 0;
}

static int test_sql(const struct command *command, const struct app_options *options) {
    (void)command;
    if (!app_configure(options) || app_open(options) != E_OK)
        return 1;
    struct buf buf;
    buf_init(&buf, (size_t)16 << 20);
    db_print_plans(store_reader(), &buf);
    fwrite(buf.at, 1, buf.len, stdout);
    buf_release(&buf);
    app_close();
    return 0;
}

static const struct {
    const char *first, *second; /* second NULL: one word */
    int (*run)(const struct command *command, const struct app_options *options);
} commands[] = {
    {"serve", NULL, serve},
    {"doctor", NULL, doctor},
    {"version", NULL, version},
    {"config", "check", config_check},
    {"config", "example", config_example},
    {"user", "add", user_add},
    {"user", "list", user_list},
    {"user", "reset-password", user_reset_password},
    {"reindex", NULL, command_reindex},
    {"test", "openapi", test_openapi},
    {"test", "routes", test_routes},
    {"test", "sql", test_sql},
    {"test", "vectors", command_test_vectors},
};

int command_run(const struct command *command, const struct app_options *options) {
    const char *second = command->word_count > 1 ? command->words[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        bool has_second = commands[i].second != NULL;
        if (strcmp(commands[i].first, command->words[0]) == 0 &&
            (!has_second || strcmp(commands[i].second, second) == 0))
            return commands[i].run(command, options);
    }
    return COMMAND_UNKNOWN;
}
