/* links: troupe_memory
 *
 * The input is a question and, behind a NUL, a name: whatever it is, it is read to an end, its terms
 * are bounded and different, ranges of time are not upside down, pieces lie inside the text and in
 * order, and stems are no longer than words. */
#include "base/check.h"
#include "memory/pieces.h"
#include "memory/question.h"
#include "memory/stem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_question(const struct question *q) {
    BUG_IF(q->term_count > QUESTION_TERMS_LIMIT || q->range_count > TIME_RANGES_LIMIT);
    BUG_IF(q->wanted < -1 || q->wanted > 1);
    for (size_t i = 0; i < q->term_count; i++) {
        BUG_IF(q->terms[i].word.len == 0);
        for (size_t k = 0; k < i; k++)
            BUG_IF(str_eq(q->terms[i].stem, q->terms[k].stem));
    }
    for (size_t i = 0; i < q->range_count; i++) {
        BUG_IF(q->ranges[i].from_ms >= q->ranges[i].to_ms);
        double fit = timewords_fit(&q->ranges[i], 1, INT64_C(1795233791123));
        BUG_IF(!(fit >= 0 && fit <= 2));
    }
}

static void check_pieces(struct arena *arena, struct str text) {
    size_t count;
    const struct str *pieces = pieces_of(arena, text, &count);
    const char *at = text.at;
    BUG_IF(count > PIECES_LIMIT);
    for (size_t i = 0; i < count; i++) {
        BUG_IF(pieces[i].len == 0 || pieces[i].at < at);
        at = pieces[i].at + pieces[i].len;
        BUG_IF(at > text.at + text.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct str all = str_of((const char *)data, size);
    ptrdiff_t cut = str_find_char(all, '\0', 0);
    struct str text = cut < 0 ? all : str_slice(all, 0, (size_t)cut);
    struct str name = cut < 0 ? STR("Mia") : str_slice(all, (size_t)cut + 1, all.len);
    struct memory_speaker cast[] = {{MEMORY_USER, 0, name}, {MEMORY_CHARACTER, 1, STR("Bo")}};
    arena_init(&arena);
    struct question q = question_read(&arena, text, cast, COUNT_OF(cast), INT64_C(1795233791123));
    check_question(&q);
    check_pieces(&arena, text);
    text_form_of(&arena, text);
    char out[STEM_LIMIT_BYTES];
    BUG_IF(stem(text, out).len > text.len);
    arena_release(&arena);
    return 0;
}
