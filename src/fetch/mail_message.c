/*
 * A mail as bytes: RFC 5322 header, one text/plain part.
 *
 * Plain text and nothing else: there is nothing in these mails that a text does not say, a link is
 * seen for what it is, and no picture tells anybody that it was read. Quoted-printable (RFC 2045
 * section 6.7) because every relay carries it, whatever the text holds; its lines are at most 76
 * letters, so no limit of SMTP is met.
 *
 * Header injection: the only values from outside are the two addresses, the sender's name and the
 * subject. Addresses are refused unless they are safe as they are. Name and subject are written as
 * they are only when they are plain printable ASCII; else as encoded words (RFC 2047), in which no
 * byte has a meaning.
 */
#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "fetch/mail.h"

#include <string.h>

#include "base/banned.h"

#define SUBJECT_LIMIT_BYTES 400
#define NAME_LIMIT_BYTES    200
#define PLAIN_LIMIT_BYTES   60 /* with the header's name the line stays below 78 */
#define WORD_BYTES \
    45 /* 60 letters of base64: with its frame an encoded word of 72, of 75 allowed */
#define LINE_LETTERS        76
#define ADDRESS_LIMIT_BYTES 254 /* RFC 5321 section 4.5.3.1.3, without the brackets */
#define LOCAL_LIMIT_BYTES   64

bool mail_address_is_safe(struct str address) {
    ptrdiff_t at = str_find_char(address, '@', 0);
    if (at < 1 || at > LOCAL_LIMIT_BYTES || address.len > ADDRESS_LIMIT_BYTES ||
        (size_t)at + 1 == address.len || !text_is_utf8(address) ||
        str_find_char(address, '@', (size_t)at + 1) >= 0)
        return false;
    for (size_t i = 0; i < address.len;) {
        uint32_t c;
        size_t len = text_char(address, i, &c);
        bool is_odd = len == 0 || c == 0x7f || text_class(c) == TEXT_SPACE ||
                      text_class(c) == TEXT_CONTROL || (c < 128 && strchr("()<>,;:\\\"[]", (int)c));
        if (is_odd)
            return false;
        i += len;
    }
    return true;
}

/* --- header ----------------------------------------------------------------------------------- */

static bool is_plain(struct str text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < ' ' ||
            text.at[i] > '~') /* what is not ASCII is below or above, as char is signed or not */
            return false;
    return text.len <= PLAIN_LIMIT_BYTES && !str_has(text, STR("=?"));
}

/* As many whole characters as an encoded word takes. */
static struct str first_part(struct str text) {
    size_t len = 0;
    for (size_t step; len < text.len && (step = text_char(text, len, NULL)) != 0; len += step)
        if (len + step > WORD_BYTES)
            break;
    return str_slice(text, 0, len);
}

static void add_encoded(struct buf *out, struct arena *arena, struct str text) {
    bool is_first = true;
    while (text.len > 0) {
        struct str part = first_part(text);
        if (!is_first)
            buf_add_str(out, STR("\r\n "));
        buf_printf(out, "=?UTF-8?B?" STR_FMT "?=", STR_ARG(base64_encode(arena, part)));
        text = str_slice(text, part.len, text.len);
        is_first = false;
    }
}

static void add_words(struct buf *out, struct arena *arena, struct str text) {
    if (is_plain(text))
        buf_add_str(out, text);
    else
        add_encoded(out, arena, text_repair(arena, text));
}

/* A name in quotes, so that none of its letters has a meaning. */
static void add_name(struct buf *out, struct arena *arena, struct str name) {
    if (!is_plain(name))
        return add_encoded(out, arena, text_repair(arena, name));
    buf_add_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == '"' || name.at[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, name.at[i]);
    }
    buf_add_char(out, '"');
}

static struct str domain_of(struct str address) {
    return str_slice(address, (size_t)str_find_char(address, '@', 0) + 1, address.len);
}

static void add_header(struct buf *out, struct arena *arena, const struct mail_message *message,
                       struct str from, struct str from_name) {
    char date[HTTP_DATE_LEN + 1];
    clock_http_date(message->at_ms, date);
    /* RFC 5322 section 3.3 wants a number where HTTP writes GMT. */
    buf_printf(out, "Date: %.*s +0000\r\nFrom: ", HTTP_DATE_LEN - 4, date);
    if (from_name.len > 0) {
        add_name(out, arena, from_name);
        buf_add_char(out, ' ');
    }
    buf_printf(out, "<" STR_FMT ">\r\nTo: <" STR_FMT ">\r\n", STR_ARG(from), STR_ARG(message->to));
    buf_printf(out, "Message-ID: <%s@" STR_FMT ">\r\nSubject: ", id_text(message->id).at,
               STR_ARG(domain_of(from)));
    add_words(out, arena, message->subject);
    buf_add_str(out,
                STR("\r\nMIME-Version: 1.0\r\n"
                    "Auto-Submitted: auto-generated\r\n" /* RFC 3834: nobody's holiday answers */
                    "Content-Type: text/plain; charset=UTF-8\r\n"
                    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
}

/* --- text ------------------------------------------------------------------------------------- */

/* A blank at the end of a line would be lost on the way; a dot at its beginning is libcurl's. */
static void add_byte(struct buf *out, size_t *column, unsigned char byte, bool is_last_of_line) {
    static const char digits[] = "0123456789ABCDEF";
    bool is_blank = byte == ' ' || byte == '\t';
    bool is_kept = (byte > ' ' && byte <= '~' && byte != '=') || (is_blank && !is_last_of_line);
    size_t width = is_kept ? 1 : 3;
    if (*column + width > LINE_LETTERS - (is_last_of_line ? 0 : 1)) {
        buf_add_str(out, STR("=\r\n"));
        *column = 0;
    }
    if (is_kept) {
        buf_add_char(out, (char)byte);
    } else {
        buf_add_char(out, '=');
        buf_add_char(out, digits[byte >> 4]);
        buf_add_char(out, digits[byte & 15]);
    }
    *column += width;
}

static void add_line(struct buf *out, struct str line) {
    size_t column = 0;
    for (size_t i = 0; i < line.len; i++)
        add_byte(out, &column, (unsigned char)line.at[i], i + 1 == line.len);
    buf_add_str(out, STR("\r\n"));
}

enum err mail_write(struct buf *out, const struct mail_message *message, struct str from,
                    struct str from_name) {
    if (!mail_address_is_safe(from) || !mail_address_is_safe(message->to))
        return E_INPUT;
    if (message->subject.len > SUBJECT_LIMIT_BYTES || from_name.len > NAME_LIMIT_BYTES)
        return E_LIMIT;
    struct arena arena;
    arena_init(&arena);
    add_header(out, &arena, message, from, from_name);
    struct str rest = message->text;
    for (struct str line; str_next(&rest, '\n', &line) && (line.len > 0 || rest.len > 0);)
        add_line(out, str_ends(line, STR("\r")) ? str_slice(line, 0, line.len - 1) : line);
    arena_release(&arena);
    return out->err;
}
