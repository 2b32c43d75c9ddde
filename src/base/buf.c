/*
 * Growth by doubling, from 256 bytes to the ceiling. The allocation is always BUF_SLACK_BYTES
 * larger than `room`, which lets the JSON writer copy sixteen bytes at a time without looking at
 * the end for each of them.
 */
#include "base/buf.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define FIRST_ROOM_BYTES 256

void buf_init(struct buf *buf, size_t ceiling_bytes) {
    BUG_IF(ceiling_bytes == 0);
    *buf = (struct buf){.ceiling_bytes = ceiling_bytes};
}

void buf_release(struct buf *buf) {
    free(buf->at);
    *buf = (struct buf){.ceiling_bytes = buf->ceiling_bytes};
}

void buf_clear(struct buf *buf) {
    buf->len = 0;
    buf->err = E_OK;
}

void buf_shrink(struct buf *buf, size_t keep) {
    if (buf->room > keep)
        buf_release(buf);
    buf_clear(buf);
}

void buf_cut(struct buf *buf, size_t len) {
    BUG_IF(len > buf->len);
    buf->len = len;
    buf->err = E_OK;
}

static void grow(struct buf *buf, size_t need) {
    size_t room = buf->room ? buf->room * 2 : FIRST_ROOM_BYTES;
    if (room < need)
        room = need;
    if (room > buf->ceiling_bytes)
        room = buf->ceiling_bytes;
    char *at = realloc(buf->at, room + BUF_SLACK_BYTES);
    if (at == NULL)
        BUG("out of memory: a buf of %zu bytes", room);
    buf->at = at;
    buf->room = room;
}

bool buf_reserve(struct buf *buf, size_t extra) {
    if (buf->err != E_OK)
        return false;
    if (extra > buf->ceiling_bytes - buf->len) {
        buf->err = E_LIMIT;
        return false;
    }
    if (buf->at == NULL || extra > buf->room - buf->len)
        grow(buf, buf->len + extra);
    return true;
}

void buf_add(struct buf *buf, const void *bytes, size_t len) {
    if (!buf_reserve(buf, len) || len == 0)
        return;
    memcpy(buf->at + buf->len, bytes, len);
    buf->len += len;
}

void buf_add_str(struct buf *buf, struct str s) {
    buf_add(buf, s.at, s.len);
}

void buf_add_char(struct buf *buf, char c) {
    if (buf_reserve(buf, 1))
        buf->at[buf->len++] = c;
}

void buf_add_int(struct buf *buf, int64_t value) {
    char digits[STR_INT_BYTES];
    buf_add(buf, digits, str_print_int(digits, value));
}

void buf_printf(struct buf *buf, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    BUG_IF(len < 0);
    if (buf_reserve(buf, (size_t)len)) {
        vsnprintf(buf->at + buf->len, (size_t)len + 1, format,
                  again); /* the NUL falls into the slack */
        buf->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
}

void buf_drop_front(struct buf *buf, size_t len) {
    BUG_IF(len > buf->len);
    if (len > 0 && len < buf->len)
        memmove(buf->at, buf->at + len, buf->len - len);
    buf->len -= len;
}

struct str buf_str(const struct buf *buf) {
    return (struct str){buf->at ? buf->at : "", buf->len};
}

char *buf_take(struct buf *buf, size_t *len) {
    if (buf->at == NULL)
        grow(buf, 0);
    char *at = buf->at;
    at[buf->len] = '\0';
    if (len)
        *len = buf->len;
    buf->at = NULL;
    buf_release(buf);
    return at;
}
