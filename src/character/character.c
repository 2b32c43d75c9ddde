/*
 * What may be done with characters, and that every change leaves a revision behind.
 *
 * All changes go through character_insert() and character_save(): row, tags, search words, book and
 * revision are one transaction. Deleting moves to the trash; after 30 days the sweep removes it.
 *
 * So the age gate stands there too, and no road leads round it: what is for adults is made and
 * changed by who declared to be one. Who did once and does not any more still reads what they wrote
 * and throws it away; it is not changed (a lower tier would be a way out), copied, or talked with.
 */
#include "character/character.h"

#include "account/account.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "character/card.h"
#include "character/character_json.h"
#include "character/character_store.h"
#include "character/likeness.h"
#include "lore/lore.h"

#include "base/banned.h"

#define REVISIONS_KEPT  200 /* of one character; older ones go */
#define TAGS_INDEXED    100 /* of one character; more are kept, but do not find it */
#define TAG_LENGTH      64  /* code points of a tag that count in the index */
#define COPY_NAME_LIMIT (CARD_NAME_LENGTH - 7)

/* --- reading -------------------------------------------------------------------------------- */

enum err character_load(struct db *db, struct arena *arena, int64_t id, int64_t user_id,
                        struct character *character) {
    return character_store_load(db, arena, id, user_id, character);
}

enum err character_load_own(struct db *db, struct arena *arena, int64_t id, int64_t user_id,
                            struct character *character) {
    enum err err = character_store_load(db, arena, id, user_id, character);
    return err == E_OK && character->owner_id != user_id ? E_DENIED : err;
}

static const struct json_value *greetings_of(struct arena *arena,
                                             const struct character *character) {
    const struct json_value *array = NULL;
    if (character->alternate_greetings.len <= 2 ||
        json_parse(arena, character->alternate_greetings, &array, NULL) != E_OK)
        return NULL;
    return array;
}

/* A character that has nothing to say first has no greeting. */
int64_t character_greeting_count(struct arena *arena, const struct character *character) {
    int64_t others = (int64_t)json_count(greetings_of(arena, character));
    return others > 0 || character->first_mes.len > 0 ? 1 + others : 0;
}

enum err character_greeting(struct arena *arena, const struct character *character, int64_t index,
                            struct str *greeting) {
    if (index == 0) {
        *greeting = character->first_mes;
        return E_OK;
    }
    if (index < 0)
        return E_INPUT;
    const struct json_value *item = json_item(greetings_of(arena, character), (size_t)(index - 1));
    *greeting = json_string(item, STR(""));
    return item ? E_OK : E_INPUT;
}

struct str character_shown_name(const struct character *character) {
    return character->nickname.len > 0 ? character->nickname : character->name;
}

struct str character_avatar_url(struct arena *arena, int64_t id, struct str avatar_blob) {
    (void)id; /* the picture is named by its content, whoever wears it */
    return avatar_blob.len == 0 ? STR_NONE
                                : str_printf(arena, "/api/v1/media/" STR_FMT, STR_ARG(avatar_blob));
}

/* --- the age gate --------------------------------------------------------------------------- */

static bool tier_is_open(struct db *db, struct str tier, int64_t user_id) {
    return str_eq(tier, STR("all_ages")) || account_is_adult(db, user_id);
}

bool character_is_open_to(struct db *db, const struct character *character, int64_t user_id) {
    return tier_is_open(db, character->content_tier, user_id);
}

/* What it is now counts like what it would become. */
static enum err check_tiers(struct tx *tx, const struct character *character, int64_t user_id) {
    struct arena arena;
    struct str tier;
    arena_init(&arena);
    enum err err = character_store_tier(tx_db(tx), &arena, character->id, &tier);
    if (err == E_OK && (!tier_is_open(tx_db(tx), tier, user_id) ||
                        !character_is_open_to(tx_db(tx), character, user_id)))
        err = E_DENIED;
    arena_release(&arena);
    return err;
}

/* --- saving --------------------------------------------------------------------------------- */

/* Tags compare folded and trimmed; those that are then empty are none. */
static size_t fold_tags(struct arena *arena, struct str tags, struct str *folded) {
    const struct json_value *array;
    size_t count = 0;
    if (json_parse(arena, tags, &array, NULL) != E_OK)
        return 0;
    for (const struct json_value *i = json_first(array); i && count < TAGS_INDEXED;
         i = json_next(i)) {
        struct str tag = str_trim(json_string(i, STR("")));
        if (tag.len > 0)
            folded[count++] = text_fold(arena, text_cut(tag, TAG_LENGTH));
    }
    return count;
}

static enum err index_and_keep(struct tx *tx, const struct character *character, int64_t saved_by) {
    struct arena arena;
    struct lore_book book;
    struct str tags[TAGS_INDEXED];
    arena_init(&arena);
    size_t count = fold_tags(&arena, character->tags, tags);
    enum err err = character_store_index(tx, character, tags, count);
    if (err == E_OK)
        err = character_touch(tx, character->id);
    if (err == E_OK)
        err = lore_book_of_character(tx_db(tx), &arena, character->id, &book);
    if (err == E_OK || err == E_ABSENT) {
        struct str saved = character_saved(&arena, character, err == E_OK ? &book : NULL);
        err = saved.at
                  ? character_store_add_revision(tx, character, saved_by, saved, REVISIONS_KEPT)
                  : E_LIMIT;
    }
    arena_release(&arena);
    return err;
}

enum err character_insert(struct tx *tx, struct character *character, struct lore_book *book) {
    return character_insert_as(tx, id_new(), character, book);
}

enum err character_insert_as(struct tx *tx, int64_t id, struct character *character,
                             struct lore_book *book) {
    if (!character_is_open_to(tx_db(tx), character, character->owner_id))
        return E_DENIED;
    character->id = id;
    character->revision = 1;
    character->created_at = character->updated_at = clock_now_ms();
    enum err err = character_store_insert(tx, character);
    if (err == E_OK && book)
        err = lore_book_replace(tx, character->id, character->owner_id, book);
    return err == E_OK ? index_and_keep(tx, character, character->owner_id) : err;
}

enum err character_save(struct tx *tx, struct character *character, int64_t saved_by,
                        enum book_change change, struct lore_book *book) {
    int64_t now = clock_now_ms();
    enum err err = check_tiers(tx, character, saved_by);
    if (err != E_OK)
        return err;
    character->revision++;
    character->updated_at = now > character->updated_at ? now : character->updated_at + 1;
    err = character_store_update(tx, character);
    if (err == E_OK && change != BOOK_STAYS)
        err = lore_book_replace(tx, character->id, character->owner_id,
                                change == BOOK_IS_REPLACED ? book : NULL);
    return err == E_OK ? index_and_keep(tx, character, saved_by) : err;
}

enum err character_book_changed(struct tx *tx, int64_t character_id, int64_t user_id) {
    struct arena arena;
    struct character character;
    arena_init(&arena);
    enum err err = character_store_load_any(tx_db(tx), &arena, character_id, &character);
    if (err == E_OK)
        err = character_save(tx, &character, user_id, BOOK_STAYS, NULL);
    arena_release(&arena);
    return err;
}

/* --- trash ---------------------------------------------------------------------------------- */

enum err character_trash(struct tx *tx, int64_t id, int64_t user_id) {
    struct arena arena;
    struct character character;
    arena_init(&arena);
    enum err err = character_load_own(tx_db(tx), &arena, id, user_id, &character);
    arena_release(&arena);
    if (err == E_OK)
        err = character_store_set_deleted(tx, id, clock_now_ms());
    return err == E_OK ? character_touch(tx, id) : err;
}

enum err character_restore(struct tx *tx, int64_t id, int64_t user_id) {
    struct arena arena;
    struct character character;
    arena_init(&arena);
    enum err err = character_store_load_any(tx_db(tx), &arena, id, &character);
    if (err == E_OK && character.owner_id != user_id)
        err = E_ABSENT;
    else if (err == E_OK && character.deleted_at == 0)
        err = E_CONFLICT;
    else if (err == E_OK && !character_is_open_to(tx_db(tx), &character, user_id))
        err = E_DENIED;
    arena_release(&arena);
    if (err == E_OK)
        err = character_store_set_deleted(tx, id, 0);
    return err == E_OK ? character_touch(tx, id) : err;
}

/* --- older ones and copies ------------------------------------------------------------------ */

static enum err bring_back(struct tx *tx, struct arena *arena, int64_t id, int64_t user_id,
                           int64_t n) {
    struct character character;
    struct revision revision;
    struct lore_book book;
    bool has_book = false;
    enum err err = character_load_own(tx_db(tx), arena, id, user_id, &character);
    if (err == E_OK)
        err = character_store_revision(tx_db(tx), arena, id, n, &revision);
    if (err != E_OK)
        return err;
    struct str visibility = character.visibility;
    if (character_read_saved(arena, revision.card, &character, &book, &has_book) != E_OK)
        return E_STORAGE; /* we wrote it, so the row is damaged */
    character.visibility = visibility;
    return character_save(tx, &character, user_id, has_book ? BOOK_IS_REPLACED : BOOK_IS_REMOVED,
                          &book);
}

enum err character_bring_back(struct tx *tx, int64_t id, int64_t user_id, int64_t n) {
    struct arena arena;
    arena_init(&arena);
    enum err err = bring_back(tx, &arena, id, user_id, n);
    arena_release(&arena);
    return err;
}

static enum err duplicate(struct tx *tx, struct arena *arena, int64_t id, int64_t user_id,
                          int64_t *copy_id) {
    struct character character;
    struct lore_book book;
    enum err err = character_load(tx_db(tx), arena, id, user_id, &character);
    if (err != E_OK)
        return err;
    enum err found = lore_book_of_character(tx_db(tx), arena, id, &book);
    if (found != E_OK && found != E_ABSENT)
        return found;
    character.name =
        str_printf(arena, STR_FMT " (copy)", STR_ARG(text_cut(character.name, COPY_NAME_LIMIT)));
    character.owner_id = user_id;
    character.visibility = STR("private");
    character.origin = STR("duplicate");
    err = character_insert(tx, &character, found == E_OK ? &book : NULL);
    *copy_id = character.id;
    return err;
}

enum err character_duplicate(struct tx *tx, int64_t id, int64_t user_id, int64_t *copy_id) {
    struct arena arena;
    arena_init(&arena);
    enum err err = duplicate(tx, &arena, id, user_id, copy_id);
    arena_release(&arena);
    return err;
}
