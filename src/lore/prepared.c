/*
 * Preparing is what costs: JSON of keys, folding, decorators, token estimates. A prepared book is
 * kept under its id and thrown away when its row says another `updated_at`, which every change of a
 * book or an entry raises (lore_store.c), so nobody has to tell the cache anything.
 */
#include "lore/prepared.h"

#include "base/check.h"
#include "base/json.h"
#include "base/map.h"
#include "lore/lore_store.h"
#include "model/tokens.h"

#include <stdlib.h>

#include "base/banned.h"

/* --- one entry ------------------------------------------------------------------------------ */

struct manner {
    bool is_exact, is_word;
};

/* Where the keys of a book go, and how many more it may have. */
struct keys_room {
    struct arena *arena;
    size_t left;
};

/* How many of `count` keys of one list are read. */
static size_t take_room(struct keys_room *room, size_t count) {
    count = count < LORE_KEYS_LIMIT ? count : LORE_KEYS_LIMIT;
    count = count < room->left ? count : room->left;
    room->left -= count;
    return count;
}

static struct key_list read_keys(struct keys_room *room, struct str keys, struct manner manner) {
    const struct json_value *array;
    struct arena scratch;
    struct key_list list = {NULL, 0};
    if (keys.len <= 2)
        return list;
    arena_init(&scratch);
    if (json_parse(&scratch, keys, &array, NULL) == E_OK) {
        size_t count = take_room(room, json_count(array));
        list.at = ARENA_ARRAY(room->arena, struct lore_key, count);
        const struct json_value *i = json_first(array);
        for (; i && list.count < count; i = json_next(i))
            list.at[list.count++] = lore_key_read(room->arena, json_string(i, STR("")),
                                                  manner.is_exact, manner.is_word);
    }
    arena_release(&scratch);
    return list;
}

static struct key_list split_keys(struct keys_room *room, struct str keys, struct manner manner) {
    struct str part;
    size_t count = 1;
    for (size_t i = 0; i < keys.len; i++)
        count += keys.at[i] == ',';
    count = take_room(room, count);
    struct key_list list = {ARENA_ARRAY(room->arena, struct lore_key, count), 0};
    while (list.count < count && str_next(&keys, ',', &part))
        list.at[list.count++] = lore_key_read(room->arena, part, manner.is_exact, manner.is_word);
    return list;
}

/* What few entries have is kept beside them: a book of many must stay small. */
static void read_decorators(struct keys_room *room, struct prepared_entry *p, struct str content,
                            struct manner manner) {
    struct decorators decorators;
    p->content = str_dup(room->arena, str_trim(decorators_read(content, &decorators)));
    p->is_always = decorators.is_always;
    p->is_never = decorators.is_never;
    p->yields = decorators.yields;
    p->additional_count = decorators.additional_count;
    if (p->additional_count > 0)
        p->additional = ARENA_ARRAY(room->arena, struct key_list, p->additional_count);
    for (size_t i = 0; i < p->additional_count; i++)
        p->additional[i] = split_keys(room, decorators.additional[i], manner);
    if (decorators.excluded.len > 0)
        p->excluded = split_keys(room, decorators.excluded, manner);
    if (decorators.scan_depth >= 0)
        p->depth = decorators.scan_depth;
}

static bool is_true(const struct json_value *value) {
    return json_bool(value, false) || json_number(value, 0) > 0;
}

/* What SillyTavern writes beside the specification's members. */
static void read_extensions(struct prepared_entry *p, const struct json_value *extensions,
                            struct manner *manner) {
    int64_t logic = json_int(json_member(extensions, "selectiveLogic"), AND_ANY);
    p->logic = logic >= AND_ANY && logic <= AND_ALL ? (enum logic)logic : AND_ANY;
    p->depth = json_int(json_member(extensions, "scan_depth"), -1);
    p->is_deaf = is_true(json_member(extensions, "exclude_recursion"));
    p->is_mute = is_true(json_member(extensions, "prevent_recursion"));
    p->is_late = is_true(json_member(extensions, "delay_until_recursion"));
    p->is_before = json_int(json_member(extensions, "position"), 1) == 0;
    manner->is_word = json_bool(json_member(extensions, "match_whole_words"), true);
    manner->is_exact = json_bool(json_member(extensions, "case_sensitive"), false);
}

static struct str shown_name(struct arena *arena, const struct lore_entry *entry,
                             const struct key_list *keys) {
    if (entry->name.len > 0 || entry->comment.len > 0)
        return str_dup(arena, entry->name.len > 0 ? entry->name : entry->comment);
    return keys->count > 0 ? keys->at[0].shown : STR("");
}

static void prepare_entry(struct keys_room *room, const struct lore_entry *entry,
                          struct prepared_entry *p) {
    struct manner manner;
    struct arena scratch;
    const struct json_value *extensions = NULL;
    *p = (struct prepared_entry){
        .id = entry->id,
        .insertion_order = entry->insertion_order,
        .priority = entry->priority,
        .is_enabled = entry->enabled,
        .is_constant = entry->constant,
        .is_selective = entry->selective,
    };
    arena_init(&scratch);
    if (entry->extensions.len > 2 &&
        json_parse(&scratch, entry->extensions, &extensions, NULL) != E_OK)
        extensions = NULL;
    read_extensions(p, extensions, &manner);
    arena_release(&scratch);
    if (entry->case_sensitive >= 0)
        manner.is_exact = entry->case_sensitive;
    if (entry->position.at)
        p->is_before = str_eq(entry->position, STR("before_char"));
    p->keys = read_keys(room, entry->keys, manner);
    p->secondary = read_keys(room, entry->secondary_keys, manner);
    read_decorators(room, p, entry->content, manner);
    p->has_more_keys = room->left == 0;
    p->shown = shown_name(room->arena, entry, &p->keys);
    p->tokens = p->content.len > 0 ? tokens_estimate(p->content) : 0;
}

void prepare(struct arena *arena, const struct lore_book *book, struct prepared_entry **entries) {
    struct keys_room room = {arena, PREPARED_KEYS_LIMIT};
    *entries = ARENA_ARRAY(arena, struct prepared_entry, book->entry_count);
    for (size_t i = 0; i < book->entry_count; i++)
        prepare_entry(&room, &book->entries[i], &(*entries)[i]);
}

#define BLOCK_BYTES 4096 /* a book of forty short entries is twenty kilobytes: hundreds are kept */

/* --- the cache ------------------------------------------------------------------------------ */

static struct {
    struct map by_id; /* of the book */
    struct list books;
    size_t bytes;
    bool is_ready;
} cache;

static void forget(struct prepared_book *prepared) {
    map_remove_id(&cache.by_id, prepared->book.id);
    list_remove(&prepared->node);
    cache.bytes -= prepared->arena.used_bytes;
    arena_release(&prepared->arena);
    free(prepared);
}

/* The list runs from the newest use to the oldest. */
static void add_newest(struct prepared_book *prepared) {
    list_add_last(cache.books.next, &prepared->node);
}

static struct prepared_book *prepared_new(const struct lore_book *book) {
    struct prepared_book *prepared = calloc(1, sizeof(*prepared));
    BUG_IF(prepared == NULL);
    arena_init(&prepared->arena);
    prepared->arena.block_bytes = BLOCK_BYTES;
    prepare(&prepared->arena, book, &prepared->entries);
    prepared->book = (struct lore_book){
        .id = book->id,
        .name = str_dup(&prepared->arena, book->name),
        .scan_depth = book->scan_depth,
        .token_budget = book->token_budget,
        .recursive_scanning = book->recursive_scanning,
        .updated_at = book->updated_at,
        .entry_count = book->entry_count,
    };
    return prepared;
}

static enum err remember(struct db *db, int64_t book_id, struct prepared_book **out) {
    struct arena scratch;
    struct lore_book book;
    arena_init(&scratch);
    enum err err = lore_store_load(db, &scratch, book_id, &book);
    if (err == E_OK) {
        *out = prepared_new(&book);
        map_put_id(&cache.by_id, book_id, *out);
        add_newest(*out);
        cache.bytes += (*out)->arena.used_bytes;
    }
    arena_release(&scratch);
    return err;
}

enum err prepared_load(struct db *db, int64_t character_id, const struct prepared_book **out) {
    int64_t book_id, updated_at;
    enum err err = lore_store_book_of(db, character_id, &book_id, &updated_at);
    if (err != E_OK)
        return err;
    if (!cache.is_ready) {
        map_init(&cache.by_id);
        list_init(&cache.books);
        cache.is_ready = true;
    }
    struct prepared_book *prepared = map_find_id(&cache.by_id, book_id);
    if (prepared && prepared->book.updated_at != updated_at) {
        forget(prepared);
        prepared = NULL;
    }
    if (prepared == NULL) {
        if ((err = remember(db, book_id, &prepared)) != E_OK)
            return err;
    } else {
        list_remove(&prepared->node);
        add_newest(prepared);
    }
    *out = prepared;
    return E_OK;
}

void prepared_trim(void) {
    while (cache.is_ready && cache.bytes > PREPARED_LIMIT_BYTES && !list_is_empty(&cache.books))
        forget(CONTAINER_OF(cache.books.previous, struct prepared_book, node));
}
