/* Inside json only: which bytes of a string are special, eight at a time. */
#pragma once

#include <endian.h>
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
