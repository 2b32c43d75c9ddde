/*
 * The mailbox: a stack that any thread pushes on without a lock, and that the loop takes whole and
 * turns around.
 *
 * Only the post that finds the stack empty wakes the loop (a write to an eventfd); the others find
 * it awake or waking. The eventfd is ours: uv_async_send() marks its handle before and after its
 * write, and a loop that looks in between spins until the sender comes to its end. A sender that is
 * nice, and was put off the core right there, held the loop for as long as anybody else had work.
 *
 * Taking the whole stack in one exchange leaves no moment in which a node is seen twice (no ABA)
 * and keeps the order in which posts succeeded.
 *
 * Invariants: a mail is posted at most once at a time; its struct is read before its function runs
 * and never afterwards. The doorbell does not keep the loop alive. What is still in the box
 * when it is released runs then.
 */
#include "loop/mailbox.h"

#include "base/check.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/banned.h"

static _Atomic(struct mail *) newest;
static uv_poll_t doorbell;
static int bell_fd = -1;
static bool is_open;
static void (*before_delivery)(void);

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

void mailbox_before_delivery(void (*fn)(void)) {
    before_delivery = fn;
}

static void deliver(void) {
    if (before_delivery != NULL)
        before_delivery();
    struct mail *mail = oldest_first(atomic_exchange_explicit(&newest, NULL, memory_order_acquire));
    while (mail != NULL) {
        struct mail *next = mail->next;
        mail->next = NULL;
        mail->fn(mail->ctx); /* may free or post the mail */
        mail = next;
    }
}

static void rang(uv_poll_t *handle, int status, int events) {
    uint64_t rings;
    (void)handle, (void)status, (void)events;
    BUG_IF(read(bell_fd, &rings, sizeof rings) < 0 && errno != EAGAIN && errno != EINTR);
    deliver();
}

static void ring(void) {
    const uint64_t once = 1;
    while (write(bell_fd, &once, sizeof once) < 0) /* EAGAIN: it rings already */
        if (errno != EINTR)
            return;
}

void mailbox_init(void) {
    BUG_IF(is_open || !loop_is_thread());
    bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    BUG_IF(bell_fd < 0);
    BUG_IF(uv_poll_init(loop_uv(), &doorbell, bell_fd) != 0);
    BUG_IF(uv_poll_start(&doorbell, UV_READABLE, rang) != 0);
    uv_unref((uv_handle_t *)&doorbell);
    atomic_store(&newest, NULL);
    is_open = true;
}

/* The loop closes the doorbell's handle with every other. */
void mailbox_release(void) {
    BUG_IF(!is_open);
    while (atomic_load(&newest) != NULL)
        deliver();
    is_open = false;
    if (!uv_is_closing((uv_handle_t *)&doorbell)) /* the loop never ran */
        uv_poll_stop(&doorbell);
    close(bell_fd);
    bell_fd = -1;
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
        ring();
}
