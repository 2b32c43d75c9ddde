/*
 * Token buckets by address and by user, and the numbers that are always on. Buckets live in a
 * bounded map: the one unused for longest goes first.
 */
#pragma once

#include "base/config.h"

struct limits {
    int64_t requests_per_minute;     /* by user, or by address without one; 0: none */
    int64_t costly_per_minute;       /* sign-in, register, import: by address */
    int64_t bad_tokens_per_minute;   /* tokens and keys that are nobody's: by address; 0: none */
    int64_t connections_per_address; /* 0: none */
    int64_t connections;             /* in all */
    int64_t requests;                /* handlers at work at once, of everybody; 0: none */
    int64_t body_memory_mb;          /* bodies held in memory at once, of everybody; 0: none */
    int64_t turns_per_user;          /* replies under way at once */
};
extern struct limits limits;
extern const struct setting limit_settings[];

/*
 * Whom an address stands for: itself, or of IPv6 the network of its first 64 bits, for whoever has
 * one address of it has all 2^64. Borrows from `address` or from `text`.
 */
#define LIMIT_NETWORK_BYTES 52
struct str limit_network(struct str address, char text[LIMIT_NETWORK_BYTES]);

struct limit_answer {
    bool is_allowed;
    int64_t limit, remaining,
        reset_s;     /* RateLimit-Limit, -Remaining, -Reset; limit 0: none is set */
    int64_t retry_s; /* when refused: until the next one is allowed */
};

struct limit_answer limit_take(struct str subject,
                               bool is_costly); /* "user:..." or "address:..." of a network */
/*
 * Tokens and keys that turned out to be nobody's: each costs a signature check or a look-up on the
 * loop. Seconds until another unknown token of this address is looked at; 0: now.
 */
int64_t limit_bad_tokens_wait_s(struct str address);
void limit_bad_token(struct str address); /* one more */
void limit_release(void);
