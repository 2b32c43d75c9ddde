/*
 * Bytes that grow, with a ceiling given at birth. Passing the ceiling sets `err` to E_LIMIT and
 * drops what follows: check once at the end. The bytes are malloc'ed and belong to the buf until
 * buf_take() hands them over.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

/*
 * Bytes behind `room` that are always there once `at` is set: a writer may store whole words past
 * the end of what it has written (never counted in len), and one NUL fits without a question.
 */
#define BUF_SLACK_BYTES 64

struct buf {
    char *at;
    size_t len;
    size_t room;          /* bytes at `at`, without the slack */
    size_t ceiling_bytes; /* must be set */
    enum err err;         /* the first error; E_OK while all went well */
};

void buf_init(struct buf *buf, size_t ceiling_bytes);
void buf_release(struct buf *buf);
void buf_clear(struct buf *buf);               /* empty, memory kept, error forgotten */
void buf_shrink(struct buf *buf, size_t keep); /* empty, and memory above `keep` bytes given back */
bool buf_reserve(struct buf *buf,
                 size_t extra); /* room for `extra` more bytes; false (and err) past the ceiling */
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_add_str(struct buf *buf, struct str s);
void buf_add_char(struct buf *buf, char c);
void buf_add_int(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Forgets what follows the first `len` bytes, and the error: for taking back what did not fit. */
void buf_cut(struct buf *buf, size_t len);
void buf_drop_front(struct buf *buf, size_t len); /* forgets the first bytes, moves the rest */
struct str buf_str(const struct buf *buf);        /* borrowed until the next change */
/* Hands the bytes to the caller, who frees them; NUL-terminated (not counted), never NULL. The buf
 * is empty afterwards. */
char *buf_take(struct buf *buf, size_t *len);
