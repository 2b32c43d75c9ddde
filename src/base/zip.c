/*
 * ZIP as PKWARE's APPNOTE.TXT 6.3.10 has it, the part that every program reads: local headers
 * (section 4.3.7), data deflated raw (4.4.5, method 8) or stored (0), the central directory (4.3.12)
 * and its end (4.3.16). Names are UTF-8 and say so (bit 11, appendix D).
 *
 * Memory does not grow with what is written: bytes go through one deflate stream and one buffer of
 * 64 KiB. How long an entry is and what its sum is are known only behind it. A data descriptor
 * would say it there, but a reader that walks the file from its front then has to guess where an
 * entry ends; we write to a file, so the header in front of it is written again (section 4.3.7 in
 * place of 4.3.9). The central directory is kept until the end, some hundred bytes an entry, under a
 * ceiling.
 *
 * Nothing here needs zip64: an archive above 4 GiB or above 65,534 entries is refused (E_LIMIT), not
 * written wrong.
 *
 * Invariants: what has been flushed is at [0, flushed); `offset` is where the next byte of the
 * archive goes; after the first error nothing is written any more.
 */
#include "base/zip.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/banned.h"

#define LOCAL_BYTES     30
#define DIRECTORY_LIMIT ((size_t)32 << 20) /* 65,534 names of the longest kind, and their rows */
#define OUT_BYTES       (64 << 10)
#define NEEDS_VERSION   20            /* 2.0: folders and deflate (section 4.4.3) */
#define MADE_BY         (3 << 8 | 63) /* Unix, so that the mode below counts; APPNOTE 6.3 */
#define UTF8_NAME       (1 << 11)
#define METHOD_STORED   0
#define METHOD_DEFLATED 8
#define MODE_0600       (0100600u << 16) /* a plain file that is its owner's */

struct zip {
    int fd;
    enum err err;
    uint16_t date, time;
    size_t entries;
    int64_t flushed; /* bytes of the archive that lie in the file */
    size_t out_len;  /* and behind them, here */
    struct buf directory;
    z_stream deflate;
    bool has_deflate;
    /* the entry under way */
    bool is_open, is_packed;
    int64_t header_at, data_at, plain_bytes;
    uint32_t crc;
    char name[ZIP_NAME_LIMIT];
    size_t name_len;
    char out[OUT_BYTES];
};

/* --- bytes ------------------------------------------------------------------------------------ */

static void put16(unsigned char *at, uint32_t value) {
    at[0] = (unsigned char)value;
    at[1] = (unsigned char)(value >> 8);
}

static void put32(unsigned char *at, uint32_t value) {
    put16(at, value & 0xffff);
    put16(at + 2, value >> 16);
}

static void write_at(struct zip *zip, const char *at, size_t len, int64_t offset) {
    while (len > 0 && zip->err == E_OK) {
        ssize_t written = pwrite(zip->fd, at, len, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            zip->err = E_STORAGE;
            return;
        }
        at += written;
        len -= (size_t)written;
        offset += written;
    }
}

static void flush(struct zip *zip) {
    write_at(zip, zip->out, zip->out_len, zip->flushed);
    zip->flushed += (int64_t)zip->out_len;
    zip->out_len = 0;
}

int64_t zip_bytes(const struct zip *zip) {
    return zip->flushed + (int64_t)zip->out_len;
}

static void add(struct zip *zip, const void *bytes, size_t len) {
    const char *at = bytes;
    if (zip_bytes(zip) + (int64_t)len > ZIP_BYTES_LIMIT && zip->err == E_OK)
        zip->err = E_LIMIT;
    while (len > 0 && zip->err == E_OK) {
        size_t take = OUT_BYTES - zip->out_len < len ? OUT_BYTES - zip->out_len : len;
        memcpy(zip->out + zip->out_len, at, take);
        zip->out_len += take;
        at += take;
        len -= take;
        if (zip->out_len == OUT_BYTES)
            flush(zip);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

/* MS-DOS time (section 4.4.6), in steps of two seconds, from 1980 on. */
static void set_time(struct zip *zip, int64_t at_ms) {
    char text[RFC3339_LEN + 1];
    int64_t part[6] = {1980, 1, 1, 0, 0, 0};
    static const size_t from[] = {0, 5, 8, 11, 14, 17}, to[] = {4, 7, 10, 13, 16, 19};
    clock_rfc3339(at_ms, text); /* "2026-11-21T10:18:31.000Z" */
    for (int i = 0; i < 6; i++)
        if (str_to_int(str_of(text + from[i], to[i] - from[i]), &part[i]) != E_OK)
            return;
    if (part[0] < 1980 || part[0] > 2107)
        return;
    zip->date = (uint16_t)((part[0] - 1980) << 9 | part[1] << 5 | part[2]);
    zip->time = (uint16_t)(part[3] << 11 | part[4] << 5 | part[5] / 2);
}

struct zip *zip_new(int fd, int64_t at_ms) {
    struct zip *zip = calloc(1, sizeof *zip);
    BUG_IF(zip == NULL);
    zip->fd = fd;
    zip->date = 1 << 5 | 1;
    set_time(zip, at_ms);
    buf_init(&zip->directory, DIRECTORY_LIMIT);
    return zip;
}

void zip_free(struct zip *zip) {
    if (zip == NULL)
        return;
    if (zip->has_deflate)
        deflateEnd(&zip->deflate);
    buf_release(&zip->directory);
    free(zip);
}

enum err zip_err(const struct zip *zip) {
    return zip->err;
}

/* --- one entry -------------------------------------------------------------------------------- */

/* What the local header and the directory's row have in common: version, flags, method, time, sum,
 * sizes, length of the name (26 bytes). */
static void describe(const struct zip *zip, unsigned char *at, int64_t stored_bytes) {
    put16(at, NEEDS_VERSION);
    put16(at + 2, UTF8_NAME);
    put16(at + 4, zip->is_packed ? METHOD_STORED : METHOD_DEFLATED);
    put16(at + 6, zip->time);
    put16(at + 8, zip->date);
    put32(at + 10, zip->crc);
    put32(at + 14, (uint32_t)stored_bytes);
    put32(at + 18, (uint32_t)zip->plain_bytes);
    put16(at + 22, (uint32_t)zip->name_len);
    put16(at + 24, 0); /* no extra field */
}

static void make_header(const struct zip *zip, unsigned char header[LOCAL_BYTES],
                        int64_t stored_bytes) {
    put32(header, 0x04034b50);
    describe(zip, header + 4, stored_bytes);
}

/* Level 6 of zlib, raw (no header: -15). One stream serves all entries. */
static void begin_deflate(struct zip *zip) {
    int result = zip->has_deflate ? deflateReset(&zip->deflate)
                                  : deflateInit2(&zip->deflate, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                                                 -15, 8, Z_DEFAULT_STRATEGY);
    BUG_IF(result != Z_OK);
    zip->has_deflate = true;
}

void zip_begin(struct zip *zip, struct str name, bool is_packed) {
    unsigned char header[LOCAL_BYTES];
    BUG_IF(zip->is_open || name.len == 0 || name.len > ZIP_NAME_LIMIT || name.at[0] == '/');
    if (zip->entries == ZIP_ENTRIES_LIMIT && zip->err == E_OK)
        zip->err = E_LIMIT;
    zip->is_open = true;
    zip->is_packed = is_packed;
    zip->crc = 0;
    zip->plain_bytes = 0;
    zip->name_len = name.len;
    memcpy(zip->name, name.at, name.len);
    zip->header_at = zip_bytes(zip);
    if (!is_packed)
        begin_deflate(zip);
    make_header(zip, header, 0);
    add(zip, header, sizeof header);
    add(zip, name.at, name.len);
    zip->data_at = zip_bytes(zip);
}

static void run_deflate(struct zip *zip, struct str bytes, int how) {
    unsigned char out[16 << 10];
    zip->deflate.next_in = (z_const Bytef *)(uintptr_t)(bytes.at != NULL ? bytes.at : "");
    zip->deflate.avail_in = (uInt)bytes.len;
    int result;
    do {
        zip->deflate.next_out = out;
        zip->deflate.avail_out = sizeof out;
        result = deflate(&zip->deflate, how);
        BUG_IF(result == Z_STREAM_ERROR);
        add(zip, out, sizeof out - zip->deflate.avail_out);
    } while (zip->err == E_OK &&
             (how == Z_FINISH ? result != Z_STREAM_END : zip->deflate.avail_out == 0));
}

void zip_write(struct zip *zip, struct str bytes) {
    BUG_IF(!zip->is_open);
    while (bytes.len > 0 && zip->err == E_OK) {
        struct str piece = str_slice(bytes, 0, (size_t)1 << 30); /* zlib counts in 32 bits */
        zip->crc = (uint32_t)crc32(zip->crc, (const Bytef *)piece.at, (uInt)piece.len);
        zip->plain_bytes += (int64_t)piece.len;
        if (zip->plain_bytes > ZIP_BYTES_LIMIT)
            zip->err = E_LIMIT;
        else if (zip->is_packed)
            add(zip, piece.at, piece.len);
        else
            run_deflate(zip, piece, Z_NO_FLUSH);
        bytes = str_slice(bytes, piece.len, bytes.len);
    }
}

static void add_to_directory(struct zip *zip, int64_t stored_bytes) {
    unsigned char row[46] = {0};
    put32(row, 0x02014b50);
    put16(row + 4, MADE_BY);
    describe(zip, row + 6, stored_bytes);
    put32(row + 38, MODE_0600);
    put32(row + 42, (uint32_t)zip->header_at);
    buf_add(&zip->directory, row, sizeof row);
    buf_add(&zip->directory, zip->name, zip->name_len);
    if (zip->directory.err != E_OK && zip->err == E_OK)
        zip->err = E_LIMIT;
}

void zip_end(struct zip *zip) {
    unsigned char header[LOCAL_BYTES];
    BUG_IF(!zip->is_open);
    if (!zip->is_packed)
        run_deflate(zip, STR(""), Z_FINISH);
    int64_t stored_bytes = zip_bytes(zip) - zip->data_at;
    make_header(zip, header, stored_bytes);
    flush(zip);
    write_at(zip, (const char *)header, sizeof header, zip->header_at);
    add_to_directory(zip, stored_bytes);
    zip->entries++;
    zip->is_open = false;
}

enum err zip_finish(struct zip *zip, int64_t *bytes) {
    unsigned char end[22] = {0};
    BUG_IF(zip->is_open);
    int64_t directory_at = zip_bytes(zip);
    struct str directory = buf_str(&zip->directory);
    add(zip, directory.at, directory.len);
    put32(end, 0x06054b50);
    put16(end + 8, (uint32_t)zip->entries);
    put16(end + 10, (uint32_t)zip->entries);
    put32(end + 12, (uint32_t)directory.len);
    put32(end + 16, (uint32_t)directory_at);
    add(zip, end, sizeof end);
    flush(zip);
    if (bytes != NULL)
        *bytes = zip_bytes(zip);
    return zip->err;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_trimmed(char c) {
    return c == ' ' || c == '.' || c == '-';
}

static bool is_separator(char c) {
    return (unsigned char)c < ' ' || c == 0x7f || strchr("/\\:*?\"<>|", c) != NULL;
}

struct str zip_name_part(struct arena *arena, struct str text, size_t limit) {
    text = text_is_utf8(text) ? text : STR("");
    char *bytes = str_dup_z(arena, text);
    struct str name = str_of(bytes, text.len);
    for (size_t i = 0; i < name.len; i++)
        if (is_separator(bytes[i]))
            bytes[i] = '-';
    while (name.len > 0 && is_trimmed(name.at[0]))
        name = str_slice(name, 1, name.len);
    size_t len = name.len < limit ? name.len : limit;
    while (len > 0 && len < name.len && ((unsigned char)name.at[len] & 0xc0) == 0x80)
        len--; /* never half a character */
    while (len > 0 && is_trimmed(name.at[len - 1]))
        len--;
    return len > 0 ? str_of(name.at, len) : STR("unnamed");
}
