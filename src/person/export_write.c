/*
 * What stands in the archive, in the order in which it is written:
 *
 *     account.json, sessions.json, api_keys.json ...      what is kept of the person themself
 *     characters/NAME-ID/                                 character.json, card.json (V3, as other programs read
 *                                                         it), portrait, revisions.json, documents/
 *     lorebooks.json                                      books that belong to no character
 *     conversations/TITLE-ID.json                         every message with its branches, variants and
 *                                                         earlier texts; what was learnt and summed up
 *     pictures/KEY.png                                    every picture that a "picture" above names
 *     README.txt                                          the same in plain words
 *
 * A stage is a function that does a piece and says whether it is through; a conversation is read page
 * by page, by message id, so memory holds a page and never a talk. Nothing is locked: who writes
 * while the archive is made may find a message in it that was said after it was asked for, and a
 * message that follows one that was deleted meanwhile.
 *
 * Every array has one item a line, so that a person can look into it.
 */
#include "person/export.h"

#include "base/check.h"
#include "base/id.h"
#include "base/image.h"
#include "base/text.h"
#include "character/card.h"
#include "conversation/conversation.h"
#include "person/export_store.h"
#include "store/blob.h"

#include <string.h>

#include "base/banned.h"

#define FLUSH_BYTES    ((size_t)64 << 10)
#define NAME_BYTES     60    /* of what people wrote, in a name of a file */
#define THINGS_LIMIT   60000 /* characters and conversations: an archive holds 65,534 files */
#define PICTURES_LIMIT 60000
#define TOO_LARGE      "everything together is more than one archive can hold (4 GB, or 65,534 files)"

static void fail(struct export *x, enum err err, const char *reason) {
    if (x->err != E_OK || err == E_OK)
        return;
    x->err = err;
    x->reason = reason;
}

/* --- files ------------------------------------------------------------------------------------ */

static void flush(struct export *x, size_t above) {
    if (x->buf.err != E_OK)
        fail(x, x->buf.err, TOO_LARGE);
    if (x->buf.len <= above)
        return;
    zip_write(x->zip, buf_str(&x->buf));
    buf_clear(&x->buf);
    if (x->buf.room > 4 * FLUSH_BYTES) /* one large revision */
        buf_release(&x->buf);
}

static void begin_file(struct export *x, struct str name, bool is_packed) {
    zip_begin(x->zip, name, is_packed);
    json_init(&x->json, &x->buf);
}

static void end_file(struct export *x) {
    flush(x, 0);
    zip_end(x->zip);
    fail(x, zip_err(x->zip),
         zip_err(x->zip) == E_LIMIT
             ? TOO_LARGE
             : "the archive could not be written: the disk is full or failing");
}

static void add_file(struct export *x, struct str name, struct str bytes, bool is_packed) {
    begin_file(x, name, is_packed);
    zip_write(x->zip, bytes);
    end_file(x);
}

/* A part of a name that tells things apart: what people wrote, and the id. */
static struct str label(struct arena *arena, struct str name, int64_t id) {
    return str_printf(arena, STR_FMT "-%s", STR_ARG(zip_name_part(arena, name, NAME_BYTES)),
                      id_text(id).at);
}

/* --- rows as JSON ----------------------------------------------------------------------------- */

static void read_failed(struct export *x, enum err err) {
    fail(x, err, "what is stored could not be read");
}

static void write_one(struct export *x, struct stmt *s, const struct column *columns) {
    json_object_begin(&x->json);
    export_write_row(&x->json, s, columns);
    json_object_end(&x->json);
    buf_add_char(&x->buf, '\n');
    flush(x, FLUSH_BYTES);
}

/* All rows about one thing, as an array. */
static void write_rows(struct export *x, struct db *db, const struct export_rows *rows,
                       int64_t of) {
    struct stmt *s = rows->ask(db, of);
    json_array_begin(&x->json);
    while (x->err == E_OK && stmt_row(s))
        write_one(x, s, rows->columns);
    json_array_end(&x->json);
    read_failed(x, stmt_done(s));
}

static void write_member_rows(struct export *x, struct db *db, const char *name,
                              const struct export_rows *rows, int64_t of) {
    json_key(&x->json, str_from(name));
    write_rows(x, db, rows, of);
}

/* The one row about a thing, as members of an object that has been begun. False: there is none. */
static bool write_members(struct export *x, struct db *db, const struct export_rows *rows,
                          int64_t of) {
    struct stmt *s = rows->ask(db, of);
    bool is_there = stmt_row(s);
    if (is_there)
        export_write_row(&x->json, s, rows->columns);
    read_failed(x, stmt_done(s));
    return is_there;
}

static void rows_file(struct export *x, struct db *db, const char *name,
                      const struct export_rows *rows) {
    begin_file(x, str_from(name), false);
    write_rows(x, db, rows, x->user_id);
    end_file(x);
}

/* --- the person ------------------------------------------------------------------------------- */

static void note_picture(void *ctx, struct str key) {
    struct export *x = ctx;
    if (x->picture_count < PICTURES_LIMIT)
        x->pictures[x->picture_count++] = str_dup(&x->job->arena, key);
}

/* What there is, so that progress can be told. */
static bool plan(struct export *x, struct db *db) {
    x->characters = ARENA_ARRAY(&x->job->arena, int64_t, THINGS_LIMIT);
    x->conversations = ARENA_ARRAY(&x->job->arena, int64_t, THINGS_LIMIT);
    x->pictures = ARENA_ARRAY(&x->job->arena, struct str, PICTURES_LIMIT);
    read_failed(
        x, export_characters(db, x->user_id, x->characters, THINGS_LIMIT, &x->character_count));
    read_failed(x, conversation_ids(db, x->user_id, 0, x->conversations, THINGS_LIMIT,
                                    &x->conversation_count));
    read_failed(x, person_pictures(db, x->user_id, note_picture, x));
    if (x->character_count * 6 + x->conversation_count + x->picture_count >= THINGS_LIMIT)
        fail(x, E_LIMIT, TOO_LARGE);
    x->total = (int64_t)(x->character_count + x->conversation_count + x->picture_count);
    for (size_t i = 0; i < x->conversation_count && x->err == E_OK; i++)
        x->total += export_message_count(db, x->conversations[i]);
    return true;
}

static bool person(struct export *x, struct db *db) {
    begin_file(x, STR("account.json"), false);
    json_object_begin(&x->json);
    if (!write_members(x, db, &export_account, x->user_id))
        fail(x, E_ABSENT, "there is no such person any more");
    json_object_end(&x->json);
    end_file(x);
    rows_file(x, db, "sessions.json", &export_sessions);
    rows_file(x, db, "api_keys.json", &export_api_keys);
    rows_file(x, db, "invitations.json", &export_invites);
    rows_file(x, db, "personas.json", &export_personas);
    rows_file(x, db, "favourites.json", &export_favourites);
    rows_file(x, db, "usage.json", &export_usage);
    rows_file(x, db, "audit.json", &export_audit);
    rows_file(x, db, "mails.json", &export_mails);
    return true;
}

static bool lorebooks(struct export *x, struct db *db) {
    begin_file(x, STR("lorebooks.json"), false);
    struct stmt *s = export_lorebooks.ask(db, x->user_id);
    json_array_begin(&x->json);
    while (x->err == E_OK && stmt_row(s)) {
        json_object_begin(&x->json);
        export_write_row(&x->json, s, export_lorebooks.columns);
        write_member_rows(x, db, "entries", &export_lore_entries, column_id(s, 0));
        json_object_end(&x->json);
    }
    json_array_end(&x->json);
    read_failed(x, stmt_done(s));
    end_file(x);
    return true;
}

/* --- characters ------------------------------------------------------------------------------- */

static const char *ending_of(struct str bytes) {
    switch (image_sniff(bytes)) {
    case IMAGE_PNG:
        return "png";
    case IMAGE_JPEG:
        return "jpg";
    case IMAGE_WEBP:
        return "webp";
    default:
        return "bin";
    }
}

/* A blob that is not there any more is no reason to take nothing along. */
static void add_picture(struct export *x, struct arena *arena, struct str name, struct str key) {
    struct str bytes;
    enum err err = key.len == 0 ? E_ABSENT : blob_port()->load(arena, key, &bytes);
    if (err == E_OK)
        add_file(x, str_printf(arena, STR_FMT ".%s", STR_ARG(name), ending_of(bytes)), bytes, true);
    else if (err != E_ABSENT)
        fail(x, err, "a picture could not be read");
}

static void add_document(struct export *x, struct db *db, struct str name, int64_t id) {
    begin_file(x, name, false);
    struct stmt *s = export_chunks.ask(db, id);
    while (x->err == E_OK && stmt_row(s)) {
        struct str heading = column_str(s, 0);
        if (heading.len > 0)
            buf_printf(&x->buf, "# " STR_FMT "\n\n", STR_ARG(heading));
        buf_add_str(&x->buf, column_str(s, 1));
        buf_add_str(&x->buf, STR("\n\n"));
        flush(x, FLUSH_BYTES);
    }
    read_failed(x, stmt_done(s));
    end_file(x);
}

static void add_documents(struct export *x, struct db *db, struct arena *arena, struct str folder,
                          int64_t character_id) {
    struct stmt *s = export_documents.ask(db, character_id);
    while (x->err == E_OK && stmt_row(s)) {
        struct str name = str_printf(arena, STR_FMT "/documents/" STR_FMT ".txt", STR_ARG(folder),
                                     STR_ARG(label(arena, column_str(s, 1), column_id(s, 0))));
        add_document(x, db, name, column_id(s, 0));
    }
    read_failed(x, stmt_done(s));
}

static void add_character(struct export *x, struct db *db, struct arena *arena, int64_t id) {
    struct card card;
    enum err err = card_load_any(db, arena, id, &card);
    if (err == E_ABSENT) /* deleted for good meanwhile */
        return;
    if (err != E_OK)
        return read_failed(x, err);
    struct str folder =
        str_printf(arena, "characters/" STR_FMT, STR_ARG(label(arena, card.character.name, id)));
    begin_file(x, str_printf(arena, STR_FMT "/character.json", STR_ARG(folder)), false);
    json_object_begin(&x->json);
    (void)write_members(x, db, &export_character, id);
    write_member_rows(x, db, "documents", &export_documents, id);
    json_object_end(&x->json);
    end_file(x);
    struct str text = card_text(arena, &card, CARD_V3);
    if (text.at != NULL)
        add_file(x, str_printf(arena, STR_FMT "/card.json", STR_ARG(folder)), text, false);
    add_picture(x, arena, str_printf(arena, STR_FMT "/portrait", STR_ARG(folder)),
                card.character.avatar_blob);
    begin_file(x, str_printf(arena, STR_FMT "/revisions.json", STR_ARG(folder)), false);
    write_rows(x, db, &export_revisions, id);
    end_file(x);
    add_documents(x, db, arena, folder, id);
}

static bool characters(struct export *x, struct db *db) {
    if (x->at == x->character_count)
        return true;
    struct arena arena;
    arena_init(&arena);
    add_character(x, db, &arena, x->characters[x->at++]);
    arena_release(&arena);
    x->done++;
    return false;
}

static bool pictures(struct export *x, struct db *db) {
    (void)db;
    if (x->at == x->picture_count)
        return true;
    struct arena arena;
    struct str key = x->pictures[x->at++];
    arena_init(&arena);
    add_picture(x, &arena, str_printf(&arena, "pictures/" STR_FMT, STR_ARG(key)), key);
    arena_release(&arena);
    x->done++;
    return false;
}

/* --- conversations ---------------------------------------------------------------------------- */

static struct str title_of(struct arena *arena, struct db *db, int64_t id) {
    struct stmt *s = export_conversation.ask(db, id);
    struct str title = stmt_row(s) ? column_str_dup(s, 1, arena) : STR("");
    if (stmt_done(s) != E_OK || title.len > 0)
        return title;
    s = export_cast.ask(db, id);
    title = stmt_row(s) ? column_str_dup(s, 1, arena) : STR("");
    return stmt_done(s) == E_OK ? title : STR("");
}

static void begin_conversation(struct export *x, struct db *db, int64_t id) {
    struct arena arena;
    arena_init(&arena);
    struct str title = title_of(&arena, db, id);
    begin_file(
        x, str_printf(&arena, "conversations/" STR_FMT ".json", STR_ARG(label(&arena, title, id))),
        false);
    json_object_begin(&x->json);
    (void)write_members(x, db, &export_conversation, id);
    write_member_rows(x, db, "characters", &export_cast, id);
    write_member_rows(x, db, "branches", &export_branches, id);
    JSON_ARRAY(&x->json, "messages");
    arena_release(&arena);
    x->is_begun = true;
    x->after = 0;
}

static void write_message(struct export *x, struct db *db, struct stmt *s) {
    int64_t id = column_id(s, 0);
    json_object_begin(&x->json);
    export_write_row(&x->json, s, export_message_columns);
    write_member_rows(x, db, "variants", &export_variants, id);
    write_member_rows(x, db, "earlier_texts", &export_earlier, id);
    json_object_end(&x->json);
    buf_add_char(&x->buf, '\n');
    flush(x, FLUSH_BYTES);
}

/* True when there are no more. */
static bool write_page(struct export *x, struct db *db, int64_t conversation_id) {
    size_t count = 0;
    struct stmt *s = export_ask_messages(db, conversation_id, x->after);
    while (x->err == E_OK && stmt_row(s)) {
        write_message(x, db, s);
        x->after = column_id(s, 0);
        count++;
    }
    read_failed(x, stmt_done(s));
    x->done += (int64_t)count;
    return count < EXPORT_PAGE;
}

static void write_facts(struct export *x, struct db *db, int64_t conversation_id) {
    struct stmt *s = export_facts.ask(db, conversation_id);
    JSON_ARRAY(&x->json, "facts");
    while (x->err == E_OK && stmt_row(s)) {
        json_object_begin(&x->json);
        export_write_row(&x->json, s, export_facts.columns);
        write_member_rows(x, db, "sources", &export_sources, column_id(s, 0));
        json_object_end(&x->json);
        buf_add_char(&x->buf, '\n');
        flush(x, FLUSH_BYTES);
    }
    json_array_end(&x->json);
    read_failed(x, stmt_done(s));
}

static void end_conversation(struct export *x, struct db *db, int64_t id) {
    json_array_end(&x->json);
    write_facts(x, db, id);
    write_member_rows(x, db, "episodes", &export_episodes, id);
    write_member_rows(x, db, "summaries", &export_summaries, id);
    JSON_OBJECT(&x->json, "relationship");
    (void)write_members(x, db, &export_standing, id);
    json_object_end(&x->json);
    json_object_end(&x->json);
    end_file(x);
    x->is_begun = false;
    x->done++;
    x->at++;
}

static bool conversations(struct export *x, struct db *db) {
    if (x->at == x->conversation_count)
        return true;
    int64_t id = x->conversations[x->at];
    if (!x->is_begun)
        begin_conversation(x, db, id);
    if (write_page(x, db, id))
        end_conversation(x, db, id);
    return false;
}

/* --- in plain words --------------------------------------------------------------------------- */

static const char readme[] =
    "This is everything that this Troupe keeps about you, as it was when you asked for it.\n"
    "\n"
    "account.json        your account, and how you like the app\n"
    "sessions.json       where you are or were signed in (no passwords, no tokens)\n"
    "api_keys.json       the keys that you made, by name (not the keys themselves)\n"
    "invitations.json    the invitations that you gave (not their codes)\n"
    "personas.json       who you are on stage\n"
    "favourites.json     the characters that you marked\n"
    "usage.json          how much models read and wrote for you, day by day\n"
    "audit.json          what staff did to your account, and what you did as staff\n"
    "mails.json          the mail that the house wrote to you (not its links)\n"
    "characters/         your characters, those in the trash too. card.json is a Character Card V3,\n"
    "                    which Troupe and many other programs can import; revisions.json is every version\n"
    "                    that was saved; documents/ is what the character knows.\n"
    "lorebooks.json      your lorebooks that belong to no character\n"
    "conversations/      your talks, each with every message, every other reply that can be swiped to,\n"
    "                    every branch, every earlier text, and what was learnt and summed up from it\n"
    "pictures/           the pictures that \"picture\" names in the files above\n"
    "\n"
    "Times are UTC. Files are JSON in UTF-8, one item a line, and can be read with any editor.\n"
    "A message names the one before it (parent_id) and which of its variants it follows\n"
    "(parent_variant, counted from 0); \"chosen\" is the variant that is shown. \"deleted_at\" means: in the\n"
    "trash, from where it goes for good after 30 days.\n"
    "\n"
    "Not in here: what is computed from the rest (search words, vectors), and the prompts that were\n"
    "recorded for the prompt inspector, because cards of other people stand in them.\n";

static bool explain(struct export *x, struct db *db) {
    (void)db;
    add_file(x, STR("README.txt"), str_from(readme), false);
    fail(x, zip_finish(x->zip, &x->bytes), TOO_LARGE);
    return true;
}

/* --- one after another ------------------------------------------------------------------------ */

typedef bool (*stage_fn)(struct export *x, struct db *db); /* true: through */
static const stage_fn stages[] = {plan,          person,   characters, lorebooks,
                                  conversations, pictures, explain};

bool export_step(struct export *x, struct db *db) {
    if (x->err != E_OK || x->stage == COUNT_OF(stages))
        return false;
    if (stages[x->stage](x, db)) {
        x->stage++;
        x->at = 0;
    }
    return x->err == E_OK && x->stage < COUNT_OF(stages);
}
