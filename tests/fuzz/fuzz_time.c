/* links: troupe_base
 *
 * The first eight bytes are a moment, the rest is a time in words (RFC 3339) or a table of a time zone
 * (TZif): a moment that was read is written and read again as the same, and no zone is further than a
 * day away. */
#include "base/check.h"
#include "base/clock.h"
#include "base/zone.h"

#include <string.h>

#include "base/banned.h"

#define LAST_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */
#define DAY_MS  INT64_C(86400000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge_moment(int64_t at_ms) {
    char text[RFC3339_LEN + 1], date[HTTP_DATE_LEN + 1];
    int64_t again_ms;
    clock_rfc3339(at_ms, text);
    clock_http_date(at_ms, date);
    BUG_IF(strlen(text) != RFC3339_LEN || strlen(date) != HTTP_DATE_LEN);
    BUG_IF(clock_parse_rfc3339(str_from(text), &again_ms) != E_OK || again_ms != at_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int64_t at_ms, read_ms, offset_ms;
    if (size < sizeof(at_ms))
        return 0;
    memcpy(&at_ms, data, sizeof(at_ms));
    at_ms = (at_ms & INT64_MAX) % (LAST_MS + 1);
    struct str text = str_of((const char *)data + sizeof(at_ms), size - sizeof(at_ms));
    judge_moment(at_ms);
    if (clock_parse_rfc3339(text, &read_ms) == E_OK)
        judge_moment(read_ms);
    if (zone_offset_of(text, at_ms, &offset_ms) == E_OK)
        BUG_IF(offset_ms < -DAY_MS || offset_ms > DAY_MS);
    return 0;
}
