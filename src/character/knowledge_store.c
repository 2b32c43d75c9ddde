/*
 * SQL of knowledge: documents and chunks, and the words of the chunks, which FTS5 keeps beside them and which therefore come and go by hand.
 */
#include "character/knowledge_store.h"

#include "store/rows.h"

#include "base/banned.h"

enum err knowledge_documents(struct db *db, struct arena *arena, int64_t character_id, size_t limit,
                             struct knowledge_document *documents, size_t *count) {
    *count = 0;
    struct stmt *s = DB_SQL(db, "SELECT id, character_id, name, bytes, chunk_count, added_by, "
                                "created_at "
                                "FROM knowledge_document WHERE character_id = :character "
                                "ORDER BY id LIMIT :limit");
    bind_id(s, ":character", character_id);
    bind_int(s, ":limit", (int64_t)limit);
    while (*count < limit && stmt_row(s))
        documents[(*count)++] = (struct knowledge_document){
            .id = column_id(s, 0),
            .character_id = column_id(s, 1),
            .name = column_str_dup(s, 2, arena),
            .bytes = column_int(s, 3),
            .chunk_count = column_int(s, 4),
            .added_by = column_id(s, 5),
            .created_at = column_time(s, 6),
        };
    return stmt_done(s);
}

bool knowledge_is_there(struct db *db, int64_t character_id) {
    struct stmt *s =
        DB_SQL(db, "SELECT 1 FROM knowledge_document WHERE character_id = :character LIMIT 1");
    bind_id(s, ":character", character_id);
    return stmt_int(s, 0) == 1;
}

enum err knowledge_chunk_load(struct db *db, struct arena *arena, int64_t id,
                              struct knowledge_chunk *chunk) {
    struct stmt *s =
        DB_SQL(db, "SELECT c.id, c.document_id, c.character_id, c.place, c.heading, c.content, "
                   "d.name "
                   "FROM knowledge_chunk c JOIN knowledge_document d ON d.id = c.document_id "
                   "WHERE c.id = :id");
    bind_id(s, ":id", id);
    bool is_found = stmt_row(s);
    if (is_found)
        *chunk = (struct knowledge_chunk){
            .id = column_id(s, 0),
            .document_id = column_id(s, 1),
            .character_id = column_id(s, 2),
            .place = column_int(s, 3),
            .heading = column_str_dup(s, 4, arena),
            .content = column_str_dup(s, 5, arena),
            .document_name = column_str_dup(s, 6, arena),
        };
    return stmt_done_one(s, is_found);
}

enum err knowledge_search(struct db *db, int64_t character_id, struct str query, size_t limit,
                          int64_t *ids, size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT c.id FROM knowledge_words w "
                   "CROSS JOIN knowledge_chunk c ON c.id = w.rowid "
                   "WHERE knowledge_words MATCH :query AND c.character_id = :character "
                   "ORDER BY bm25(knowledge_words, 2, 1), c.id LIMIT :limit");
    bind_str(s, ":query", query);
    bind_id(s, ":character", character_id);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}

enum err knowledge_chunks_after(struct db *db, int64_t after, size_t limit,
                                struct index_place *places, size_t *count) {
    *count = 0;
    struct stmt *s = DB_SQL(db, "SELECT id, character_id FROM knowledge_chunk WHERE id > :after "
                                "ORDER BY id LIMIT :limit");
    bind_int(s, ":after", after); /* 0 is the beginning, no NULL */
    bind_int(s, ":limit", (int64_t)limit);
    while (*count < limit && stmt_row(s)) {
        int64_t character_id = column_id(s, 1);
        places[(*count)++] = (struct index_place){column_id(s, 0), character_id, character_id};
    }
    return stmt_done(s);
}

enum err knowledge_add_document(struct tx *tx, const struct knowledge_document *document) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT INTO knowledge_document (id, character_id, name, "
                          "bytes, chunk_count, added_by, created_at) "
                          "VALUES (:id, :character, :name, :bytes, :chunks, :by, :at)");
    bind_id(s, ":id", document->id);
    bind_id(s, ":character", document->character_id);
    bind_str(s, ":name", document->name);
    bind_int(s, ":bytes", document->bytes);
    bind_int(s, ":chunks", document->chunk_count);
    bind_id(s, ":by", document->added_by);
    bind_time(s, ":at", document->created_at);
    return stmt_run(s);
}

static enum err add_words(struct tx *tx, const struct knowledge_chunk *chunk) {
    struct stmt *s = DB_SQL(tx_db(tx), "INSERT INTO knowledge_words (rowid, heading, content) "
                                       "VALUES (:id, :heading, :content)");
    bind_id(s, ":id", chunk->id);
    bind_str(s, ":heading", chunk->heading);
    bind_str(s, ":content", chunk->content);
    return stmt_run(s);
}

enum err knowledge_add_chunk(struct tx *tx, const struct knowledge_chunk *chunk) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO knowledge_chunk (id, document_id, character_id, place, heading, content) "
        "VALUES (:id, :document, :character, :place, :heading, :content)");
    bind_id(s, ":id", chunk->id);
    bind_id(s, ":document", chunk->document_id);
    bind_id(s, ":character", chunk->character_id);
    bind_int(s, ":place", chunk->place);
    bind_str(s, ":heading", chunk->heading);
    bind_str(s, ":content", chunk->content);
    enum err err = stmt_run(s);
    return err == E_OK ? add_words(tx, chunk) : err;
}

enum err knowledge_chunk_ids(struct db *db, int64_t document_id, size_t limit, int64_t *ids,
                             size_t *count) {
    struct stmt *s = DB_SQL(db, "SELECT id FROM knowledge_chunk WHERE document_id = :document "
                                "ORDER BY place LIMIT :limit");
    bind_id(s, ":document", document_id);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}

enum err knowledge_remove_words(struct tx *tx, int64_t chunk_id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM knowledge_words WHERE rowid = :id");
    bind_id(s, ":id", chunk_id);
    return stmt_run(s);
}

enum err knowledge_remove_document(struct tx *tx, int64_t character_id, int64_t document_id) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM knowledge_document "
                                       "WHERE id = :id AND character_id = :character");
    bind_id(s, ":id", document_id);
    bind_id(s, ":character", character_id);
    enum err err = stmt_run(s);
    return err == E_OK && stmt_changed(s) == 0 ? E_ABSENT : err;
}
