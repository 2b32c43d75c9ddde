/* A connection without a socket for the tests of net: what is fed in, what comes out, cut in every
 * way. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "net/http.h"
#include "net/limit.h"
#include "net/listener.h"
#include "net/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum cut { CUT_WHOLE, CUT_BYTES, CUT_RANDOM, CUTS };

struct rig {
    struct conn *conn;
    struct buf out;
};

static inline void rig_sink(void *ctx, struct str bytes) {
    buf_add_str(ctx, bytes);
}

static inline void rig_open(struct rig *rig) {
    buf_init(&rig->out, 64 << 20);
    rig->conn = conn_test_new(rig_sink, &rig->out);
}

static inline void rig_close(struct rig *rig) {
    conn_test_free(rig->conn);
    buf_release(&rig->out);
}

static inline void rig_feed(struct rig *rig, struct str bytes, enum cut cut) {
    while (bytes.len > 0) {
        size_t len = bytes.len;
        if (cut == CUT_BYTES)
            len = 1;
        else if (cut == CUT_RANDOM)
            len = 1 + (size_t)rand() % (bytes.len < 40 ? bytes.len : 40);
        /* A copy of exactly this size, so that a sanitizer sees every look beyond it. */
        char *copy = malloc(len);
        memcpy(copy, bytes.at, len);
        conn_test_feed(rig->conn, str_of(copy, len));
        free(copy);
        conn_test_flush(rig->conn);
        bytes = str_slice(bytes, len, bytes.len);
    }
}

static inline const char *rig_text(struct rig *rig) {
    buf_reserve(&rig->out, 1);
    rig->out.at[rig->out.len] = '\0';
    return rig->out.at;
}

/* How many answers came out, and the status of one of them (0: there is none). */
static inline int rig_answers(struct rig *rig) {
    int count = 0;
    for (const char *at = rig_text(rig); (at = strstr(at, "HTTP/1.1 ")) != NULL; at += 9)
        count++;
    return count;
}

static inline int rig_status(struct rig *rig, int index) {
    const char *at = rig_text(rig);
    while ((at = strstr(at, "HTTP/1.1 ")) != NULL && index-- > 0)
        at += 9;
    return at == NULL ? 0 : atoi(at + 9);
}

static inline bool rig_has(struct rig *rig, const char *text) {
    return strstr(rig_text(rig), text) != NULL;
}

/* Sends one request on a fresh connection and gives its status; the text stays in `out`. */
static inline int rig_ask(struct buf *out, const char *request) {
    struct rig rig;
    rig_open(&rig);
    rig_feed(&rig, str_from(request), CUT_WHOLE);
    int status = rig_status(&rig, 0);
    buf_clear(out);
    buf_add_str(out, str_of(rig_text(&rig), rig.out.len));
    buf_add_char(out, '\0');
    rig_close(&rig);
    return status;
}

static inline void rig_start(const struct route *const *tables) {
    clock_init();
    loop_init();
    mailbox_init();
    limits = (struct limits){.connections = 20000};
    net_settings = (struct net_settings){.public_url = STR("")};
    http_init();
    router_init(tables);
}

static inline void rig_stop(void) {
    router_release();
    router_hooks(&(struct router_hooks){0});
    http_release();
    limit_release();
    mailbox_release();
    loop_release();
}
