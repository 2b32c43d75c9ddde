/*
 * Token buckets: each subject may have `limit` requests at once and gets limit/60 of them back
 * every second.
 *
 * A bucket is a number of micro-tokens and the moment it was last filled; filling happens when it
 * is asked. The buckets are in a map and in a list by last use; past SUBJECTS_LIMIT the one unused
 * for longest goes, which gives its subject a full bucket: harmless, for it has been full for long
 * unless somebody cycles through that many addresses, and then addresses are no measure anyway.
 */
#include "net/limit.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/metric.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/banned.h"

#define SUBJECTS_LIMIT 20000 /* about 3 MB */
#define SUBJECT_BYTES  64
#define MINUTE_US      INT64_C(60000000)

METRIC_COUNTER(refusals, "troupe_rate_limited_total", "Requests refused because of their rate.");

struct limits limits;

const struct setting limit_settings[] = {
    {.section = "limits",
     .key = "requests_per_minute",
     .type = SETTING_INT,
     .at = &limits.requests_per_minute,
     .fallback = "600",
     .min = 0,
     .max = 1000000,
     .help =
         "Requests a minute for each signed-in person, or for each address without sign-in; 0 for no limit."},
    {.section = "limits",
     .key = "costly_per_minute",
     .type = SETTING_INT,
     .at = &limits.costly_per_minute,
     .fallback = "20",
     .min = 0,
     .max = 1000000,
     .help = "Sign-ins, registrations and imports a minute for each address; 0 for no limit."},
    {.section = "limits",
     .key = "bad_tokens_per_minute",
     .type = SETTING_INT,
     .at = &limits.bad_tokens_per_minute,
     .fallback = "60",
     .min = 0,
     .max = 1000000,
     .help =
         "Tokens and keys that are not valid, a minute for each address; then unknown ones are answered 429 without being looked at. 0 for no limit."},
    {.section = "limits",
     .key = "connections_per_address",
     .type = SETTING_INT,
     .at = &limits.connections_per_address,
     .fallback = "256",
     .min = 0,
     .max = 1000000,
     .help =
         "Open connections for each address (of IPv6 for each network of 64 bits); 0 for no limit. Trusted proxies have none."},
    {.section = "limits",
     .key = "connections",
     .type = SETTING_INT,
     .at = &limits.connections,
     .fallback = "20000",
     .min = 16,
     .max = 1000000,
     .help = "Open connections in all; more are answered 503."},
    {.section = "limits",
     .key = "requests",
     .type = SETTING_INT,
     .at = &limits.requests,
     .fallback = "4096",
     .min = 0,
     .max = 1000000,
     .help = "Requests at work at once in all; more are answered 503. 0 for no limit."},
    {.section = "limits",
     .key = "body_memory_mb",
     .type = SETTING_INT,
     .at = &limits.body_memory_mb,
     .fallback = "256",
     .min = 0,
     .max = 1000000,
     .unit = "MB",
     .help =
         "Memory for the bodies of requests under way in all; more are answered 503. 0 for no limit."},
    {.section = "limits",
     .key = "turns_per_user",
     .type = SETTING_INT,
     .at = &limits.turns_per_user,
     .fallback = "4",
     .min = 1,
     .max = 1000,
     .help = "Replies under way at once for each person."},
    {0}};

struct bucket {
    struct list by_use;
    int64_t filled_at_us;
    int64_t room_us; /* tokens, as the time it takes to fill them: a full bucket holds a minute */
    uint8_t len;
    char subject[SUBJECT_BYTES];
};

static struct {
    bool is_ready;
    struct map map;
    struct list by_use; /* longest unused first */
} buckets;

static void make_ready(void) {
    if (buckets.is_ready)
        return;
    map_init(&buckets.map);
    list_init(&buckets.by_use);
    buckets.is_ready = true;
}

static void bucket_drop(struct bucket *bucket) {
    map_remove(&buckets.map, str_of(bucket->subject, bucket->len));
    list_remove(&bucket->by_use);
    free(bucket);
}

static struct bucket *bucket_ensure(struct str subject, int64_t now_us) {
    struct bucket *bucket = map_find(&buckets.map, subject);
    if (bucket != NULL) {
        list_remove(&bucket->by_use);
    } else {
        if (buckets.map.count >= SUBJECTS_LIMIT)
            bucket_drop(CONTAINER_OF(buckets.by_use.next, struct bucket, by_use));
        bucket = calloc(1, sizeof(*bucket));
        BUG_IF(bucket == NULL);
        bucket->len = (uint8_t)subject.len;
        memcpy(bucket->subject, subject.at, subject.len);
        bucket->filled_at_us = now_us;
        bucket->room_us = MINUTE_US;
        map_put(&buckets.map, subject, bucket);
    }
    list_add_last(&buckets.by_use, &bucket->by_use);
    return bucket;
}

static void bucket_fill(struct bucket *bucket, int64_t now_us) {
    int64_t passed_us = now_us - bucket->filled_at_us;
    if (passed_us > 0)
        bucket->room_us += passed_us;
    if (bucket->room_us > MINUTE_US)
        bucket->room_us = MINUTE_US;
    bucket->filled_at_us = now_us;
}

static int64_t seconds_up(int64_t us) {
    return (us + 999999) / 1000000;
}

static struct limit_answer take(struct str subject, int64_t limit) {
    if (limit <= 0)
        return (struct limit_answer){.is_allowed = true};
    make_ready();
    subject = str_slice(subject, 0, SUBJECT_BYTES);
    int64_t now_us = clock_mono_us();
    int64_t price_us = MINUTE_US / limit;
    struct bucket *bucket = bucket_ensure(subject, now_us);
    bucket_fill(bucket, now_us);
    struct limit_answer answer = {.limit = limit, .is_allowed = bucket->room_us >= price_us};
    if (answer.is_allowed)
        bucket->room_us -= price_us;
    else
        metric_add(&refusals, 1);
    answer.remaining = bucket->room_us / price_us;
    answer.reset_s = seconds_up(MINUTE_US - bucket->room_us);
    answer.retry_s = answer.is_allowed ? 0 : seconds_up(price_us - bucket->room_us);
    return answer;
}

struct limit_answer limit_take(struct str subject, bool is_costly) {
    return take(subject, is_costly ? limits.costly_per_minute : limits.requests_per_minute);
}

struct str limit_network(struct str address, char text[LIMIT_NETWORK_BYTES]) {
    uint8_t bytes[16];
    if (str_find_char(address, ':', 0) < 0 || address.len >= INET6_ADDRSTRLEN)
        return address;
    memcpy(text, address.at, address.len);
    text[address.len] = '\0';
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return address;
    memset(bytes + 8, 0, 8);
    inet_ntop(AF_INET6, bytes, text, INET6_ADDRSTRLEN);
    size_t len = strlen(text);
    memcpy(text + len, "/64", 3);
    return str_of(text, len + 3);
}

/* A network has at most 45 letters, so it is never cut. */
static struct str token_subject(char text[SUBJECT_BYTES], struct str address) {
    char network[LIMIT_NETWORK_BYTES];
    address = limit_network(address, network);
    int len = snprintf(text, SUBJECT_BYTES, "token:" STR_FMT, STR_ARG(address));
    return str_of(text, len < SUBJECT_BYTES ? (size_t)len : SUBJECT_BYTES - 1);
}

int64_t limit_bad_tokens_wait_s(struct str address) {
    char text[SUBJECT_BYTES];
    if (limits.bad_tokens_per_minute <= 0 || !buckets.is_ready)
        return 0;
    struct bucket *bucket = map_find(&buckets.map, token_subject(text, address));
    if (bucket == NULL)
        return 0;
    bucket_fill(bucket, clock_mono_us());
    int64_t price_us = MINUTE_US / limits.bad_tokens_per_minute;
    return bucket->room_us >= price_us ? 0 : seconds_up(price_us - bucket->room_us);
}

void limit_bad_token(struct str address) {
    char text[SUBJECT_BYTES];
    (void)take(token_subject(text, address), limits.bad_tokens_per_minute);
}

void limit_release(void) {
    if (!buckets.is_ready)
        return;
    LIST_EACH_SAFE(&buckets.by_use, node)
        bucket_drop(CONTAINER_OF(node, struct bucket, by_use));
    map_release(&buckets.map);
    buckets.is_ready = false;
}
