/*
 * What the files of jobs know of each other, and nobody else does.
 *
 *   job.c          kinds, the bell, the look at the table from the loop's side; start and drain
 *   job_take.c     the writer's side of a look: leases, and what is due
 *   job_end.c      progress, and what becomes of a job that has ended
 *   job_control.c  what people do with a job: again, and no more
 *   job_list.c     jobs as rows; nothing there changes one
 *   job_batches.c  a job that is many writes
 *
 * A struct run belongs to the writer from the moment it is made until the look that took it has come
 * back, then to the loop, save while its end is being stored.
 */
#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "store/job.h"

#define JOB_KIND_LIMIT     64
#define JOB_LEASE_USUAL_MS 60000
#define JOB_RUN_MAGIC      0x52554e21u

struct kind {
    const struct job_kind *row;
    int running; /* never more than its limit */
};

/* One job under way. */
struct run {
    struct job job; /* what the kind sees */
    uint32_t magic;
    struct list node; /* in jobs.running, or in a list of a look */
    struct kind *kind;
    bool is_unwanted; /* somebody asked job_cancel */
    bool has_ended;
    int64_t progress_at_ms, done, total; /* what it said last, and when */
    enum err err;                        /* how it ended */
    const char *reason;
    int64_t run_at_ms; /* when it comes again */
    const char *state; /* its row's next state */
    int attempts;      /* likewise */
};

/* One look at the table: a snapshot goes to the writer, what was taken comes back. */
struct look {
    int64_t now_ms;
    int free[JOB_KIND_LIMIT];
    int64_t *mine; /* ids that run here */
    size_t mine_count;
    struct list taken;
    struct list buried; /* they are dead now */
    int64_t next_ms;    /* 0: nothing is waiting */
};

/* The loop's, all of it. */
struct jobs {
    struct kind kinds[JOB_KIND_LIMIT];
    int kind_count;
    struct list running;
    struct timer timer;
    struct timer standing_timer; /* until the standing jobs are written */
    int64_t next_ms;             /* what the timer waits for; 0 for nothing */
    uint64_t seed;               /* of the jitter; 0: none */
    bool is_looking, look_again, is_draining;
};
extern struct jobs jobs;

/* --- job.c -------------------------------------------------------------------------------------- */

struct kind *job_kind_find(struct str name); /* NULL: no such kind */
int64_t job_lease_ms(const struct job_kind *kind);
int job_attempts_limit(const struct job_kind *kind);
struct run *job_run_of(struct job *job);
void job_run_drop(struct run *run); /* off its list, and freed */
void job_look(void);                /* at the table: now, or after the look that is under way */
void job_wait_until(int64_t at_ms); /* looks then, or earlier */
void job_ring(int64_t due_ms);      /* from the writer: there is something for then */
/* To the person whose job it is, if it is somebody's; of the house's jobs nobody is told. */
void job_tell(const struct job_event *event);

/* --- job_take.c --------------------------------------------------------------------------------- */

MUST_USE enum err writer_job_look(struct tx *tx, void *look); /* a store_write_fn */

/* --- job_end.c ---------------------------------------------------------------------------------- */

/* It was begun too often and never ended; its row says so. */
void job_tell_buried(const struct run *run);
