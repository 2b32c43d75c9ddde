/*
 * Routes of a character's knowledge: documents in, listed, out. Whoever may change the character may
 * change what it knows; whoever may see it may see what it knows from, because replies cite it.
 */
#include "base/clock.h"
#include "base/text.h"
#include "character/character_api.h"
#include "character/character_list_store.h"
#include "character/character_reply.h"
#include "character/knowledge.h"
#include "loop/pool.h"

#include "base/banned.h"

#define NAME_LETTERS 200

struct upload_query {
    struct str name;
};

/* clang-format off */
static const struct field upload_rows[] = {
    {"name", FIELD_TEXT, AT(struct upload_query, name), .min = 1, .max = NAME_LETTERS, .fallback = "document", .help = "What to call it; the name of the file."},
    {0}};
static const struct field document_rows[] = {
    {"id", FIELD_ID, .is_required = true, .help = "The document."},
    {"name", FIELD_TEXT, .is_required = true, .help = "As it was sent."},
    {"bytes", FIELD_INT, .is_required = true, .help = "Of the file."},
    {"chunks", FIELD_INT, .is_required = true, .help = "In how many pieces it is known."},
    {"created_at", FIELD_TIME, .is_required = true, .help = "Since when."},
    {0}};
static const struct shape document_shape = {"KnowledgeDocument", document_rows, "A document that a character knows."};
/* clang-format on */

static struct pool_kind read_kind = {.name = "document", .running_limit = 1, .queue_limit = 16};

static void document_write(struct json *json, const struct knowledge_document *document) {
    json_object_begin(json);
    JSON_ID(json, "id", document->id);
    JSON_STR(json, "name", document->name);
    JSON_INT(json, "bytes", document->bytes);
    JSON_INT(json, "chunks", document->chunk_count);
    JSON_TIME(json, "created_at", document->created_at);
    json_object_end(json);
}

static void list(struct request *request) {
    struct character_summary character;
    struct knowledge_document documents[KNOWLEDGE_DOCUMENTS_LIMIT];
    size_t count = 0;
    enum err err = character_store_summary(store_reader(), request->arena, request->ids[0],
                                           request->caller.user_id, &character);
    if (err == E_OK)
        err = knowledge_documents(store_reader(), request->arena, character.id,
                                  KNOWLEDGE_DOCUMENTS_LIMIT, documents, &count);
    if (err != E_OK)
        return reply_error(request, err);
    struct json *json = reply_list_begin(request);
    for (size_t i = 0; i < count; i++)
        document_write(json, &documents[i]);
    reply_list_end(request, STR_NONE);
}

/* --- in -------------------------------------------------------------------------------------- */

struct upload {
    struct request *request;
    struct knowledge_document document;
    struct chunk *chunks;
    const char *problem;
    enum err err;
};

static void pool_read(void *ctx) {
    struct upload *upload = ctx;
    struct request *request = upload->request;
    struct str text;
    size_t count = 0;
    upload->err =
        pool_document_text(request->arena, request->content,
                           request_header(request, "content-type"), &text, &upload->problem);
    if (upload->err != E_OK)
        return;
    upload->chunks = document_chunks(request->arena, text, &count);
    upload->document.chunk_count = (int64_t)count;
    if (count == CHUNKS_LIMIT) {
        upload->err = E_LIMIT;
        upload->problem = "This text is too long for one document: cut it into several.";
    }
}

static enum err writer_add(struct tx *tx, void *ctx) {
    struct upload *upload = ctx;
    struct character character;
    enum err err =
        character_load_own(tx_db(tx), upload->request->arena, upload->document.character_id,
                           upload->document.added_by, &character);
    if (err == E_OK && !character_is_open_to(tx_db(tx), &character, upload->document.added_by))
        err = E_DENIED;
    return err == E_OK ? knowledge_add(tx, &upload->document, upload->chunks) : err;
}

static void on_added(enum err err, void *ctx) {
    struct upload *upload = ctx;
    if (err == E_LIMIT)
        return reply_problem(upload->request, 409,
                             "This character has as many documents as it can have: %d.",
                             KNOWLEDGE_DOCUMENTS_LIMIT);
    if (reply_failed(upload->request, err))
        return;
    document_write(reply_json(upload->request), &upload->document);
    reply_send(upload->request, 201);
}

static int status_of(enum err err) {
    return err == E_ABSENT ? 415 : err == E_LIMIT ? 413 : 422;
}

static void on_read(enum err err, void *ctx) {
    struct upload *upload = ctx;
    if (err != E_OK)
        return reply_error(upload->request, err);
    if (upload->err == E_STORAGE || upload->err == E_BUSY)
        return reply_error(upload->request, upload->err);
    if (upload->err != E_OK)
        return reply_problem(upload->request, status_of(upload->err), "%s", upload->problem);
    store_write(writer_add, on_added, upload);
}

static void add(struct request *request) {
    const struct upload_query *query = request->query_fields;
    struct character character;
    enum err err = character_load_own(store_reader(), request->arena, request->ids[0],
                                      request->caller.user_id, &character);
    if (err != E_OK)
        return reply_error(request, err);
    struct upload *upload = ARENA_NEW(request->arena, struct upload);
    *upload = (struct upload){
        .request = request,
        .document = {.character_id = character.id,
                     .name = text_cut(query->name, NAME_LETTERS),
                     .bytes = (int64_t)request->content.len,
                     .added_by = request->caller.user_id,
                     .created_at = clock_now_ms()},
    };
    if (pool_run(&read_kind, pool_read, on_read, upload, NULL) != E_OK)
        reply_retry_later(request, 503, 2,
                          "Other documents are being read. Try again in a moment.");
}

/* --- out ------------------------------------------------------------------------------------- */

static enum err writer_remove(struct tx *tx, void *ctx) {
    struct request *request = ctx;
    struct character character;
    enum err err = character_load_own(tx_db(tx), request->arena, request->ids[0],
                                      request->caller.user_id, &character);
    return err == E_OK ? knowledge_remove(tx, character.id, request->ids[1]) : err;
}

static void on_removed(enum err err, void *ctx) {
    struct request *request = ctx;
    if (err != E_OK)
        return reply_error(request, err);
    reply_empty(request, 204);
}

static void remove_document(struct request *request) {
    store_write(writer_remove, on_removed, request);
}

/* clang-format off */
#define KNOWLEDGE "/api/v1/characters/{id}/knowledge"
const struct route knowledge_routes[] = {
    {METHOD_GET, KNOWLEDGE, list, WHO_MEMBER, SCOPE_READ, .tag = "characters", .operation = "listKnowledge",
     .summary = "The documents that a character knows.", .answer = &document_shape, .answer_is_list = true},
    {METHOD_POST, KNOWLEDGE, add, WHO_MEMBER, SCOPE_WRITE, .is_raw = true, .is_costly = true, .body_limit_bytes = DOCUMENT_LIMIT_BYTES,
     .query = upload_rows, .query_size = sizeof(struct upload_query), .tag = "characters", .operation = "addKnowledge",
     .summary = "Adds a document: Markdown, plain text, HTML, or PDF where pdftotext is installed. The body is the file.", .status = 201, .answer = &document_shape},
    {METHOD_DELETE, KNOWLEDGE "/{document_id}", remove_document, WHO_MEMBER, SCOPE_WRITE, .tag = "characters", .operation = "removeKnowledge",
     .summary = "The character does not know it any more.", .status = 204},
    {0}};
/* clang-format on */
