/*
 * The routes of lorebooks: the books a person has, their entries, and the tester. A book is born
 * with its character (POST, PATCH and import of characters take `character_book`) and goes with it.
 *
 * The ETag of a book and of its entries is the book's version, its time of change in milliseconds,
 * which every change raises.
 */
#include "lore/lore_api.h"

#include "base/check.h"
#include "base/id.h"
#include "lore/activate.h"
#include "lore/lore.h"
#include "lore/lore_store.h"
#include "lore/members.h"

#include <math.h>

#include "base/banned.h"

#define CONTENT_LENGTH 200000 /* code points: an entry may be a chapter */
#define TEST_LENGTH    20000
#define TEST_BUDGET \
    1000000 /* tokens: the tester shows what fires; only the book's budget drops \
             */

struct books_query {
    int64_t limit, cursor;
};
struct entries_query {
    int64_t limit;
    struct str cursor;
};

struct book_body {
    struct str name, description;
    int64_t scan_depth, token_budget;
    bool recursive_scanning;
    const struct json_value *extensions;
};

struct entry_body {
    struct field_texts keys, secondary_keys;
    struct str content, name, comment, position;
    bool enabled, constant, selective, use_regex, case_sensitive;
    double insertion_order, priority;
    const struct json_value *extensions;
};

struct test_body {
    struct str text;
};

/* clang-format off */
#define LIMIT_ROW(type) {"limit", FIELD_INT, AT(type, limit), .min = 1, .max = 100, .fallback = "20", .help = "Items of a page."}
static const struct field books_rows[] = {
    LIMIT_ROW(struct books_query),
    {"cursor", FIELD_ID, AT(struct books_query, cursor), .help = "next_cursor of the page before."},
    {0}};
static const struct field entries_rows[] = {
    LIMIT_ROW(struct entries_query),
    {"cursor", FIELD_TEXT, AT(struct entries_query, cursor), .max = 40, .help = "next_cursor of the page before."},
    {0}};
static const struct field book_fields[] = {
    {"name", FIELD_TEXT, AT(struct book_body, name), .max = 200, .help = "Its name."},
    {"description", FIELD_TEXT, AT(struct book_body, description), .max = 10000, .help = "What it is about; not for prompts."},
    {"scan_depth", FIELD_INT, AT(struct book_body, scan_depth), .may_be_null = true, .min = 0, .max = 1000, .help = "How many messages keys are looked for in; null: 2."},
    {"token_budget", FIELD_INT, AT(struct book_body, token_budget), .may_be_null = true, .min = 0, .max = 1000000, .help = "How much of the prompt it may take; null: its share."},
    {"recursive_scanning", FIELD_BOOL, AT(struct book_body, recursive_scanning), .help = "Entries may be fired by what other entries say."},
    {"extensions", FIELD_JSON, AT(struct book_body, extensions), .max = 65536, .help = "Data of other programs, kept as it is."},
    {0}};
static const struct field entry_fields[] = {
    {"keys", FIELD_TEXTS, AT(struct entry_body, keys), .max = LORE_KEYS_LIMIT, .item_max = 1000, .help = "Any of these fires it."},
    {"secondary_keys", FIELD_TEXTS, AT(struct entry_body, secondary_keys), .max = LORE_KEYS_LIMIT, .item_max = 1000, .help = "Of a selective entry: one of these must be there too."},
    {"content", FIELD_TEXT, AT(struct entry_body, content), .max = CONTENT_LENGTH, .help = "What is told to the model."},
    {"name", FIELD_TEXT, AT(struct entry_body, name), .max = 1000, .help = "A label."},
    {"comment", FIELD_TEXT, AT(struct entry_body, comment), .max = 10000, .help = "A note; not for prompts."},
    {"enabled", FIELD_BOOL, AT(struct entry_body, enabled), .help = "It may fire."},
    {"constant", FIELD_BOOL, AT(struct entry_body, constant), .help = "It always fires."},
    {"selective", FIELD_BOOL, AT(struct entry_body, selective), .help = "It needs a secondary key too."},
    {"case_sensitive", FIELD_BOOL, AT(struct entry_body, case_sensitive), .may_be_null = true, .help = "Letter case matters; null: no."},
    {"use_regex", FIELD_BOOL, AT(struct entry_body, use_regex), .help = "Kept for export; keys written /like this/i never fire here."},
    {"insertion_order", FIELD_NUMBER, AT(struct entry_body, insertion_order), .min = -1e9, .max = 1e9, .help = "Lower stands earlier in the prompt."},
    {"priority", FIELD_NUMBER, AT(struct entry_body, priority), .may_be_null = true, .min = -1e9, .max = 1e9, .help = "Lower is dropped first when the budget is short; null: insertion_order decides."},
    {"position", FIELD_CHOICE, AT(struct entry_body, position), .may_be_null = true, .choices = lore_positions, .help = "Before or after the character's definition."},
    {"extensions", FIELD_JSON, AT(struct entry_body, extensions), .max = 65536, .help = "Data of other programs, kept as it is."},
    {0}};
static const struct field test_fields[] = {
    {"text", FIELD_TEXT, AT(struct test_body, text), .is_required = true, .max = TEST_LENGTH, .help = "What is said."},
    {0}};

static const struct field book_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The book."},
    {"character_id", FIELD_ID, .is_required = true, .may_be_null = true, .help = "The character whose own book it is."},
    {"name", FIELD_TEXT, .is_required = true, .help = "Its name."},
    {"description", FIELD_TEXT, .is_required = true, .help = "What it is about."},
    {"scan_depth", FIELD_INT, .is_required = true, .may_be_null = true, .help = "How many messages keys are looked for in; null: 2."},
    {"token_budget", FIELD_INT, .is_required = true, .may_be_null = true, .help = "How much of the prompt it may take; null: its share."},
    {"recursive_scanning", FIELD_BOOL, .is_required = true, .help = "Entries may be fired by what other entries say."},
    {"extensions", FIELD_JSON, .is_required = true, .help = "Data of other programs."},
    {"entry_count", FIELD_INT, .is_required = true, .help = "How many entries it has."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "Since when."},
    {"updated_at", FIELD_TIME, .is_required = true, .help = "Last change of the book or an entry."},
    {0}};
static const struct shape book_shape = {"Lorebook", book_rows, "A lorebook, without its entries."};
static const struct field entry_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The entry."},
    {"keys", FIELD_TEXTS, .is_required = true, .help = "Any of these fires it."},
    {"secondary_keys", FIELD_TEXTS, .is_required = true, .help = "Of a selective entry: one of these must be there too."},
    {"content", FIELD_TEXT, .is_required = true, .help = "What is told to the model."},
    {"name", FIELD_TEXT, .is_required = true, .help = "A label."},
    {"comment", FIELD_TEXT, .is_required = true, .help = "A note."},
    {"enabled", FIELD_BOOL, .is_required = true, .help = "It may fire."},
    {"constant", FIELD_BOOL, .is_required = true, .help = "It always fires."},
    {"selective", FIELD_BOOL, .is_required = true, .help = "It needs a secondary key too."},
    {"case_sensitive", FIELD_BOOL, .is_required = true, .may_be_null = true, .help = "Letter case matters."},
    {"use_regex", FIELD_BOOL, .is_required = true, .help = "Kept for export."},
    {"insertion_order", FIELD_NUMBER, .is_required = true, .help = "Lower stands earlier in the prompt."},
    {"priority", FIELD_NUMBER, .is_required = true, .may_be_null = true, .help = "Lower is dropped first."},
    {"position", FIELD_CHOICE, .is_required = true, .may_be_null = true, .choices = lore_positions, .help = "Before or after the character's definition."},
    {"extensions", FIELD_JSON, .is_required = true, .help = "Data of other programs."},
    {0}};
static const struct shape entry_shape = {"LoreEntry", entry_rows, "One entry of a lorebook."};
static const struct field verdict_rows[] = {
    {"entry_id", FIELD_ID, .is_required = true, .help = "The entry."},
    {"name", FIELD_TEXT, .is_required = true, .help = "Its name, comment or first key."},
    {"fires", FIELD_BOOL, .is_required = true, .help = "It would stand in the prompt, or would if the budget allowed."},
    {"is_dropped", FIELD_BOOL, .is_required = true, .help = "It fires, but the book's budget is used up."},
    {"reason", FIELD_TEXT, .is_required = true, .help = "Why, or why not."},
    {"key", FIELD_TEXT, .is_required = true, .may_be_null = true, .help = "The key that fired it."},
    {"tokens", FIELD_INT, .is_required = true, .help = "An estimate of what it takes; 0 for what does not fire."},
    {0}};
static const struct shape verdict_shape = {"LoreVerdict", verdict_rows, "Whether an entry fires, and why."};
/* clang-format on */

/* --- writing -------------------------------------------------------------------------------- */

static void write_maybe_int(struct json *json, struct str key, int64_t value) {
    json_key(json, key);
    if (value < 0)
        json_write_null(json);
    else
        json_write_int(json, value);
}

static void write_book(struct json *json, const struct lore_book *book) {
    json_object_begin(json);
    JSON_ID(json, "id", book->id);
    JSON_ID(json, "character_id", book->character_id);
    JSON_STR(json, "name", book->name);
    JSON_STR(json, "description", book->description);
    write_maybe_int(json, STR("scan_depth"), book->scan_depth);
    write_maybe_int(json, STR("token_budget"), book->token_budget);
    JSON_BOOL(json, "recursive_scanning", book->recursive_scanning);
    JSON_RAW(json, "extensions", book->extensions);
    JSON_INT(json, "entry_count", lore_store_entry_count(store_reader(), book->id));
    JSON_TIME(json, "created_at", book->created_at);
    JSON_TIME(json, "updated_at", book->updated_at);
    json_object_end(json);
}

static void write_entry(struct json *json, const struct lore_entry *entry) {
    json_object_begin(json);
    JSON_ID(json, "id", entry->id);
    JSON_RAW(json, "keys", entry->keys);
    JSON_RAW(json, "secondary_keys", entry->secondary_keys);
    JSON_STR(json, "content", entry->content);
    JSON_STR(json, "name", entry->name);
    JSON_STR(json, "comment", entry->comment);
    JSON_BOOL(json, "enabled", entry->enabled);
    JSON_BOOL(json, "constant", entry->constant);
    JSON_BOOL(json, "selective", entry->selective);
    json_key(json, STR("case_sensitive"));
    if (entry->case_sensitive < 0)
        json_write_null(json);
    else
        json_write_bool(json, entry->case_sensitive);
    JSON_BOOL(json, "use_regex", entry->use_regex);
    JSON_DOUBLE(json, "insertion_order", entry->insertion_order);
    JSON_DOUBLE(json, "priority", entry->priority);
    JSON_STR(json, "position", entry->position);
    JSON_RAW(json, "extensions", entry->extensions);
    json_object_end(json);
}

static enum err load_head(struct request *request, struct lore_book *book) {
    return lore_book_head(store_reader(), request->arena, request->ids[0], request->caller.user_id,
                          book);
}

/* --- books ---------------------------------------------------------------------------------- */

static void list_books(struct request *request) {
    const struct books_query *query = request->query_fields;
    struct lore_book *books;
    size_t count, limit = (size_t)query->limit;
    enum err err = lore_store_books(store_reader(), request->arena, request->caller.user_id,
                                    query->cursor, limit + 1, &books, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++)
        write_book(json, &books[i]);
    reply_list_end(request, count > limit
                                ? str_printf(request->arena, "%s", id_text(books[limit - 1].id).at)
                                : STR_NONE);
}

static void reply_book(struct request *request) {
    struct lore_book book;
    enum err err = load_head(request, &book);
    if (err != E_OK)
        return reply_error(request, err);
    if (reply_if_read_unchanged(request, book.updated_at))
        return;
    write_book(reply_json(request), &book);
    reply_send(request, 200);
}

/* --- changes -------------------------------------------------------------------------------- */

struct change {
    struct lore_change change;
    struct request *request;
    int status;
};

static struct change *change_new(struct request *request, int status) {
    struct change *c = ARENA_NEW(request->arena, struct change);
    c->request = request;
    c->status = status;
    c->change.user_id = request->caller.user_id;
    c->change.book_id = request->ids[0];
    c->change.entry_id = request->ids[1];
    c->change.expected = request_expected_revision(request);
    c->change.ctx = request;
    return c;
}

/* True when the change failed and that has been answered. */
static bool reply_failure(struct request *request, enum err err) {
    if (err == E_CONFLICT)
        reply_problem(request, 412, "The lorebook has been changed since you read it.");
    else if (err == E_LIMIT)
        reply_problem(request, 409, "A lorebook has at most %d entries, and %d MiB in all.",
                      LORE_ENTRIES_LIMIT, LORE_BOOK_LIMIT_BYTES >> 20);
    else if (err != E_OK)
        reply_error(request, err);
    return err != E_OK;
}

static bool is_object_or_absent(struct request *request, const struct json_value *value) {
    if (value == NULL || json_type(value) == JSON_OBJECT)
        return true;
    reply_field_problem(request, "extensions", "This must be an object.");
    return false;
}

/* A row that may be null is zero then; only the text of the body tells that from a 0. */
static bool is_null(struct request *request, const char *name) {
    const struct json_value *body = NULL;
    if (json_parse(request->arena, request->content, &body, NULL) != E_OK)
        return false;
    return json_type(json_member(body, name)) == JSON_NULL;
}

static void edit_book(struct lore_book *book, void *ctx) {
    struct request *request = ctx;
    const struct book_body *body = request->body;
    if (request_has(request, struct book_body, name))
        book->name = body->name;
    if (request_has(request, struct book_body, description))
        book->description = body->description;
    if (request_has(request, struct book_body, scan_depth))
        book->scan_depth = is_null(request, "scan_depth") ? -1 : body->scan_depth;
    if (request_has(request, struct book_body, token_budget))
        book->token_budget = is_null(request, "token_budget") ? -1 : body->token_budget;
    if (request_has(request, struct book_body, recursive_scanning))
        book->recursive_scanning = body->recursive_scanning;
    if (body->extensions)
        book->extensions = member_json(request->arena, body->extensions);
}

static enum err writer_patch_book(struct tx *tx, void *ctx) {
    return writer_lore_change_book(tx, &((struct change *)ctx)->change);
}

static void on_book_patched(enum err err, void *ctx) {
    struct change *c = ctx;
    if (!reply_failure(c->request, err))
        reply_book(c->request);
}

static void patch_book(struct request *request) {
    const struct book_body *body = request->body;
    if (!is_object_or_absent(request, body->extensions))
        return;
    struct change *c = change_new(request, 200);
    c->change.edit_book = edit_book;
    store_write(writer_patch_book, on_book_patched, c);
}

/* --- entries -------------------------------------------------------------------------------- */

/* "12.0ABCDEFGHJKMN": place and id of the last entry of the page before. */
static enum err read_cursor(struct str cursor, int64_t *place, int64_t *id) {
    struct str first;
    *place = -1;
    *id = 0;
    if (cursor.len == 0)
        return E_OK;
    if (!str_next(&cursor, '.', &first) || str_to_int(first, place) != E_OK)
        return E_INPUT;
    return id_parse(cursor, id);
}

static void list_entries(struct request *request) {
    const struct entries_query *query = request->query_fields;
    struct lore_book book;
    int64_t place, id;
    size_t count, limit = (size_t)query->limit;
    enum err err = load_head(request, &book);
    if (err != E_OK)
        return reply_error(request, err);
    if (read_cursor(query->cursor, &place, &id) != E_OK)
        return reply_field_problem(request, "cursor", "This is not a cursor of this list.");
    struct lore_entry *entries = ARENA_ARRAY(request->arena, struct lore_entry, limit + 1);
    int64_t *places = ARENA_ARRAY(request->arena, int64_t, limit + 1);
    err = lore_store_page(store_reader(), request->arena, book.id, place, id, limit + 1, entries,
                          places, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count && i < limit; i++)
        write_entry(json, &entries[i]);
    struct str next = STR_NONE;
    if (count > limit)
        next = str_printf(request->arena, "%lld.%s", (long long)places[limit - 1],
                          id_text(entries[limit - 1].id).at);
    reply_list_end(request, next);
}

static void reply_entry(struct request *request, int64_t entry_id, int status) {
    struct lore_book book;
    struct lore_entry entry;
    int64_t place;
    enum err err = load_head(request, &book);
    if (err == E_OK)
        err = lore_store_entry(store_reader(), request->arena, book.id, entry_id, &entry, &place);
    if (err != E_OK)
        return reply_error(request, err);
    if (reply_if_read_unchanged(request, book.updated_at))
        return;
    write_entry(reply_json(request), &entry);
    reply_send(request, status);
}

static void get_entry(struct request *request) {
    reply_entry(request, request->ids[1], 200);
}

static void edit_labels(struct lore_entry *entry, struct request *request) {
    const struct entry_body *body = request->body;
    if (request_has(request, struct entry_body, keys))
        entry->keys = member_of_texts(request->arena, &body->keys);
    if (request_has(request, struct entry_body, secondary_keys))
        entry->secondary_keys = member_of_texts(request->arena, &body->secondary_keys);
    if (request_has(request, struct entry_body, content))
        entry->content = body->content;
    if (request_has(request, struct entry_body, name))
        entry->name = body->name;
    if (request_has(request, struct entry_body, comment))
        entry->comment = body->comment;
    if (request_has(request, struct entry_body, position))
        entry->position = body->position;
    if (body->extensions)
        entry->extensions = member_json(request->arena, body->extensions);
}

static void edit_switches(struct lore_entry *entry, struct request *request) {
    const struct entry_body *body = request->body;
    if (request_has(request, struct entry_body, enabled))
        entry->enabled = body->enabled;
    if (request_has(request, struct entry_body, constant))
        entry->constant = body->constant;
    if (request_has(request, struct entry_body, selective))
        entry->selective = body->selective;
    if (request_has(request, struct entry_body, use_regex))
        entry->use_regex = body->use_regex;
    if (request_has(request, struct entry_body, insertion_order))
        entry->insertion_order = body->insertion_order;
}

static void edit_entry(struct lore_entry *entry, void *ctx) {
    struct request *request = ctx;
    const struct entry_body *body = request->body;
    edit_labels(entry, request);
    edit_switches(entry, request);
    if (request_has(request, struct entry_body, case_sensitive))
        entry->case_sensitive = is_null(request, "case_sensitive") ? -1 : body->case_sensitive;
    if (request_has(request, struct entry_body, priority))
        entry->priority = is_null(request, "priority") ? NAN : body->priority;
}

static enum err writer_save_entry(struct tx *tx, void *ctx) {
    return writer_lore_save_entry(tx, &((struct change *)ctx)->change);
}

static void on_entry_saved(enum err err, void *ctx) {
    struct change *c = ctx;
    if (!reply_failure(c->request, err))
        reply_entry(c->request, c->change.entry_id, c->status);
}

static void save_entry(struct request *request, int status) {
    const struct entry_body *body = request->body;
    if (!is_object_or_absent(request, body->extensions))
        return;
    struct change *c = change_new(request, status);
    c->change.edit_entry = edit_entry;
    store_write(writer_save_entry, on_entry_saved, c);
}

static void post_entry(struct request *request) {
    save_entry(request, 201);
}

static void patch_entry(struct request *request) {
    save_entry(request, 200);
}

static enum err writer_remove_entry(struct tx *tx, void *ctx) {
    return writer_lore_remove_entry(tx, &((struct change *)ctx)->change);
}

static void on_entry_removed(enum err err, void *ctx) {
    struct change *c = ctx;
    if (!reply_failure(c->request, err))
        reply_empty(c->request, 204);
}

static void delete_entry(struct request *request) {
    store_write(writer_remove_entry, on_entry_removed, change_new(request, 204));
}

/* --- the tester ----------------------------------------------------------------------------- */

static struct str shown_name(struct arena *arena, const struct lore_entry *entry) {
    const struct json_value *keys = NULL;
    if (entry->name.len > 0)
        return entry->name;
    if (entry->comment.len > 0 || json_parse(arena, entry->keys, &keys, NULL) != E_OK)
        return entry->comment;
    return json_string(json_first(keys), STR(""));
}

static void write_verdict(struct json *json, struct arena *arena, const struct lore_entry *entry,
                          const struct lore_verdict *verdict) {
    const struct lore_hit *hit = verdict->hit;
    json_object_begin(json);
    JSON_ID(json, "entry_id", entry->id);
    JSON_STR(json, "name", hit ? hit->entry : shown_name(arena, entry));
    JSON_BOOL(json, "fires", hit != NULL);
    JSON_BOOL(json, "is_dropped", hit && hit->is_dropped);
    JSON_STR(json, "reason", str_from(hit ? hit->reason : verdict->silence));
    JSON_STR(json, "key", hit ? hit->key : STR_NONE);
    JSON_INT(json, "tokens", hit ? hit->tokens : 0);
    json_object_end(json);
}

static void test(struct request *request) {
    const struct test_body *body = request->body;
    struct lore_book book;
    enum err err = load_head(request, &book);
    if (err == E_OK)
        err = lore_store_load(store_reader(), request->arena, book.id, &book);
    if (err != E_OK)
        return reply_error(request, err);
    struct lore_scan scan = {
        .messages = &body->text, .message_count = 1, .budget_tokens = TEST_BUDGET};
    const struct lore_verdict *verdicts = lore_verdicts(request->arena, &book, &scan);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < book.entry_count; i++)
        write_verdict(json, request->arena, &book.entries[i], &verdicts[i]);
    reply_list_end(request, STR_NONE);
}

/* clang-format off */
#define BOOK  "/api/v1/lorebooks/{id}"
#define ENTRY BOOK "/entries/{entry_id}"
const struct route lore_routes[] = {
    {METHOD_GET, "/api/v1/lorebooks", list_books, WHO_MEMBER, SCOPE_READ, .query = books_rows, .query_size = sizeof(struct books_query),
     .tag = "lore", .operation = "listLorebooks", .summary = "Your lorebooks, newest first.", .answer = &book_shape, .answer_is_list = true},
    {METHOD_GET, BOOK, reply_book, WHO_MEMBER, SCOPE_READ, .tag = "lore", .operation = "getLorebook", .summary = "One lorebook, without its entries.",
     .answer = &book_shape},
    {METHOD_PATCH, BOOK, patch_book, WHO_MEMBER, SCOPE_WRITE, .body = book_fields, .body_size = sizeof(struct book_body), .tag = "lore",
     .operation = "updateLorebook", .summary = "Changes a lorebook's own members.", .answer = &book_shape},
    {METHOD_GET, BOOK "/entries", list_entries, WHO_MEMBER, SCOPE_READ, .query = entries_rows, .query_size = sizeof(struct entries_query), .tag = "lore",
     .operation = "listLoreEntries", .summary = "The entries, in the order of the book.", .answer = &entry_shape, .answer_is_list = true},
    {METHOD_POST, BOOK "/entries", post_entry, WHO_MEMBER, SCOPE_WRITE, .body = entry_fields, .body_size = sizeof(struct entry_body), .tag = "lore",
     .operation = "addLoreEntry", .summary = "Adds an entry at the end of the book.", .status = 201, .answer = &entry_shape},
    {METHOD_GET, ENTRY, get_entry, WHO_MEMBER, SCOPE_READ, .tag = "lore", .operation = "getLoreEntry", .summary = "One entry.", .answer = &entry_shape},
    {METHOD_PATCH, ENTRY, patch_entry, WHO_MEMBER, SCOPE_WRITE, .body = entry_fields, .body_size = sizeof(struct entry_body), .tag = "lore",
     .operation = "updateLoreEntry", .summary = "Changes the members that are sent.", .answer = &entry_shape},
    {METHOD_DELETE, ENTRY, delete_entry, WHO_MEMBER, SCOPE_WRITE, .tag = "lore", .operation = "deleteLoreEntry", .summary = "Removes an entry.", .status = 204},
    {METHOD_POST, BOOK "/test", test, WHO_MEMBER, SCOPE_READ, .body = test_fields, .body_size = sizeof(struct test_body), .tag = "lore",
     .operation = "testLorebook", .summary = "Which entries a text would fire, and why the others stay silent.",
     .answer = &verdict_shape, .answer_is_list = true},
    {0}};
/* clang-format on */
