/*
 * Files of characters: portraits in and out, cards in and out.
 *
 * What unpacks, counts pixels or writes blobs runs on a pool thread; a blob is on disk before the
 * row that names it. An import reads one file at a time, in memory of its own, and stores it before
 * it takes the next: sixty megabytes of cards cost what the largest of them costs.
 *
 * Pictures load without a token, because <img> cannot send one: /media/<key> serves only pictures,
 * and a key is the SHA-256 of the content, which nobody can guess who was not shown it.
 */
#include "base/check.h"
#include "base/log.h"
#include "character/card_file.h"
#include "character/character_api.h"
#include "character/character_json.h"
#include "character/character_reply.h"
#include "loop/pool.h"
#include "lore/lore.h"
#include "net/multipart.h"
#include "store/blob.h"

#include <string.h>

#include "base/banned.h"

#define IMPORT_FILES_LIMIT 500

/* clang-format off */
static const char *const formats[] = {"v2_png", "v3_png", "v3_json", NULL};
struct export_query {
    struct str format;
};
static const struct field export_rows[] = {
    {"format", FIELD_CHOICE, AT(struct export_query, format), .choices = formats, .fallback = "v3_png", .help = "V2 or V3 in a PNG, or V3 as JSON."},
    {0}};
struct avatar_query {
    struct str v;
};
static const struct field avatar_rows[] = {
    {"v", FIELD_TEXT, AT(struct avatar_query, v), .max = BLOB_KEY_LEN, .help = "The beginning of the picture's key: then the answer never changes."},
    {0}};
static const char *const import_states[] = {"imported", "failed", NULL};
static const struct field import_item_rows[] = {
    {"file", FIELD_TEXT, .is_required = true, .help = "Its name, as it was sent."},
    {"status", FIELD_CHOICE, .choices = import_states, .is_required = true, .help = "What became of it."},
    {"character", FIELD_OBJECT, .shape = &character_shape, .help = "The new character, private."},
    {"error", FIELD_TEXT, .help = "Why it was not taken."},
    {"may_retry", FIELD_BOOL, .help = "Of an error: it is not about the file itself, trying again may help."},
    {"warnings", FIELD_TEXTS, .is_required = true, .help = "What was odd, and what was done about it."},
    {0}};
static const struct shape import_item_shape = {"ImportedFile", import_item_rows, "What became of one file."};
static const struct field import_rows[] = {
    {"items", FIELD_OBJECTS, .shape = &import_item_shape, .is_list = true, .is_required = true, .help = "One for each file, in order."},
    {0}};
static const struct shape import_shape = {"ImportReport", import_rows, "What became of the files."};
/* clang-format on */

static struct pool_kind picture_kind = {.name = "portrait", .running_limit = 1, .queue_limit = 32};
static struct pool_kind import_kind = {.name = "import", .running_limit = 1, .queue_limit = 32};
static struct pool_kind export_kind = {.name = "export", .running_limit = 1, .queue_limit = 32};

#define BUSY "Too many files are being worked on at once. Try again in a moment."

/* --- portraits out -------------------------------------------------------------------------- */

static bool knows_already(const struct request *request, struct str key) {
    struct str known = request_header(request, "if-none-match");
    return known.at != NULL && str_has(known, key);
}

static void reply_picture(struct request *request, struct str key, const char *cache) {
    struct str bytes;
    enum err err = blob_port()->load(request->arena, key, &bytes);
    enum image_kind kind = err == E_OK ? image_sniff(bytes) : IMAGE_NONE;
    if (kind == IMAGE_NONE)
        return reply_error(request, err == E_OK ? E_ABSENT : err);
    reply_header(request, "ETag", str_printf(request->arena, "\"" STR_FMT "\"", STR_ARG(key)));
    reply_header(request, "Cache-Control", str_from(cache));
    reply_header(request, "Content-Security-Policy", STR("default-src 'none'; sandbox"));
    if (knows_already(request, key))
        return reply_empty(request, 304);
    reply_bytes(request, 200, image_mime(kind), bytes);
}

static bool is_key(struct str key) {
    for (size_t i = 0; i < key.len; i++)
        if (strchr("0123456789abcdef", key.at[i]) == NULL || key.at[i] == '\0')
            return false;
    return key.len == BLOB_KEY_LEN;
}

static void get_media(struct request *request) {
    if (!is_key(request->words[0]))
        return reply_error(request, E_ABSENT);
    reply_picture(request, request->words[0], "private, max-age=31536000, immutable");
}

static void get_avatar(struct request *request) {
    const struct avatar_query *query = request->query_fields;
    struct character character;
    enum err err = character_load(store_reader(), request->arena, request->ids[0],
                                  request->caller.user_id, &character);
    if (err == E_OK && character.avatar_blob.len == 0)
        err = E_ABSENT;
    if (err != E_OK)
        return reply_error(request, err);
    bool is_lasting = query->v.len >= 8 && str_starts(character.avatar_blob, query->v);
    reply_picture(request, character.avatar_blob,
                  is_lasting ? "private, max-age=31536000, immutable" : "private, no-cache");
}

/* --- portraits in --------------------------------------------------------------------------- */

struct portrait {
    struct request *request;
    const char *problem;
    enum err err;
    char key[BLOB_KEY_LEN + 1];
};

static void pool_take_portrait(void *ctx) {
    struct portrait *p = ctx;
    struct image image;
    p->err = pool_image_check(p->request->arena, p->request->content, &image, &p->problem);
    if (p->err == E_OK)
        p->err = blob_port()->pool_put(image.bytes, p->key);
}

static enum err writer_portrait(struct tx *tx, void *ctx) {
    struct portrait *p = ctx;
    struct request *request = p->request;
    struct character character;
    int64_t expected = expected_revision(request), user_id = request->caller.user_id;
    enum err err =
        character_load_own(tx_db(tx), request->arena, request->ids[0], user_id, &character);
    if (err != E_OK)
        return err;
    if (expected >= 0 && expected != character.revision)
        return E_CONFLICT;
    character.avatar_blob = str_of(p->key, BLOB_KEY_LEN);
    return character_save(tx, &character, user_id, BOOK_STAYS, NULL);
}

static void on_portrait_saved(enum err err, void *ctx) {
    struct portrait *p = ctx;
    if (!reply_failed(p->request, err))
        reply_character(p->request, p->request->ids[0], 200);
}

static void on_portrait_taken(enum err err, void *ctx) {
    struct portrait *p = ctx;
    if (err != E_OK || p->err == E_STORAGE)
        return reply_error(p->request, err != E_OK ? err : p->err);
    if (p->err != E_OK) {
        bool is_none = image_sniff(p->request->content) == IMAGE_NONE;
        return reply_problem(p->request,
                             is_none             ? 415
                             : p->err == E_LIMIT ? 413
                                                 : 422,
                             "%s", p->problem);
    }
    store_write(writer_portrait, on_portrait_saved, p);
}

static void put_avatar(struct request *request) {
    struct character character;
    enum err err = character_load_own(store_reader(), request->arena, request->ids[0],
                                      request->caller.user_id, &character);
    if (reply_failed(request, err))
        return;
    struct portrait *p = ARENA_NEW(request->arena, struct portrait);
    p->request = request;
    if (pool_run(&picture_kind, pool_take_portrait, on_portrait_taken, p, NULL) != E_OK)
        reply_retry_later(request, 503, 2, BUSY);
}

/* --- cards in ------------------------------------------------------------------------------- */

struct imported {
    struct str file;
    const char *error; /* NULL: it was taken */
    bool may_retry;    /* of an error: it is not about the file itself */
    int64_t id;
    const char *warnings[CARD_WARNINGS_LIMIT];
    size_t warning_count;
};

struct import {
    struct request *request;
    struct part *parts;
    struct imported *items;
    size_t count, next;
    /* of the file that is being read */
    struct arena arena;
    struct card_file file;
    enum err err;
    const char *problem;
    char key[BLOB_KEY_LEN + 1];
};

static void take_next(struct import *import);

static void write_imported(struct json *json, struct request *request,
                           const struct imported *item) {
    struct character character;
    struct lore_book book;
    int64_t user_id = request->caller.user_id;
    bool is_there = item->error == NULL && character_load(store_reader(), request->arena, item->id,
                                                          user_id, &character) == E_OK;
    json_object_begin(json);
    JSON_STR(json, "file", item->file);
    JSON_STR(json, "status", item->error ? STR("failed") : STR("imported"));
    if (is_there) {
        enum err err = lore_book_of_character(store_reader(), request->arena, item->id, &book);
        json_key(json, STR("character"));
        character_write(json, &character, err == E_OK ? &book : NULL);
    }
    if (item->error) {
        JSON_STR(json, "error", str_from(item->error));
        JSON_BOOL(json, "may_retry", item->may_retry);
    }
    JSON_ARRAY(json, "warnings");
    for (size_t i = 0; i < item->warning_count; i++)
        json_write_str(json, str_from(item->warnings[i]));
    json_array_end(json);
    json_object_end(json);
}

static void reply_report(struct import *import) {
    struct json *json = reply_json(import->request);
    json_object_begin(json);
    JSON_ARRAY(json, "items");
    for (size_t i = 0; i < import->count; i++)
        write_imported(json, import->request, &import->items[i]);
    json_array_end(json);
    json_object_end(json);
    reply_send(import->request, 200);
}

static void file_done(struct import *import, enum err err, const char *error) {
    struct imported *item = &import->items[import->next++];
    item->error = error;
    item->may_retry = err == E_BUSY || err == E_STORAGE;
    arena_release(&import->arena);
    take_next(import);
}

static const char *sentence_for(enum err err) {
    return err == E_DENIED  ? "Content that is not for all ages needs a declared adult age."
           : err == E_BUSY  ? BUSY
           : err == E_LIMIT ? "The card is too large to be stored."
                            : "The card could not be stored. Try again.";
}

static enum err writer_import(struct tx *tx, void *ctx) {
    struct import *import = ctx;
    struct card *card = &import->file.card;
    card->character.owner_id = import->request->caller.user_id;
    if (import->key[0] != '\0')
        card->character.avatar_blob = str_of(import->key, BLOB_KEY_LEN);
    return character_insert(tx, &card->character, card->has_book ? &card->book : NULL);
}

static void on_imported(enum err err, void *ctx) {
    struct import *import = ctx;
    struct imported *item = &import->items[import->next];
    const struct card *card = &import->file.card;
    item->id = card->character.id;
    item->warning_count = err == E_OK ? card->warning_count : 0;
    memcpy(item->warnings, card->warnings, sizeof(item->warnings));
    file_done(import, err, err == E_OK ? NULL : sentence_for(err));
}

static void pool_read_file(void *ctx) {
    struct import *import = ctx;
    struct str bytes = import->parts[import->next].bytes;
    import->key[0] = '\0';
    import->err = pool_card_file_read(&import->arena, bytes, &import->file, &import->problem);
    if (import->err == E_OK && import->file.portrait.kind != IMAGE_NONE) {
        import->err = blob_port()->pool_put(import->file.portrait.bytes, import->key);
        import->problem = sentence_for(import->err);
    }
}

static void on_file_read(enum err err, void *ctx) {
    struct import *import = ctx;
    if (err != E_OK)
        return file_done(import, err, sentence_for(err));
    if (import->err != E_OK)
        return file_done(import, import->err, import->problem);
    store_write(writer_import, on_imported, import);
}

static void take_next(struct import *import) {
    if (import->next == import->count)
        return reply_report(import);
    arena_init(&import->arena);
    if (pool_run(&import_kind, pool_read_file, on_file_read, import, NULL) != E_OK)
        file_done(import, E_BUSY, sentence_for(E_BUSY));
}

/* All parts that are files. False: the body is no form, and that has been answered. */
static bool find_files(struct request *request, struct import *import) {
    struct multipart multipart;
    struct part part;
    import->parts = ARENA_ARRAY(request->arena, struct part, IMPORT_FILES_LIMIT);
    enum err err =
        multipart_begin(&multipart, request_header(request, "content-type"), request->content);
    while (err == E_OK && (err = multipart_next(&multipart, request->arena, &part)) == E_OK) {
        if (part.file_name.at == NULL)
            continue;
        if (import->count == IMPORT_FILES_LIMIT) {
            reply_problem(request, 413, "At most %d files at once.", IMPORT_FILES_LIMIT);
            return false;
        }
        import->parts[import->count++] = part;
    }
    if (err != E_ABSENT)
        reply_problem(request, 400, "The form could not be read.");
    else if (import->count == 0)
        reply_field_problem(request, "files", "There is no file in the form.");
    return err == E_ABSENT && import->count > 0;
}

static void import_cards(struct request *request) {
    struct import *import = ARENA_NEW(request->arena, struct import);
    import->request = request;
    if (!find_files(request, import))
        return;
    import->items = ARENA_ARRAY(request->arena, struct imported, import->count);
    for (size_t i = 0; i < import->count; i++)
        import->items[i].file = import->parts[i].file_name;
    log_info("character", "import began", LF_INT("files", (int64_t)import->count));
    take_next(import);
}

/* --- cards out ------------------------------------------------------------------------------ */

struct export {
    struct request *request;
    struct card card;
    bool is_json, is_v3;
    enum err err;
    struct str bytes;
};

/* The portrait, when it can carry the card; JPEG and WebP cannot, a placard stands in for them. */
static struct str carrier(struct arena *arena, struct str key) {
    struct str bytes;
    if (key.len == 0 || blob_port()->load(arena, key, &bytes) != E_OK)
        return STR_NONE;
    return image_sniff(bytes) == IMAGE_PNG ? bytes : STR_NONE;
}

static void pool_export(void *ctx) {
    struct export *x = ctx;
    struct arena *arena = x->request->arena;
    struct str v3 = x->is_v3 ? card_text(arena, &x->card, CARD_V3) : STR_NONE;
    struct str v2 =
        x->is_json ? STR_NONE : card_text(arena, &x->card, x->is_v3 ? CARD_V2_COPY : CARD_V2);
    x->bytes = v3;
    x->err = E_LIMIT;
    if ((x->is_v3 && v3.at == NULL) || (!x->is_json && v2.at == NULL))
        return;
    x->err = x->is_json ? E_OK
                        : pool_card_file_png(arena, carrier(arena, x->card.character.avatar_blob),
                                             x->card.character.name, v2, v3, &x->bytes);
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

/* RFC 6266: a name in ASCII for old clients, and the real one (RFC 8187) for the rest. */
static struct str disposition(struct arena *arena, struct str name, const char *ending) {
    struct buf plain, coded;
    buf_init(&plain, 4096);
    buf_init(&coded, 16384);
    for (size_t i = 0; i < name.len; i++) {
        bool is_word = is_plain(name.at[i]) || name.at[i] == ' ';
        buf_add_char(&plain, is_word ? name.at[i] : '_');
        if (is_plain(name.at[i]))
            buf_add_char(&coded, name.at[i]);
        else
            buf_printf(&coded, "%%%02X", (unsigned)(unsigned char)name.at[i]);
    }
    struct str text = str_printf(
        arena, "attachment; filename=\"" STR_FMT ".%s\"; filename*=UTF-8''" STR_FMT ".%s",
        STR_ARG(buf_str(&plain)), ending, STR_ARG(buf_str(&coded)), ending);
    buf_release(&plain);
    buf_release(&coded);
    return text;
}

static void on_exported(enum err err, void *ctx) {
    struct export *x = ctx;
    struct request *request = x->request;
    if (err != E_OK || (err = x->err) != E_OK)
        return reply_error(request, err);
    reply_header(request, "Content-Disposition",
                 disposition(request->arena, x->card.character.name, x->is_json ? "json" : "png"));
    reply_bytes(request, 200,
                x->is_json ? STR("application/json; charset=utf-8") : STR("image/png"), x->bytes);
}

static void export_card(struct request *request) {
    const struct export_query *query = request->query_fields;
    struct export *x = ARENA_NEW(request->arena, struct export);
    int64_t id = request->ids[0];
    x->request = request;
    x->is_json = str_eq(query->format, STR("v3_json"));
    x->is_v3 = !str_eq(query->format, STR("v2_png"));
    enum err err = character_load(store_reader(), request->arena, id, request->caller.user_id,
                                  &x->card.character);
    if (err == E_OK) {
        enum err found = lore_book_of_character(store_reader(), request->arena, id, &x->card.book);
        x->card.has_book = found == E_OK;
        err = found == E_ABSENT ? E_OK : found;
    }
    if (err != E_OK)
        return reply_error(request, err);
    if (pool_run(&export_kind, pool_export, on_exported, x, NULL) != E_OK)
        reply_retry_later(request, 503, 2, BUSY);
}

/* clang-format off */
#define CHARACTER "/api/v1/characters/{id}"
const struct route character_file_routes[] = {
    {METHOD_PUT, CHARACTER "/avatar", put_avatar, WHO_MEMBER, SCOPE_WRITE, .is_raw = true, .body_limit_bytes = IMAGE_LIMIT_BYTES, .tag = "characters",
     .operation = "setCharacterAvatar", .summary = "The portrait: the bytes of a PNG, JPEG or WebP; what is not picture is taken out.", .answer = &character_shape},
    {METHOD_GET, CHARACTER "/avatar", get_avatar, WHO_MEMBER, SCOPE_READ, .query = avatar_rows, .query_size = sizeof(struct avatar_query), .tag = "characters",
     .operation = "getCharacterAvatar", .summary = "The portrait.", .answer_type = "image/png"},
    {METHOD_POST, "/api/v1/characters/import", import_cards, WHO_MEMBER, SCOPE_WRITE, .is_multipart = true, .is_costly = true,
     .body_limit_bytes = CARD_FILE_LIMIT_BYTES, .tag = "characters", .operation = "importCharacters",
     .summary = "Cards V1, V2 and V3 in JSON or PNG files, many at once; each file has its own outcome.", .answer = &import_shape},
    {METHOD_GET, CHARACTER "/export", export_card, WHO_MEMBER, SCOPE_READ, .query = export_rows, .query_size = sizeof(struct export_query), .tag = "characters",
     .operation = "exportCharacter", .summary = "The character as a card that other programs read.", .answer_type = "image/png"},
    {METHOD_GET, "/api/v1/media/{key}", get_media, WHO_ANYONE, 0, .tag = "characters", .operation = "getMedia",
     .summary = "A picture by its key, without a token.", .answer_type = "image/png"},
    {0}};
/* clang-format on */
