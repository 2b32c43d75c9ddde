/*
 * The job that makes a person's archive.
 *
 * It runs in steps of some milliseconds on the pool's background thread, with a reading connection
 * only for the length of a step, so that the log of the database can be emptied meanwhile and
 * nobody's search waits. Between two steps the loop tells how far it has come and looks whether
 * somebody wants it to stop.
 *
 * The archive is written to exports/JOB.part, synced, and then renamed to exports/JOB.zip; only after
 * that the row says that it is there. So what is downloaded is whole: a death in between leaves a
 * .part, which the next attempt writes anew from its beginning. The folder is 0700 and the files are
 * 0600. A file whose job no row names any more (the archive was made anew, its day is over, the
 * person is gone) is removed, at once where that happens and by an hourly sweep after a crash.
 */
#include "person/export.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "loop/pool.h"
#include "person/export_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define FOLDER  "exports"
#define STEP_US 50000 /* of the background thread: what others of it wait for */

static struct pool_kind export_kind = {
    .name = "person.export", .running_limit = 1, .queue_limit = 64, .is_background = true};
static struct pool_kind sweep_kind = {
    .name = "person.files", .running_limit = 1, .queue_limit = 64, .is_background = true};

/* --- names ------------------------------------------------------------------------------------ */

static const char *path_of(struct arena *arena, int64_t job_id, const char *ending) {
    return str_printf(arena, "%s/" FOLDER "/%s.%s", store_directory(), id_text(job_id).at, ending)
        .at;
}

const char *export_path(struct arena *arena, int64_t job_id) {
    return path_of(arena, job_id, "zip");
}

static int open_folder(struct arena *arena) {
    const char *path = str_printf(arena, "%s/" FOLDER, store_directory()).at;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* --- making it --------------------------------------------------------------------------------- */

enum err export_order(struct tx *tx, int64_t user_id, int64_t *job_id) {
    enum err err = job_add(tx, EXPORT_JOB, user_id, STR_NONE, 0, job_id);
    return err == E_OK ? export_begin(tx, user_id, *job_id) : err;
}

static void disk_failed(struct export *x, const char *doing) {
    log_error("person", "an archive could not be written", LF_Z("doing", doing),
              LF_Z("reason", strerror(errno)));
    x->err = E_STORAGE;
    x->reason = "the archive could not be written: the disk is full or failing";
}

static bool begin(struct export *x) {
    struct arena *arena = &x->job->arena;
    int folder = open_folder(arena);
    if (folder >= 0)
        close(folder);
    x->fd = open(path_of(arena, x->job->id, "part"),
                 O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (x->fd < 0)
        disk_failed(x, "opening");
    else
        x->zip = zip_new(x->fd, x->began_at);
    return x->fd >= 0;
}

/* Whole and on disk under its name, before anybody is told. */
static void publish(struct export *x) {
    struct arena *arena = &x->job->arena;
    int folder = open_folder(arena);
    if (folder < 0 || fsync(x->fd) != 0 ||
        rename(path_of(arena, x->job->id, "part"), export_path(arena, x->job->id)) != 0 ||
        fsync(folder) != 0)
        disk_failed(x, "publishing");
    if (folder >= 0)
        close(folder);
}

static void pool_step(void *ctx) {
    struct export *x = ctx;
    int64_t until_us = clock_mono_us() + STEP_US;
    struct db *db = x->zip != NULL || begin(x) ? pool_reader_open() : NULL;
    bool more = db != NULL;
    while (more && clock_mono_us() < until_us)
        more = export_step(x, db);
    if (db == NULL && x->err == E_OK)
        x->err = E_STORAGE;
    pool_reader_close(db);
    x->is_written = !more && x->err == E_OK;
    if (x->is_written)
        publish(x);
}

static void remove_files(struct export *x) {
    unlink(path_of(&x->job->arena, x->job->id, "part"));
    unlink(export_path(&x->job->arena, x->job->id));
}

/* Everything of the archive but its job goes; what failed leaves no file. */
static void finish(struct export *x, enum err err) {
    zip_free(x->zip);
    buf_release(&x->buf);
    if (x->fd >= 0)
        close(x->fd);
    if (err != E_OK)
        remove_files(x);
    else
        log_info("person", "an archive was made", LF_ID("user", x->user_id),
                 LF_INT("bytes", x->bytes), LF_INT("ms", clock_now_ms() - x->began_at));
    job_finish(x->job, err, x->reason);
}

static enum err writer_made(struct tx *tx, void *ctx) {
    const struct export *x = ctx;
    int64_t now = clock_now_ms();
    return export_made(tx, &(struct export_row){.job_id = x->job->id,
                                                .bytes = x->bytes,
                                                .made_at = now,
                                                .expires_at = now + EXPORT_KEPT_MS});
}

static void on_made(enum err err, void *ctx) {
    struct export *x = ctx;
    x->reason = err == E_ABSENT ? "nobody waits for it any more" : NULL;
    finish(x, err);
}

static void step(struct export *x);

static void on_step(enum err err, void *ctx) {
    struct export *x = ctx;
    if (err == E_OK)
        err = x->err;
    if (err == E_OK && x->job->is_cancelled)
        err = E_CANCELLED;
    if (err != E_OK)
        return finish(x, err);
    job_progress(x->job, x->done, x->total);
    if (x->is_written)
        store_write(writer_made, on_made, x);
    else
        step(x);
}

static void step(struct export *x) {
    if (pool_run(&export_kind, pool_step, on_step, x, NULL) != E_OK)
        finish(x, E_BUSY);
}

void export_run(struct job *job) {
    struct export *x = ARENA_NEW(&job->arena, struct export);
    *x = (struct export){.job = job, .user_id = job->user_id, .began_at = clock_now_ms(), .fd = -1};
    buf_init(&x->buf, EXPORT_BUF_BYTES);
    step(x);
}

/* --- files that are over ------------------------------------------------------------------------ */

struct sweep {
    store_done_fn done;
    void *ctx;
    enum err err;
    struct arena arena;
};

/* "0fz4k3v8m2c1a.zip": whose is it? 0: what has another name is not ours. */
static int64_t job_of(struct str name) {
    int64_t job_id = 0;
    bool is_ours = name.len > ID_TEXT_LEN && name.at[ID_TEXT_LEN] == '.' &&
                   id_parse(str_slice(name, 0, ID_TEXT_LEN), &job_id) == E_OK;
    return is_ours ? job_id : 0;
}

/* A job's row is there before its file is, and a job that is gone does not come back: what is not
 * known after its file was seen may go. */
static void remove_unknown(int folder, DIR *entries, struct db *db) {
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        int64_t job_id = job_of(str_from(entry->d_name));
        if (job_id != 0 && !export_is_known(db, job_id))
            unlinkat(folder, entry->d_name, 0);
    }
}

static void pool_sweep(void *ctx) {
    struct sweep *sweep = ctx;
    struct db *db = pool_reader_open();
    int folder = open_folder(&sweep->arena);
    DIR *entries = folder >= 0 ? fdopendir(folder) : NULL;
    if (db == NULL || entries == NULL)
        sweep->err = E_STORAGE;
    else
        remove_unknown(folder, entries, db);
    if (entries != NULL)
        closedir(entries); /* and the folder */
    else if (folder >= 0)
        close(folder);
    pool_reader_close(db);
}

static void sweep_over(struct sweep *sweep, enum err err) {
    sweep->done(err, sweep->ctx);
    arena_release(&sweep->arena);
    free(sweep);
}

static void on_files_swept(enum err err, void *ctx) {
    struct sweep *sweep = ctx;
    sweep_over(sweep, err != E_OK ? err : sweep->err);
}

static enum err writer_expire(struct tx *tx, void *ctx) {
    (void)ctx;
    return export_remove_expired(tx, clock_now_ms());
}

static void on_expired(enum err err, void *ctx) {
    struct sweep *sweep = ctx;
    if (err != E_OK || pool_run(&sweep_kind, pool_sweep, on_files_swept, sweep, NULL) != E_OK)
        sweep_over(sweep, err != E_OK ? err : E_BUSY);
}

void export_sweep(store_done_fn done, void *ctx) {
    struct sweep *sweep = calloc(1, sizeof *sweep);
    BUG_IF(sweep == NULL);
    sweep->done = done;
    sweep->ctx = ctx;
    arena_init(&sweep->arena);
    store_write(writer_expire, on_expired, sweep);
}
