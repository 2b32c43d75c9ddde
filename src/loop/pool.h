/*
 * CPU work off the loop: Argon2, embedding, image decoding, big scans. A fixed number of threads, a
 * bounded queue, results back on the loop.
 *
 * Kinds of work are limited apart (at most `limit` of a kind run at once), so that a flood of
 * sign-ins cannot hold every thread.
 */
#pragma once

#include "base/err.h"
#include "loop/loop.h"

struct pool_kind {
    const char *name;
    int running_limit;   /* at most this many at once; 0 for as many as there are threads */
    int queue_limit;     /* more are refused with E_BUSY */
    bool is_background;  /* nobody waits for it: has one thread of its own, at low priority */
    bool is_patient;     /* waits for a machine elsewhere, not for the processor: one thread too */
    int running, queued; /* the pool's */
};

struct pool_job;
typedef void (*pool_work_fn)(void *ctx); /* on a pool thread */
typedef void (*pool_done_fn)(enum err err,
                             void *ctx); /* on the loop: E_OK, or E_CANCELLED when it never ran */

void pool_init(int threads); /* threads start when first needed; 0: number of cores, at least 2 */
void pool_release(void);     /* waits for what runs */
/* Queues; *job (may be NULL) is for pool_cancel and valid until done has run. E_BUSY when the
 * kind's queue is full (done is not called). */
MUST_USE enum err pool_run(struct pool_kind *kind, pool_work_fn work, pool_done_fn done, void *ctx,
                           struct pool_job **job);
/* Asks to drop a job; done still comes exactly once (E_CANCELLED if it had not begun). */
void pool_cancel(struct pool_job *job);
