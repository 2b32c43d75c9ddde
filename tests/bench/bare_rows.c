/*
 * The rows of the yardstick: reads on the loop, one writer thread with group commit.
 *
 * JSON is written straight into the answer's buffer: names as literals, texts copied in runs
 * between the few bytes that must be escaped, times from a table of digits. Statements are prepared
 * once. Messages that come during one turn of the loop are handed over together; everything that
 * waits shares one transaction and one fdatasync.
 */
#include "bare.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EPOCH_2020_MS 1577836800000LL
#define COUNTER_BITS  21
#define ID_LEN        13
#define LIMIT_MAX     100
#define DAY_MS        86400000LL

static sqlite3 *reader, *writer_db;
static const char *database_path;

static void die(const char *what, sqlite3 *db) {
    fprintf(stderr, "bare: %s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
        die(sql, db);
    return stmt;
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* 0: stands for itself; 'u': as \u00XX; otherwise the letter behind the backslash. */
static char escapes[256];

static void make_escapes(void) {
    memset(escapes, 'u', 0x20);
    escapes['\n'] = 'n';
    escapes['\r'] = 'r';
    escapes['\t'] = 't';
    escapes['\b'] = 'b';
    escapes['\f'] = 'f';
    escapes['"'] = '"';
    escapes['\\'] = '\\';
}

static char *put(char *to, const char *bytes, size_t len) {
    memcpy(to, bytes, len);
    return to + len;
}
#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static char *put_text(char *to, const char *text, size_t len) {
    const char *end = text + len, *run = text;
    *to++ = '"';
    for (; text < end; text++) {
        char escape = escapes[(unsigned char)*text];
        if (escape == 0)
            continue;
        to = put(to, run, (size_t)(text - run));
        run = text + 1;
        *to++ = '\\';
        *to++ = escape;
        if (escape == 'u')
            to += sprintf(to, "00%02x", (unsigned char)*text);
    }
    to = put(to, run, (size_t)(end - run));
    *to++ = '"';
    return to;
}

static char *put_int(char *to, int64_t value) {
    char digits[24];
    int n = 0;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    if (value < 0)
        *to++ = '-';
    do
        digits[n++] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

/* null for 0, as Troupe does. */
static char *put_id(char *to, int64_t id) {
    if (id == 0)
        return PUT(to, "null");
    *to++ = '"';
    for (int i = ID_LEN - 1; i >= 0; i--, id >>= 5)
        to[i] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[id & 31];
    to[ID_LEN] = '"';
    return to + ID_LEN + 1;
}

static char *put_two(char *to, int64_t value) {
    to[0] = (char)('0' + value / 10);
    to[1] = (char)('0' + value % 10);
    return to + 2;
}

/* "2026-01-31T12:34:56.789Z"; the day is worked out only when it is another than the last. */
static char *put_time(char *to, int64_t ms) {
    static int64_t known_day = -1;
    static char day_text[16];
    int64_t day = ms / DAY_MS, rest = ms % DAY_MS;
    if (day != known_day) {
        time_t seconds = (time_t)(day * 86400);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(day_text, sizeof(day_text), "\"%Y-%m-%dT", &tm);
        known_day = day;
    }
    to = put(to, day_text, 12);
    to = put_two(to, rest / 3600000);
    *to++ = ':';
    to = put_two(to, rest / 60000 % 60);
    *to++ = ':';
    to = put_two(to, rest / 1000 % 60);
    *to++ = '.';
    *to++ = (char)('0' + rest % 1000 / 100);
    to = put_two(to, rest % 100);
    return PUT(to, "Z\"");
}

static char *put_column(char *to, sqlite3_stmt *stmt, int column) {
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return put_text(to, text, (size_t)sqlite3_column_bytes(stmt, column));
}

/* A column that holds JSON already. */
static char *put_raw(char *to, sqlite3_stmt *stmt, int column) {
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return put(to, text, (size_t)sqlite3_column_bytes(stmt, column));
}

/* --- ids -------------------------------------------------------------------------------------- */

static int64_t id_from(const char *letters) {
    static const char all[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    int64_t id = 0;
    for (int i = 0; i < ID_LEN; i++) {
        const char *at = memchr(all, letters[i], 32);
        if (at == NULL)
            return 0;
        id = id << 5 | (at - all);
    }
    return id;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t id_new(int64_t at_ms) {
    static int64_t newest;
    int64_t id = (at_ms - EPOCH_2020_MS) << COUNTER_BITS;
    newest = id > newest ? id : newest + 1;
    return newest;
}

/* --- characters ------------------------------------------------------------------------------- */

#define SUMMARY_COLUMNS                                                                \
    "id, owner_id, name, nickname, tagline, tags, creator, visibility, content_tier, " \
    "talkativeness, revision, created_at, updated_at, avatar_blob"
#define TEXT_COLUMNS                                                                    \
    "description, personality, scenario, first_mes, mes_example, alternate_greetings, " \
    "group_only_greetings, system_prompt, post_history_instructions, creator_notes, "   \
    "character_version, source, extensions, voice, vrm_id, model_settings"

#define TEXT_MEMBER(name, column) to = put_column(PUT(to, ",\"" name "\":"), s, column)
#define RAW_MEMBER(name, column)  to = put_raw(PUT(to, ",\"" name "\":"), s, column)

/* There are no ratings and no favourites in this house. */
static char *put_summary(char *to, sqlite3_stmt *s) {
    to = put_id(PUT(to, "{\"id\":"), sqlite3_column_int64(s, 0));
    to = put_id(PUT(to, ",\"owner_id\":"), sqlite3_column_int64(s, 1));
    TEXT_MEMBER("name", 2);
    TEXT_MEMBER("nickname", 3);
    TEXT_MEMBER("tagline", 4);
    RAW_MEMBER("tags", 5);
    TEXT_MEMBER("creator", 6);
    TEXT_MEMBER("visibility", 7);
    TEXT_MEMBER("content_tier", 8);
    if (sqlite3_column_type(s, 13) == SQLITE_NULL)
        to = PUT(to, ",\"avatar_url\":null");
    else
        to = PUT(put_raw(PUT(to, ",\"avatar_url\":\"/api/v1/media/"), s, 13), "\"");
    RAW_MEMBER("talkativeness", 9);
    to = put_int(PUT(to, ",\"favourite\":false,\"rating\":null,\"revision\":"),
                 sqlite3_column_int64(s, 10));
    to = put_time(PUT(to, ",\"created_at\":"), sqlite3_column_int64(s, 11));
    return put_time(PUT(to, ",\"updated_at\":"), sqlite3_column_int64(s, 12));
}

static char *put_character(char *to, sqlite3_stmt *s) {
    to = put_summary(to, s);
    TEXT_MEMBER("description", 14);
    TEXT_MEMBER("personality", 15);
    TEXT_MEMBER("scenario", 16);
    TEXT_MEMBER("first_mes", 17);
    TEXT_MEMBER("mes_example", 18);
    RAW_MEMBER("alternate_greetings", 19);
    RAW_MEMBER("group_only_greetings", 20);
    TEXT_MEMBER("system_prompt", 21);
    TEXT_MEMBER("post_history_instructions", 22);
    TEXT_MEMBER("creator_notes", 23);
    TEXT_MEMBER("creator_notes_multilingual\":null,\"character_version", 24);
    RAW_MEMBER("source", 25);
    RAW_MEMBER("assets\":null,\"extensions", 26);
    TEXT_MEMBER("voice", 27);
    to = put_id(PUT(to, ",\"vrm_id\":"), sqlite3_column_int64(s, 28));
    RAW_MEMBER("model_settings", 29);
    return PUT(to, ",\"lorebook_id\":null,\"character_book\":null}");
}

char *rows_character(char *to, const char *id_letters) {
    static sqlite3_stmt *s;
    if (s == NULL)
        s = prepare(reader, "SELECT " SUMMARY_COLUMNS ", " TEXT_COLUMNS " FROM character "
                            "WHERE id = ?1 AND deleted_at IS NULL");
    sqlite3_bind_int64(s, 1, id_from(id_letters));
    char *end = sqlite3_step(s) == SQLITE_ROW ? put_character(to, s) : NULL;
    sqlite3_reset(s);
    return end;
}

char *rows_characters(char *to, int limit) {
    static sqlite3_stmt *s;
    int64_t last = 0;
    int count = 0;
    if (s == NULL)
        s = prepare(reader, "SELECT " SUMMARY_COLUMNS " FROM character "
                            "WHERE deleted_at IS NULL ORDER BY id DESC LIMIT ?1");
    sqlite3_bind_int(s, 1, limit + 1);
    to = PUT(to, "{\"items\":[");
    for (; sqlite3_step(s) == SQLITE_ROW && count < limit; count++) {
        if (count > 0)
            *to++ = ',';
        last = sqlite3_column_int64(s, 0);
        to = put_summary(to, s);
        *to++ = '}';
    }
    to = PUT(to, "],\"next_cursor\":");
    to = put_id(to, count == limit ? last : 0);
    sqlite3_reset(s);
    *to++ = '}';
    return to;
}

/* --- messages --------------------------------------------------------------------------------- */

static char *put_message(char *to, sqlite3_stmt *s) {
    to = put_id(PUT(to, "{\"id\":"), sqlite3_column_int64(s, 0));
    to = put_id(PUT(to, ",\"conversation_id\":"), sqlite3_column_int64(s, 1));
    to = put_id(PUT(to, ",\"parent_id\":"), sqlite3_column_int64(s, 2));
    TEXT_MEMBER("role", 3);
    to = put_column(PUT(to, ",\"author\":{\"kind\":"), s, 4);
    to = put_id(PUT(to, ",\"id\":"), sqlite3_column_int64(s, 5));
    TEXT_MEMBER("name", 6);
    to = put_column(PUT(to, "},\"content\":"), s, 7);
    to = put_int(PUT(to, ",\"swipe\":{\"index\":"), sqlite3_column_int64(s, 8));
    to = put_int(PUT(to, ",\"count\":"), sqlite3_column_int64(s, 9));
    to = put_column(PUT(to, "},\"state\":"), s, 10);
    to = sqlite3_column_int(s, 11) ? PUT(to, ",\"hidden\":true") : PUT(to, ",\"hidden\":false");
    to = put_int(PUT(to, ",\"revision\":"), sqlite3_column_int64(s, 12));
    to = put_time(PUT(to, ",\"created_at\":"), sqlite3_column_int64(s, 13));
    to = put_time(PUT(to, ",\"updated_at\":"), sqlite3_column_int64(s, 14));
    *to++ = '}';
    return to;
}

/* The newest, oldest of them first: written as they come, then turned around. */
char *rows_messages(char *to, const char *conversation_letters, int limit) {
    static sqlite3_stmt *s;
    static char newest_first[ANSWER_BYTES];
    char *starts[LIMIT_MAX + 1], *at = newest_first;
    int64_t last = 0;
    int count = 0;
    if (s == NULL)
        s = prepare(reader,
                    "SELECT m.id, m.conversation_id, m.parent_id, m.role, m.author_kind, "
                    "  m.author_id, m.author_name, v.content, v.place, m.variant_count, v.state, "
                    "  m.hidden, m.revision, m.created_at, m.updated_at "
                    "FROM message m JOIN variant v ON v.message_id = m.id AND v.place = m.chosen "
                    "WHERE m.branch_id = (SELECT h.branch_id FROM conversation c "
                    "                     JOIN message h ON h.id = c.head_id WHERE c.id = ?1) "
                    "  AND m.deleted_at IS NULL "
                    "ORDER BY m.id DESC LIMIT ?2");
    sqlite3_bind_int64(s, 1, id_from(conversation_letters));
    sqlite3_bind_int(s, 2, limit + 1);
    bool has_more = false;
    while (sqlite3_step(s) == SQLITE_ROW && !(has_more = count == limit)) {
        last = sqlite3_column_int64(s, 0);
        starts[count++] = at;
        at = put_message(at, s);
    }
    sqlite3_reset(s);
    starts[count] = at;
    to = PUT(to, "{\"items\":[");
    for (int i = count; i-- > 0;) {
        to = put(to, starts[i], (size_t)(starts[i + 1] - starts[i]));
        if (i > 0)
            *to++ = ',';
    }
    to = PUT(to, "],\"next_cursor\":");
    to = put_id(to, has_more ? last : 0);
    *to++ = '}';
    return to;
}

/* --- sending: the loop's side ----------------------------------------------------------------- */

struct sending {
    struct sending *next;
    struct client *client;
    int64_t conversation_id, id, parent_id, at_ms;
    size_t len;
    char content[]; /* not escaped any more */
};

static int64_t author_id;
static char author_name[] = "Olive";

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct sending *waiting, **waiting_end;     /* under lock */
    struct sending *stored, **stored_end;       /* under lock */
    struct sending *collected, **collected_end; /* the loop's */
    uv_async_t wake;
    uv_check_t turn;
    bool is_running;
} writer;

static void clear(struct sending **first, struct sending ***end) {
    *first = NULL;
    *end = first;
}

static void add(struct sending ***end, struct sending *sending) {
    sending->next = NULL;
    **end = sending;
    *end = &sending->next;
}

/* Copies a JSON string's inside; returns how many bytes it stands for. */
static size_t unescape(char *to, const char *from, const char *end) {
    static const char letters[] = "ntrbf\"\\/", values[] = "\n\t\r\b\f\"\\/";
    char *at = to;
    for (; from < end && *from != '"'; from++) {
        if (*from != '\\') {
            *at++ = *from;
            continue;
        }
        const char *letter = strchr(letters, *++from);
        *at++ = letter != NULL ? values[letter - letters] : '?';
    }
    return (size_t)(at - to);
}

static void *run_writer(void *ctx);

static void start_writer(void) {
    pthread_t thread;
    sqlite3_stmt *owner = prepare(reader, "SELECT id FROM user WHERE role = 'owner'");
    if (sqlite3_step(owner) == SQLITE_ROW)
        author_id = sqlite3_column_int64(owner, 0);
    sqlite3_finalize(owner);
    pthread_create(&thread, NULL, run_writer, NULL);
    pthread_detach(thread);
    writer.is_running = true;
}

void rows_send_message(struct client *client, const char *conversation_letters, const char *body,
                       size_t len) {
    static const char before[] = "{\"content\":\"";
    if (!writer.is_running)
        start_writer();
    if (len < sizeof(before) || memcmp(body, before, sizeof(before) - 1) != 0) {
        client_leave(client);
        return;
    }
    struct sending *sending = malloc(sizeof(*sending) + len);
    sending->client = client;
    sending->conversation_id = id_from(conversation_letters);
    sending->at_ms = now_ms();
    sending->id = id_new(sending->at_ms);
    sending->len = unescape(sending->content, body + sizeof(before) - 1, body + len);
    client->pending++;
    add(&writer.collected_end, sending);
}

/* The end of a turn of the loop: all that came in it is handed over at once. */
static void hand_over(uv_check_t *check) {
    (void)check;
    if (writer.collected == NULL)
        return;
    pthread_mutex_lock(&writer.lock);
    bool was_empty = writer.waiting == NULL;
    *writer.waiting_end = writer.collected;
    writer.waiting_end = writer.collected_end;
    pthread_mutex_unlock(&writer.lock);
    clear(&writer.collected, &writer.collected_end);
    if (was_empty)
        pthread_cond_signal(&writer.came);
}

static char *put_sent(char *to, const struct sending *m) {
    to = put_id(PUT(to, "{\"message\":{\"id\":"), m->id);
    to = put_id(PUT(to, ",\"conversation_id\":"), m->conversation_id);
    to = put_id(PUT(to, ",\"parent_id\":"), m->parent_id);
    to = PUT(to, ",\"role\":\"user\",\"author\":{\"kind\":\"user\",\"id\":");
    to = put_id(to, author_id);
    to = put_text(PUT(to, ",\"name\":"), author_name, sizeof(author_name) - 1);
    to = put_text(PUT(to, "},\"content\":"), m->content, m->len);
    to = PUT(to, ",\"swipe\":{\"index\":0,\"count\":1},\"state\":\"complete\",\"hidden\":false,"
                 "\"revision\":1,\"created_at\":");
    to = put_time(to, m->at_ms);
    to = put_time(PUT(to, ",\"updated_at\":"), m->at_ms);
    return PUT(to, "},\"reply\":null}");
}

static void answer_stored(uv_async_t *async) {
    (void)async;
    pthread_mutex_lock(&writer.lock);
    struct sending *sending = writer.stored;
    clear(&writer.stored, &writer.stored_end);
    pthread_mutex_unlock(&writer.lock);
    for (struct sending *next; sending != NULL; sending = next) {
        struct client *client = sending->client;
        next = sending->next;
        client->pending--;
        if (client->is_closing)
            client_leave(client);
        else
            answer_send(client, 201, put_sent(answer_body(), sending));
        free(sending);
    }
}

/* --- sending: the writer's side --------------------------------------------------------------- */

static void step(sqlite3_stmt *stmt) {
    if (sqlite3_step(stmt) == SQLITE_ERROR)
        die("writing", writer_db);
    sqlite3_reset(stmt);
}

struct statements {
    sqlite3_stmt *begin, *commit, *head, *message, *variant, *conversation;
};

static struct statements prepare_writer(void) {
    return (struct statements){
        .begin = prepare(writer_db, "BEGIN IMMEDIATE"),
        .commit = prepare(writer_db, "COMMIT"),
        .head = prepare(writer_db, "SELECT h.id, h.branch_id, h.chosen FROM conversation c "
                                   "JOIN message h ON h.id = c.head_id WHERE c.id = ?1"),
        .message =
            prepare(writer_db, "INSERT INTO message (id, conversation_id, branch_id, parent_id, "
                               "  parent_variant, role, author_kind, author_id, author_name, "
                               "  created_at, updated_at) "
                               "VALUES (?1, ?2, ?3, ?4, ?5, 'user', 'user', ?6, ?7, ?8, ?8)"),
        .variant = prepare(writer_db, "INSERT INTO variant (message_id, place, state, content, "
                                      "  created_at, updated_at) "
                                      "VALUES (?1, 0, 'complete', ?2, ?3, ?3)"),
        .conversation = prepare(writer_db, "UPDATE conversation SET head_id = ?2, last_line = ?3, "
                                           "  last_message_at = ?4, updated_at = ?4, "
                                           "  revision = revision + 1 WHERE id = ?1"),
    };
}

static void store_one(const struct statements *s, struct sending *m) {
    sqlite3_bind_int64(s->head, 1, m->conversation_id);
    sqlite3_step(s->head);
    m->parent_id = sqlite3_column_int64(s->head, 0);
    sqlite3_bind_int64(s->message, 1, m->id);
    sqlite3_bind_int64(s->message, 2, m->conversation_id);
    sqlite3_bind_int64(s->message, 3, sqlite3_column_int64(s->head, 1));
    sqlite3_bind_int64(s->message, 4, m->parent_id);
    sqlite3_bind_int64(s->message, 5, sqlite3_column_int64(s->head, 2));
    sqlite3_bind_int64(s->message, 6, author_id);
    sqlite3_bind_text(s->message, 7, author_name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s->message, 8, m->at_ms);
    sqlite3_reset(s->head);
    step(s->message);
    sqlite3_bind_int64(s->variant, 1, m->id);
    sqlite3_bind_text(s->variant, 2, m->content, (int)m->len, SQLITE_STATIC);
    sqlite3_bind_int64(s->variant, 3, m->at_ms);
    step(s->variant);
    sqlite3_bind_int64(s->conversation, 1, m->conversation_id);
    sqlite3_bind_int64(s->conversation, 2, m->id);
    sqlite3_bind_text(s->conversation, 3, m->content, (int)(m->len < 120 ? m->len : 120),
                      SQLITE_STATIC);
    sqlite3_bind_int64(s->conversation, 4, m->at_ms);
    step(s->conversation);
}

static sqlite3 *open_database(const char *pragmas) {
    sqlite3 *db;
    if (sqlite3_open(database_path, &db) != SQLITE_OK ||
        sqlite3_exec(db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        die(database_path, db);
    return db;
}

static struct sending *next_batch(void) {
    pthread_mutex_lock(&writer.lock);
    while (writer.waiting == NULL)
        pthread_cond_wait(&writer.came, &writer.lock);
    struct sending *batch = writer.waiting;
    clear(&writer.waiting, &writer.waiting_end);
    pthread_mutex_unlock(&writer.lock);
    return batch;
}

static void *run_writer(void *ctx) {
    (void)ctx;
    writer_db = open_database("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                              "PRAGMA mmap_size = 268435456; PRAGMA temp_store = MEMORY;");
    struct statements statements = prepare_writer();
    for (;;) {
        struct sending *batch = next_batch(), *last = batch;
        step(statements.begin);
        for (struct sending *m = batch; m != NULL; last = m, m = m->next)
            store_one(&statements, m);
        if (sqlite3_step(statements.commit) != SQLITE_DONE)
            die("commit", writer_db);
        sqlite3_reset(statements.commit);
        pthread_mutex_lock(&writer.lock);
        *writer.stored_end = batch;
        writer.stored_end = &last->next;
        pthread_mutex_unlock(&writer.lock);
        uv_async_send(&writer.wake);
    }
    return NULL;
}

/* --- start ------------------------------------------------------------------------------------ */

void rows_open(const char *database, uv_loop_t *loop) {
    database_path = database;
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    make_escapes();
    reader = open_database("PRAGMA mmap_size = 268435456; PRAGMA query_only = ON;");
    pthread_mutex_init(&writer.lock, NULL);
    pthread_cond_init(&writer.came, NULL);
    clear(&writer.waiting, &writer.waiting_end);
    clear(&writer.stored, &writer.stored_end);
    clear(&writer.collected, &writer.collected_end);
    uv_async_init(loop, &writer.wake, answer_stored);
    uv_check_init(loop, &writer.turn);
    uv_check_start(&writer.turn, hand_over);
}
