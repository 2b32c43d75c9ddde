/*
 * The pool: a few threads for work that would hold up the loop.
 *
 * One queue in the order of arrival; a thread takes the first job whose kind is not at its limit.
 * Threads are started when a job finds none idle, so a server that never hashes a password never
 * starts one (each costs a stack). They then stay.
 *
 * Kinds of the background share one thread, apart from the others and nice, so that however much of
 * it there is, an answer has every other thread and nearly all of the processor. Kinds that wait for
 * a machine elsewhere (a mail relay) share another: one that stalls holds up nothing else.
 *
 * Why not libuv's pool: it has one queue for everything (a burst of sign-ins would stop file
 * reads), no limits by kind, and its threads are shared with DNS look-ups.
 *
 * Invariants: `lock` guards the queue, the counts of kinds and the state of jobs. done comes
 * exactly once, on the loop, also for jobs that were cancelled or never began because the pool was
 * released. The queue of a kind is bounded, so the scan for a runnable job is bounded by the sum of
 * the limits.
 */
#include "loop/pool.h"

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/mailbox.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/banned.h"

#define THREAD_LIMIT 64
#define STACK_BYTES \
    (1 << 20) /* image decoders and SQLite need 100 to 300 KiB; only touched pages cost */
#define BACKGROUND_NICE   10 /* a tenth of the processor when others want it, all of it when not */
#define JOB_MAGIC         0x4a4f4221u
#define QUEUE_LIMIT_USUAL 256 /* of a kind that does not say */

METRIC_COUNTER(jobs_run, "troupe_pool_jobs_total", "Jobs that ran on the pool.");
METRIC_COUNTER(jobs_refused, "troupe_pool_refused_total",
               "Jobs refused because the queue of their kind was full.");

struct pool_job {
    uint32_t magic;
    struct list node; /* in pool.queue while waiting */
    struct pool_kind *kind;
    pool_work_fn work;
    pool_done_fn done;
    void *ctx;
    enum err err;
    struct mail mail;
};

enum lane_name { WORK, BACKGROUND, PATIENT, LANES };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work_came;
    struct list queue;
    pthread_t threads[THREAD_LIMIT];
    int thread_count, thread_limit, idle_count, waiting_count; /* without the background's */
    struct lane {
        pthread_t thread;
        pthread_cond_t came;
        bool is_running;
    } lanes[LANES]; /* one thread each; WORK has the threads above */
    bool is_open, is_closing;
} pool;

static void *run_thread(void *ctx);
static void *run_background(void *ctx);
static void *run_patient(void *ctx);

static enum lane_name lane_of(const struct pool_kind *kind) {
    return kind->is_background ? BACKGROUND : kind->is_patient ? PATIENT : WORK;
}

/* --- life ------------------------------------------------------------------------------------- */

void pool_init(int threads) {
    BUG_IF(pool.is_open);
    memset(&pool, 0, sizeof(pool));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int limit = threads > 0 ? threads : cores > 2 ? (int)cores : 2;
    pool.thread_limit = limit > THREAD_LIMIT ? THREAD_LIMIT : limit;
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.work_came, NULL);
    for (int i = 0; i < LANES; i++)
        pthread_cond_init(&pool.lanes[i].came, NULL);
    list_init(&pool.queue);
    pool.is_open = true;
}

/* On the loop: the job is over, whoever asked is told. */
static void deliver(void *ctx) {
    struct pool_job *job = ctx;
    MAGIC_CHECK(job, JOB_MAGIC);
    job->done(job->err, job->ctx);
    job->magic = 0;
    free(job);
}

/* Takes a waiting job out; the caller holds the lock. */
static void drop_waiting(struct pool_job *job) {
    list_remove(&job->node);
    pool.waiting_count -= lane_of(job->kind) == WORK;
    job->kind->queued--;
    job->err = E_CANCELLED;
    mailbox_post(&job->mail, deliver, job);
}

void pool_release(void) {
    BUG_IF(!pool.is_open);
    pthread_mutex_lock(&pool.lock);
    pool.is_closing = true;
    LIST_EACH_SAFE(&pool.queue, node)
        drop_waiting(CONTAINER_OF(node, struct pool_job, node));
    pthread_cond_broadcast(&pool.work_came);
    for (int i = 0; i < LANES; i++)
        pthread_cond_signal(&pool.lanes[i].came);
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < pool.thread_count; i++)
        pthread_join(pool.threads[i], NULL);
    for (int i = 0; i < LANES; i++) {
        if (pool.lanes[i].is_running)
            pthread_join(pool.lanes[i].thread, NULL);
        pthread_cond_destroy(&pool.lanes[i].came);
    }
    pthread_cond_destroy(&pool.work_came);
    pthread_mutex_destroy(&pool.lock);
    pool.is_open = false;
}

/* The caller holds the lock. */
static bool start_thread(pthread_t *thread, void *(*run)(void *)) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int result = pthread_create(thread, &attributes, run, NULL);
    pthread_attr_destroy(&attributes);
    if (result != 0)
        log_error("pool", "thread could not be started", LF_Z("reason", strerror(result)));
    return result == 0;
}

/* --- asking ----------------------------------------------------------------------------------- */

static struct pool_job *make_job(struct pool_kind *kind, pool_work_fn work, pool_done_fn done,
                                 void *ctx) {
    struct pool_job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        BUG("out of memory");
    *job =
        (struct pool_job){.magic = JOB_MAGIC, .kind = kind, .work = work, .done = done, .ctx = ctx};
    return job;
}

/* The caller holds the lock. */
static bool has_room(const struct pool_kind *kind) {
    int limit = kind->queue_limit > 0 ? kind->queue_limit : QUEUE_LIMIT_USUAL;
    if (kind->queued >= limit || pool.is_closing)
        return false;
    struct lane *lane = &pool.lanes[lane_of(kind)];
    if (lane_of(kind) != WORK) {
        lane->is_running =
            lane->is_running ||
            start_thread(&lane->thread, kind->is_background ? run_background : run_patient);
        return lane->is_running;
    }
    /* A thread that was called but has not woken yet still counts as idle: compare with what waits.
     */
    if (pool.waiting_count >= pool.idle_count && pool.thread_count < pool.thread_limit)
        pool.thread_count += start_thread(&pool.threads[pool.thread_count], run_thread);
    return pool.thread_count > 0;
}

enum err pool_run(struct pool_kind *kind, pool_work_fn work, pool_done_fn done, void *ctx,
                  struct pool_job **job) {
    BUG_IF(!pool.is_open);
    pthread_mutex_lock(&pool.lock);
    struct pool_job *made = NULL;
    if (has_room(kind)) {
        made = make_job(kind, work, done, ctx);
        list_add_last(&pool.queue, &made->node);
        kind->queued++;
        pool.waiting_count += lane_of(kind) == WORK;
        pthread_cond_signal(lane_of(kind) == WORK ? &pool.work_came
                                                  : &pool.lanes[lane_of(kind)].came);
        if (job != NULL)
            *job = made;
    }
    pthread_mutex_unlock(&pool.lock);
    if (made == NULL)
        metric_add(&jobs_refused, 1);
    return made != NULL ? E_OK : E_BUSY;
}

void pool_cancel(struct pool_job *job) {
    MAGIC_CHECK(job, JOB_MAGIC);
    pthread_mutex_lock(&pool.lock);
    if (list_is_linked(&job->node))
        drop_waiting(job);
    pthread_mutex_unlock(&pool.lock);
}

/* --- working ---------------------------------------------------------------------------------- */

static bool may_run(const struct pool_kind *kind) {
    return kind->running_limit <= 0 || kind->running < kind->running_limit;
}

static struct pool_job *first_runnable(enum lane_name lane) {
    LIST_EACH(&pool.queue, node) {
        struct pool_job *job = CONTAINER_OF(node, struct pool_job, node);
        if (lane_of(job->kind) == lane && may_run(job->kind))
            return job;
    }
    return NULL;
}

/* The caller holds the lock. */
static void begin(struct pool_job *job) {
    list_remove(&job->node);
    job->kind->queued--;
    job->kind->running++;
}

/* Waits for a job and takes it; NULL when the pool closes. The caller holds the lock. */
static struct pool_job *take_job(void) {
    struct pool_job *job;
    while ((job = first_runnable(WORK)) == NULL) {
        if (pool.is_closing)
            return NULL;
        pool.idle_count++;
        pthread_cond_wait(&pool.work_came, &pool.lock);
        pool.idle_count--;
    }
    begin(job);
    pool.waiting_count--;
    /* A finished job may have freed its kind for several that were passed over. */
    if (pool.idle_count > 0 && first_runnable(WORK) != NULL)
        pthread_cond_signal(&pool.work_came);
    return job;
}

/* The same for a lane of one thread; it has nobody to pass work on to. */
static struct pool_job *take_of_lane(enum lane_name lane) {
    struct pool_job *job;
    while ((job = first_runnable(lane)) == NULL) {
        if (pool.is_closing)
            return NULL;
        pthread_cond_wait(&pool.lanes[lane].came, &pool.lock);
    }
    begin(job);
    return job;
}

static struct pool_job *take_background(void) {
    return take_of_lane(BACKGROUND);
}

static struct pool_job *take_patient(void) {
    return take_of_lane(PATIENT);
}

static void run(struct pool_job *(*take)(void)) {
    pthread_mutex_lock(&pool.lock);
    for (struct pool_job *job; (job = take()) != NULL;) {
        struct pool_kind *kind = job->kind;
        pthread_mutex_unlock(&pool.lock);
        job->work(job->ctx);
        metric_add(&jobs_run, 1);
        pthread_mutex_lock(&pool.lock);
        kind->running--; /* before done: whoever is told may look */
        job->err = E_OK;
        mailbox_post(&job->mail, deliver, job);
    }
    pthread_mutex_unlock(&pool.lock);
}

static void *run_thread(void *ctx) {
    (void)ctx;
    run(take_job);
    return NULL;
}

/* On Linux 0 means this thread, not the whole process; the kernel ends the scale at 19. */
static void *run_background(void *ctx) {
    (void)ctx;
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + BACKGROUND_NICE);
    run(take_background);
    return NULL;
}

static void *run_patient(void *ctx) {
    (void)ctx;
    run(take_patient);
    return NULL;
}
