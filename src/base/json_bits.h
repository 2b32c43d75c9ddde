/* Inside json only: which bytes of a string are special, eight or sixteen at a time. */
#pragma once

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Eight bytes, the first in the lowest bits whatever the machine's order. */
static inline uint64_t json_load8(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

/*
 * A mark in the high bit of every byte that is a quote, a backslash or below 0x20. Only the lowest
 * mark is to be trusted: the subtraction may borrow into the bytes after it.
 */
static inline uint64_t json_special8(uint64_t word) {
    uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\');
    uint64_t marks = ((quote - EACH_BYTE(1)) & ~quote) | ((backslash - EACH_BYTE(1)) & ~backslash) |
                     ((word - EACH_BYTE(0x20)) & ~word);
    return marks & EACH_BYTE(0x80);
}

/* The place (0 to 7) of the lowest mark. */
static inline int json_first_mark(uint64_t marks) {
    return __builtin_ctzll(marks) >> 3;
}

/* The last one to seven bytes of a text as a word, the missing ones as spaces; nothing beyond the text
 * is read. */
static inline uint64_t json_load_tail(const char *at, size_t len) {
    uint64_t word;
    if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, at, sizeof(first));
        memcpy(&last, at + len - 4, sizeof(last));
        word = (uint64_t)le32toh(first) | (uint64_t)le32toh(last) << (len - 4) * 8;
    } else {
        word = (uint64_t)(unsigned char)at[0] |
               (uint64_t)(unsigned char)at[len >> 1] << (len >> 1) * 8 |
               (uint64_t)(unsigned char)at[len - 1] << (len - 1) * 8;
    }
    return word | EACH_BYTE(' ') << len * 8;
}

typedef unsigned char json_bytes16 __attribute__((vector_size(16)));
typedef uint64_t json_halves16 __attribute__((vector_size(16)));

/* The place (0 to 15) of the first byte that is a quote, a backslash or below 0x20; 16: there is none. */
static inline int json_first_special16(json_bytes16 bytes) {
    json_halves16 marks = (json_halves16)((bytes == '"') | (bytes == '\\') | (bytes < 0x20));
    uint64_t first = le64toh(marks[0]);
    if (first)
        return json_first_mark(first);
    uint64_t last = le64toh(marks[1]);
    return last ? 8 + json_first_mark(last) : 16;
}
