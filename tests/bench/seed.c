/*
 * Fills a fresh data folder as years of use would: 1,000 characters and 100,000 messages.
 *
 *     seed DATABASE CHARACTERS MESSAGES_EACH HISTORIES
 *
 * Every character has a conversation of MESSAGES_EACH messages. Beside them stand HISTORIES
 * conversations of 50 messages each with a character who has a lorebook: a turn of the first-token
 * row each. Rows are written as the program writes them; ids are of the same make (milliseconds
 * since 2020 above a counter), so the trees have the shape of grown ones. Everything belongs to the
 * owner. Prints, a line each: "character ID", "conversation ID", "history ID".
 */
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EPOCH_2020_MS  1577836800000LL
#define COUNTER_BITS   21
#define HISTORY_LENGTH 50
#define LORE_ENTRIES   40
#define MS_PER_MESSAGE 40000LL
#define TEXT_BYTES     4096

static sqlite3 *db;
static sqlite3_int64 owner_id, clock_ms;
static unsigned chance_state = 20260101;

static const char *const words[] = {
    "lantern", "harbour", "the",    "and",    "quiet",   "she",   "river", "under", "with",
    "old",     "clock",   "window", "of",     "a",       "stair", "rain",  "his",   "letter",
    "never",   "again",   "market", "to",     "whisper", "in",    "moth",  "brass", "is",
    "was",     "when",    "tower",  "winter", "her",     "coat",  "bread", "salt",  "map",
};

static void fail(const char *what) {
    fprintf(stderr, "seed: %s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static unsigned chance(unsigned below) {
    chance_state = chance_state * 1664525u + 1013904223u;
    return (chance_state >> 8) % below;
}

/* A text of about `len` bytes, with a quotation mark and a line end here and there. */
static const char *text(size_t len) {
    static char texts[16][TEXT_BYTES];
    static int turn;
    char *at = texts[turn = (turn + 1) % 16];
    size_t n = 0;
    while (n < len && n + 32 < TEXT_BYTES) {
        const char *word = words[chance(sizeof(words) / sizeof(words[0]))];
        unsigned mark = chance(60);
        n += (size_t)snprintf(at + n, TEXT_BYTES - n, "%s%s%s", n == 0 ? "" : " ", word,
                              mark == 0   ? ".\n\n*"
                              : mark == 1 ? ", \"yes\""
                              : mark < 6  ? "."
                              : mark == 7 ? " \xe2\x80\x94"
                                          : "");
    }
    return at;
}

static sqlite3_int64 new_id(void) {
    clock_ms += 3;
    return (clock_ms - EPOCH_2020_MS) << COUNTER_BITS | (sqlite3_int64)chance(1 << 20);
}

/* The 13 letters by which the API knows it. */
static const char *letters(sqlite3_int64 id) {
    static char at[14];
    for (int i = 12; i >= 0; i--, id >>= 5)
        at[i] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[id & 31];
    return at;
}

static struct {
    const char *sql;
    sqlite3_stmt *stmt;
} kept[32];

/* Runs a statement with values: i a 64-bit integer, s a text. Prepared once per literal. */
static void run(const char *sql, const char *types, ...) {
    int k = 0;
    while (kept[k].sql != NULL && kept[k].sql != sql)
        k++;
    kept[k].sql = sql;
    if (kept[k].stmt == NULL && sqlite3_prepare_v2(db, sql, -1, &kept[k].stmt, NULL) != SQLITE_OK)
        fail(sql);
    va_list values;
    va_start(values, types);
    for (int i = 0; types[i] != '\0'; i++) {
        if (types[i] == 'i')
            sqlite3_bind_int64(kept[k].stmt, i + 1, va_arg(values, sqlite3_int64));
        else
            sqlite3_bind_text(kept[k].stmt, i + 1, va_arg(values, const char *), -1,
                              SQLITE_TRANSIENT);
    }
    va_end(values);
    if (sqlite3_step(kept[k].stmt) != SQLITE_DONE)
        fail(sql);
    sqlite3_reset(kept[k].stmt);
}

static void execute(const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail(sql);
}

/* --- rows ------------------------------------------------------------------------------------- */

static sqlite3_int64 add_character(int i, char *name, size_t room) {
    static const char *const tags[] = {"mystery", "harbour", "night", "comedy", "letters"};
    sqlite3_int64 id = new_id();
    char tag_list[128];
    const char *tag = tags[i % 5];
    snprintf(name, room, "%s %s %d", words[chance(36)], words[chance(36)], i);
    snprintf(tag_list, sizeof(tag_list), "[\"%s\",\"%s\"]", tag, tags[(i + 2) % 5]);
    run("INSERT INTO character (id, owner_id, name, description, personality, scenario, first_mes, "
        "  mes_example, creator_notes, tags, creator, character_version, tagline, visibility, "
        "  created_at, updated_at) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'bench', '1.0', ?11, ?12, ?13, ?13)",
        "iissssssssssi", id, owner_id, name, text(900), text(200), text(240), text(400), text(600),
        text(160), tag_list, text(60), i % 2 ? "public" : "private", clock_ms);
    run("INSERT INTO character_tag (tag, character_id) VALUES (?1, ?2)", "si", tag, id);
    run("INSERT INTO character_words (rowid, name, nickname, tagline, tags, creator, description) "
        "VALUES (?1, ?2, '', ?3, ?4, 'bench', ?5)",
        "issss", id, name, text(60), tag_list, text(900));
    run("INSERT INTO character_trigrams (rowid, name, tags) VALUES (?1, ?2, ?3)", "iss", id, name,
        tag_list);
    return id;
}

static void add_lore(sqlite3_int64 character_id) {
    sqlite3_int64 book = new_id();
    run("INSERT INTO lorebook (id, owner_id, character_id, name, created_at, updated_at) "
        "VALUES (?1, ?2, ?3, 'What is known', ?4, ?4)",
        "iiii", book, owner_id, character_id, clock_ms);
    for (sqlite3_int64 place = 0; place < LORE_ENTRIES; place++) {
        char keys[128];
        snprintf(keys, sizeof(keys), "[\"%s %s\"]", words[chance(36)], words[chance(36)]);
        run("INSERT INTO lore_entry (id, lorebook_id, place, keys, content) "
            "VALUES (?1, ?2, ?3, ?4, ?5)",
            "iiiss", new_id(), book, place, keys, text(200));
    }
}

static void add_message(sqlite3_int64 conversation, sqlite3_int64 branch, sqlite3_int64 *parent,
                        sqlite3_int64 character, const char *name, int is_user,
                        const char *content) {
    sqlite3_int64 id = new_id();
    if (*parent == 0)
        run("INSERT INTO message (id, conversation_id, branch_id, role, author_kind, author_id, "
            "  author_name, created_at, updated_at) "
            "VALUES (?1, ?2, ?3, 'assistant', 'character', ?4, ?5, ?6, ?6)",
            "iiiisi", id, conversation, branch, character, name, clock_ms);
    else
        run("INSERT INTO message (id, conversation_id, branch_id, parent_id, parent_variant, role, "
            "  author_kind, author_id, author_name, created_at, updated_at) "
            "VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?9)",
            "iiiissisi", id, conversation, branch, *parent, is_user ? "user" : "assistant",
            is_user ? "user" : "character", is_user ? owner_id : character,
            is_user ? "Olive" : name, clock_ms);
    run("INSERT INTO variant (message_id, place, content, created_at, updated_at) "
        "VALUES (?1, 0, ?2, ?3, ?3)",
        "isi", id, content, clock_ms);
    *parent = id;
}

static sqlite3_int64 add_conversation(sqlite3_int64 character, const char *name, int length) {
    sqlite3_int64 id = new_id(), branch = new_id(), head = 0;
    const char *content = "";
    run("INSERT INTO conversation (id, owner_id, title, last_message_at, created_at, updated_at) "
        "VALUES (?1, ?2, ?3, ?4, ?4, ?4)",
        "iisi", id, owner_id, name, clock_ms);
    run("INSERT INTO conversation_character (conversation_id, place, character_id, name) "
        "VALUES (?1, 0, ?2, ?3)",
        "iis", id, character, name);
    run("INSERT INTO branch (id, conversation_id, created_at) VALUES (?1, ?2, ?3)", "iii", branch,
        id, clock_ms);
    for (int i = 0; i < length; i++) {
        content = i % 2 ? text(40 + chance(120)) : text(150 + chance(450));
        add_message(id, branch, &head, character, name, i % 2, content);
        clock_ms += MS_PER_MESSAGE / 1000;
    }
    run("UPDATE conversation SET head_id = ?2, last_line = substr(?3, 1, 120), "
        "  last_message_at = ?4, updated_at = ?4 WHERE id = ?1",
        "iisi", id, head, content, clock_ms);
    return id;
}

static void find_owner(void) {
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db, "SELECT id FROM user WHERE role = 'owner'", -1, &stmt, NULL) !=
            SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        fail("there is no owner: set the house up first");
    owner_id = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
}

int main(int argc, char **argv) {
    char name[160];
    if (argc != 5 || sqlite3_open(argv[1], &db) != SQLITE_OK) {
        fprintf(stderr, "usage: seed DATABASE CHARACTERS MESSAGES_EACH HISTORIES\n");
        return 2;
    }
    find_owner();
    clock_ms = (sqlite3_int64)time(NULL) * 1000 - 86400000;
    execute("PRAGMA synchronous = OFF; BEGIN");
    for (int i = 0; i < atoi(argv[2]); i++) {
        sqlite3_int64 character = add_character(i, name, sizeof(name));
        printf("character %s\n", letters(character));
        printf("conversation %s\n", letters(add_conversation(character, name, atoi(argv[3]))));
    }
    for (int i = 0; i < atoi(argv[4]); i++) {
        sqlite3_int64 character = add_character(i, name, sizeof(name));
        add_lore(character);
        printf("history %s\n", letters(add_conversation(character, name, HISTORY_LENGTH)));
    }
    execute("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    for (int i = 0; kept[i].sql != NULL; i++)
        sqlite3_finalize(kept[i].stmt);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
