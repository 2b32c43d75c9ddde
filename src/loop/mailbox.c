/*
 * The mailbox: a stack that any thread pushes on without a lock, and that the loop takes whole and
 * turns around.
 *
 * Only the post that finds the stack empty wakes the loop (a write to an eventfd); the others find
 * it awake or waking. Taking the whole stack in one exchange leaves no moment in which a node is
 * seen twice (no ABA) and keeps the order in which posts succeeded.
 *
 * Invariants: a mail is posted at most once at a time; its struct is read before its function runs
 * and never afterwards. The async handle does not keep the loop alive. What is still in the box
 * when it is released runs then.
 */
#include "loop/mailbox.h"

#include "base/check.h"

#include <stdatomic.h>
#include <stddef.h>
#include <uv.h>

static _Atomic(struct mail *) newest;
static uv_async_t doorbell;
static bool is_open;

static struct mail *oldest_first(struct mail *mail) {
    struct mail *list = NULL;
    while (mail != NULL) {
        struct mail *next = mail->next;
        mail->next = list;
        list = mail;
        mail = next;
    }
    return list;
}

static void deliver(void) {
    struct mail *mail = oldest_first(atomic_exchange_explicit(&newest, NULL, memory_order_acquire));
    while (mail != NULL) {
        struct mail *next = mail->next;
        mail->next = NULL;
        mail->fn(mail->ctx); /* may free or post the mail */
        mail = next;
    }
}

static void rang(uv_async_t *handle) {
    (void)handle;
    deliver();
}

void mailbox_init(void) {
    BUG_IF(is_open || !loop_is_thread());
    BUG_IF(uv_async_init(loop_uv(), &doorbell, rang) != 0);
    uv_unref((uv_handle_t *)&doorbell);
    atomic_store(&newest, NULL);
    is_open = true;
}

/* The loop closes the doorbell with every other handle. */
void mailbox_release(void) {
    BUG_IF(!is_open);
    while (atomic_load(&newest) != NULL)
        deliver();
    is_open = false;
}

void mailbox_post(struct mail *mail, loop_fn fn, void *ctx) {
    mail->fn = fn;
    mail->ctx = ctx;
    struct mail *head = atomic_load_explicit(&newest, memory_order_relaxed);
    do {
        mail->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&newest, &head, mail, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL)
        uv_async_send(&doorbell);
}
