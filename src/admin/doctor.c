/*
 * The doctor looks at what a server needs, in the order in which it would be missed, and says in
 * plain words what is wrong and what to do. It works beside a running server (then it is a guest in
 * the data folder) and before the first start, and repairs nothing.
 *
 * Three words: `ok`, `note` (works, but worth knowing), `FAIL` (something will not work). One FAIL
 * makes the exit code 1.
 */
#include "admin/doctor.h"

#include "account/account.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/keyfile.h"
#include "fetch/mail.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
#include "model/index_change.h"
#include "model/model.h"
#include "model/trial.h"
#include "net/listener.h"
#include "store/inspect.h"
#include "store/migrate.h"
#include "store/store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/banned.h"

#define DISK_LOW_BYTES \
    ((int64_t)1 << 30) /* a note: a busy house writes a few hundred megabytes a year */
#define DISK_FULL_BYTES ((int64_t)64 << 20) /* a failure: the next checkpoint may not fit */
#define OLDEST_CLOCK_MS \
    ((int64_t)1735689600 * 1000) /* 2025-01-01: no machine that runs this is older */
#define MODELS_LIMIT 64

static void say(struct doctor *d, enum doctor_word word, const char *what, const char *format,
                va_list arguments) {
    struct doctor_finding finding = {.word = word, .what = what};
    vsnprintf(finding.text, sizeof finding.text, format, arguments);
    d->has_failed = d->has_failed || word == DOCTOR_FAIL;
    d->tell(&finding, d->ctx);
}

#define SAYS __attribute__((format(printf, 3, 4))) static void

SAYS ok(struct doctor *d, const char *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(d, DOCTOR_OK, what, format, arguments);
    va_end(arguments);
}

SAYS note(struct doctor *d, const char *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(d, DOCTOR_NOTE, what, format, arguments);
    va_end(arguments);
}

SAYS bad(struct doctor *d, const char *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(d, DOCTOR_FAIL, what, format, arguments);
    va_end(arguments);
}

/* --- settings, clock, disk -------------------------------------------------------------------- */

static void look_at_settings(struct doctor *d, struct str problems) {
    if (problems.len == 0)
        return ok(d, "settings", "nothing wrong with them");
    for (struct str line; str_next(&problems, '\n', &line);)
        if (line.len > 0)
            bad(d, "settings", STR_FMT, STR_ARG(line));
}

void doctor_look_at_mail(struct doctor *d) {
    const char *problem = mail_settings_problem();
    if (mail_settings.smtp_url.len == 0)
        note(
            d, "mail",
            "there is no relay (mail.smtp_url): links to new passwords rest in the outbox, where an admin reads them");
    else if (problem != NULL)
        bad(d, "mail", "%s", problem);
    else if (net_settings.public_url.len == 0)
        note(d, "mail",
             "links in mails lead to http://" STR_FMT
             ": say under which address people reach this house (net.public_url)",
             STR_ARG(net_settings.listen));
    else
        ok(d, "mail", "it leaves by " STR_FMT, STR_ARG(mail_settings.smtp_url));
}

static void look_at_clock(struct doctor *d) {
    char now[RFC3339_LEN + 1];
    clock_rfc3339(clock_now_ms(), now);
    if (clock_now_ms() < OLDEST_CLOCK_MS)
        bad(d, "clock",
            "it says %s. Sign-ins and certificates will not work: set the time (timedatectl set-ntp true)",
            now);
    else
        ok(d, "clock", "it says %s", now);
}

static void look_at_disk(struct doctor *d, const char *data) {
    struct statvfs fs;
    if (statvfs(data, &fs) != 0)
        return bad(d, "disk", "the disk under %s cannot be asked: %s", data, strerror(errno));
    int64_t free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    long long free_mib = (long long)(free_bytes >> 20);
    if (free_bytes < DISK_FULL_BYTES)
        bad(d, "disk", "%lld MiB are free under %s. Messages cannot be stored soon: make room",
            free_mib, data);
    else if (free_bytes < DISK_LOW_BYTES)
        note(d, "disk", "%lld MiB are free under %s. That is little", free_mib, data);
    else
        ok(d, "disk", "%lld MiB are free under %s", free_mib, data);
}

/* --- data folder and key ---------------------------------------------------------------------- */

static bool look_at_folder(struct doctor *d, const char *data) {
    struct stat info;
    char database[PATH_MAX];
    if (stat(data, &info) != 0) {
        note(d, "data", "%s is not there yet: the first start makes it", data);
        return false;
    }
    if (!S_ISDIR(info.st_mode) || access(data, R_OK | W_OK | X_OK) != 0) {
        bad(d, "data",
            "%s is not a folder that this user can write to (user id %d). Change its owner, or run as the right user",
            data, (int)geteuid());
        return false;
    }
    if ((info.st_mode & 077) != 0)
        note(d, "data", "%s can be read by others on this machine: chmod 700 %s", data, data);
    else
        ok(d, "data", "%s is ours alone", data);
    snprintf(database, sizeof database, "%s/troupe.db", data);
    return access(database, F_OK) == 0;
}

static bool look_at_key(struct doctor *d, const char *data) {
    if (keyfile_open(data) != E_OK) {
        bad(d, "key",
            "%s/key cannot be used (see the line in the log): it must be there, 32 bytes, readable by this user alone (chmod 600)",
            data);
        return false;
    }
    ok(d, "key",
       "the key file is in place. Keep a copy of it with your backups: sealed secrets are lost without it");
    return true;
}

static void look_at_embedder(struct doctor *d, struct db *db) {
    struct index_description it;
    struct arena arena;
    arena_init(&arena);
    index_describe(db, &arena, &it);
    if (str_eq(it.provider, STR("none")))
        note(d, "embedder", "none: memory finds by words alone");
    else if (!it.is_available)
        note(
            d, "embedder",
            "this build has no weights of its own, so memory finds by words alone: build with them, or connect an endpoint");
    else if (it.model.len > 0)
        ok(d, "embedder", STR_FMT " (" STR_FMT "), %lld items wait for it", STR_ARG(it.model),
           STR_ARG(it.base_url), (long long)it.waiting);
    else
        ok(d, "embedder", "the built-in one, %lld items wait for it", (long long)it.waiting);
    arena_release(&arena);
}

static void look_at_database(struct doctor *d, struct db *db, bool is_set_up) {
    struct buf problems;
    buf_init(&problems, 1 << 16);
    if (db_check(db, &problems) == E_OK)
        ok(d, "database", "schema %d, whole%s", migrate_latest(),
           store_is_owner() ? "" : "; a server is running on it");
    else
        bad(d, "database", "it is damaged: " STR_FMT "Stop the server and restore a backup",
            STR_ARG(buf_str(&problems)));
    buf_release(&problems);
    if (is_set_up)
        ok(d, "owner", "there is one");
    else
        note(d, "owner", "there is none yet: start the server and open the link that it prints");
    look_at_embedder(d, db);
    note(
        d, "backups",
        "this version makes none by itself: stop the server now and then and copy the data folder");
}

/* --- the port --------------------------------------------------------------------------------- */

/* True when somebody can listen there now. */
static bool port_is_free(const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        if (fd >= 0)
            close(fd);
        return true; /* not for us to judge: an IPv6 address or a name */
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool is_free = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_free;
}

static void look_at_port(struct doctor *d, struct str listen, bool a_server_runs) {
    char text[256];
    struct str address = listen.len > 0 ? listen : net_settings.listen;
    snprintf(text, sizeof text, STR_FMT, STR_ARG(address));
    char *colon = strrchr(text, ':');
    int port = colon == NULL ? 0 : atoi(colon + 1);
    if (colon == NULL)
        return bad(d, "port", "%s is not ADDRESS:PORT", text);
    *colon = 0;
    if (port_is_free(text, port))
        ok(d, "port", "%s:%d is free", text, port);
    else if (a_server_runs)
        ok(d, "port", "%s:%d is taken, probably by the server that runs on this data folder", text,
           port);
    else
        bad(d, "port",
            "%s:%d is taken by another program: stop that, or choose another with --listen (ss -ltnp tells who)",
            text, port);
}

/* --- models ----------------------------------------------------------------------------------- */

struct consultation {
    struct consultations *all;
    char name[128], base_url[256];
};
struct consultations {
    struct doctor *d;
    int open;
    void (*done)(void *ctx);
    void *ctx;
    struct consultation items[MODELS_LIMIT];
};

static void on_trial(void *ctx, const struct trial_result *result) {
    struct consultation *one = ctx;
    struct consultations *all = one->all;
    struct doctor *d = all->d;
    if (result->error.at != NULL)
        bad(d, "model", "%s (%s): " STR_FMT, one->name, one->base_url, STR_ARG(result->error));
    else
        ok(d, "model", "%s (%s): answers after %lld ms, its endpoint has %zu models%s", one->name,
           one->base_url, (long long)result->first_token_ms, result->model_count,
           result->model_count > 0 && !result->is_listed ? "; this one is not among them" : "");
    if (--all->open > 0)
        return;
    void (*done)(void *ctx) = all->done;
    void *done_ctx = all->ctx;
    free(all);
    done(done_ctx);
}

static void consult(struct consultations *all, const struct model *model) {
    struct consultation *one = &all->items[all->open++];
    one->all = all;
    snprintf(one->name, sizeof one->name, STR_FMT, STR_ARG(model->name));
    snprintf(one->base_url, sizeof one->base_url, STR_FMT, STR_ARG(model->base_url));
    trial_start(model, on_trial, one);
}

bool doctor_ask_models(struct doctor *d, void (*done)(void *ctx), void *ctx) {
    struct consultations *all = calloc(1, sizeof *all);
    BUG_IF(all == NULL);
    *all = (struct consultations){.d = d, .done = done, .ctx = ctx};
    for (size_t i = 0; all->open < MODELS_LIMIT && model_at(i) != NULL; i++)
        if (model_at(i)->is_enabled && !str_eq(model_at(i)->provider, STR("understudy")))
            consult(all, model_at(i));
    if (all->open > 0)
        return true;
    note(d, "model", "none is connected: the Understudy speaks, and says so");
    free(all);
    return false;
}

/* --- in a running server ---------------------------------------------------------------------- */

static void look_at_key_file(struct doctor *d, const char *data) {
    char path[PATH_MAX];
    struct stat info;
    snprintf(path, sizeof path, "%s/key", data);
    if (stat(path, &info) != 0 || (info.st_mode & 077) != 0)
        bad(d, "key", "%s must be there, readable by this user alone (chmod 600)", path);
    else
        ok(d, "key",
           "the key file is in place. Keep a copy of it with your backups: sealed secrets are lost without it");
}

void pool_doctor_house(struct doctor *d, const char *data, struct str config_problems) {
    look_at_settings(d, config_problems);
    look_at_clock(d);
    look_at_folder(d, data);
    look_at_key_file(d, data);
    look_at_disk(d, data);
    struct db *db = pool_reader_open();
    if (db == NULL)
        return bad(d, "database", "it cannot be opened for reading (see the line in the log)");
    look_at_database(d, db, true);
    pool_reader_close(db);
}

/* --- the command ------------------------------------------------------------------------------ */

static void print_finding(const struct doctor_finding *finding, void *ctx) {
    static const char *const words[] = {"ok", "note", "FAIL"};
    (void)ctx;
    printf("%-4s  %-9s %s\n", words[finding->word], finding->what, finding->text);
}

static void stop_loop(void *ctx) {
    (void)ctx;
    loop_stop(0);
}

static void look_at_models(struct doctor *d) {
    if (model_reload() != E_OK)
        bad(d, "model", "the models could not be read");
    else if (doctor_ask_models(d, stop_loop, NULL))
        loop_run();
}

int doctor_run(const char *data, struct str listen, struct str config_problems) {
    struct doctor doctor = {.tell = print_finding}, *d = &doctor;
    look_at_settings(d, config_problems);
    doctor_look_at_mail(d);
    look_at_clock(d);
    bool has_database = look_at_folder(d, data), is_open = false;
    if (has_database && look_at_key(d, data)) {
        is_open = store_open(data) == E_OK;
        if (!is_open)
            bad(d, "database",
                "it cannot be opened (see the line in the log). Restore a backup, or run the version of the program that made it");
    }
    if (access(data, F_OK) == 0)
        look_at_disk(d, data);
    look_at_port(d, listen, is_open && !store_is_owner());
    if (is_open) {
        loop_init();
        mailbox_init();
        pool_init(1);
        look_at_database(d, store_reader(), account_is_set_up());
        look_at_models(d);
        store_close();
    }
    puts(d->has_failed ? "\nSomething needs attention: see the lines that say FAIL."
                       : "\nAll is well.");
    return d->has_failed ? 1 : 0;
}
