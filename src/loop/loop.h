/*
 * The one event loop. Everything that talks to a person or a model runs on its thread; features
 * never see libuv.
 *
 * A turn of the loop is: poll -> callbacks -> the after-turn hooks (flush what the callbacks
 * queued, so that all frames of one turn leave in one write per connection). A stop has phases:
 * DRAINING (no new work, running replies may finish, at most grace_ms), then STOPPED.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;

enum loop_phase { LOOP_RUNNING, LOOP_DRAINING, LOOP_STOPPED };

typedef void (*loop_fn)(void *ctx);

void loop_init(void);
/* Runs until loop_stop() and the end of the grace. Afterwards every handle is closed. */
void loop_run(void);
void loop_release(void);
struct uv_loop_s *loop_uv(void); /* for net and fetch only */
bool loop_is_thread(void);       /* true on the loop's thread */
enum loop_phase loop_phase(void);
/* True in the callbacks of a turn, whose hooks are still to come; false in those hooks, and while the loop does not run. */
bool loop_is_turning(void);

/* Asks for draining: the hooks of loop_on_drain run soon, on the loop thread; the loop ends when
 * nobody holds it any more or grace_ms is over, whichever is first. Any thread, any signal handler.
 * Asked again, the new grace counts. */
void loop_stop(int64_t grace_ms);
void loop_on_drain(loop_fn fn, void *ctx);
/* At the very end, newest first, with the loop still turning for a last flush of at most one
 * second. */
void loop_on_stopped(loop_fn fn, void *ctx);
/* Work that a drain must wait for (a reply under way, an unanswered request). */
void loop_hold(void);
void loop_let_go(void);

/* SIGTERM and SIGINT stop; fn is told of SIGHUP. */
void loop_catch_signals(int64_t grace_ms, loop_fn on_hangup, void *ctx);

/* Runs fn once, on the loop thread, after the callback that is running now has returned (never from
 * inside this call). */
void loop_later(loop_fn fn, void *ctx);
/* Runs fn at the end of every turn of the loop in which anything happened. For flushers; registered
 * once at start (again is the same). */
void loop_after_turn(loop_fn fn, void *ctx);

/* Timers. One is a few dozen bytes in a heap of ours (10,000 connections must not own 10,000 libuv
 * handles). */
struct timer {
    uint64_t due_us; /* monotonic; 0 while not armed */
    uint32_t slot;   /* place in the heap */
    loop_fn fn;
    void *ctx;
};
/* Arms (or re-arms) the timer; the struct is the caller's and must be zero before the first use and
 * stay until it fired or was stopped. */
void timer_start(struct timer *timer, int64_t after_ms, loop_fn fn, void *ctx);
void timer_stop(struct timer *timer); /* safe when not armed */
bool timer_is_armed(const struct timer *timer);
