/*
 * WebSocket frames as words, for tests: both what a client sends and what a server answered.
 *
 *     text:Hello  text-:He  cont:llo  bin:*70000  ping:%FF%00  pong:  close:1000,bye  close
 *
 * `-` is a frame without FIN, `*n` is n times 'x', %XX a byte, close:n a code and a reason. Before
 * the name may stand, for frames that no good client sends: rsv1. to rsv7., op3. (another opcode),
 * bare. (no mask), long16. long64. (longer length than needed), top. (64 bits, the highest set),
 * huge. (announces 2^62 bytes and sends none).
 */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "net/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define OUT_BYTES ((size_t)64 << 20)

static const struct {
    const char *name;
    uint8_t opcode;
} NAMES[] = {{"text", 1}, {"bin", 2}, {"cont", 0}, {"close", 8}, {"ping", 9}, {"pong", 10}};

struct word {
    uint8_t first;
    bool is_bare, is_huge, is_top;
    int long_bytes;
    struct buf payload;
};

static int hex(char c) {
    return c <= '9' ? c - '0' : (c & 0x5F) - 'A' + 10;
}

static void add_payload(struct buf *out, struct str text) {
    int64_t count;
    if (text.len > 1 && text.at[0] == '*' &&
        str_to_int(str_slice(text, 1, text.len), &count) == E_OK) {
        for (; count > 0; count--)
            buf_add_char(out, 'x');
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '%' && i + 2 < text.len) {
            buf_add_char(out, (char)(hex(text.at[i + 1]) << 4 | hex(text.at[i + 2])));
            i += 2;
        } else {
            buf_add_char(out, text.at[i]);
        }
    }
}

static void add_close(struct buf *out, struct str text) {
    struct str code_text, rest = text;
    int64_t code;
    if (!str_next(&rest, ',', &code_text) || str_to_int(code_text, &code) != E_OK) {
        add_payload(out, text);
        return;
    }
    buf_add_char(out, (char)(code >> 8));
    buf_add_char(out, (char)code);
    add_payload(out, rest);
}

static bool take_prefix(struct str *text, const char *prefix) {
    struct str wanted = str_from(prefix);
    if (!str_starts(*text, wanted))
        return false;
    *text = str_slice(*text, wanted.len, text->len);
    return true;
}

static void read_word(struct word *word, struct str text) {
    *word = (struct word){.first = 0x80};
    buf_init(&word->payload, OUT_BYTES);
    int opcode = -1;
    for (;;) {
        if (take_prefix(&text, "rsv")) {
            word->first |= (uint8_t)((text.at[0] - '0') << 4);
            text = str_slice(text, 2, text.len);
        } else if (take_prefix(&text, "op")) {
            ptrdiff_t dot = str_find_char(text, '.', 0);
            int64_t number;
            assert_int_equal(str_to_int(str_slice(text, 0, (size_t)dot), &number), E_OK);
            opcode = (int)number;
            text = str_slice(text, (size_t)dot + 1, text.len);
        } else if (take_prefix(&text, "bare.")) {
            word->is_bare = true;
        } else if (take_prefix(&text, "long16.")) {
            word->long_bytes = 2;
        } else if (take_prefix(&text, "long64.")) {
            word->long_bytes = 8;
        } else if (take_prefix(&text, "top.")) {
            word->long_bytes = 8;
            word->is_top = true;
        } else if (take_prefix(&text, "huge.")) {
            word->long_bytes = 8;
            word->is_huge = true;
        } else {
            break;
        }
    }
    size_t i = 0;
    while (i < COUNT_OF(NAMES) && !take_prefix(&text, NAMES[i].name))
        i++;
    if (i == COUNT_OF(NAMES))
        fail_msg("no frame: " STR_FMT, STR_ARG(text));
    word->first |= opcode >= 0 ? (uint8_t)opcode : NAMES[i].opcode;
    if (take_prefix(&text, "-"))
        word->first &= 0x7F;
    if (take_prefix(&text, ":"))
        NAMES[i].opcode == 8 ? add_close(&word->payload, text) : add_payload(&word->payload, text);
}

/* As a client sends it. */
static void write_word(struct buf *out, struct word *word) {
    static const uint8_t mask[4] = {0x37, 0xFA, 0x00, 0x3D};
    struct str payload = buf_str(&word->payload);
    uint8_t head[FRAME_WS_HEAD_MAX];
    size_t len = frame_ws_head(head, word->first, payload.len);
    if (word->long_bytes) {
        head[1] = word->long_bytes == 2 ? 126 : 127;
        len = 2 + (size_t)word->long_bytes;
        for (int i = 0; i < word->long_bytes; i++)
            head[2 + i] = (uint8_t)(payload.len >> (8 * (word->long_bytes - 1 - i)));
        head[2] |= word->is_top ? 0x80 : word->is_huge ? 0x40 : 0;
    }
    head[1] |= word->is_bare ? 0 : 0x80;
    buf_add(out, head, len);
    if (!word->is_bare)
        buf_add(out, mask, sizeof(mask));
    for (size_t i = 0; i < payload.len && !word->is_huge; i++)
        buf_add_char(out, (char)(payload.at[i] ^ (word->is_bare ? 0 : mask[i & 3])));
    buf_release(&word->payload);
}

static void write_words(struct buf *out, struct str words) {
    struct str text;
    while (str_next(&words, ' ', &text)) {
        struct word word;
        if (text.len == 0)
            continue;
        read_word(&word, text);
        write_word(out, &word);
    }
}

static bool is_all_x(struct str text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] != 'x')
            return false;
    return text.len > 8;
}

static void show_payload(struct buf *out, struct str payload) {
    if (is_all_x(payload)) {
        buf_printf(out, "*%zu", payload.len);
        return;
    }
    for (size_t i = 0; i < payload.len; i++) {
        uint8_t c = (uint8_t)payload.at[i];
        if (c > ' ' && c < 0x7F && c != '%')
            buf_add_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* What a server sent, as words. Fails on a frame that is masked, cut, or has a longer length than
 * needed. */
static void show(struct buf *out, struct str bytes) {
    while (bytes.len > 0) {
        const uint8_t *at = (const uint8_t *)bytes.at;
        assert_true(bytes.len >= 2);
        uint8_t form = at[1], opcode = at[0] & 0x0F;
        size_t length_bytes = form == 127 ? 8 : form == 126 ? 2 : 0, len = form;
        assert_true(form < 128);
        assert_true(bytes.len >= 2 + length_bytes);
        for (size_t i = len = 0; i < length_bytes; i++)
            len = len << 8 | at[2 + i];
        if (length_bytes == 0)
            len = form;
        assert_true(length_bytes == 0 || len >= (length_bytes == 2 ? 126 : 65536));
        assert_true(bytes.len >= 2 + length_bytes + len);
        struct str payload = str_slice(bytes, 2 + length_bytes, 2 + length_bytes + len);
        bytes = str_slice(bytes, 2 + length_bytes + len, bytes.len);
        size_t i = 0;
        while (i < COUNT_OF(NAMES) && NAMES[i].opcode != opcode)
            i++;
        assert_true(i < COUNT_OF(NAMES));
        buf_printf(out, "%s%s%s", out->len ? " " : "", NAMES[i].name, at[0] & 0x80 ? "" : "-");
        if (opcode == 8 && payload.len >= 2) {
            buf_printf(out, ":%d", (uint8_t)payload.at[0] << 8 | (uint8_t)payload.at[1]);
            continue; /* our own reasons are not compared */
        }
        if (opcode == 8)
            continue;
        buf_add_char(out, ':');
        show_payload(out, payload);
    }
}
