/*
 * Passes over all entries of all books. The first looks into the messages; the next ones, for books
 * with recursive scanning, into the contents of what has fired since, until nothing new fires. An
 * entry fires once.
 *
 * Then the budgets, the book's and that of all books: entries are taken from the highest priority
 * down while they fit; one that does not fit is dropped and smaller ones still get in. Where no
 * priority is given, insertion_order stands for it (specification V3, token_budget).
 */
#include "lore/activate.h"

#include "base/check.h"
#include "lore/prepared.h"

#include <math.h>
#include <stdlib.h>

#include "base/banned.h"

#define BOOKS_LIMIT  32
#define DEPTHS_LIMIT 8 /* different scan depths in one scan; the rest use the next shallower text */

struct candidate {
    const struct lore_book *book;
    const struct prepared_entry *entry;
    const struct lore_key *key;
    const char *reason;  /* why it fired; NULL: it did not */
    const char *silence; /* why it did not fire so far */
    size_t place;        /* in which order books and entries stand */
    bool is_dropped;
};

struct source {
    const struct lore_book *book;
    const struct prepared_entry *entries;
};

struct depth_text {
    int64_t depth;
    struct haystack *haystack;
};

struct scanner {
    struct arena *arena;
    const struct lore_scan *scan;
    struct candidate *candidates;
    size_t count;
    struct depth_text depths[DEPTHS_LIMIT];
    size_t depth_count;
    struct haystack *echo; /* contents of what has fired, for recursion; NULL before */
    int64_t work;          /* what looking for keys may still cost */
};

/* --- texts ---------------------------------------------------------------------------------- */

static struct haystack *haystack_new(struct scanner *scanner) {
    struct haystack *haystack = arena_alloc(scanner->arena, sizeof(*haystack));
    haystack_init(haystack, scanner->arena);
    haystack->work = &scanner->work;
    return haystack;
}

/* Of the texts that there are, the deepest that is not deeper than told: nobody hears what they
 * should not. The first is empty. */
static struct haystack *next_shallower(const struct scanner *scanner, int64_t depth) {
    const struct depth_text *best = &scanner->depths[0];
    for (size_t i = 1; i < scanner->depth_count; i++)
        if (scanner->depths[i].depth <= depth && scanner->depths[i].depth > best->depth)
            best = &scanner->depths[i];
    return best->haystack;
}

static struct haystack *text_of_depth(struct scanner *scanner, int64_t depth) {
    for (size_t i = 0; i < scanner->depth_count; i++)
        if (scanner->depths[i].depth == depth)
            return scanner->depths[i].haystack;
    if (scanner->depth_count == DEPTHS_LIMIT)
        return next_shallower(scanner, depth);
    struct haystack *haystack = haystack_new(scanner);
    for (size_t i = 0; i < scanner->scan->message_count && (int64_t)i < depth; i++)
        if (!haystack_add(haystack, scanner->scan->messages[i]))
            break;
    scanner->depths[scanner->depth_count++] = (struct depth_text){depth, haystack};
    return haystack;
}

static int64_t depth_of(const struct candidate *candidate) {
    int64_t depth = candidate->entry->depth >= 0       ? candidate->entry->depth
                    : candidate->book->scan_depth >= 0 ? candidate->book->scan_depth
                                                       : LORE_SCAN_DEPTH;
    return depth < LORE_DEPTH_LIMIT ? depth : LORE_DEPTH_LIMIT;
}

/* --- one entry ------------------------------------------------------------------------------ */

/* What one entry is asked against: the talk, and in recursion also what other entries said. */
struct texts {
    const struct haystack *talk, *echo;
};

static bool stands_in(const struct texts *texts, const struct lore_key *key) {
    return haystack_has(texts->talk, key) || (texts->echo && haystack_has(texts->echo, key));
}

static const struct lore_key *first_key(const struct texts *texts, const struct key_list *keys) {
    for (size_t i = 0; i < keys->count; i++)
        if (stands_in(texts, &keys->at[i]))
            return &keys->at[i];
    return NULL;
}

static bool secondary_allows(const struct texts *texts, const struct prepared_entry *entry) {
    size_t hits = 0;
    for (size_t i = 0; i < entry->secondary.count; i++)
        hits += stands_in(texts, &entry->secondary.at[i]);
    switch (entry->logic) {
    case AND_ANY:
        return hits > 0;
    case NOT_ALL:
        return hits < entry->secondary.count;
    case NOT_ANY:
        return hits == 0;
    case AND_ALL:
        return hits == entry->secondary.count;
    }
    return false;
}

static bool is_only_patterns(const struct key_list *keys) {
    for (size_t i = 0; i < keys->count; i++)
        if (!keys->at[i].is_pattern)
            return false;
    return keys->count > 0;
}

/* Why the decorators forbid it, or NULL. */
static const char *decorators_forbid(const struct texts *texts,
                                     const struct prepared_entry *entry) {
    for (size_t i = 0; i < entry->additional_count; i++)
        if (first_key(texts, &entry->additional[i]) == NULL)
            return "none of its @@additional_keys is there";
    if (first_key(texts, &entry->excluded))
        return "one of its @@exclude_keys is there";
    return NULL;
}

/* What no text can change; NULL when it must be asked. */
static const char *always_silent(const struct prepared_entry *entry) {
    if (!entry->is_enabled)
        return "it is switched off";
    if (entry->content.len == 0)
        return "it has no content";
    if (entry->is_never && !entry->is_always)
        return "it says @@dont_activate";
    return NULL;
}

static const char *ask_keys(struct candidate *candidate, const struct texts *texts) {
    const struct prepared_entry *entry = candidate->entry;
    const struct lore_key *key = first_key(texts, &entry->keys);
    if (key == NULL && entry->has_more_keys)
        return "its book has more keys than are looked for";
    if (entry->keys.count == 0)
        return "it has no keys";
    if (key == NULL)
        return is_only_patterns(&entry->keys) ? "its keys are patterns, which do not fire yet"
                                              : "none of its keys is there";
    bool needs_secondary = entry->is_selective && entry->secondary.count > 0;
    if (needs_secondary && !secondary_allows(texts, entry))
        return "its secondary keys do not allow it";
    const char *forbidden = decorators_forbid(texts, entry);
    if (forbidden)
        return forbidden;
    candidate->key = key;
    candidate->reason = !haystack_has(texts->talk, key) ? "recursion"
                        : needs_secondary               ? "key and secondary key"
                                                        : "key";
    return NULL;
}

static void ask(struct scanner *scanner, struct candidate *candidate) {
    const struct prepared_entry *entry = candidate->entry;
    candidate->silence = always_silent(entry);
    if (candidate->silence)
        return;
    if (entry->is_constant || entry->is_always) {
        candidate->reason = "constant";
        return;
    }
    if (entry->is_late && scanner->echo == NULL) {
        candidate->silence = "it waits for another entry to name it";
        return;
    }
    struct texts texts = {text_of_depth(scanner, depth_of(candidate)),
                          entry->is_deaf ? NULL : scanner->echo};
    candidate->silence = ask_keys(candidate, &texts);
    if (scanner->work <= 0) { /* it may not have been asked for all of its keys */
        candidate->reason = NULL;
        candidate->silence = "its books are too much for one search";
    }
}

/* --- all entries ---------------------------------------------------------------------------- */

/* One pass; true when something fired that others may be fired by. */
static bool pass(struct scanner *scanner, struct haystack *heard) {
    bool is_heard = false;
    for (size_t i = 0; i < scanner->count; i++) {
        struct candidate *candidate = &scanner->candidates[i];
        if (candidate->reason || (scanner->echo && !candidate->book->recursive_scanning))
            continue;
        ask(scanner, candidate);
        if (candidate->reason && candidate->book->recursive_scanning && !candidate->entry->is_mute)
            is_heard |= haystack_add(heard, candidate->entry->content);
    }
    return is_heard;
}

static void release_texts(struct scanner *scanner, struct haystack *heard) {
    for (size_t i = 0; i < scanner->depth_count; i++)
        haystack_release(scanner->depths[i].haystack);
    haystack_release(heard);
}

static void fire(struct scanner *scanner) {
    scanner->work = HAYSTACK_WORK_BYTES;
    text_of_depth(scanner, 0);
    text_of_depth(scanner, LORE_SCAN_DEPTH);
    struct haystack *heard = haystack_new(scanner);
    for (int i = 0; i < LORE_PASSES_LIMIT && pass(scanner, heard); i++)
        scanner->echo = heard;
    release_texts(scanner, heard);
}

/* --- budgets -------------------------------------------------------------------------------- */

static double weight(const struct candidate *candidate) {
    if (candidate->entry->yields)
        return -INFINITY;
    double priority = candidate->entry->priority;
    return isnan(priority) ? candidate->entry->insertion_order : priority;
}

static int by_weight(const void *a, const void *b) {
    const struct candidate *x = *(struct candidate *const *)a, *y = *(struct candidate *const *)b;
    double p = weight(x), q = weight(y);
    if (p != q)
        return p < q ? 1 : -1;
    return x->place > y->place ? 1 : -1;
}

static void drop_what_does_not_fit(struct candidate **fired, size_t count, int64_t budget,
                                   const struct lore_book *book) {
    for (size_t i = 0; i < count; i++) {
        if (fired[i]->is_dropped || (book && fired[i]->book != book))
            continue;
        if (fired[i]->entry->tokens <= budget)
            budget -= fired[i]->entry->tokens;
        else
            fired[i]->is_dropped = true;
    }
}

static void keep_budgets(const struct lore_scan *scan, const struct source *sources,
                         size_t source_count, struct candidate **fired, size_t count) {
    qsort(fired, count, sizeof(*fired), by_weight);
    for (size_t i = 0; i < source_count; i++)
        if (sources[i].book->token_budget >= 0)
            drop_what_does_not_fit(fired, count, sources[i].book->token_budget, sources[i].book);
    drop_what_does_not_fit(fired, count, scan->budget_tokens, NULL);
}

static int by_prompt_order(const void *a, const void *b) {
    const struct candidate *x = *(struct candidate *const *)a, *y = *(struct candidate *const *)b;
    if (x->is_dropped != y->is_dropped)
        return x->is_dropped ? 1 : -1;
    double p = x->entry->insertion_order, q = y->entry->insertion_order;
    if (p != q)
        return p < q ? -1 : 1;
    return x->place > y->place ? 1 : -1;
}

/* --- results -------------------------------------------------------------------------------- */

static struct lore_hit hit_of(struct arena *arena, const struct candidate *candidate) {
    const struct prepared_entry *entry = candidate->entry;
    return (struct lore_hit){
        .lorebook_id = candidate->book->id,
        .entry_id = entry->id,
        .book = str_dup(arena, candidate->book->name),
        .entry = str_dup(arena, entry->shown),
        .content = str_dup(arena, entry->content),
        .key = candidate->key ? str_dup(arena, candidate->key->shown) : STR_NONE,
        .reason = candidate->reason,
        .position = entry->is_before ? STR("before_char") : STR("after_char"),
        .insertion_order = entry->insertion_order,
        .priority = entry->priority,
        .tokens = entry->tokens,
        .is_dropped = candidate->is_dropped,
    };
}

static void add_candidates(struct scanner *scanner, const struct source *sources, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += sources[i].book->entry_count;
    scanner->candidates = ARENA_ARRAY(scanner->arena, struct candidate, total);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sources[i].book->entry_count; k++, scanner->count++)
            scanner->candidates[scanner->count] = (struct candidate){
                .book = sources[i].book, .entry = &sources[i].entries[k], .place = scanner->count};
}

/* By entries, in the order in which they stand. */
static void tell_verdicts(const struct scanner *scanner, struct candidate *const *fired,
                          const struct lore_hit *hits, size_t count,
                          struct lore_verdict *verdicts) {
    for (size_t i = 0; i < scanner->count; i++)
        verdicts[i].silence = scanner->candidates[i].silence;
    for (size_t i = 0; i < count; i++)
        verdicts[fired[i]->place] = (struct lore_verdict){.hit = &hits[i]};
}

/* `verdicts` (NULL: nobody asks) has a place for every entry. */
static void activate(struct arena *arena, const struct source *sources, size_t source_count,
                     const struct lore_scan *scan, struct lore_hit **hits, size_t *hit_count,
                     struct lore_verdict *verdicts) {
    struct arena scratch;
    arena_init(&scratch);
    struct scanner scanner = {.arena = &scratch, .scan = scan};
    add_candidates(&scanner, sources, source_count);
    fire(&scanner);
    struct candidate **fired = ARENA_ARRAY(&scratch, struct candidate *, scanner.count + 1);
    size_t count = 0;
    for (size_t i = 0; i < scanner.count; i++)
        if (scanner.candidates[i].reason)
            fired[count++] = &scanner.candidates[i];
    keep_budgets(scan, sources, source_count, fired, count);
    qsort(fired, count, sizeof(*fired), by_prompt_order);
    *hits = ARENA_ARRAY(arena, struct lore_hit, count + 1);
    for (size_t i = 0; i < count; i++)
        (*hits)[i] = hit_of(arena, fired[i]);
    *hit_count = count;
    if (verdicts != NULL)
        tell_verdicts(&scanner, fired, *hits, count, verdicts);
    arena_release(&scratch);
}

void lore_activate_books(struct arena *arena, const struct lore_book *books, size_t book_count,
                         const struct lore_scan *scan, struct lore_hit **hits, size_t *hit_count) {
    struct source *sources = ARENA_ARRAY(arena, struct source, book_count + 1);
    for (size_t i = 0; i < book_count; i++) {
        struct prepared_entry *entries;
        prepare(arena, &books[i], &entries);
        sources[i] = (struct source){&books[i], entries};
    }
    activate(arena, sources, book_count, scan, hits, hit_count, NULL);
}

struct lore_verdict *lore_verdicts(struct arena *arena, const struct lore_book *book,
                                   const struct lore_scan *scan) {
    struct lore_hit *hits;
    struct prepared_entry *entries;
    size_t count;
    prepare(arena, book, &entries);
    struct source source = {book, entries};
    struct lore_verdict *verdicts = ARENA_ARRAY(arena, struct lore_verdict, book->entry_count + 1);
    activate(arena, &source, 1, scan, &hits, &count, verdicts);
    return verdicts;
}

/* Asked before it is loaded again: a change that comes between the two would take the book away that
 * the first one gave. */
static bool is_known(const struct lore_scan *scan, size_t at) {
    for (size_t i = 0; i < at; i++)
        if (scan->character_ids[i] == scan->character_ids[at])
            return true;
    return false;
}

enum err lore_activate(struct db *db, struct arena *arena, const struct lore_scan *scan,
                       struct lore_hit **hits, size_t *hit_count) {
    struct source sources[BOOKS_LIMIT];
    size_t count = 0;
    for (size_t i = 0; i < scan->character_count && count < BOOKS_LIMIT; i++) {
        const struct prepared_book *prepared;
        if (is_known(scan, i))
            continue;
        enum err err = prepared_load(db, scan->character_ids[i], &prepared);
        if (err != E_OK && err != E_ABSENT)
            return err;
        if (err == E_OK)
            sources[count++] = (struct source){&prepared->book, prepared->entries};
    }
    activate(arena, sources, count, scan, hits, hit_count, NULL);
    prepared_trim();
    return E_OK;
}
