/*
 * What both stream fuzzers do with their bytes: feed them whole and in pieces, ask that both give
 * the same events, and send every event the way of the adapters (strict JSON, else mended; its
 * strings through the filter), asking that what comes out is UTF-8 and that no text is lost or
 * invented.
 *
 * The first byte of the input is the size of the pieces, the second picks the stop strings.
 */
#pragma once

#include "base/arena.h"
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "fetch/lines.h"
#include "model/filter.h"
#include "model/mend.h"

#include <stdlib.h>
#include <string.h>

struct fuzz_run {
    uint64_t events; /* FNV-1a over all events and their borders */
    size_t count;
    struct mend mend;
    struct filter filter;
    size_t fed, given; /* bytes of text into and out of the filter */
};

static void fuzz_hash(struct fuzz_run *run, struct str bytes) {
    for (size_t i = 0; i < bytes.len; i++)
        run->events = (run->events ^ (unsigned char)bytes.at[i]) * UINT64_C(0x100000001b3);
    run->events = (run->events ^ 0x100) * UINT64_C(0x100000001b3);
}

static void fuzz_given(void *ctx, struct str text) {
    struct fuzz_run *run = ctx;
    BUG_IF(!text_is_utf8(text) || text.len == 0);
    run->given += text.len;
}

static void fuzz_strings(struct fuzz_run *run, const struct json_value *value) {
    struct str text = json_string(value, STR_NONE);
    BUG_IF(!text_is_utf8(text));
    if (text.len && !filter_has_stopped(&run->filter)) {
        run->fed += text.len;
        filter_feed(&run->filter, text);
    }
    for (const struct json_value *child = json_first(value); child; child = json_next(child))
        fuzz_strings(run, child);
}

static bool fuzz_event(void *ctx, struct str name, struct str data) {
    struct fuzz_run *run = ctx;
    struct arena arena;
    const struct json_value *value = NULL;
    arena_init(&arena);
    run->count++;
    fuzz_hash(run, name);
    fuzz_hash(run, data);
    if (json_parse(&arena, data, &value, NULL) != E_OK) {
        struct str mended = mend_event(&run->mend, &arena, data);
        BUG_IF(!text_is_utf8(mended));
        BUG_IF(mended.len > data.len * 3 + 64);
        if (json_parse(&arena, mended, &value, NULL) != E_OK)
            value = NULL;
    }
    fuzz_strings(run, value);
    arena_release(&arena);
    return true;
}

static void fuzz_begin(struct fuzz_run *run, unsigned char choice) {
    static const struct str STOPS[] = {{"\nYou:", 5}, {"a", 1}, {"<|im_end|>", 10}};
    *run = (struct fuzz_run){0};
    filter_init(&run->filter, STOPS, choice % 4, choice & 4 ? STR("a\xC3\xA9") : STR_NONE);
    run->filter.text = fuzz_given;
    run->filter.reasoning = fuzz_given;
    run->filter.ctx = run;
}

/* Gives the error of the reader; the events are in run->events. */
static enum err fuzz_feed(enum lines_kind kind, struct fuzz_run *run, struct str bytes,
                          size_t piece) {
    struct lines lines;
    enum err err = E_OK;
    lines_init(&lines, kind);
    for (size_t at = 0; at < bytes.len && err == E_OK; at += piece)
        err = lines_feed(&lines, str_slice(bytes, at, at + piece), fuzz_event, run);
    if (err == E_OK)
        err = lines_end(&lines, fuzz_event, run);
    lines_release(&lines);
    filter_end(&run->filter, true);
    BUG_IF(run->given > run->fed);
    filter_release(&run->filter);
    return err;
}

static int fuzz_stream(enum lines_kind kind, const uint8_t *input, size_t len) {
    struct fuzz_run whole, pieces;
    if (len < 2)
        return 0;
    struct str bytes = str_of((const char *)input + 2, len - 2);
    fuzz_begin(&whole, input[1]);
    fuzz_begin(&pieces, input[1]);
    enum err err = fuzz_feed(kind, &whole, bytes, bytes.len + 1);
    BUG_IF(fuzz_feed(kind, &pieces, bytes, 1u + input[0] % 64) != err);
    BUG_IF(whole.events != pieces.events || whole.count != pieces.count ||
           whole.given != pieces.given);
    return 0;
}
