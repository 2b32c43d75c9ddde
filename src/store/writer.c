/*
 * The writer: one thread, one writing connection, group commit.
 *
 * What the loop asks for during a turn is collected and handed over at the end of the turn (a hook
 * of the loop), so the writer wakes once and finds all of it. It runs everything that waits inside
 * one transaction, a savepoint each; when only one waits, the transaction itself is its savepoint.
 * One fdatasync then serves them all, and nobody waits for a timer: while one batch is at the disk,
 * the next one gathers by itself.
 *
 * Durable means: COMMIT with synchronous=FULL has returned, so the log was synced, before any
 * completion is posted. The completions of a batch travel in one mail and run in the order of the
 * calls.
 *
 * A savepoint is not free: SQLite copies every page that a function touches after it, and tells
 * every full-text index, which then writes what it has gathered. For a message among thirty that
 * was more than a tenth of all it cost; so a function that cannot fail half-way does without
 * (store_write_sure).
 *
 * A function that fails is rolled back alone. A failure that ends the transaction (disk full, I/O
 * error, failed COMMIT) fails every function of the batch with E_STORAGE: nothing of it is stored.
 *
 * Invariants: only this thread uses `db`. `lock` guards the queue; what the loop has collected is
 * the loop thread's alone.
 */
#include "store/writer.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/mailbox.h"
#include "store/db_inside.h"
#include "store/store.h"
#include "store/wal.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"

#define SLACK_WAIT_MS 1000   /* the house has gone quiet */
#define SLICE_NS      100000 /* the shortest there is; a message needs as long */

METRIC_COUNTER(commits, "troupe_store_commits_total", "Transactions committed.");
METRIC_COUNTER(writes, "troupe_store_writes_total", "Write functions run.");
METRIC_COUNTER(failures, "troupe_store_failures_total",
               "Batches that the disk or the database refused.");
METRIC_HISTOGRAM(commit_time, "troupe_store_commit_seconds", "Time of COMMIT, with its sync.");

struct tx {
    struct db *db;
    bool overwrites; /* freed pages, until the end of this function */
};

struct waiter { /* of store_write_and_wait */
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    enum err err;
};

struct write {
    struct write *next;
    store_write_fn fn;
    store_done_fn done;
    void *ctx;
    enum err err;
    bool is_sure;          /* fails only before its first change */
    struct waiter *waiter; /* or NULL: then the result goes by mail */
    struct mail mail;      /* used of the first of a batch */
};

struct queue {
    struct write *first;
    struct write **end;
};

enum control { BEGIN, COMMIT, ROLLBACK, SAVE, RELEASE, UNDO, CONTROL_COUNT };

static const char *const control_sql[CONTROL_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE", [COMMIT] = "COMMIT",       [ROLLBACK] = "ROLLBACK",
    [SAVE] = "SAVEPOINT one",    [RELEASE] = "RELEASE one", [UNDO] = "ROLLBACK TO one",
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    pthread_t thread;
    struct queue queue;     /* under lock */
    bool is_asleep;         /* under lock: the thread waits for a signal */
    bool is_closing;        /* under lock */
    struct queue collected; /* the loop thread's: asked for during this turn */
    bool is_open;           /* written while no thread runs */
    bool has_ended;         /* likewise: it was open once */

    struct db *db;
    void (*give_back)(void);
    bool has_slack; /* something ran since memory was last given back */
    sqlite3_stmt *control[CONTROL_COUNT];
} writer;

/* Outlive the thread, so that they can be asked for at any time. */
static _Atomic int64_t commit_count, write_count, statement_count;
static _Atomic bool has_failed;

struct db *tx_db(struct tx *tx) {
    return tx->db;
}

bool store_is_ready(void) {
    return writer.is_open && !atomic_load(&has_failed);
}

struct store_cost store_cost(void) {
    return (struct store_cost){.commits = atomic_load(&commit_count),
                               .writes = atomic_load(&write_count),
                               .statements = atomic_load(&statement_count)};
}

/* --- asking ----------------------------------------------------------------------------------- */

static void queue_clear(struct queue *queue) {
    queue->first = NULL;
    queue->end = &queue->first;
}

static void queue_add(struct queue *queue, struct write *write) {
    *queue->end = write;
    queue->end = &write->next;
}

static void queue_move(struct queue *to, struct queue *from) {
    if (from->first == NULL)
        return;
    *to->end = from->first;
    to->end = from->end;
    queue_clear(from);
}

/* Hands over what waits in `from` and wakes the writer if it sleeps. */
static void hand_over(struct queue *from) {
    if (from->first == NULL)
        return;
    pthread_mutex_lock(&writer.lock);
    queue_move(&writer.queue, from);
    bool is_asleep = writer.is_asleep;
    writer.is_asleep = false;
    pthread_mutex_unlock(&writer.lock);
    if (is_asleep)
        pthread_cond_signal(&writer.came);
}

static void turn_ended(void *ctx) {
    (void)ctx;
    if (writer.is_open)
        hand_over(&writer.collected);
}

static struct write *make_write(store_write_fn fn, store_done_fn done, void *ctx) {
    BUG_IF(!writer.is_open && !writer.has_ended);
    struct write *write = calloc(1, sizeof(*write));
    if (write == NULL)
        BUG("out of memory");
    *write = (struct write){.fn = fn, .done = done, .ctx = ctx};
    return write;
}

static void deliver(void *ctx);

/* After the end: what the last completions ask for is not done, and they are told. */
static void refuse(struct write *write) {
    write->err = E_CANCELLED;
    mailbox_post(&write->mail, deliver, write);
}

static void hand_over_one(struct write *write) {
    struct queue one;
    queue_clear(&one);
    queue_add(&one, write);
    hand_over(&one);
}

static void ask(struct write *write) {
    if (writer.has_ended)
        refuse(write);
    else if (loop_is_thread())
        queue_add(&writer.collected, write);
    else
        hand_over_one(write);
}

void store_write(store_write_fn fn, store_done_fn done, void *ctx) {
    ask(make_write(fn, done, ctx));
}

void store_write_sure(store_write_fn fn, store_done_fn done, void *ctx) {
    struct write *write = make_write(fn, done, ctx);
    write->is_sure = true;
    ask(write);
}

enum err store_write_and_wait(store_write_fn fn, void *ctx) {
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    BUG_IF(!writer.is_open);
    struct write *write = make_write(fn, NULL, ctx);
    write->waiter = &waiter;
    if (loop_is_thread()) /* at start, before the loop runs: what was asked for earlier goes first
                           */
        hand_over(&writer.collected);
    hand_over_one(write);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.is_done)
        pthread_cond_wait(&waiter.done, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    return waiter.err;
}

/* --- answering -------------------------------------------------------------------------------- */

static void tell_waiter(struct write *write) {
    struct waiter *waiter = write->waiter;
    pthread_mutex_lock(&waiter->lock);
    waiter->err = write->err;
    waiter->is_done = true;
    pthread_cond_signal(
        &waiter->done); /* inside the lock: the waiter's stack is gone as soon as it is free */
    pthread_mutex_unlock(&waiter->lock);
    free(write);
}

/* On the loop. */
static void deliver(void *ctx) {
    for (struct write *write = ctx, *next; write != NULL; write = next) {
        next = write->next;
        if (write->done != NULL)
            write->done(write->err, write->ctx);
        free(write);
    }
}

static void answer(struct write *batch) {
    struct queue mail;
    queue_clear(&mail);
    for (struct write *write = batch, *next; write != NULL; write = next) {
        next = write->next;
        write->next = NULL;
        if (write->waiter != NULL)
            tell_waiter(write);
        else
            queue_add(&mail, write);
    }
    if (mail.first != NULL)
        mailbox_post(&mail.first->mail, deliver, mail.first);
}

/* --- one batch -------------------------------------------------------------------------------- */

static int control(enum control which) {
    sqlite3_step(writer.control[which]);
    return sqlite3_reset(writer.control[which]);
}

static bool in_transaction(void) {
    return !sqlite3_get_autocommit(writer.db->sqlite);
}

/* Usually freed pages keep their bytes until they are used again (db.c: secure_delete). */
void tx_overwrite_freed(struct tx *tx, bool and_log) {
    if (and_log)
        wal_must_be_emptied();
    tx->overwrites =
        db_script(tx->db, "PRAGMA secure_delete = ON", "overwriting freed pages") == E_OK;
}

static void stop_overwriting(struct tx *tx) {
    if (tx->overwrites &&
        db_script(tx->db, "PRAGMA secure_delete = FAST", "overwriting no more") != E_OK)
        log_warn("store", "freed pages go on being overwritten");
}

/* Without a savepoint. One that fails half-way after all takes the batch with it. */
static void run_sure(struct write *write) {
    struct tx tx = {writer.db};
    int64_t changes = sqlite3_total_changes64(writer.db->sqlite);
    write->err = write->fn(&tx, write->ctx);
    stop_overwriting(&tx);
    if (write->err == E_OK || !in_transaction() ||
        sqlite3_total_changes64(writer.db->sqlite) == changes)
        return;
    log_error("store", "a write that was sure failed half-way",
              LF_Z("error", err_word(write->err)));
    control(ROLLBACK);
}

static void run_one(struct write *write, bool is_alone) {
    struct tx tx = {writer.db};
    if (write->is_sure && !is_alone)
        return run_sure(write);
    if (!is_alone && control(SAVE) != SQLITE_OK) {
        write->err = E_STORAGE;
        return;
    }
    write->err = write->fn(&tx, write->ctx);
    stop_overwriting(&tx);
    if (!in_transaction() || is_alone)
        return; /* the caller rolls back the whole */
    if ((write->err != E_OK && control(UNDO) != SQLITE_OK) || control(RELEASE) != SQLITE_OK)
        control(ROLLBACK); /* what is half done cannot be told apart any more: the batch fails */
}

/* Runs the functions; false when the transaction was ended by a failure of the disk. */
static bool run_all(struct write *batch) {
    bool is_alone = batch->next == NULL;
    int64_t count = 0;
    for (struct write *write = batch; write != NULL && in_transaction();
         write = write->next, count++)
        run_one(write, is_alone);
    atomic_fetch_add(&write_count, count);
    metric_add(&writes, count);
    if (in_transaction() && is_alone && batch->err != E_OK)
        return control(ROLLBACK) == SQLITE_OK;
    return in_transaction();
}

static bool commit(void) {
    if (!in_transaction()) /* rolled back: one function, that failed */
        return true;
    int64_t began_us = clock_mono_us();
    int result = control(COMMIT);
    metric_observe_us(&commit_time, clock_mono_us() - began_us);
    if (result != SQLITE_OK) {
        db_failed(writer.db, result, "commit");
        return false;
    }
    metric_add(&commits, 1);
    atomic_fetch_add(&commit_count, 1);
    return true;
}

static void fail_all(struct write *batch, enum err err) {
    if (in_transaction())
        control(ROLLBACK);
    for (struct write *write = batch; write != NULL; write = write->next)
        write->err = err;
    metric_add(&failures, 1);
}

static bool has_storage_error(const struct write *batch) {
    for (; batch != NULL; batch = batch->next)
        if (batch->err == E_STORAGE)
            return true;
    return false;
}

static void run_batch(struct write *batch) {
    int result = control(BEGIN);
    if (result != SQLITE_OK)
        fail_all(batch, db_failed(writer.db, result, "begin"));
    else if (!run_all(batch) || !commit())
        fail_all(batch, E_STORAGE);
    atomic_store(&has_failed, has_storage_error(batch));
    atomic_store(&statement_count, writer.db->statements_run);
    answer(batch);
}

/* --- idle ------------------------------------------------------------------------------------- */

/* How long nothing must have come before do_idle_work() is called; 0 when it has nothing to do. */
static int64_t idle_wait_ms(void) {
    int64_t wait_ms = wal_wait_ms();
    return wait_ms != 0 ? wait_ms : writer.has_slack ? SLACK_WAIT_MS : 0;
}

/* What a busy moment needed and an idle house does not: pages in SQLite's cache, free heap of every
 * thread (2 MB after a set-up). */
static void give_back_memory(void) {
    if (writer.give_back != NULL)
        writer.give_back();
    sqlite3_db_release_memory(writer.db->sqlite);
    malloc_trim(0);
    writer.has_slack = false;
}

static void do_idle_work(void) {
    if (wal_wait_ms() != 0)
        wal_do_work();
    else
        give_back_memory();
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Sleeps until something comes; false when nothing came within the time. The caller holds the lock.
 */
static bool sleep_for(int64_t wait_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (writer.queue.first == NULL && !writer.is_closing) {
        writer.is_asleep = true;
        int result = wait_ms > 0 ? pthread_cond_timedwait(&writer.came, &writer.lock, &until)
                                 : pthread_cond_wait(&writer.came, &writer.lock);
        if (result == ETIMEDOUT)
            break;
    }
    writer.is_asleep = false;
    return writer.queue.first != NULL || writer.is_closing;
}

/* The next batch; NULL when the writer closes and nothing is left. */
static struct write *next_batch(void) {
    pthread_mutex_lock(&writer.lock);
    while (!sleep_for(idle_wait_ms())) {
        pthread_mutex_unlock(&writer.lock);
        do_idle_work();
        pthread_mutex_lock(&writer.lock);
    }
    struct write *batch = writer.queue.first;
    queue_clear(&writer.queue);
    pthread_mutex_unlock(&writer.lock);
    return batch;
}

/* Asks the kernel for short slices (Linux 6.12; older ones and some containers take no notice): then a
 * writer that is woken goes before the loop, which has been running for longer and may share its
 * core, and the message is on its way to the disk while the loop recalls. */
static void ask_for_short_slices(void) {
    struct { /* struct sched_attr of sched_setattr(2), which Debian 12's C library does not know */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } wanted = {.size = sizeof wanted,
                .policy = SCHED_OTHER,
                .nice = getpriority(PRIO_PROCESS, 0),
                .runtime_ns = SLICE_NS};
    (void)syscall(SYS_sched_setattr, 0, &wanted, 0);
}

static void *run_thread(void *ctx) {
    (void)ctx;
    ask_for_short_slices();
    for (struct write *batch; (batch = next_batch()) != NULL;) {
        run_batch(batch);
        writer.has_slack = true;
        wal_committed();
    }
    return NULL;
}

void writer_start(struct db *db, bool may_checkpoint, bool must_empty_log,
                  void (*give_back)(void)) {
    BUG_IF(writer.is_open);
    memset(&writer, 0, sizeof(writer));
    writer.db = db;
    writer.give_back = give_back;
    wal_start(db, may_checkpoint, must_empty_log);
    atomic_store(&has_failed, false);
    queue_clear(&writer.queue);
    queue_clear(&writer.collected);
    for (int i = 0; i < CONTROL_COUNT; i++)
        if (sqlite3_prepare_v3(db->sqlite, control_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &writer.control[i], NULL) != SQLITE_OK)
            BUG("%s: %s", control_sql[i], sqlite3_errmsg(db->sqlite));
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.came, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&writer.lock, NULL);
    writer.is_open = true;
    if (pthread_create(&writer.thread, NULL, run_thread, NULL) != 0)
        BUG("the writer thread could not be started");
    if (loop_is_thread())
        loop_after_turn(turn_ended, NULL);
}

void writer_stop(void) {
    BUG_IF(!writer.is_open);
    hand_over(&writer.collected);
    pthread_mutex_lock(&writer.lock);
    writer.is_closing = true;
    pthread_cond_signal(&writer.came);
    pthread_mutex_unlock(&writer.lock);
    pthread_join(writer.thread, NULL);
    writer.is_open = false;
    writer.has_ended = true;
    for (int i = 0; i < CONTROL_COUNT; i++)
        sqlite3_finalize(writer.control[i]);
    pthread_cond_destroy(&writer.came);
    pthread_mutex_destroy(&writer.lock);
}
