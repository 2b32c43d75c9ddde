/*
 * Finding characters: lists, search, tags, favourites, and the sweep of the trash.
 *
 * Search is by words first (FTS5, the last word as a prefix, names before descriptions); when that
 * finds little, by likeness of names and tags over shared trigrams, so that a slip of the finger
 * still finds. The best 200 are ranked; pages are cut from that, because a rank has no key to page
 * by. A word that five thousand cards have takes 8 ms to rank, so searching and counting tags are
 * work for the pool.
 *
 * By meaning (likeness.h) somebody is found by what no word of the card says, and a character leads
 * to others like it. Without an encoder the first is a search by words, the second goes by shared
 * tags.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "character/character_api.h"
#include "character/character_json.h"
#include "character/character_reply.h"
#include "character/likeness.h"
#include "loop/pool.h"
#include "store/search.h"

#include <stdlib.h>

#include "base/banned.h"

#define FOUND_LIMIT       200 /* characters of one search */
#define FEW               5   /* found by words: then likeness is asked too */
#define LIKENESS          0.4 /* of a typed word and a word of a name: "dragn" and "dragon" have 0.6 */
#define TAGS_LIMIT        1000
#define QUERY_LIMIT_BYTES 8192 /* sixteen tags */

struct list_query {
    int64_t limit;
    struct str cursor, tag, tier;
    bool mine, trash;
};

struct search_query {
    int64_t limit;
    struct str q, cursor, tag, tier, sort;
};

struct page_query {
    int64_t limit;
    struct str cursor;
};

struct favourite_body {
    int64_t character_id;
};

/* clang-format off */
static const char *const sorts[] = {"relevance", "new", "meaning", NULL};
#define PAGE_ROWS(type) \
    {"limit", FIELD_INT, AT(type, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."}, \
    {"cursor", FIELD_TEXT, AT(type, cursor), .max = 40, .help = "next_cursor of the page before."}
#define FILTER_ROWS(type) \
    {"tag", FIELD_TEXT, AT(type, tag), .max = 200, .help = "Only with this tag, whatever its letter case."}, \
    {"tier", FIELD_CHOICE, AT(type, tier), .choices = character_tiers, .help = "Only of this content tier."}
static const struct field list_rows[] = {
    PAGE_ROWS(struct list_query), FILTER_ROWS(struct list_query),
    {"mine", FIELD_BOOL, AT(struct list_query, mine), .fallback = "false", .help = "Only your own."},
    {"trash", FIELD_BOOL, AT(struct list_query, trash), .fallback = "false", .help = "Those of yours that are in the trash."},
    {0}};
static const struct field search_rows[] = {
    PAGE_ROWS(struct search_query), FILTER_ROWS(struct search_query),
    {"q", FIELD_TEXT, AT(struct search_query, q), .max = 200, .help = "Words of the name, the tagline, the tags, the creator or the description; slips are forgiven."},
    {"sort", FIELD_CHOICE, AT(struct search_query, sort), .choices = sorts, .fallback = "relevance", .help = "Best first, newest first, or by what is meant rather than by words."},
    {0}};
static const struct field page_rows[] = {PAGE_ROWS(struct page_query), {0}};
static const struct field favourite_fields[] = {
    {"character_id", FIELD_ID, AT(struct favourite_body, character_id), .is_required = true, .help = "One that you may see."},
    {0}};
static const struct field tag_rows[] = {
    {"tag", FIELD_TEXT, .is_required = true, .help = "In lower case."},
    {"count", FIELD_INT, .is_required = true, .help = "How many characters that you may see have it."},
    {0}};
static const struct shape tag_shape = {"Tag", tag_rows, "A tag, and how often it is used."};
/* clang-format on */

/* --- lists ---------------------------------------------------------------------------------- */

static struct str fold_tag(struct arena *arena, struct str tag) {
    return tag.len > 0 ? text_fold(arena, str_trim(tag)) : STR_NONE;
}

/* A page as it is written: the last row of it gives the cursor, the row behind it only tells that
 * there is one. */
struct page {
    struct json *json;
    size_t written, limit;
    int64_t last_id;
};

static void write_row(void *ctx, const struct character_summary *summary) {
    struct page *page = ctx;
    if (page->written == page->limit)
        return;
    character_write_summary(page->json, summary);
    page->last_id = summary->id;
    page->written++;
}

/* Answers with one page; list->limit is what was asked for. */
static void reply_list(struct request *request, struct character_list *list, struct str cursor) {
    list->user_id = request->caller.user_id;
    list->before_id = INT64_MAX;
    if (cursor.len > 0 && id_parse(cursor, &list->before_id) != E_OK)
        return reply_field_problem(request, "cursor", "This is not a cursor of this list.");
    struct page page = {.json = reply_list_begin(request), .limit = (size_t)list->limit};
    list->limit++;
    list->each = write_row;
    list->ctx = &page;
    enum err err = character_store_list(store_reader(), list);
    if (err != E_OK)
        return reply_error(request, err);
    struct str next = STR_NONE;
    if (list->count > page.limit)
        next = str_printf(request->arena, "%s", id_text(page.last_id).at);
    reply_list_end(request, next);
}

static void list(struct request *request) {
    const struct list_query *query = request->query_fields;
    reply_list(request,
               &(struct character_list){.limit = query->limit,
                                        .tag = fold_tag(request->arena, query->tag),
                                        .tier = query->tier,
                                        .is_mine = query->mine,
                                        .is_trash = query->trash},
               query->cursor);
}

/* --- search --------------------------------------------------------------------------------- */

static struct pool_kind search_kind = {.name = "search", .running_limit = 2, .queue_limit = 128};

struct found {
    int64_t id;
    double likeness;
};

/* How like the best word of `text` is to one typed word. */
static double best_likeness(struct str typed, struct str text) {
    struct str word;
    size_t at = 0;
    double best = 0;
    while (best < 1 && text_next_word(text, &at, &word)) {
        double likeness = text_similarity(typed, word);
        best = likeness > best ? likeness : best;
    }
    return best;
}

/* The mean over the typed words: each should be there in some form. */
static double likeness_of(struct str typed, struct str text) {
    struct str word;
    size_t at = 0, count = 0;
    double sum = 0;
    while (count < SEARCH_WORDS_LIMIT && text_next_word(typed, &at, &word)) {
        sum += best_likeness(word, text);
        count++;
    }
    return count ? sum / (double)count : 0;
}

static int by_likeness(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    if (x->likeness != y->likeness)
        return x->likeness < y->likeness ? 1 : -1;
    return x->id < y->id ? 1 : -1;
}

static bool is_found(const struct character_search *search, int64_t id) {
    for (size_t i = 0; i < search->count; i++)
        if (search->ids[i] == id)
            return true;
    return false;
}

/* Adds what is like the typed words behind what has them. */
static enum err pool_add_alike(struct db *db, struct character_search *search, struct str typed) {
    struct character_search fuzzy = *search;
    struct found found[FOUND_LIMIT];
    size_t count = 0;
    fuzzy.query = search_fuzzy_query(search->arena, typed);
    if (fuzzy.query.at == NULL)
        return E_OK;
    enum err err = character_store_search_fuzzy(db, &fuzzy);
    for (size_t i = 0; i < fuzzy.count && err == E_OK; i++) {
        double likeness = likeness_of(typed, fuzzy.names[i]);
        if (likeness >= LIKENESS && !is_found(search, fuzzy.ids[i]))
            found[count++] = (struct found){fuzzy.ids[i], likeness};
    }
    qsort(found, count, sizeof(found[0]), by_likeness);
    for (size_t i = 0; i < count && search->count < FOUND_LIMIT; i++)
        search->ids[search->count++] = found[i].id;
    return err;
}

struct searching {
    struct request *request;
    struct character_search search;
    struct character_summary *items;
    size_t from, want, count; /* of the page */
    size_t limit;             /* of a page found by meaning; 0: by words */
    int64_t like_id;          /* others like this one; 0: like the question */
    const float *question;
    struct index_encoder encoder;
    enum err err;
};

static enum err pool_find_ids(struct db *db, struct character_search *search,
                              const struct search_query *query) {
    search->ids = ARENA_ARRAY(search->arena, int64_t, FOUND_LIMIT);
    search->query = search_query(search->arena, query->q, true);
    if (search->query.at == NULL)
        return E_OK;
    bool by_age = str_eq(query->sort, STR("new"));
    enum err err =
        by_age ? character_store_search_newest(db, search) : character_store_search(db, search);
    return err == E_OK && search->count < FEW ? pool_add_alike(db, search, query->q) : err;
}

static enum err pool_find_page(struct db *db, struct searching *s) {
    const struct search_query *query = s->request->query_fields;
    enum err err = pool_find_ids(db, &s->search, query);
    if (err != E_OK)
        return err;
    if (s->from > s->search.count)
        s->from = s->search.count;
    size_t left = s->search.count - s->from;
    s->want = left < (size_t)query->limit ? left : (size_t)query->limit;
    s->items = ARENA_ARRAY(s->search.arena, struct character_summary, s->want);
    return character_store_by_ids(db, s->search.arena, s->search.user_id, s->search.ids + s->from,
                                  s->want, s->items, &s->count);
}

/* --- by meaning ------------------------------------------------------------------------------ */

static bool fits(struct db *db, const struct character_search *search,
                 const struct character_summary *summary) {
    return (search->tier.len == 0 || str_eq(search->tier, summary->content_tier)) &&
           (search->tag.len == 0 || character_store_has_tag(db, summary->id, search->tag));
}

/* The page of those found by meaning that this person may see and that fit, in their order. */
static enum err pool_meant_page(struct db *db, struct searching *s, size_t limit) {
    struct character_search *search = &s->search;
    struct character_summary *all =
        ARENA_ARRAY(search->arena, struct character_summary, FOUND_LIMIT);
    size_t visible = 0;
    enum err err = character_store_by_ids(db, search->arena, search->user_id, search->ids,
                                          search->count, all, &visible);
    s->items = ARENA_ARRAY(search->arena, struct character_summary, limit);
    size_t fitting = 0;
    for (size_t i = 0; i < visible && err == E_OK; i++)
        if (fits(db, search, &all[i]) && fitting++ >= s->from && s->count < limit)
            s->items[s->count++] = all[i];
    search->count =
        s->like_id != 0 ? s->from + s->count : fitting; /* those like one are one page */
    s->want = s->count;
    return err;
}

/* Others that share its tags, for a house without an encoder. */
static enum err pool_find_by_tags(struct db *db, struct searching *s) {
    struct character_summary self;
    struct buf query;
    const struct json_value *tags;
    enum err err =
        character_store_summary(db, s->search.arena, s->like_id, s->search.user_id, &self);
    if (err != E_OK || json_parse(s->search.arena, self.tags, &tags, NULL) != E_OK)
        return err;
    buf_init(&query, QUERY_LIMIT_BYTES);
    size_t room = SEARCH_WORDS_LIMIT;
    for (const struct json_value *i = json_first(tags); i && room > 0; i = json_next(i), room--) {
        struct str one = search_query(s->search.arena, json_string(i, STR("")), false);
        if (one.len > 0)
            buf_printf(&query, "%s(" STR_FMT ")", query.len > 0 ? " OR " : "", STR_ARG(one));
    }
    s->search.query = str_dup(s->search.arena, buf_str(&query));
    buf_release(&query);
    if (s->search.query.len > 0)
        err = character_store_search(db, &s->search);
    size_t kept = 0;
    for (size_t i = 0; i < s->search.count; i++)
        if (s->search.ids[i] != s->like_id)
            s->search.ids[kept++] = s->search.ids[i];
    s->search.count = kept;
    return err;
}

static enum err pool_find_meant(struct db *db, struct searching *s, size_t limit) {
    enum err err;
    s->search.ids = ARENA_ARRAY(s->search.arena, int64_t, FOUND_LIMIT);
    if (s->question != NULL)
        err = pool_characters_meant(s->question, s->encoder, s->search.ids, FOUND_LIMIT,
                                    &s->search.count);
    else if (s->encoder.id != 0)
        err = pool_characters_like(s->like_id, s->encoder, s->search.ids, FOUND_LIMIT,
                                   &s->search.count);
    else
        err = E_ABSENT;
    if (err == E_ABSENT && s->like_id != 0)
        err = pool_find_by_tags(db, s);
    return err == E_OK ? pool_meant_page(db, s, limit) : err;
}

static void pool_find(void *ctx) {
    struct searching *s = ctx;
    struct db *db = pool_reader_open();
    if (db == NULL)
        s->err = E_STORAGE;
    else
        s->err = s->limit > 0 ? pool_find_meant(db, s, s->limit) : pool_find_page(db, s);
    if (db)
        pool_reader_close(db);
}

static void on_found(enum err err, void *ctx) {
    struct searching *s = ctx;
    if (err != E_OK || (err = s->err) != E_OK)
        return reply_error(s->request, err);
    struct json *json = reply_list_begin(s->request);
    for (size_t i = 0; i < s->count; i++)
        character_write_summary(json, &s->items[i]);
    size_t end = s->from + s->want;
    reply_list_end(s->request,
                   end < s->search.count ? str_printf(s->request->arena, "%zu", end) : STR_NONE);
}

static enum err read_place(struct str cursor, size_t *place) {
    int64_t value = 0;
    if (cursor.len > 0 && (str_to_int(cursor, &value) != E_OK || value < 0 || value > FOUND_LIMIT))
        return E_INPUT;
    *place = (size_t)value;
    return E_OK;
}

static void go(struct searching *s) {
    if (pool_run(&search_kind, pool_find, on_found, s, NULL) != E_OK)
        reply_retry_later(s->request, 503, 1, "Too many are searching at once.");
}

/* What is looked for is a vector now; if it could not be made, words must do. */
static void on_asked(const struct embed_answer *answer, void *ctx) {
    struct searching *s = ctx;
    const struct search_query *query = s->request->query_fields;
    if (answer->err == E_OK && answer->dims == s->encoder.dims) {
        float *copy = ARENA_ARRAY(s->search.arena, float, answer->dims);
        for (size_t i = 0; i < answer->dims; i++)
            copy[i] = answer->values[i];
        s->question = copy;
        s->limit = (size_t)query->limit;
    }
    go(s);
}

static void ask(struct searching *s, const struct search_query *query) {
    s->encoder = index_encoder();
    (void)index_ask(query->q, on_asked, s);
}

static void search(struct request *request) {
    const struct search_query *query = request->query_fields;
    struct str tag = fold_tag(request->arena, query->tag);
    if (query->q.len == 0)
        return reply_list(
            request,
            &(struct character_list){.limit = query->limit, .tag = tag, .tier = query->tier},
            query->cursor);
    struct searching *s = ARENA_NEW(request->arena, struct searching);
    s->request = request;
    s->search = (struct character_search){.arena = request->arena,
                                          .user_id = request->caller.user_id,
                                          .tag = tag,
                                          .tier = query->tier,
                                          .limit = FOUND_LIMIT};
    if (read_place(query->cursor, &s->from) != E_OK)
        return reply_field_problem(request, "cursor", "This is not a cursor of this search.");
    if (str_eq(query->sort, STR("meaning")) && index_encoder().id != 0)
        ask(s, query);
    else
        go(s);
}

struct like_query {
    int64_t limit;
};
static const struct field like_rows[] = {{"limit", FIELD_INT, AT(struct like_query, limit),
                                          .min = 1, .max = 100, .fallback = "20",
                                          .help = "How many at most."},
                                         {0}};

static void similar(struct request *request) {
    const struct like_query *query = request->query_fields;
    struct character_summary self;
    enum err err = character_store_summary(store_reader(), request->arena, request->ids[0],
                                           request->caller.user_id, &self);
    if (err != E_OK)
        return reply_error(request, err);
    struct searching *s = ARENA_NEW(request->arena, struct searching);
    *s = (struct searching){.request = request,
                            .search = {.arena = request->arena,
                                       .user_id = request->caller.user_id,
                                       .limit = FOUND_LIMIT},
                            .like_id = self.id,
                            .encoder = index_encoder(),
                            .limit = (size_t)query->limit};
    go(s);
}

/* --- tags ----------------------------------------------------------------------------------- */

static struct pool_kind tags_kind = {.name = "tags", .running_limit = 1, .queue_limit = 64};

struct counting {
    struct request *request;
    struct tag_count *tags;
    size_t count;
    int64_t from, limit;
    enum err err;
};

static void pool_count_tags(void *ctx) {
    struct counting *c = ctx;
    struct db *db = pool_reader_open();
    c->err = E_STORAGE;
    if (db == NULL)
        return;
    c->tags = ARENA_ARRAY(c->request->arena, struct tag_count, TAGS_LIMIT);
    c->err = pool_character_store_tags(db, c->request->arena, c->request->caller.user_id,
                                       TAGS_LIMIT, c->tags, &c->count);
    pool_reader_close(db);
}

static void on_counted(enum err err, void *ctx) {
    struct counting *c = ctx;
    if (err != E_OK || (err = c->err) != E_OK)
        return reply_error(c->request, err);
    size_t from = (size_t)c->from, end = from + (size_t)c->limit;
    struct json *json = reply_list_begin(c->request);
    for (size_t i = from; i < c->count && i < end; i++) {
        json_object_begin(json);
        JSON_STR(json, "tag", c->tags[i].tag);
        JSON_INT(json, "count", c->tags[i].count);
        json_object_end(json);
    }
    reply_list_end(c->request,
                   end < c->count ? str_printf(c->request->arena, "%zu", end) : STR_NONE);
}

static void list_tags(struct request *request) {
    const struct page_query *query = request->query_fields;
    struct counting *c = ARENA_NEW(request->arena, struct counting);
    c->request = request;
    c->limit = query->limit;
    if (query->cursor.len > 0 &&
        (str_to_int(query->cursor, &c->from) != E_OK || c->from < 0 || c->from > TAGS_LIMIT))
        return reply_field_problem(request, "cursor", "This is not a cursor of this list.");
    if (pool_run(&tags_kind, pool_count_tags, on_counted, c, NULL) != E_OK)
        reply_retry_later(request, 503, 1, "Too many are counting tags at once.");
}

/* --- favourites ----------------------------------------------------------------------------- */

static void list_favourites(struct request *request) {
    const struct page_query *query = request->query_fields;
    reply_list(request, &(struct character_list){.limit = query->limit, .is_favourites = true},
               query->cursor);
}

struct favour {
    struct request *request;
    int64_t id;
};

static struct favour *favour_new(struct request *request, int64_t id) {
    struct favour *f = ARENA_NEW(request->arena, struct favour);
    f->request = request;
    f->id = id;
    return f;
}

static enum err writer_add(struct tx *tx, void *ctx) {
    struct favour *f = ctx;
    struct character_summary summary;
    int64_t user_id = f->request->caller.user_id;
    enum err err = character_store_summary(tx_db(tx), f->request->arena, f->id, user_id, &summary);
    return err == E_OK ? character_store_add_favourite(tx, user_id, f->id) : err;
}

static void on_added(enum err err, void *ctx) {
    struct favour *f = ctx;
    struct request *request = f->request;
    struct character_summary summary;
    if (err == E_OK)
        err = character_store_summary(store_reader(), request->arena, f->id,
                                      request->caller.user_id, &summary);
    if (err != E_OK)
        return reply_error(request, err);
    character_write_summary(reply_json(request), &summary);
    reply_send(request, 201);
}

static void add_favourite(struct request *request) {
    const struct favourite_body *body = request->body;
    store_write(writer_add, on_added, favour_new(request, body->character_id));
}

static enum err writer_remove(struct tx *tx, void *ctx) {
    struct favour *f = ctx;
    return character_store_remove_favourite(tx, f->request->caller.user_id, f->id);
}

static void on_removed(enum err err, void *ctx) {
    struct favour *f = ctx;
    if (err != E_OK)
        return reply_error(f->request, err);
    reply_empty(f->request, 204);
}

static void remove_favourite(struct request *request) {
    store_write(writer_remove, on_removed, favour_new(request, request->ids[0]));
}

/* clang-format off */
#define FAVOURITES "/api/v1/users/me/favorites"
const struct route discovery_routes[] = {
    {METHOD_GET, "/api/v1/characters", list, WHO_MEMBER, SCOPE_READ, .query = list_rows, .query_size = sizeof(struct list_query), .tag = "characters",
     .operation = "listCharacters", .summary = "Your own and public characters, newest first.", .answer = &character_summary_shape, .answer_is_list = true},
    {METHOD_GET, "/api/v1/characters/search", search, WHO_MEMBER, SCOPE_READ, .query = search_rows, .query_size = sizeof(struct search_query), .tag = "characters",
     .operation = "searchCharacters", .summary = "Characters by words, with slips forgiven; without q, by tag and tier.", .answer = &character_summary_shape,
     .answer_is_list = true},
    {METHOD_GET, "/api/v1/characters/{id}/similar", similar, WHO_MEMBER, SCOPE_READ, .query = like_rows, .query_size = sizeof(struct like_query), .tag = "characters",
     .operation = "similarCharacters", .summary = "Others like this one, by meaning; by shared tags where there is no encoder.", .answer = &character_summary_shape,
     .answer_is_list = true},
    {METHOD_GET, "/api/v1/tags", list_tags, WHO_MEMBER, SCOPE_READ, .query = page_rows, .query_size = sizeof(struct page_query), .tag = "characters",
     .operation = "listTags", .summary = "Tags of the characters that you may see, the most used first.", .answer = &tag_shape, .answer_is_list = true},
    {METHOD_GET, FAVOURITES, list_favourites, WHO_MEMBER, SCOPE_READ, .query = page_rows, .query_size = sizeof(struct page_query), .tag = "characters",
     .operation = "listFavourites", .summary = "Your favourites, the newest character first.", .answer = &character_summary_shape, .answer_is_list = true},
    {METHOD_POST, FAVOURITES, add_favourite, WHO_MEMBER, SCOPE_WRITE, .body = favourite_fields, .body_size = sizeof(struct favourite_body), .tag = "characters",
     .operation = "addFavourite", .summary = "Makes a character a favourite; again is no error.", .status = 201, .answer = &character_summary_shape},
    {METHOD_DELETE, FAVOURITES "/{character_id}", remove_favourite, WHO_MEMBER, SCOPE_WRITE, .tag = "characters", .operation = "removeFavourite",
     .summary = "No favourite any more.", .status = 204},
    {0}};
/* clang-format on */
