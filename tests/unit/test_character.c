/* links: troupe_character troupe_vendor_free troupe_embedded troupe_store troupe_embedded */
#include "character/character.h"

#include "account/account.h"
#include "account/user_store.h"
#include "base/check.h"
#include "base/id.h"
#include "character/card.h"
#include "character/character_json.h"
#include "character/character_list_store.h"
#include "character/character_store.h"
#include "lore/activate.h"
#include "lore/lore.h"
#include "scratch.h"
#include "store/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;
static int64_t olive, mia; /* two people; at first neither has declared an age */

/* --- a house with two people ---------------------------------------------------------------- */

static enum err writer_people(struct tx *tx, void *ctx) {
    (void)ctx;
    struct new_user first = {.email = STR("olive@example.com"),
                             .display_name = STR("Olive"),
                             .password_phc = STR("x"),
                             .role = ROLE_OWNER};
    struct new_user second = {.email = STR("mia@example.com"),
                              .display_name = STR("Mia"),
                              .password_phc = STR("x"),
                              .role = ROLE_MEMBER};
    enum err err = account_create(tx, &first);
    if (err == E_OK)
        err = account_create(tx, &second);
    olive = first.id;
    mia = second.id;
    return err;
}

static int begin(void **state) {
    (void)state;
    scratch_make();
    arena_init(&arena);
    blob_use(&blob_disk, scratch);
    lore_on_change(character_book_changed);
    return store_open(scratch) == E_OK && store_write_and_wait(writer_people, NULL) == E_OK ? 0 : 1;
}

static int end(void **state) {
    (void)state;
    store_close();
    arena_release(&arena);
    scratch_remove();
    return 0;
}

/* --- writes, waited for --------------------------------------------------------------------- */

struct making {
    struct character character;
    struct lore_book *book;
};

static enum err writer_make(struct tx *tx, void *ctx) {
    struct making *making = ctx;
    return character_insert(tx, &making->character, making->book);
}

static struct character made(struct str name, int64_t owner, struct str visibility,
                             struct lore_book *book) {
    struct making making = {.character = character_empty(), .book = book};
    making.character.name = name;
    making.character.owner_id = owner;
    making.character.visibility = visibility;
    assert_int_equal(store_write_and_wait(writer_make, &making), E_OK);
    return making.character;
}

struct saving {
    struct character character;
    enum book_change change;
    struct lore_book *book;
};

static enum err writer_save(struct tx *tx, void *ctx) {
    struct saving *saving = ctx;
    return character_save(tx, &saving->character, olive, saving->change, saving->book);
}

struct doing {
    enum err (*fn)(struct tx *tx, struct doing *doing);
    int64_t id, user_id, n;
};

static enum err writer_do(struct tx *tx, void *ctx) {
    struct doing *doing = ctx;
    return doing->fn(tx, doing);
}

static enum err trash(struct tx *tx, struct doing *d) {
    return character_trash(tx, d->id, d->user_id);
}
static enum err restore(struct tx *tx, struct doing *d) {
    return character_restore(tx, d->id, d->user_id);
}
static enum err bring_back(struct tx *tx, struct doing *d) {
    return character_bring_back(tx, d->id, d->user_id, d->n);
}
static enum err duplicate(struct tx *tx, struct doing *d) {
    return character_duplicate(tx, d->id, d->user_id, &d->n);
}
static enum err cast(struct tx *tx, struct doing *d) {
    return character_add_starters(tx, d->user_id);
}
static enum err sweep(struct tx *tx, struct doing *d) {
    bool has_more;
    return character_store_sweep(tx, d->n, 10, &has_more);
}

static enum err done(enum err (*fn)(struct tx *tx, struct doing *doing), int64_t id,
                     int64_t user_id, int64_t n) {
    return store_write_and_wait(writer_do, &(struct doing){fn, id, user_id, n});
}

static enum err load(int64_t id, int64_t user_id, struct character *character) {
    return character_load(store_reader(), &arena, id, user_id, character);
}

static enum err writer_declare(struct tx *tx, void *ctx) {
    const bool *is_adult = ctx;
    return user_update(
        tx, &(struct user_change){.id = olive, .declares_age = true, .is_adult = *is_adult}, 1);
}

static struct lore_book book_of(const char *json) {
    const struct json_value *value;
    struct lore_book book;
    assert_int_equal(json_parse(&arena, str_from(json), &value, NULL), E_OK);
    assert_int_equal(lore_book_read(&arena, value, &book), E_OK);
    return book;
}

/* --- the tests ------------------------------------------------------------------------------ */

static void who_sees_what(void **state) {
    (void)state;
    struct character c, shy = made(STR("Shy"), olive, STR("private"), NULL),
                        linked = made(STR("Linked"), olive, STR("unlisted"), NULL),
                        open = made(STR("Open"), olive, STR("public"), NULL);
    assert_int_equal(load(shy.id, olive, &c), E_OK);
    assert_int_equal(load(shy.id, mia, &c), E_ABSENT);
    assert_int_equal(load(linked.id, mia, &c), E_OK);
    assert_int_equal(load(open.id, mia, &c), E_OK);
    assert_int_equal(load(open.id + 1, mia, &c), E_ABSENT);
    assert_int_equal(character_load_own(store_reader(), &arena, open.id, mia, &c), E_DENIED);
    assert_int_equal(character_load_own(store_reader(), &arena, shy.id, mia, &c), E_ABSENT);

    struct saving late = {.character = open};
    late.character.content_tier = STR("adult");
    assert_int_equal(store_write_and_wait(writer_save, &late), E_DENIED); /* no declared age */
    assert_int_equal(load(open.id, mia, &c), E_OK);
    bool is_adult = true;
    assert_int_equal(store_write_and_wait(writer_declare, &is_adult), E_OK);
    assert_int_equal(store_write_and_wait(writer_save, &late), E_OK);
    assert_int_equal(load(open.id, mia, &c), E_ABSENT); /* Mia has not */
    assert_int_equal(load(open.id, olive, &c), E_OK);
    is_adult = false;
    assert_int_equal(store_write_and_wait(writer_declare, &is_adult), E_OK);
    assert_int_equal(load(open.id, olive, &c), E_OK); /* her own stays to be seen */
}

static void greetings(void **state) {
    (void)state;
    struct character c = character_empty();
    struct str text;
    assert_int_equal(character_greeting_count(&arena, &c), 0);
    c.first_mes = STR("Hello.");
    c.alternate_greetings = STR("[\"One\",\"Two\"]");
    assert_int_equal(character_greeting_count(&arena, &c), 3);
    static const struct {
        int64_t index;
        enum err err;
        const char *text;
    } rows[] = {{0, E_OK, "Hello."},
                {1, E_OK, "One"},
                {2, E_OK, "Two"},
                {3, E_INPUT, ""},
                {-1, E_INPUT, ""}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(character_greeting(&arena, &c, rows[i].index, &text), rows[i].err);
        if (rows[i].err == E_OK)
            assert_true(str_eq(text, str_from(rows[i].text)));
    }
    assert_true(str_eq(character_shown_name(&c), STR("")));
    c.name = STR("Ibid");
    assert_true(str_eq(character_shown_name(&c), STR("Ibid")));
    c.nickname = STR("Ib");
    assert_true(str_eq(character_shown_name(&c), STR("Ib")));
    assert_null(character_avatar_url(&arena, 1, STR_NONE).at);
    assert_true(str_eq(character_avatar_url(&arena, 1, STR("ab")), STR("/api/v1/media/ab")));
}

static void every_save_can_be_brought_back(void **state) {
    (void)state;
    struct lore_book book = book_of("{\"entries\":[{\"keys\":[\"a\"],\"content\":\"old\","
                                    "\"enabled\":true,\"strange\":[1]}],\"odd\":{}}");
    struct character c = made(STR("One"), olive, STR("private"), &book);
    struct saving saving = {.character = c, .change = BOOK_IS_REMOVED};
    saving.character.name = STR("Two");
    saving.character.unknown = STR("{\"data\":{\"x\":1}}");
    saving.character.avatar_blob = STR("ab");
    assert_int_equal(store_write_and_wait(writer_save, &saving), E_OK);
    assert_int_equal(saving.character.revision, 2);
    assert_true(saving.character.updated_at > c.updated_at);

    assert_int_equal(done(bring_back, c.id, olive, 1), E_OK);
    struct character now;
    struct lore_book now_book;
    assert_int_equal(load(c.id, olive, &now), E_OK);
    assert_int_equal(now.revision, 3);
    assert_true(str_eq(now.name, STR("One")));
    assert_null(now.avatar_blob.at);
    assert_true(str_eq(now.unknown, STR("{}")));
    assert_int_equal(lore_book_of_character(store_reader(), &arena, c.id, &now_book), E_OK);
    assert_int_equal(now_book.entry_count, 1);
    assert_true(str_eq(now_book.entries[0].content, STR("old")));
    assert_true(str_has(now_book.entries[0].kept, STR("\"strange\":[1]")));
    assert_true(str_has(now_book.kept, STR("\"odd\":{}")));

    assert_int_equal(done(bring_back, c.id, olive, 2), E_OK);
    assert_int_equal(load(c.id, olive, &now), E_OK);
    assert_true(str_eq(now.name, STR("Two")));
    assert_true(str_eq(now.avatar_blob, STR("ab")));
    assert_true(str_eq(now.unknown, STR("{\"data\":{\"x\":1}}")));
    assert_int_equal(lore_book_of_character(store_reader(), &arena, c.id, &now_book), E_ABSENT);

    assert_int_equal(done(bring_back, c.id, olive, 99), E_ABSENT);
    assert_int_equal(done(bring_back, c.id, mia, 1), E_ABSENT);
    assert_int_equal(load(c.id, olive, &now), E_OK);
    assert_int_equal(now.revision, 4); /* what was refused saved nothing */
}

static void old_revisions_go(void **state) {
    (void)state;
    struct saving saving = {.character = made(STR("Busy"), olive, STR("private"), NULL)};
    for (int i = 0; i < 204; i++)
        assert_int_equal(store_write_and_wait(writer_save, &saving), E_OK);
    struct revision *revisions = ARENA_ARRAY(&arena, struct revision, 300), one;
    size_t count;
    assert_int_equal(character_store_revisions(store_reader(), saving.character.id, INT64_MAX, 300,
                                               revisions, &count),
                     E_OK);
    assert_int_equal(count, 200);
    assert_int_equal(revisions[0].revision, 205);
    assert_int_equal(character_store_revision(store_reader(), &arena, saving.character.id, 5, &one),
                     E_ABSENT);
}

static void the_trash(void **state) {
    (void)state;
    struct character c = made(STR("Mayfly"), olive, STR("public"), NULL), seen;
    assert_int_equal(done(trash, c.id, mia, 0), E_DENIED);
    assert_int_equal(done(restore, c.id, olive, 0), E_CONFLICT);
    assert_int_equal(done(trash, c.id, olive, 0), E_OK);
    assert_int_equal(done(trash, c.id, olive, 0), E_ABSENT);
    assert_int_equal(load(c.id, olive, &seen), E_ABSENT);
    assert_int_equal(done(restore, c.id, mia, 0), E_ABSENT);
    assert_int_equal(done(restore, c.id, olive, 0), E_OK);
    assert_int_equal(load(c.id, mia, &seen), E_OK);

    assert_int_equal(done(trash, c.id, olive, 0), E_OK);
    assert_int_equal(done(sweep, 0, 0, clock_now_ms() - 60000), E_OK);
    assert_int_equal(done(restore, c.id, olive, 0), E_OK); /* too young to go */
    assert_int_equal(done(trash, c.id, olive, 0), E_OK);
    assert_int_equal(done(sweep, 0, 0, clock_now_ms() + 1), E_OK);
    assert_int_equal(done(restore, c.id, olive, 0), E_ABSENT);
}

static void copies(void **state) {
    (void)state;
    struct lore_book book = book_of("{\"entries\":[{\"keys\":[\"a\"],\"content\":\"c\"}]}");
    struct character c = made(STR("Original"), olive, STR("public"), &book), copy;
    struct doing doing = {duplicate, c.id, mia, 0};
    assert_int_equal(store_write_and_wait(writer_do, &doing), E_OK);
    assert_int_equal(load(doing.n, mia, &copy), E_OK);
    assert_true(str_eq(copy.name, STR("Original (copy)")));
    assert_true(str_eq(copy.visibility, STR("private")));
    assert_true(str_eq(copy.origin, STR("duplicate")));
    assert_int_equal(copy.owner_id, mia);
    assert_int_equal(copy.revision, 1);
    struct lore_book first, second;
    assert_int_equal(lore_book_of_character(store_reader(), &arena, c.id, &first), E_OK);
    assert_int_equal(lore_book_of_character(store_reader(), &arena, copy.id, &second), E_OK);
    assert_true(first.id != second.id && first.entries[0].id != second.entries[0].id);
    assert_int_equal(second.owner_id, mia);
}

struct listed {
    int64_t ids[128];
    size_t count;
};

static void note_row(void *ctx, const struct character_summary *summary) {
    struct listed *listed = ctx;
    listed->ids[listed->count++] = summary->id;
}

static struct listed listed(struct character_list list) {
    struct listed listed = {.count = 0};
    list.each = note_row;
    list.ctx = &listed;
    list.before_id = list.before_id ? list.before_id : INT64_MAX;
    list.limit = list.limit ? list.limit : 100;
    assert_int_equal(character_store_list(store_reader(), &list), E_OK);
    assert_int_equal(list.count, listed.count);
    return listed;
}

static void lists(void **state) {
    (void)state;
    struct character last = {0};
    for (int i = 0; i < 5; i++) {
        made(str_printf(&arena, "Public %d", i), olive, STR("public"), NULL);
        last = made(str_printf(&arena, "Mine %d", i), mia, STR("private"), NULL);
        made(str_printf(&arena, "Hers %d", i), olive, STR("private"), NULL);
    }
    struct listed all = listed((struct character_list){.user_id = mia});
    assert_int_equal(all.count, 10);
    for (size_t i = 1; i < all.count; i++)
        assert_true(all.ids[i - 1] > all.ids[i]);
    assert_int_equal(all.ids[0], last.id);
    struct listed page = listed((struct character_list){.user_id = mia, .limit = 4});
    assert_int_equal(page.count, 4);
    page = listed((struct character_list){.user_id = mia, .limit = 4, .before_id = page.ids[3]});
    assert_int_equal(page.ids[0], all.ids[4]);
    assert_int_equal(listed((struct character_list){.user_id = mia, .is_mine = true}).count, 5);
    assert_int_equal(listed((struct character_list){.user_id = mia, .tier = STR("adult")}).count,
                     0);
    assert_int_equal(listed((struct character_list){.user_id = mia, .tier = STR("all_ages")}).count,
                     10);
}

/* A page costs the same, however many there are. */
static void a_page_costs_one_statement(void **state) {
    (void)state;
    for (int i = 0; i < 30; i++)
        made(STR("Row"), olive, STR("public"), NULL);
    int64_t before = db_statements_run(store_reader());
    assert_int_equal(listed((struct character_list){.user_id = mia, .limit = 20}).count, 20);
    assert_int_equal(db_statements_run(store_reader()) - before, 1);
}

static void the_cast(void **state) {
    (void)state;
    assert_int_equal(done(cast, 0, olive, 0), E_OK);
    struct listed stage = listed((struct character_list){.user_id = mia});
    assert_true(stage.count >= 6);
    for (size_t i = 0; i < stage.count; i++) {
        struct character c;
        struct lore_book book;
        assert_int_equal(load(stage.ids[i], mia, &c), E_OK);
        assert_true(str_eq(c.origin, STR("starter")));
        assert_true(c.tagline.len > 0);
        assert_int_equal(lore_book_of_character(store_reader(), &arena, c.id, &book), E_OK);
        assert_true(book.entry_count > 0);
        if (c.avatar_blob.at) {
            struct str bytes;
            assert_int_equal(blob_port()->load(&arena, c.avatar_blob, &bytes), E_OK);
        }
    }
}

static void kept_members_can_be_set(void **state) {
    (void)state;
    const struct json_value *value;
    struct str unknown = STR("{\"spec\":\"chara_card_v3\",\"data\":{\"a\":1,\"assets\":[]}}");
    assert_int_equal(json_parse(&arena, STR("[{\"x\":1}]"), &value, NULL), E_OK);
    unknown = character_keep(&arena, unknown, "assets", value);
    assert_true(str_eq(unknown, STR("{\"spec\":\"chara_card_v3\",\"data\":{\"a\":1,"
                                    "\"assets\":[{\"x\":1}]}}")));
    assert_int_equal(json_count(character_kept(&arena, unknown, "assets")), 1);
    unknown = character_keep(&arena, unknown, "assets", NULL);
    assert_null(character_kept(&arena, unknown, "assets"));
    assert_true(str_eq(character_keep(&arena, STR("{}"), "assets", NULL), STR("{\"data\":{}}")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_sees_what, begin, end),
        cmocka_unit_test_setup_teardown(greetings, begin, end),
        cmocka_unit_test_setup_teardown(every_save_can_be_brought_back, begin, end),
        cmocka_unit_test_setup_teardown(old_revisions_go, begin, end),
        cmocka_unit_test_setup_teardown(the_trash, begin, end),
        cmocka_unit_test_setup_teardown(copies, begin, end),
        cmocka_unit_test_setup_teardown(lists, begin, end),
        cmocka_unit_test_setup_teardown(a_page_costs_one_statement, begin, end),
        cmocka_unit_test_setup_teardown(the_cast, begin, end),
        cmocka_unit_test_setup_teardown(kept_members_can_be_set, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
