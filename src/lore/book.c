/*
 * The rows of books and entries. `use_regex` is required of V3 entries and unknown to V2; the rest
 * is the same in both (character card specification V2, "character_book"; V3, "lorebook").
 *
 * Entries come as an array. Two programs write an object of entries by number instead; its values
 * are taken in order. What is no object among the entries is dropped: it cannot fire or be edited.
 */
#include "lore/book.h"

#include "base/check.h"
#include "lore/decorator.h"
#include "lore/members.h"

#include <math.h>
#include <string.h>

#include "base/banned.h"

const char *const lore_positions[] = {"before_char", "after_char", NULL};

#define ENTRY(member_, kind_, required)                                                   \
    {                                                                                     \
        .name = #member_, .kind = kind_, .offset = MEMBER_AT(struct lore_entry, member_), \
        .is_required = required                                                           \
    }
#define BOOK(member_, kind_, required)                                                   \
    {                                                                                    \
        .name = #member_, .kind = kind_, .offset = MEMBER_AT(struct lore_book, member_), \
        .is_required = required                                                          \
    }

static const struct member entry_members[] = {
    ENTRY(keys, MEMBER_TEXTS, true),
    ENTRY(content, MEMBER_TEXT, true),
    ENTRY(extensions, MEMBER_OBJECT, true),
    ENTRY(enabled, MEMBER_BOOL, true),
    ENTRY(insertion_order, MEMBER_NUMBER, true),
    ENTRY(use_regex, MEMBER_BOOL, false),
    ENTRY(name, MEMBER_TEXT, false),
    ENTRY(comment, MEMBER_TEXT, false),
    ENTRY(constant, MEMBER_BOOL, false),
    ENTRY(selective, MEMBER_BOOL, false),
    ENTRY(secondary_keys, MEMBER_TEXTS, false),
    ENTRY(case_sensitive, MEMBER_MAYBE_BOOL, false),
    ENTRY(priority, MEMBER_MAYBE_NUMBER, false),
    {.name = "position",
     .kind = MEMBER_TEXT,
     .offset = MEMBER_AT(struct lore_entry, position),
     .choices = lore_positions},
};

static const struct member book_members[] = {
    BOOK(name, MEMBER_TEXT, false),
    BOOK(description, MEMBER_TEXT, false),
    BOOK(scan_depth, MEMBER_MAYBE_INT, false),
    BOOK(token_budget, MEMBER_MAYBE_INT, false),
    BOOK(recursive_scanning, MEMBER_BOOL, false),
    BOOK(extensions, MEMBER_OBJECT, true),
};

struct lore_entry lore_entry_empty(void) {
    return (struct lore_entry){
        .keys = STR("[]"),
        .secondary_keys = STR("[]"),
        .content = STR(""),
        .name = STR(""),
        .comment = STR(""),
        .enabled = true,
        .case_sensitive = -1,
        .insertion_order = 100,
        .priority = NAN,
        .extensions = STR("{}"),
        .kept = STR("{}"),
    };
}

struct lore_book lore_book_empty(void) {
    return (struct lore_book){
        .name = STR(""),
        .description = STR(""),
        .scan_depth = -1,
        .token_budget = -1,
        .extensions = STR("{}"),
        .kept = STR("{}"),
    };
}

static void read_entries(struct arena *arena, const struct json_value *entries,
                         struct lore_book *book) {
    book->entries = ARENA_ARRAY(arena, struct lore_entry, json_count(entries));
    for (const struct json_value *i = json_first(entries); i; i = json_next(i)) {
        if (json_type(i) != JSON_OBJECT)
            continue;
        struct lore_entry *entry = &book->entries[book->entry_count++];
        *entry = lore_entry_empty();
        entry->kept = members_read(arena, entry_members, COUNT_OF(entry_members), i, entry, NULL);
    }
}

enum err lore_book_read(struct arena *arena, const struct json_value *value,
                        struct lore_book *book) {
    static const char *const own[] = {"entries", NULL};
    *book = lore_book_empty();
    if (json_type(value) != JSON_OBJECT)
        return E_INPUT;
    book->kept = members_read(arena, book_members, COUNT_OF(book_members), value, book, own);
    const struct json_value *entries = json_member(value, "entries");
    if (json_count(entries) > LORE_ENTRIES_LIMIT)
        return E_LIMIT;
    if (json_type(entries) == JSON_ARRAY || json_type(entries) == JSON_OBJECT)
        read_entries(arena, entries, book);
    return E_OK;
}

void lore_entry_write(struct json *json, const struct lore_entry *entry, enum lore_format format) {
    struct member rows[COUNT_OF(entry_members)];
    memcpy(rows, entry_members, sizeof(rows));
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].offset == MEMBER_AT(struct lore_entry, use_regex))
            rows[i].is_required = format == LORE_V3;
    struct lore_entry shown = *entry;
    if (format == LORE_V2_PLAIN)
        shown.content = decorators_skip(entry->content);
    members_write(json, rows, COUNT_OF(rows), &shown, entry->kept, NULL);
}

void lore_book_write(struct json *json, const struct lore_book *book, enum lore_format format) {
    json_object_begin(json);
    members_write(json, book_members, COUNT_OF(book_members), book, book->kept, NULL);
    JSON_ARRAY(json, "entries");
    for (size_t i = 0; i < book->entry_count; i++) {
        json_object_begin(json);
        lore_entry_write(json, &book->entries[i], format);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}
