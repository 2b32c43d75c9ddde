/* links: troupe_memory troupe_model troupe_vendor_free troupe_store troupe_embedded */
/* When two facts are the same, on a store of its own: repeats, changes, ends, order of time. */
#include "memory/merge.h"

#include "base/check.h"
#include "memory/fact_compare.h"
#include "memory/memory_store.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void test_identities(void **state) {
    (void)state;
    /* clang-format off */
    static const struct { const char *predicate, *object, *other_predicate, *other; bool same; } rows[] = {
        {"lives_in", "Bristol", "residence", "bristol", true},
        {"lives_in", "the city of Bristol", "city", "Bristol city", true},
        {"likes", "hiking", "enjoys", "hikes", true},
        {"likes", "hiking", "likes", "biking", false},
        {"likes", "hiking", "dislikes", "hiking", false},
        {"favorite_colour", "green", "favourite_colour", "Green", true},
        {"works_as", "a nurse", "job", "nurse", true},
        {"plans", "exam on 3 May 2024", "plans", "exam on 4 May 2024", false},
        {"likes", "The Who", "likes", "the who", true},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        arena_init(&arena);
        struct str a = memory_identity(&arena, STR("user"), str_from(rows[i].predicate),
                                       str_from(rows[i].object));
        struct str b = memory_identity(&arena, STR("User"), str_from(rows[i].other_predicate),
                                       str_from(rows[i].other));
        if (str_eq(a, b) != rows[i].same)
            fail_msg("%s %s: " STR_FMT " and " STR_FMT, rows[i].predicate, rows[i].object,
                     STR_ARG(a), STR_ARG(b));
        arena_release(&arena);
    }
    assert_true(memory_predicate_is_single(STR("lives_in")) &&
                memory_predicate_is_single(STR("favourite_colour")));
    assert_false(memory_predicate_is_single(STR("likes")) ||
                 memory_predicate_is_single(STR("has_pet")));
}

/* --- on a store ------------------------------------------------------------------------------- */

struct step {
    const char *predicate, *object, *text;
    int64_t at;
    bool ends;
};

struct job_of_writer {
    const struct step *steps;
    size_t count;
    struct merge merge;
};

static enum err writer_make_talk(struct tx *tx, void *ctx) {
    (void)ctx;
    enum err err = stmt_run(DB_SQL(
        tx_db(tx),
        "INSERT INTO user (id, email, email_folded, display_name, role, created_at, updated_at) "
        "VALUES (1, 'm', 'm', 'Mia', 'member', 1, 1)"));
    return err != E_OK
               ? err
               : stmt_run(DB_SQL(
                     tx_db(tx),
                     "INSERT INTO conversation (id, owner_id, last_message_at, created_at, updated_at) "
                     "VALUES (2, 1, 1, 1, 1)"));
}

static enum err writer_steps(struct tx *tx, void *ctx) {
    struct job_of_writer *job = ctx;
    enum err err = E_OK;
    for (size_t i = 0; i < job->count && err == E_OK; i++) {
        struct memory_items items = {.count = 1};
        items.items[0] = (struct memory_item){.kind = STR("fact"),
                                              .subject = STR("user"),
                                              .predicate = str_from(job->steps[i].predicate),
                                              .object = str_from(job->steps[i].object),
                                              .text = str_from(job->steps[i].text),
                                              .importance = 0.5,
                                              .confidence = 0.8,
                                              .at = job->steps[i].at,
                                              .ends = job->steps[i].ends};
        err = writer_merge(tx, &items, &job->merge);
    }
    return err;
}

/* Runs the steps in a talk of their own; gives what is known then, by id. */
static struct memory_fact *after(struct arena *arena, const struct step *steps, size_t steps_count,
                                 size_t *count) {
    struct memory_fact *facts, *sorted;
    struct job_of_writer job = {
        .steps = steps,
        .count = steps_count,
        .merge = {.scope = {.user_id = 1, .character_id = 3, .conversation_id = 2},
                  .made_by = "rules",
                  .now = 100}};
    scratch_make();
    assert_int_equal(store_open(scratch), E_OK);
    assert_int_equal(store_write_and_wait(writer_make_talk, NULL), E_OK);
    assert_int_equal(store_write_and_wait(writer_steps, &job), E_OK);
    assert_int_equal(
        memory_store_facts(store_reader(), arena, &job.merge.scope, true, 100, &facts, count),
        E_OK);
    sorted = ARENA_ARRAY(arena, struct memory_fact, *count + 1);
    for (size_t i = 0; i < *count; i++) {
        size_t place = 0;
        for (size_t k = 0; k < *count; k++)
            place += facts[k].id < facts[i].id;
        sorted[place] = facts[i];
    }
    store_close();
    scratch_remove();
    return sorted;
}

static void test_changes(void **state) {
    (void)state;
    static const struct step steps[] = {
        {"lives_in", "Bristol", "Mia lives in Bristol.", 10},
        {"lives_in", "Bristol in England", "Mia lives in Bristol in England.", 20},
        {"lives_in", "Leeds", "Mia lives in Leeds.", 30},
        {"lives_in", "Bristol", "Mia lives in Bristol.", 40}};
    struct arena arena;
    size_t count;
    arena_init(&arena);
    struct memory_fact *facts = after(&arena, steps, COUNT_OF(steps), &count);
    assert_int_equal(count, 3);
    assert_true(str_eq(facts[0].object, STR("Bristol in England"))); /* the fuller one */
    assert_int_equal(facts[0].valid_to, 30);
    assert_true(facts[0].confidence > 0.8);
    assert_int_equal(facts[1].valid_to, 40); /* and back again */
    assert_true(str_eq(facts[2].state, STR("active")) && facts[2].valid_to == 0);
    arena_release(&arena);
}

static void test_read_late(void **state) {
    (void)state;
    static const struct step steps[] = {{"lives_in", "Leeds", "Mia lives in Leeds.", 30},
                                        {"lives_in", "Bristol", "Mia lives in Bristol.", 10}};
    struct arena arena;
    size_t count;
    arena_init(&arena);
    struct memory_fact *facts = after(&arena, steps, COUNT_OF(steps), &count);
    assert_int_equal(count, 2);
    assert_true(str_eq(facts[0].state, STR("active")));
    assert_int_equal(facts[1].valid_to, 30); /* what was said earlier is what is over */
    assert_int_equal(facts[1].superseded_by, facts[0].id);
    arena_release(&arena);
}

static void test_ends(void **state) {
    (void)state;
    static const struct step steps[] = {
        {"likes", "jazz", "Mia likes jazz.", 10},
        {"likes", "sushi", "Mia likes sushi.", 10},
        {"works_at", "Siemens", "Mia works at Siemens.", 10},
        {"works_as", "engineer", "Mia works as an engineer.", 10},
        {"has_pet", "dog Rex", "Mia has a dog called Rex.", 10},
        {"has_pet", "dog Max", "Mia has a dog called Max.", 10},
        {"likes", "jazz", "Mia no longer likes jazz.", 20, true},
        {"dislikes", "sushi", "Mia dislikes sushi.", 20},
        {"works_at", "", "Mia no longer has that job.", 20, true},
        {"lost_pet", "Rex", "Mia's dog Rex died.", 20},
        {"lives_in", "Rome", "Mia no longer lives in Rome.", 20, true}};
    struct arena arena;
    size_t count, over = 0;
    arena_init(&arena);
    struct memory_fact *facts = after(&arena, steps, COUNT_OF(steps), &count);
    for (size_t i = 0; i < count; i++)
        over += facts[i].valid_to == 20;
    assert_int_equal(over,
                     6); /* jazz, sushi, both of the job, Rex, and Rome, which nobody knew of */
    assert_int_equal(count, 9);
    for (size_t i = 0; i < count; i++)
        if (str_eq(facts[i].object, STR("dog Max")) || str_eq(facts[i].predicate, STR("dislikes")))
            assert_int_equal(facts[i].valid_to, 0);
    arena_release(&arena);
}

static enum err writer_fill(struct tx *tx, void *ctx) {
    (void)ctx;
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :limit) "
        "INSERT INTO memory_fact (id, user_id, character_id, conversation_id, kind, subject, predicate, identity, text, "
        "    importance, confidence, valid_from, made_by, created_at, updated_at) "
        "SELECT 1000 + i, 1, 3, 2, 'fact', 'user', 'note', 'user|note|' || i, 'Mia counted to ' || i || '.', "
        "    0.1, 0.5, 1, 'rules', 1, 1 FROM n");
    bind_int(s, ":limit", FACTS_LIMIT);
    return stmt_run(s);
}

/* What is learnt is let go by, what a person adds is refused in words; nothing of either is kept. */
static void test_full(void **state) {
    (void)state;
    static const struct step step = {"lives_in", "Leeds", "Mia lives in Leeds.", 30};
    struct job_of_writer job = {
        .steps = &step,
        .count = 1,
        .merge = {.scope = {.user_id = 1, .character_id = 3, .conversation_id = 2},
                  .made_by = "rules",
                  .now = 100}};
    scratch_make();
    assert_int_equal(store_open(scratch), E_OK);
    assert_int_equal(store_write_and_wait(writer_make_talk, NULL), E_OK);
    assert_int_equal(store_write_and_wait(writer_fill, NULL), E_OK);
    assert_int_equal(store_write_and_wait(writer_steps, &job), E_OK);
    assert_int_equal(job.merge.refused, 1);
    job.merge.made_by = "person";
    assert_int_equal(store_write_and_wait(writer_steps, &job), E_LIMIT);
    assert_int_equal(job.merge.added, 0);
    assert_int_equal(memory_store_fact_count(store_reader(), 2), FACTS_LIMIT);
    store_close();
    scratch_remove();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identities), cmocka_unit_test(test_changes),
        cmocka_unit_test(test_read_late), cmocka_unit_test(test_ends), cmocka_unit_test(test_full)};
    clock_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
