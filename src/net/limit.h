/*
 * Token buckets by address and by user, and the numbers that are always on. Buckets live in a
 * bounded map: the oldest full ones go first.
 */
#pragma once

#include "base/config.h"

struct limits {
    int64_t requests_per_minute;     /* by user, or by address without one; 0: none */
    int64_t costly_per_minute;       /* sign-in, register, import: by address */
    int64_t connections_per_address; /* 0: none */
    int64_t connections;             /* in all */
    int64_t requests;                /* handlers at work at once, of everybody; 0: none */
    int64_t body_memory_mb;          /* bodies held in memory at once, of everybody; 0: none */
    int64_t turns_per_user;          /* replies under way at once */
};
extern struct limits limits;
extern const struct setting limit_settings[];

struct limit_answer {
    bool is_allowed;
    int64_t limit, remaining,
        reset_s;     /* RateLimit-Limit, -Remaining, -Reset; limit 0: none is set */
    int64_t retry_s; /* when refused: until the next one is allowed */
};

struct limit_answer limit_take(struct str subject,
                               bool is_costly); /* "user:..." or "address:..." */
/* True when the next limit_take of this subject would be refused. Takes nothing. */
bool limit_is_spent(struct str subject);
void limit_release(void);
