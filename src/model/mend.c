/* One walk over the bytes; what is whole is copied as it is. */
#include "model/mend.h"

#include "base/buf.h"
#include "base/text.h"

#include <string.h>

#include "base/banned.h"

#define GROWTH 3 /* U+FFFD has three bytes where one was wrong */

/* The length that a lead byte announces; 0 for bytes that lead nothing. */
static size_t announced(unsigned char byte) {
    if (byte < 0x80)
        return 1;
    if (byte >= 0xC2 && byte <= 0xDF)
        return 2;
    if (byte >= 0xE0 && byte <= 0xEF)
        return 3;
    return byte >= 0xF0 && byte <= 0xF4 ? 4 : 0;
}

static size_t count_continuations(struct str s, size_t at, size_t most) {
    size_t count = 0;
    while (count < most && at + count < s.len && ((unsigned char)s.at[at + count] & 0xC0) == 0x80)
        count++;
    return count;
}

/* Bytes that lead nothing: the rest of the character that is held, or rubbish. Gives how many were
 * taken. */
static size_t take_orphans(struct mend *mend, struct buf *out, struct str s, size_t at) {
    size_t wanted = mend->count ? announced((unsigned char)mend->bytes[0]) - mend->count : 0;
    size_t count = count_continuations(s, at, wanted);
    char whole[4];
    if (wanted && count == wanted) {
        memcpy(whole, mend->bytes, mend->count);
        memcpy(whole + mend->count, s.at + at, count);
        mend->count += count;
        if (text_is_utf8(str_of(whole, mend->count))) {
            buf_add(out, whole, mend->count);
            mend->count = 0;
            return count;
        }
        mend->count = 0;
    }
    buf_add_str(out, STR("\xEF\xBF\xBD"));
    return 1;
}

/* A character that is not ASCII. One that is cut by the end of its string is held. Gives how many
 * bytes were taken. */
static size_t take_character(struct mend *mend, struct buf *out, struct str s, size_t at) {
    size_t length = announced((unsigned char)s.at[at]);
    if (length == 0)
        return take_orphans(mend, out, s, at);
    size_t count = 1 + count_continuations(s, at + 1, length - 1);
    struct str character = str_of(s.at + at, count);
    if (count == length && text_is_utf8(character)) {
        buf_add_str(out, character);
        return count;
    }
    if (count < length && at + count < s.len && s.at[at + count] == '"') {
        memcpy(mend->bytes, character.at, count);
        mend->count = count;
        return count;
    }
    buf_add_str(out, STR("\xEF\xBF\xBD"));
    return count;
}

/* The number of `\uXXXX` at `at`; -1 when there is none. */
static int escape_at(struct str s, size_t at) {
    if (at + 6 > s.len || s.at[at] != '\\' || s.at[at + 1] != 'u')
        return -1;
    int value = 0;
    for (size_t i = 2; i < 6; i++) {
        char c = s.at[at + i];
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static size_t take_low_surrogate(struct mend *mend, struct buf *out, int value) {
    if (mend->surrogate)
        buf_printf(out, "\\u%04x\\u%04x", mend->surrogate, (unsigned)value);
    else
        buf_add_str(out, STR("\\ufffd"));
    mend->surrogate = 0;
    return 6;
}

static size_t take_high_surrogate(struct mend *mend, struct buf *out, struct str s, size_t at,
                                  int value) {
    int next = escape_at(s, at + 6);
    if (next >= 0xDC00 && next <= 0xDFFF) {
        buf_add(out, s.at + at, 12);
        return 12;
    }
    if (at + 6 < s.len && s.at[at + 6] == '"')
        mend->surrogate = (unsigned)value;
    else
        buf_add_str(out, STR("\\ufffd"));
    return 6;
}

static size_t take_escape(struct mend *mend, struct buf *out, struct str s, size_t at) {
    int value = escape_at(s, at);
    if (value >= 0xD800 && value <= 0xDBFF)
        return take_high_surrogate(mend, out, s, at, value);
    if (value >= 0xDC00 && value <= 0xDFFF)
        return take_low_surrogate(mend, out, value);
    size_t count = at + 1 < s.len && (unsigned char)s.at[at + 1] < 0x80
                       ? 2
                       : 1; /* `\\` and `\"` go together */
    buf_add(out, s.at + at, count);
    return count;
}

struct str mend_event(struct mend *mend, struct arena *arena, struct str event) {
    struct buf out;
    buf_init(&out, event.len * GROWTH + 64);
    for (size_t at = 0; at < event.len;) {
        unsigned char byte = (unsigned char)event.at[at];
        if (byte == '\\') {
            at += take_escape(mend, &out, event, at);
        } else if (byte >= 0x80) {
            at += take_character(mend, &out, event, at);
        } else {
            buf_add_char(&out, (char)byte);
            at++;
        }
    }
    struct str mended = str_dup(arena, buf_str(&out));
    buf_release(&out);
    return mended;
}
