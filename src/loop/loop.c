/*
 * The loop: libuv below, three things of our own above it.
 *
 * 1. The end of a turn. A uv_prepare handle runs right before the loop goes to wait, after every
 * callback of the turn: sockets, mail, children. There, in this order: timers that are due, what
 * loop_later() queued, the after-turn hooks. So whatever a turn caused to be written leaves
 * together, once, and nothing waits in a queue while the process sleeps. What loop_later() gets
 * from a hook or from another later-function runs in the next turn, which then does not wait:
 * nobody can starve the sockets.
 *
 * 2. Timers. A binary heap of the callers' structs, ordered by the moment they are due; one libuv
 * timer wakes the loop for the first. It is armed once per turn, not per change. When tests move
 * the clock (TROUPE_TEST_CLOCK), a sleeping loop would not notice, so then it looks at least every
 * TEST_TICK_MS.
 *
 * 3. The stop. RUNNING -> loop_stop() -> DRAINING: hooks tell the features to take no new work; the
 * loop goes on until everybody who called loop_hold() has let go, or the grace is over -> STOPPED:
 * hooks newest first, then the loop turns on as long as something is under way (last bytes of an
 * answer, closing handles), at most FLUSH_LIMIT_MS. Then every handle is closed.
 *
 * loop_stop() does nothing but store two numbers and wake the loop, so it may be called anywhere, a
 * signal handler included.
 *
 * Invariants: everything here but loop_stop() is for the loop's thread; a callback never runs
 * inside the call that asked for it. Not here: sockets (net, fetch), threads (pool), messages from
 * other threads (mailbox).
 */
#include "loop/loop.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/banned.h"

#define FLUSH_LIMIT_MS 1000 /* a peer that has not taken its last bytes by then does not read */
#define TEST_TICK_MS   5    /* how soon a moved test clock is noticed */
#define HOOK_LIMIT     32   /* modules that register; each does once, at start */
#define NO_GRACE       INT64_MIN

struct call {
    loop_fn fn;
    void *ctx;
};

struct hooks {
    struct call at[HOOK_LIMIT];
    int count;
};

struct calls { /* grows to the most that one turn ever queued */
    struct call *at;
    size_t count, room;
};

static struct {
    bool is_ready;
    uv_loop_t uv;
    uv_prepare_t turn_end;
    uv_idle_t hurry;     /* active: the next turn must not wait */
    uv_timer_t alarm;    /* wakes the loop for the first timer */
    uv_async_t stop_ask; /* wakes the loop for loop_stop */
    uv_signal_t signals[3];
    bool has_signals;
    pthread_t thread;
    enum loop_phase phase;
    bool is_turning;
    int64_t drain_ends_us;
    _Atomic int64_t grace_ms; /* asked for by loop_stop; NO_GRACE while nobody did */
    int64_t signal_grace_ms;
    struct call on_hangup;
    int holds;
    bool has_test_clock;
    struct hooks on_drain, on_stopped, after_turn;
    struct calls later, running;
    struct timer **heap;
    uint32_t timer_count, timer_room;
    uint64_t alarm_us; /* what the alarm is set to; 0 for not at all */
} loop;

static void turn_end(uv_prepare_t *handle);
static void stop_asked(uv_async_t *handle);

/* The alarm and the hurry only end the wait; what is due is found at the end of the turn. */
static void alarm_rang(uv_timer_t *handle) {
    (void)handle;
}

static void hurried(uv_idle_t *handle) {
    (void)handle;
}

/* --- life ------------------------------------------------------------------------------------- */

void loop_init(void) {
    BUG_IF(loop.is_ready);
    memset(&loop, 0, sizeof(loop));
    atomic_store(&loop.grace_ms, NO_GRACE);
    loop.thread = pthread_self();
    const char *test_clock = getenv("TROUPE_TEST_CLOCK");
    loop.has_test_clock = test_clock != NULL && *test_clock != 0;
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error code, not an end */
    BUG_IF(uv_loop_init(&loop.uv) != 0);
    BUG_IF(uv_prepare_init(&loop.uv, &loop.turn_end) != 0);
    BUG_IF(uv_prepare_start(&loop.turn_end, turn_end) != 0);
    BUG_IF(uv_idle_init(&loop.uv, &loop.hurry) != 0);
    BUG_IF(uv_timer_init(&loop.uv, &loop.alarm) != 0);
    BUG_IF(uv_async_init(&loop.uv, &loop.stop_ask, stop_asked) != 0);
    /* Only turn_end keeps the loop alive by itself, see others_alive(). */
    uv_unref((uv_handle_t *)&loop.hurry);
    uv_unref((uv_handle_t *)&loop.alarm);
    uv_unref((uv_handle_t *)&loop.stop_ask);
    loop.is_ready = true;
}

static void close_handle(uv_handle_t *handle, void *ctx) {
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_everything(void) {
    uv_walk(&loop.uv, close_handle, NULL);
    while (uv_run(&loop.uv, UV_RUN_DEFAULT) != 0)
        ;
}

void loop_release(void) {
    BUG_IF(!loop.is_ready);
    close_everything();
    BUG_IF(uv_loop_close(&loop.uv) != 0);
    free(loop.later.at);
    free(loop.running.at);
    free(loop.heap);
    memset(&loop, 0, sizeof(loop));
}

struct uv_loop_s *loop_uv(void) {
    return loop.is_ready ? &loop.uv : NULL;
}

bool loop_is_thread(void) {
    return loop.is_ready && pthread_equal(loop.thread, pthread_self());
}

enum loop_phase loop_phase(void) {
    return loop.phase;
}

bool loop_is_turning(void) {
    return loop.is_turning;
}

/* --- hooks and later -------------------------------------------------------------------------- */

static void add_hook(struct hooks *hooks, loop_fn fn, void *ctx) {
    for (int i = 0; i < hooks->count; i++)
        if (hooks->at[i].fn == fn && hooks->at[i].ctx == ctx)
            return;
    BUG_IF(hooks->count == HOOK_LIMIT);
    hooks->at[hooks->count++] = (struct call){fn, ctx};
}

static void run_hooks(const struct hooks *hooks) {
    for (int i = 0; i < hooks->count; i++)
        hooks->at[i].fn(hooks->at[i].ctx);
}

void loop_on_drain(loop_fn fn, void *ctx) {
    add_hook(&loop.on_drain, fn, ctx);
}

void loop_on_stopped(loop_fn fn, void *ctx) {
    add_hook(&loop.on_stopped, fn, ctx);
}

void loop_after_turn(loop_fn fn, void *ctx) {
    add_hook(&loop.after_turn, fn, ctx);
}

void loop_later(loop_fn fn, void *ctx) {
    struct calls *later = &loop.later;
    if (later->count == later->room) {
        later->room = later->room ? 2 * later->room : 64;
        later->at = realloc(later->at, later->room * sizeof(*later->at));
        if (later->at == NULL)
            BUG("out of memory");
    }
    later->at[later->count++] = (struct call){fn, ctx};
}

static void run_later(void) {
    struct calls now = loop.later;
    loop.later = loop.running;
    loop.later.count = 0;
    for (size_t i = 0; i < now.count; i++)
        now.at[i].fn(now.at[i].ctx);
    loop.running = now;
}

void loop_hold(void) {
    loop.holds++;
}

void loop_let_go(void) {
    BUG_IF(loop.holds == 0);
    loop.holds--;
}

/* --- timers: a binary heap, the earliest at 0 ------------------------------------------------- */

static void heap_put(uint32_t slot, struct timer *timer) {
    loop.heap[slot] = timer;
    timer->slot = slot;
}

static void heap_up(uint32_t slot, struct timer *timer) {
    while (slot > 0 && loop.heap[(slot - 1) / 2]->due_us > timer->due_us) {
        heap_put(slot, loop.heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    heap_put(slot, timer);
}

static void heap_down(uint32_t slot, struct timer *timer) {
    for (;;) {
        uint32_t child = 2 * slot + 1;
        if (child >= loop.timer_count)
            break;
        if (child + 1 < loop.timer_count && loop.heap[child + 1]->due_us < loop.heap[child]->due_us)
            child++;
        if (loop.heap[child]->due_us >= timer->due_us)
            break;
        heap_put(slot, loop.heap[child]);
        slot = child;
    }
    heap_put(slot, timer);
}

static void heap_grow(void) {
    if (loop.timer_count < loop.timer_room)
        return;
    loop.timer_room = loop.timer_room ? 2 * loop.timer_room : 64;
    loop.heap = realloc(loop.heap, loop.timer_room * sizeof(struct timer *));
    if (loop.heap == NULL)
        BUG("out of memory");
}

void timer_start(struct timer *timer, int64_t after_ms, loop_fn fn, void *ctx) {
    timer_stop(timer);
    heap_grow();
    /* At least a microsecond from now, so that a timer that re-arms itself with 0 leaves the
     * sockets a turn. */
    timer->due_us = (uint64_t)clock_mono_us() + (after_ms > 0 ? (uint64_t)after_ms * 1000 : 1);
    timer->fn = fn;
    timer->ctx = ctx;
    heap_up(loop.timer_count++, timer);
}

void timer_stop(struct timer *timer) {
    if (timer->due_us == 0)
        return;
    BUG_IF(timer->slot >= loop.timer_count || loop.heap[timer->slot] != timer);
    uint32_t slot = timer->slot;
    timer->due_us = 0;
    struct timer *last = loop.heap[--loop.timer_count];
    if (last == timer)
        return;
    if (slot > 0 && loop.heap[(slot - 1) / 2]->due_us > last->due_us)
        heap_up(slot, last);
    else
        heap_down(slot, last);
}

bool timer_is_armed(const struct timer *timer) {
    return timer->due_us != 0;
}

static void run_due_timers(void) {
    if (loop.timer_count == 0)
        return;
    uint64_t now_us = (uint64_t)clock_mono_us();
    while (loop.timer_count > 0 && loop.heap[0]->due_us <= now_us) {
        struct timer *timer = loop.heap[0];
        timer_stop(timer);
        timer->fn(timer->ctx);
    }
}

/* Milliseconds to sleep for `due_us`, rounded up: waking early would cost a turn for nothing. */
static uint64_t sleep_ms(uint64_t due_us) {
    uint64_t now_us = (uint64_t)clock_mono_us();
    uint64_t wait_ms = due_us > now_us ? (due_us - now_us + 999) / 1000 : 0;
    return loop.has_test_clock && wait_ms > TEST_TICK_MS ? TEST_TICK_MS : wait_ms;
}

static void set_alarm(void) {
    uint64_t due_us = loop.timer_count > 0 ? loop.heap[0]->due_us : 0;
    bool rings = uv_is_active((const uv_handle_t *)&loop.alarm);
    if (due_us == loop.alarm_us && (rings || due_us == 0))
        return;
    loop.alarm_us = due_us;
    if (due_us == 0) {
        uv_timer_stop(&loop.alarm);
        return;
    }
    uv_update_time(&loop.uv);
    uv_timer_start(&loop.alarm, alarm_rang, sleep_ms(due_us), 0);
}

/* --- a turn ----------------------------------------------------------------------------------- */

static void finish_drain_if_done(void) {
    if (loop.phase == LOOP_DRAINING && (loop.holds == 0 || clock_mono_us() >= loop.drain_ends_us))
        uv_stop(&loop.uv);
}

static void turn_end(uv_prepare_t *handle) {
    (void)handle;
    run_due_timers();
    run_later();
    loop.is_turning = false;
    run_hooks(&loop.after_turn);
    loop.is_turning = true;
    set_alarm();
    if (loop.later.count > 0)
        uv_idle_start(&loop.hurry, hurried);
    else
        uv_idle_stop(&loop.hurry);
    finish_drain_if_done();
}

/* --- the stop --------------------------------------------------------------------------------- */

void loop_stop(int64_t grace_ms) {
    atomic_store(&loop.grace_ms, grace_ms < 0 ? 0 : grace_ms);
    uv_async_send(&loop.stop_ask);
}

static struct timer grace_timer;

static void grace_over(void *ctx) {
    (void)ctx; /* the end of the turn sees it */
}

static void stop_asked(uv_async_t *handle) {
    (void)handle;
    int64_t grace_ms = atomic_exchange(&loop.grace_ms, NO_GRACE);
    if (grace_ms == NO_GRACE || loop.phase == LOOP_STOPPED)
        return;
    bool is_first = loop.phase == LOOP_RUNNING;
    loop.phase = LOOP_DRAINING;
    loop.drain_ends_us = clock_mono_us() + grace_ms * 1000;
    timer_start(&grace_timer, grace_ms, grace_over, NULL);
    log_info("loop", "stop was asked for", LF_INT("grace_ms", grace_ms),
             LF_INT("waiting_for", loop.holds));
    if (is_first)
        run_hooks(&loop.on_drain);
}

static void signal_came(uv_signal_t *handle, int number) {
    (void)handle;
    if (number == SIGHUP) {
        if (loop.on_hangup.fn != NULL)
            loop.on_hangup.fn(loop.on_hangup.ctx);
        return;
    }
    /* Whoever asks twice does not want to wait. */
    loop_stop(loop.phase == LOOP_RUNNING ? loop.signal_grace_ms : 0);
}

void loop_catch_signals(int64_t grace_ms, loop_fn on_hangup, void *ctx) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    loop.signal_grace_ms = grace_ms;
    loop.on_hangup = (struct call){on_hangup, ctx};
    if (loop.has_signals)
        return;
    loop.has_signals = true;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        BUG_IF(uv_signal_init(&loop.uv, &loop.signals[i]) != 0);
        BUG_IF(uv_signal_start(&loop.signals[i], signal_came, numbers[i]) != 0);
        uv_unref((uv_handle_t *)&loop.signals[i]);
    }
}

/* Whether anything but the house's own handles is under way. */
static bool others_alive(void) {
    uv_unref((uv_handle_t *)&loop.turn_end);
    bool is_alive = uv_loop_alive(&loop.uv) || loop.later.count > 0;
    uv_ref((uv_handle_t *)&loop.turn_end);
    return is_alive;
}

static void last_flush(void) {
    static struct timer limit;
    int64_t ends_us = clock_mono_us() + FLUSH_LIMIT_MS * 1000;
    timer_start(&limit, FLUSH_LIMIT_MS, grace_over, NULL);
    for (int i = 0; i < 3; i++) /* mail of the hooks, what it causes, and the end of that turn */
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    while (others_alive() && clock_mono_us() < ends_us)
        uv_run(&loop.uv, UV_RUN_ONCE);
    timer_stop(&limit);
}

void loop_run(void) {
    BUG_IF(!loop_is_thread() || loop.phase == LOOP_STOPPED);
    loop.is_turning = true;
    uv_run(&loop.uv, UV_RUN_DEFAULT);
    loop.phase = LOOP_STOPPED;
    timer_stop(&grace_timer);
    for (int i = loop.on_stopped.count - 1; i >= 0; i--)
        loop.on_stopped.at[i].fn(loop.on_stopped.at[i].ctx);
    last_flush();
    loop.is_turning = false;
    close_everything();
}
