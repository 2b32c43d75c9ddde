/*
 * Starts and stops everything, in rank order. The only file that sees every feature: here stand the
 * lists (settings, routes, kinds of jobs), and here what must point upwards is handed over as a
 * function: who is calling (net asks, account answers), whether the house is set up, what a
 * repeated request was answered.
 *
 * Order of a start, and why: settings before anything that reads them; the key file before the
 * store, whose secrets it opens; the store before every feature; recovery before the first
 * connection, so that nobody sees a reply that will never go on; the listener last. What costs time
 * and is seldom needed (libcurl, TLS, pool threads) is not started here but where it is first used.
 */
#include "app.h"

#include "account/account.h"
#include "account/account_api.h"
#include "account/outbox.h"
#include "admin/admin_api.h"
#include "admin/health_api.h"
#include "admin/job_api.h"
#include "admin/outbox_api.h"
#include "admin/settings_api.h"
#include "admin/setup_api.h"
#include "app_repeat.h"
#include "base/clock.h"
#include "base/keyfile.h"
#include "base/log.h"
#include "character/character.h"
#include "character/character_api.h"
#include "character/knowledge.h"
#include "character/likeness.h"
#include "character/sweep.h"
#include "conversation/conversation_api.h"
#include "conversation/import_api.h"
#include "conversation/learning.h"
#include "conversation/live.h"
#include "conversation/room.h"
#include "conversation/sweep.h"
#include "conversation/turn.h"
#include "fetch/fetch.h"
#include "fetch/mail.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/notify.h"
#include "loop/pool.h"
#include "lore/lore.h"
#include "lore/lore_api.h"
#include "memory/memory_api.h"
#include "memory/memory_index.h"
#include "memory/recall_api.h"
#include "memory/turn.h"
#include "model/chat.h"
#include "model/embedder_api.h"
#include "model/index.h"
#include "model/index_change.h"
#include "model/model.h"
#include "model/model_api.h"
#include "model/setting.h"
#include "net/asset.h"
#include "net/channel.h"
#include "net/limit.h"
#include "net/listener.h"
#include "net/router.h"
#include "person/person_api.h"
#include "store/blob.h"
#include "store/job.h"
#include "store/store.h"
#include "store/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define LATER_MS       200   /* after the start: nobody waits for it */
#define LATER_AGAIN_MS 60000 /* after it failed */

extern char **environ;

static int log_level_index;
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

/* clang-format off */
static const struct setting log_setting_rows[] = {
    {"log", "level", SETTING_CHOICE, &log_level_index, "info", .choices = log_levels, .help = "The least important kind of event that is written to the log."},
    {0}};
/* clang-format on */

const struct setting *const app_settings[] = {
    net_setting_rows,        limit_settings,
    account_setting_rows,    model_setting_rows,
    understudy_setting_rows, embedder_setting_rows,
    memory_setting_rows,     mail_setting_rows,
    log_setting_rows,        NULL,
};

static const struct route *const route_tables[] = {
    health_routes,       setup_routes,
    account_routes,      recovery_routes,
    session_routes,      profile_routes,
    people_routes,       character_routes,
    discovery_routes,    character_file_routes,
    knowledge_routes,    lore_routes,
    model_routes,        embedder_routes,
    conversation_routes, preview_routes,
    import_routes,       recall_routes,
    memory_routes,       fact_routes,
    forget_routes,       summary_routes,
    extract_routes,      message_routes,
    say_routes,          live_routes,
    ws_routes,           settings_routes,
    job_routes,          outbox_routes,
    admin_routes,        person_routes,
    openapi_routes,      NULL,
};

static const struct job_kind *const job_tables[] = {character_jobs, conversation_jobs, account_jobs,
                                                    outbox_jobs,    blob_jobs,         index_jobs,
                                                    memory_jobs,    person_jobs,       NULL};

/* What can be found by its words and by meaning; a rebuild goes in this order. */
const struct index_kind *const app_index_kinds[] = {&character_kind,
                                                    &knowledge_kind,
                                                    &memory_message_kind,
                                                    &memory_kind_fact,
                                                    &memory_kind_episode,
                                                    &memory_kind_summary,
                                                    NULL};

/* Which features refer to blobs. */
static const blob_used_fn blob_askers[] = {account_uses_blob, character_uses_blob, NULL};

/* --- settings --------------------------------------------------------------------------------- */

static struct timer later;
static struct config config;
static struct config reloaded; /* texts of the last reload; the first config's texts stay in use */
static bool has_reloaded;
static struct app_options app_options;

struct config *app_config(void) {
    return &config;
}

/* True when an admin has stored settings; only the server asks, the store is open then. */
static bool read_all(struct config *into, bool has_store) {
    const struct app_options *options = &app_options;
    if (options->config_path != NULL)
        config_read_file(into, options->config_path, true);
    else
        config_read_file(into, "troupe.ini", false);
    bool has_stored = has_store && settings_read_stored(into);
    config_read_environment(into, environ);
    for (size_t i = 0; i < options->flag_count; i++)
        config_read_flag(into, str_from(options->flags[i]));
    return has_stored;
}

bool app_configure(const struct app_options *options) {
    app_options = *options;
    config_init(&config, app_settings);
    read_all(&config, false);
    log_init((enum log_level)log_level_index);
    return config.problem_count == 0;
}

/* What an admin stored is known only now that the store is open: all is read once more, in order.
 * A value that this version does not take any more is logged and left out. */
static void configure_from_store(void) {
    struct config again;
    config_init(&again, app_settings);
    bool has_stored = read_all(&again, true);
    if (has_stored && again.problem_count > 0)
        log_warn("app", "a stored setting was left out",
                 LF_STR("problems", buf_str(&again.problems)));
    config_release(&config);
    config = again;
    log_init((enum log_level)log_level_index);
}

static const struct config *config_now(void) {
    return has_reloaded ? &reloaded : &config;
}

/* The texts of the reload before are in nobody's hands any more when all has been read again. */
static void read_again(void) {
    struct config before = *config_now();
    bool is_ours = has_reloaded;
    config_init_reload(&reloaded, app_settings);
    read_all(&reloaded, true);
    config_keep_sources(&reloaded, &before);
    if (is_ours)
        config_release(&before);
    has_reloaded = true;
    log_init((enum log_level)log_level_index);
}

/* SIGHUP: what can change while running does; a bad file changes nothing that it does not name
 * well, and is logged. */
static void reload(void *ctx) {
    (void)ctx;
    notify_systemd("RELOADING=1");
    read_again();
    if (reloaded.problem_count > 0)
        log_warn("app", "settings were read again, with problems",
                 LF_STR("problems", buf_str(&reloaded.problems)));
    else
        log_info("app", "settings were read again");
    notify_systemd("READY=1");
}

/* --- the data folder -------------------------------------------------------------------------- */

static enum err make_folder(const char *path) {
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return E_OK;
    log_error("app", "the data folder could not be made", LF_Z("path", path),
              LF_Z("reason", strerror(errno)));
    return E_STORAGE;
}

enum err app_open(const struct app_options *options) {
    enum err err = make_folder(options->data);
    if (err == E_OK)
        err = keyfile_open(options->data);
    if (err != E_OK)
        return err;
    blob_use(&blob_disk, options->data);
    return store_open(options->data);
}

void app_close(void) {
    store_close();
}

/* --- the server ------------------------------------------------------------------------------- */

void app_routes(void) {
    static const struct router_hooks hooks = {
        .identify = account_identify,
        .knows = account_knows,
        .idempotency_begin = repeat_begin,
        .idempotency_record = repeat_record,
        .is_set_up = account_is_set_up,
    };
    static const struct settings_port settings = {config_now, read_again};
    settings_use(&settings);
    admin_use(app_options.data);
    router_init(route_tables);
    router_hooks(&hooks);
}

static enum err start_features(void) {
    enum err err = account_start();
    if (err == E_OK)
        err = turn_recover();
    if (err == E_OK)
        err = model_reload();
    if (err == E_OK)
        err = index_start(app_index_kinds);
    if (err != E_OK)
        return err;
    memory_start(&conversation_memory_hooks);
    lore_on_change(character_book_changed);
    account_on_leave(character_owner_left);
    app_routes();
    channel_serve_websockets(&live_owner);
    blob_sweep_ask(blob_askers);
    job_on_event(live_job_event);
    job_start(job_tables, 0);
    return E_OK;
}

static enum err start_listening(void) {
    struct str address = app_options.listen.len > 0 ? app_options.listen : net_settings.listen;
    if (!account_is_set_up() && !listener_is_loopback(address)) {
        log_error(
            "app",
            "refused to listen beyond this machine while there is no owner: set the house up on 127.0.0.1 first, "
            "or make the owner with `troupe user add EMAIL --role owner`",
            LF_STR("address", address));
        return E_DENIED;
    }
    return listener_start(address);
}

/* The two lines that tools and people wait for, on standard output. */
static void say_ready(void) {
    struct str address = listener_address();
    printf("listening on http://" STR_FMT "\n", STR_ARG(address));
    if (!account_is_set_up()) {
        struct str code = account_setup_code();
        printf("set up your theatre: http://" STR_FMT "/setup?code=" STR_FMT "\n", STR_ARG(address),
               STR_ARG(code));
    }
    fflush(stdout);
    notify_systemd("READY=1");
    log_info("app", "server is ready", LF_STR("address", address), LF_Z("version", TROUPE_VERSION));
}

/* What can wait until the first words have been said. A vector store that does not open (the disk is full) is no reason to stop: it is made from the truth when it can be. */
static void open_later(void *ctx) {
    enum err err = store_open_vectors();
    index_begin(err == E_OK);
    if (err == E_OK)
        return;
    log_error("app", "vectors could not be opened; memory by meaning rests until they can be");
    timer_start(&later, LATER_AGAIN_MS, open_later, ctx);
}

static void on_drain(void *ctx) {
    (void)ctx;
    notify_systemd("STOPPING=1");
    log_info("app", "server is stopping", LF_INT("turns", turn_count()));
    listener_drain();
    job_drain();
    mail_drain();
    index_drain();
}

static void on_stopped(void *ctx) {
    (void)ctx;
    channel_drain();
}

/* The store's last completions run in mailbox_release(): what they answer to, and what they read,
 * must still be there. */
static void stop_features(void) {
    listener_stop();
    room_release_all();
    index_stop();
    mail_release();
    fetch_release();
    pool_release();
    store_stop();
    mailbox_release();
    store_close();
    router_release();
    limit_release();
    loop_release();
}

int app_serve(const struct app_options *options) {
    loop_init();
    mailbox_init();
    pool_init(0);
    if (app_open(options) != E_OK)
        return 1;
    if (!store_is_owner()) {
        log_error("app", "another server runs on this data folder", LF_Z("path", options->data));
        store_close();
        return 1;
    }
    configure_from_store();
    if (start_features() != E_OK || start_listening() != E_OK) {
        store_close();
        return 1;
    }
    loop_on_drain(on_drain, NULL);
    loop_on_stopped(on_stopped, NULL);
    loop_catch_signals(net_settings.grace_ms, reload, NULL);
    say_ready();
    timer_start(&later, LATER_MS, open_later, NULL);
    loop_run();
    timer_stop(&later);
    stop_features();
    log_info("app", "server has stopped");
    return 0;
}
