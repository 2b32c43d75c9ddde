/*
 * What a connection has to send, until the kernel has taken it.
 *
 * The queue is a row of segments. Copied bytes lie in a block, which also holds the segments that
 * point at them; counted references point at their owner's bytes, and the owner is told when they
 * have left (let_go), so one event for a thousand listeners exists once. Blocks come from a free list
 * and go back as soon as they are sent. A queue that is one reference and nothing else needs no
 * block at all (`lone`): telling a thousand idle listeners touches nothing but their own structs.
 *
 * A body of unknown length is wrapped in chunks here (RFC 9112 section 7.1), so its sender need not
 * know.
 *
 * Invariants: unsent_bytes is the sum of all segments. A block's bytes stay until the kernel has taken
 * them, so a pending write never points at memory that was given back. After is_closing nothing is
 * queued.
 */
#include "base/check.h"
#include "net/conn_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define BLOCK_BYTES     800
#define BLOCK_SEGMENTS  6
#define BLOCKS_SPARE    256 /* 256 KiB kept for the next burst */
#define BUF_LIMIT_BYTES ((size_t)1 << 30)
_Static_assert(CONN_ROOM_BYTES <= BLOCK_BYTES, "what conn_room() promises lies in one block");

struct block {
    struct block *next;
    uint16_t first, count; /* segments first..count-1 are to be sent */
    uint16_t used;         /* of bytes[] */
    struct segment segments[BLOCK_SEGMENTS];
    char bytes[BLOCK_BYTES];
};

static struct block *spare;
static int spare_count;

void conn_queue_release(void) {
    while (spare != NULL) {
        struct block *block = spare;
        spare = block->next;
        free(block);
    }
    spare_count = 0;
}

size_t conn_unsent_bytes(const struct conn *conn) {
    return conn->unsent_bytes;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static struct block *block_add(struct conn *conn) {
    struct block *block = spare;
    if (block != NULL) {
        spare = block->next;
        spare_count--;
    } else {
        block = malloc(sizeof(*block));
        BUG_IF(block == NULL);
    }
    block->next = NULL;
    block->first = block->count = block->used = 0;
    if (conn->last != NULL)
        conn->last->next = block;
    else
        conn->first = block;
    conn->last = block;
    return block;
}

static void block_free(struct block *block) {
    if (spare_count >= BLOCKS_SPARE) {
        free(block);
        return;
    }
    block->next = spare;
    spare = block;
    spare_count++;
}

static void block_push(struct block *block, struct segment segment) {
    block->segments[block->count++] = segment;
}

/* The lone segment gets company: it goes into a block like all others. */
static void lone_spill(struct conn *conn) {
    if (conn->lone.len == 0)
        return;
    block_push(block_add(conn), conn->lone);
    conn->lone = (struct segment){0};
}

/* --- putting in ------------------------------------------------------------------------------- */

/* True when the block's last segment ends where its copied bytes end, so that it can grow. */
static bool ends_in_copy(const struct block *block) {
    if (block->count == block->first)
        return false;
    const struct segment *last = &block->segments[block->count - 1];
    return last->let_go == NULL && last->at + last->len == block->bytes + block->used;
}

char *conn_room(struct conn *conn, size_t len) {
    if (conn->is_closing)
        return NULL;
    lone_spill(conn);
    struct block *block = conn->last;
    bool has_place = block != NULL && len <= (size_t)(BLOCK_BYTES - block->used) &&
                     (block->count < BLOCK_SEGMENTS || ends_in_copy(block));
    /* A pending write counts bytes of the queue from its front: growing a segment is fine, it
     * only has its own uv_buf_t copies. */
    if (!has_place)
        block = block_add(conn);
    return block->bytes + block->used;
}

void conn_wrote(struct conn *conn, size_t len) {
    struct block *block = conn->last;
    if (ends_in_copy(block)) {
        block->segments[block->count - 1].len += len;
    } else {
        block->segments[block->count++] =
            (struct segment){.at = block->bytes + block->used, .len = len};
    }
    block->used += (uint16_t)len;
    conn->unsent_bytes += len;
    conn_mark(conn);
}

/* One event for a thousand idle listeners touches nothing but their own structs. */
static void queue_shared(struct conn *conn, struct str bytes, void (*let_go)(void *), void *owner) {
    struct segment segment = {.at = bytes.at, .len = bytes.len, .let_go = let_go, .owner = owner};
    if (conn->unsent_bytes == 0) {
        conn->lone = segment;
    } else {
        lone_spill(conn);
        block_push(conn->last->count < BLOCK_SEGMENTS ? conn->last : block_add(conn), segment);
    }
    conn->unsent_bytes += bytes.len;
    conn_mark(conn);
}

/* Few bytes go into the block; many get memory of their own. */
static void queue_copy(struct conn *conn, const char *at, size_t len) {
    if (len <= BLOCK_BYTES) {
        char *room = conn_room(conn, len);
        memcpy(room, at, len);
        conn_wrote(conn, len);
        return;
    }
    char *own = malloc(len);
    BUG_IF(own == NULL);
    memcpy(own, at, len);
    queue_shared(conn, str_of(own, len), free, own);
}

static void chunk_begin(struct conn *conn, size_t len) {
    char head[20];
    int head_len = snprintf(head, sizeof(head), "%zx\r\n", len);
    queue_copy(conn, head, (size_t)head_len);
}

void conn_send(struct conn *conn, const void *bytes, size_t len) {
    if (conn->is_closing || conn->is_stream_over || len == 0)
        return;
    if (conn->is_chunked)
        chunk_begin(conn, len);
    queue_copy(conn, bytes, len);
    if (conn->is_chunked)
        queue_copy(conn, "\r\n", 2);
}

void conn_send_shared(struct conn *conn, struct str bytes, void (*let_go)(void *owner),
                      void *owner) {
    if (conn->is_closing || conn->is_stream_over || bytes.len == 0) {
        if (let_go != NULL)
            let_go(owner);
        return;
    }
    if (conn->is_chunked)
        chunk_begin(conn, bytes.len);
    const struct block *block = conn->last;
    if (block != NULL && bytes.len <= (size_t)(BLOCK_BYTES - block->used) / 2) {
        queue_copy(conn, bytes.at, bytes.len); /* one segment less costs more than it saves */
        if (let_go != NULL)
            let_go(owner);
    } else {
        queue_shared(conn, bytes, let_go, owner);
    }
    if (conn->is_chunked)
        queue_copy(conn, "\r\n", 2);
}

void conn_stream_end(struct conn *conn) {
    if (conn->is_closing || conn->is_stream_over)
        return;
    if (!conn->is_chunked) { /* HTTP/1.0: the close is the end of the body */
        conn_close(conn);
        return;
    }
    queue_copy(conn, "0\r\n\r\n", 5);
    conn->is_chunked = false;
    conn->is_stream_over = true;
    conn_work_later(conn);
}

/* --- taking out ------------------------------------------------------------------------------- */

/* Takes `*len` bytes off the segment. True when it is used up: then its owner has been told. */
static bool segment_drop(struct segment *segment, size_t *len) {
    if (*len < segment->len) {
        segment->at += *len;
        segment->len -= *len;
        return false;
    }
    *len -= segment->len;
    segment->len = 0;
    if (segment->let_go != NULL)
        segment->let_go(segment->owner);
    return true;
}

void conn_queue_drop(struct conn *conn, size_t len) {
    conn->unsent_bytes -= len;
    if (conn->lone.len > 0) {
        segment_drop(&conn->lone, &len);
        return;
    }
    while (conn->first != NULL) {
        struct block *block = conn->first;
        for (; block->first < block->count; block->first++)
            if (!segment_drop(&block->segments[block->first], &len))
                return;
        conn->first = block->next;
        if (conn->first == NULL)
            conn->last = NULL;
        block_free(block);
    }
}

/* One buffer for the kernel, at most a gigabyte. False when that is not the whole segment. */
static bool segment_gather(const struct segment *segment, uv_buf_t *buf, size_t *bytes) {
    size_t len = segment->len < BUF_LIMIT_BYTES ? segment->len : BUF_LIMIT_BYTES;
    *buf = uv_buf_init((char *)(uintptr_t)segment->at, (unsigned)len);
    *bytes += len;
    return len == segment->len;
}

unsigned conn_queue_gather(const struct conn *conn, uv_buf_t *bufs, size_t limit, size_t *bytes) {
    unsigned count = 0;
    *bytes = 0;
    if (conn->lone.len > 0) {
        (void)segment_gather(&conn->lone, bufs, bytes);
        return 1;
    }
    for (const struct block *block = conn->first; block != NULL; block = block->next)
        for (unsigned i = block->first; i < block->count; i++)
            if (count == CONN_IOV_LIMIT || *bytes >= limit ||
                !segment_gather(&block->segments[i], &bufs[count++], bytes))
                return count;
    return count;
}
