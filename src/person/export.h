/*
 * Everything about a person in one archive, made by a durable job, kept for a day. export.c runs it,
 * export_write.c says what stands in it.
 */
#pragma once

#include "base/zip.h"
#include "store/job.h"

#define EXPORT_JOB     "person.export"
#define EXPORT_KEPT_MS ((int64_t)24 * 3600 * 1000)
#define EXPORT_BUF_BYTES \
    ((size_t)128         \
     << 20) /* what is written as JSON at once: far above one message or one version of a card */

/* Inside a write: a job that makes the archive anew. */
MUST_USE enum err export_order(struct tx *tx, int64_t user_id, int64_t *job_id);
/* The whole archive of this job: a path in `arena`. */
const char *export_path(struct arena *arena, int64_t job_id);
/* Archives that nobody may download any more go: files of jobs that no row names. done on the loop,
 * later. */
void export_sweep(store_done_fn done, void *ctx);
void export_run(struct job *job); /* the job's run() */

/* --- for export.c and export_write.c ------------------------------------------------------------ */

/* One archive under way. Made on the loop, filled by pool threads, one step after another. */
struct export {
    struct job *job;
    int64_t user_id, began_at;
    int fd;
    struct zip *zip;
    enum err err;
    const char *reason; /* of the error, for a person */
    int64_t bytes;
    bool is_written; /* the archive is whole, under its name */
    /* what the steps know of each other */
    size_t stage, at; /* the stage, and how many of its things are done */
    int64_t after;    /* of the conversation under way: its messages up to this one are written */
    bool is_begun;
    struct buf buf; /* what is written as JSON and not yet in the archive */
    struct json json;
    int64_t *characters, *conversations; /* the job's arena */
    size_t character_count, conversation_count;
    struct str *pictures;
    size_t picture_count;
    int64_t done, total;
};

/* Does a piece of some milliseconds. False: there is no more to do, or x->err. */
bool export_step(struct export *x, struct db *db);
