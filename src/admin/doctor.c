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
#include "base/clock.h"
#include "base/keyfile.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/pool.h"
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

static bool has_failed;

static void say(const char *word, const char *what, const char *format, va_list arguments) {
    printf("%-4s  %-9s ", word, what);
    vprintf(format, arguments);
    putchar('\n');
}

__attribute__((format(printf, 2, 3))) static void ok(const char *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say("ok", what, format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void note(const char *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say("note", what, format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void bad(const char *what, const char *format, ...) {
    va_list arguments;
    has_failed = true;
    va_start(arguments, format);
    say("FAIL", what, format, arguments);
    va_end(arguments);
}

/* --- settings, clock, disk
 * ------------------------------------------------------------------------------------------- */

static void look_at_settings(struct str problems) {
    if (problems.len == 0)
        return ok("settings", "nothing wrong with them");
    for (struct str line; str_next(&problems, '\n', &line);)
        if (line.len > 0)
            bad("settings", STR_FMT, STR_ARG(line));
}

static void look_at_clock(void) {
    char now[RFC3339_LEN + 1];
    clock_rfc3339(clock_now_ms(), now);
    if (clock_now_ms() < OLDEST_CLOCK_MS)
        bad("clock",
            "it says %s. Sign-ins and certificates will not work: set the time (timedatectl set-ntp true)",
            now);
    else
        ok("clock", "it says %s", now);
}

static void look_at_disk(const char *data) {
    struct statvfs fs;
    if (statvfs(data, &fs) != 0)
        return bad("disk", "the disk under %s cannot be asked: %s", data, strerror(errno));
    int64_t free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    long long free_mib = (long long)(free_bytes >> 20);
    if (free_bytes < DISK_FULL_BYTES)
        bad("disk", "%lld MiB are free under %s. Messages cannot be stored soon: make room",
            free_mib, data);
    else if (free_bytes < DISK_LOW_BYTES)
        note("disk", "%lld MiB are free under %s. That is little", free_mib, data);
    else
        ok("disk", "%lld MiB are free under %s", free_mib, data);
}

/* --- data folder and key
 * --------------------------------------------------------------------------------------------------
 */

static bool look_at_folder(const char *data) {
    struct stat info;
    char database[PATH_MAX];
    if (stat(data, &info) != 0) {
        note("data", "%s is not there yet: the first start makes it", data);
        return false;
    }
    if (!S_ISDIR(info.st_mode) || access(data, R_OK | W_OK | X_OK) != 0) {
        bad("data",
            "%s is not a folder that this user can write to (user id %d). Change its owner, or run as the right user",
            data, (int)geteuid());
        return false;
    }
    if ((info.st_mode & 077) != 0)
        note("data", "%s can be read by others on this machine: chmod 700 %s", data, data);
    else
        ok("data", "%s is ours alone", data);
    snprintf(database, sizeof database, "%s/troupe.db", data);
    return access(database, F_OK) == 0;
}

static bool look_at_key(const char *data) {
    if (keyfile_open(data) != E_OK) {
        bad("key",
            "%s/key cannot be used (see the line in the log): it must be there, 32 bytes, readable by this user alone (chmod 600)",
            data);
        return false;
    }
    ok("key",
       "the key file is in place. Keep a copy of it with your backups: sealed secrets are lost without it");
    return true;
}

static void look_at_database(void) {
    struct buf problems;
    buf_init(&problems, 1 << 16);
    if (db_check(store_reader(), &problems) == E_OK)
        ok("database", "schema %d, whole%s", migrate_latest(),
           store_is_owner() ? "" : "; a server is running on it");
    else
        bad("database", "it is damaged: " STR_FMT "Stop the server and restore a backup",
            STR_ARG(buf_str(&problems)));
    buf_release(&problems);
    if (account_is_set_up())
        ok("owner", "there is one");
    else
        note("owner", "there is none yet: start the server and open the link that it prints");
    note(
        "backups",
        "this version makes none by itself: stop the server now and then and copy the data folder");
}

/* --- the port
 * -----------------------------------------------------------------------------------------------------------------
 */

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

static void look_at_port(struct str listen, bool a_server_runs) {
    char text[256];
    struct str address = listen.len > 0 ? listen : net_settings.listen;
    snprintf(text, sizeof text, STR_FMT, STR_ARG(address));
    char *colon = strrchr(text, ':');
    int port = colon == NULL ? 0 : atoi(colon + 1);
    if (colon == NULL)
        return bad("port", "%s is not ADDRESS:PORT", text);
    *colon = 0;
    if (port_is_free(text, port))
        ok("port", "%s:%d is free", text, port);
    else if (a_server_runs)
        ok("port", "%s:%d is taken, probably by the server that runs on this data folder", text,
           port);
    else
        bad("port",
            "%s:%d is taken by another program: stop that, or choose another with --listen (ss -ltnp tells who)",
            text, port);
}

/* --- models
 * -----------------------------------------------------------------------------------------------------------------------
 */

struct consultation {
    const struct model *model;
    struct consultation_count *count;
};
struct consultation_count {
    int open;
};

static void on_trial(void *ctx, const struct trial_result *result) {
    struct consultation *consultation = ctx;
    const struct model *model = consultation->model;
    if (result->error.at != NULL)
        bad("model", STR_FMT " (" STR_FMT "): " STR_FMT, STR_ARG(model->name),
            STR_ARG(model->base_url), STR_ARG(result->error));
    else
        ok("model", STR_FMT " (" STR_FMT "): answers after %lld ms, its endpoint has %zu models%s",
           STR_ARG(model->name), STR_ARG(model->base_url), (long long)result->first_token_ms,
           result->model_count,
           result->model_count > 0 && !result->is_listed ? "; this one is not among them" : "");
    if (--consultation->count->open == 0)
        loop_stop(0);
}

static void look_at_models(void) {
    struct consultation consultations[MODELS_LIMIT];
    struct consultation_count count = {0};
    if (model_reload() != E_OK)
        return bad("model", "the models could not be read");
    for (size_t i = 0; count.open < MODELS_LIMIT && model_at(i) != NULL; i++) {
        if (!model_at(i)->is_enabled || str_eq(model_at(i)->provider, STR("understudy")))
            continue;
        consultations[count.open] = (struct consultation){model_at(i), &count};
        trial_start(model_at(i), on_trial, &consultations[count.open]);
        count.open++;
    }
    if (count.open == 0)
        return note("model", "none is connected: the Understudy speaks, and says so");
    loop_run();
}

int doctor_run(const char *data, struct str listen, struct str config_problems) {
    has_failed = false;
    look_at_settings(config_problems);
    look_at_clock();
    bool has_database = look_at_folder(data), is_open = false;
    if (has_database && look_at_key(data)) {
        is_open = store_open(data) == E_OK;
        if (!is_open)
            bad("database",
                "it cannot be opened (see the line in the log). Restore a backup, or run the version of the program that made it");
    }
    if (access(data, F_OK) == 0)
        look_at_disk(data);
    look_at_port(listen, is_open && !store_is_owner());
    if (is_open) {
        loop_init();
        mailbox_init();
        pool_init(1);
        look_at_database();
        look_at_models();
        store_close();
    }
    puts(has_failed ? "\nSomething needs attention: see the lines that say FAIL."
                    : "\nAll is well.");
    return has_failed ? 1 : 0;
}
