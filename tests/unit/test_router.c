/* links: troupe_net troupe_embedded */
#include "base/id.h"
#include "rig_http.h"

/* What the last handler saw. */
static const char *called;
static int64_t ids[4];
static char words[4][64];

static void note(struct request *request, const char *name) {
    called = name;
    memcpy(ids, request->ids, sizeof(ids));
    for (int i = 0; i < 4; i++)
        snprintf(words[i], sizeof(words[i]), STR_FMT, STR_ARG(request->words[i]));
    reply_empty(request, 204);
}

#define HANDLER(name)                           \
    static void name(struct request *request) { \
        note(request, #name);                   \
    }
HANDLER(root)
HANDLER(list)
HANDLER(create)
HANDLER(search)
HANDLER(one)
HANDLER(change)
HANDLER(export)
HANDLER(search_saved)
HANDLER(both)
HANDLER(word)
HANDLER(slash)
HANDLER(dotted)

/* clang-format off */
static const struct route FIRST[] = {
    {METHOD_GET, "/", root},
    {METHOD_GET, "/things", list},
    {METHOD_POST, "/things", create},
    {METHOD_GET, "/things/search", search},
    {METHOD_GET, "/things/search/saved", search_saved},
    {METHOD_GET, "/things/{id}", one},
    {METHOD_PATCH, "/things/{id}", change},
    {0}};
static const struct route SECOND[] = {
    {METHOD_GET, "/things/{thing_id}/export", export},
    {METHOD_PUT, "/a/{a_id}/b/{b_id}/{kind}", both},
    {METHOD_GET, "/words/{one}/{two}", word},
    {METHOD_GET, "/slash/", slash},
    {METHOD_GET, "/.well-known/keys.json", dotted},
    {0}};
/* clang-format on */
static const struct route *const TABLES[] = {FIRST, SECOND, NULL};

static struct buf out;

static int setup(void **state) {
    (void)state;
    rig_start(TABLES);
    buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    buf_release(&out);
    rig_stop();
    return 0;
}

static int ask(const char *method, const char *path) {
    char request[512];
    called = NULL;
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path);
    return rig_ask(&out, request);
}

#define ID1 "0000000000001"
#define ID2 "0000000000002"

static const struct {
    const char *method, *path;
    int status;
    const char *called; /* NULL: nobody */
    const char *allow;  /* of a 405 or OPTIONS */
} ROWS[] = {
    {"GET", "/", 204, "root", NULL},
    {"GET", "/?x=y", 204, "root", NULL},
    {"GET", "/things", 204, "list", NULL},
    {"HEAD", "/things", 204, "list", NULL},
    {"POST", "/things", 204, "create", NULL},
    {"GET", "/things/search", 204, "search", NULL},
    {"GET", "/things/search/saved", 204, "search_saved", NULL},
    {"GET", "/things/" ID1, 204, "one", NULL},
    {"PATCH", "/things/" ID1, 204, "change", NULL},
    {"GET", "/things/" ID1 "/export", 204, "export", NULL},
    {"PUT", "/a/" ID1 "/b/" ID2 "/red", 204, "both", NULL},
    {"GET", "/words/x/y", 204, "word", NULL},
    {"GET", "/words/a%2Fb/%C3%A9", 204, "word", NULL},
    {"GET", "/slash/", 204, "slash", NULL},
    {"GET", "/.well-known/keys.json", 204, "dotted", NULL},
    {"GET", "/%74hings", 204, "list", NULL},
    {"GET", "/things/", 404, NULL, NULL},
    {"GET", "//things", 404, NULL, NULL},
    {"GET", "/slash", 404, NULL, NULL},
    {"GET", "/Things", 404, NULL, NULL},
    {"GET", "/things/nonsense", 404, NULL, NULL},
    {"GET", "/things/search/export", 404, NULL, NULL},
    {"PATCH", "/things/nonsense", 404, NULL, NULL},
    {"GET", "/things/" ID1 "/export/x", 404, NULL, NULL},
    {"GET", "/words/x", 404, NULL, NULL},
    {"GET", "/words//y", 404, NULL, NULL},
    {"GET", "/a", 404, NULL, NULL},
    {"GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t", 404, NULL, NULL},
    {"DELETE", "/things", 405, NULL, "Allow: GET, HEAD, POST, OPTIONS\r\n"},
    {"PATCH", "/things/search", 405, NULL, "Allow: GET, HEAD, OPTIONS\r\n"},
    {"TRACE", "/things", 405, NULL, "Allow: GET, HEAD, POST, OPTIONS\r\n"},
    {"OPTIONS", "/things/" ID1, 204, NULL, "Allow: GET, HEAD, PATCH, OPTIONS\r\n"},
    {"OPTIONS", "/nowhere", 404, NULL, NULL},
};

static void every_path_finds_its_row(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        int status = ask(ROWS[i].method, ROWS[i].path);
        bool is_right = status == ROWS[i].status && (called == NULL) == (ROWS[i].called == NULL) &&
                        (called == NULL || strcmp(called, ROWS[i].called) == 0) &&
                        (ROWS[i].allow == NULL || strstr(out.at, ROWS[i].allow) != NULL);
        if (!is_right)
            fail_msg("%s %s: %d by %s\n%s", ROWS[i].method, ROWS[i].path, status,
                     called != NULL ? called : "nobody", out.at);
    }
}

static void names_in_patterns_become_ids_and_words(void **state) {
    (void)state;
    assert_int_equal(ask("PUT", "/a/" ID1 "/b/" ID2 "/red"), 204);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[1], 2);
    assert_string_equal(words[0], "red");
    assert_int_equal(ask("GET", "/words/a%2Fb/x%20y"), 204);
    assert_string_equal(words[0], "a/b");
    assert_string_equal(words[1], "x y");
    /* Decoded once: what is escaped twice stays escaped. */
    assert_int_equal(ask("GET", "/words/a%252Fb/z"), 204);
    assert_string_equal(words[0], "a%2Fb");
}

static void refusals_are_problems(void **state) {
    (void)state;
    assert_int_equal(ask("GET", "/nowhere"), 404);
    assert_non_null(strstr(out.at, "Content-Type: application/problem+json"));
    assert_non_null(strstr(out.at, "\"status\":404"));
    assert_non_null(strstr(out.at, "\"request_id\":\""));
}

static void every_row_can_be_walked(void **state) {
    (void)state;
    size_t count = 0;
    while (router_at(count) != NULL)
        count++;
    assert_int_equal(count, COUNT_OF(FIRST) + COUNT_OF(SECOND) - 2);
    assert_ptr_equal(router_at(0), &FIRST[0]);
    assert_ptr_equal(router_at(7), &SECOND[0]);
}

/* Everything in the document refers to something that is there, and every row is in it. */
static void check_references(const struct json_value *whole, const struct json_value *value) {
    for (const struct json_value *child = json_first(value); child != NULL;
         child = json_next(child)) {
        if (str_eq(json_name(child), STR("$ref"))) {
            struct arena arena;
            arena_init(&arena);
            char *path = str_dup_z(&arena, str_slice(json_string(child, STR("")), 2, 200));
            for (char *c = path; *c != '\0'; c++)
                *c = *c == '/' ? '.' : *c;
            if (json_path(whole, path) == NULL)
                fail_msg("nothing at %s", path);
            arena_release(&arena);
        }
        check_references(whole, child);
    }
}

static void the_document_is_complete_and_refers_to_what_is_there(void **state) {
    (void)state;
    struct arena arena;
    const struct json_value *whole;
    arena_init(&arena);
    assert_int_equal(json_parse(&arena, router_openapi(), &whole, NULL), E_OK);
    check_references(whole, whole);
    size_t operations = 0;
    for (const struct json_value *path = json_first(json_member(whole, "paths")); path != NULL;
         path = json_next(path))
        operations += json_count(path);
    assert_int_equal(operations, COUNT_OF(FIRST) + COUNT_OF(SECOND) - 2);
    arena_release(&arena);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_path_finds_its_row),
        TEST(names_in_patterns_become_ids_and_words),
        TEST(refusals_are_problems),
        TEST(every_row_can_be_walked),
        TEST(the_document_is_complete_and_refers_to_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
