/*
 * The last id is one atomic word. A new one is the current millisecond with a random lower half of
 * the counter, or the last plus one when that would not grow (same millisecond, clock stepped back,
 * counter ran into the next millisecond). The random start keeps two databases that are merged from
 * meeting, and tells no outsider how many were made.
 */
#include "base/id.h"

#include "base/clock.h"
#include "base/crypto.h"

#include <stdatomic.h>
#include <string.h>

#include "base/banned.h"

#define EPOCH_2020_MS INT64_C(1577836800000)
#define COUNTER_BITS  21
#define START_BITS \
    20 /* a start in the lower half leaves a million ids before the counter touches the next \
          millisecond */
#define LAST_MS ((INT64_C(1) << 42) - 1)

/* Crockford's letters by twos: one look-up writes ten bits. */
#define PAIRS(first)                                                                      \
    first "0" first "1" first "2" first "3" first "4" first "5" first "6" first "7" first \
          "8" first "9" first "A" first "B" first "C" first "D" first "E" first "F" first \
          "G" first "H" first "J" first "K" first "M" first "N" first "P" first "Q" first \
          "R" first "S" first "T" first "V" first "W" first "X" first "Y" first "Z"
static const char LETTERS[] = PAIRS("0") PAIRS("1") PAIRS("2") PAIRS("3") PAIRS("4") PAIRS("5")
    PAIRS("6") PAIRS("7") PAIRS("8") PAIRS("9") PAIRS("A") PAIRS("B") PAIRS("C") PAIRS("D")
        PAIRS("E") PAIRS("F") PAIRS("G") PAIRS("H") PAIRS("J") PAIRS("K") PAIRS("M") PAIRS("N")
            PAIRS("P") PAIRS("Q") PAIRS("R") PAIRS("S") PAIRS("T") PAIRS("V") PAIRS("W") PAIRS("X")
                PAIRS("Y") PAIRS("Z");

/* xorshift64*: fast and well spread; ids are no secrets. */
static uint64_t random_start(void) {
    static _Thread_local uint64_t state;
    while (state == 0)
        crypto_random(&state, sizeof(state));
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * UINT64_C(0x2545F4914F6CDD1D)) >> (64 - START_BITS);
}

int64_t id_new(void) {
    static _Atomic int64_t newest;
    int64_t ms = clock_now_ms() - EPOCH_2020_MS;
    ms = ms < 0 ? 0 : ms > LAST_MS ? LAST_MS : ms;
    int64_t seen = atomic_load_explicit(&newest, memory_order_relaxed);
    int64_t id;
    do {
        if (ms > seen >> COUNTER_BITS)
            id = ms << COUNTER_BITS | (int64_t)random_start();
        else
            id = seen + 1;
    } while (!atomic_compare_exchange_weak_explicit(&newest, &seen, id, memory_order_relaxed,
                                                    memory_order_relaxed));
    return id;
}

void id_print(int64_t id, char out[ID_TEXT_LEN]) {
    uint64_t rest = (uint64_t)id;
    for (int i = ID_TEXT_LEN - 2; i > 0; i -= 2, rest >>= 10)
        memcpy(out + i, LETTERS + (rest & 1023) * 2, 2);
    out[0] = LETTERS[rest * 2 + 1]; /* the four bits that are left, as the second of a pair */
}

struct id_text id_text(int64_t id) {
    struct id_text text;
    id_print(id, text.at);
    text.at[ID_TEXT_LEN] = '\0';
    return text;
}

/* The value of each letter plus one, so that 0 is "no letter". I, L, O and U have none: a mistyped
 * id is refused, not guessed. */
static const unsigned char VALUES[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    ['G'] = 17, ['H'] = 18, ['J'] = 19, ['K'] = 20, ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24,
    ['R'] = 25, ['S'] = 26, ['T'] = 27, ['V'] = 28, ['W'] = 29, ['X'] = 30, ['Y'] = 31, ['Z'] = 32,
    ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['g'] = 17, ['h'] = 18,
    ['j'] = 19, ['k'] = 20, ['m'] = 21, ['n'] = 22, ['p'] = 23, ['q'] = 24, ['r'] = 25, ['s'] = 26,
    ['t'] = 27, ['v'] = 28, ['w'] = 29, ['x'] = 30, ['y'] = 31, ['z'] = 32,
};

enum err id_parse(struct str text, int64_t *id) {
    if (text.len != ID_TEXT_LEN)
        return E_INPUT;
    uint64_t value = 0;
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        unsigned letter = VALUES[(unsigned char)text.at[i]];
        if (letter == 0 ||
            (i == 0 && letter > 8)) /* 13 letters carry 65 bits; the first may use three */
            return E_INPUT;
        value = value << 5 | (letter - 1);
    }
    if (value == 0)
        return E_INPUT;
    *id = (int64_t)value;
    return E_OK;
}

int64_t id_at_ms(int64_t id) {
    return (id >> COUNTER_BITS) + EPOCH_2020_MS;
}
