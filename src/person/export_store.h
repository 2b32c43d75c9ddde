/* What is kept of a person, as rows: for the archive that they take along, and for the counts that
 * stand before a deletion. Inside person only. */
#pragma once

#include "base/json.h"
#include "store/store.h"

/* --- the archive's own row -------------------------------------------------------------------- */

struct export_row {
    int64_t user_id, job_id;
    int64_t bytes; /* 0: not whole yet */
    int64_t made_at, expires_at;
};
MUST_USE enum err export_load(struct db *db, int64_t user_id, struct export_row *row);
/* One at a time: it takes the place of the one before. */
MUST_USE enum err export_begin(struct tx *tx, int64_t user_id, int64_t job_id);
/* E_ABSENT: nobody waits for this one any more. */
MUST_USE enum err export_made(struct tx *tx, const struct export_row *row);
MUST_USE enum err export_remove_expired(struct tx *tx, int64_t now);
bool export_is_known(struct db *db, int64_t job_id); /* false: its file may go */

/* --- counts ----------------------------------------------------------------------------------- */

struct person_counts {
    int64_t characters, documents, personas, conversations, messages, facts;
    int64_t text_bytes;      /* of all that was said, variants and earlier texts among it */
    int64_t talks_of_others; /* conversations that others have with this person's characters */
};
/* Walks all that a person has said. */
MUST_USE enum err pool_person_counts(struct db *db, int64_t user_id, struct person_counts *counts);

/* --- rows ------------------------------------------------------------------------------------- */

enum column_type {
    COLUMN_ID,
    COLUMN_TEXT,
    COLUMN_INT,
    COLUMN_REAL,
    COLUMN_BOOL,
    COLUMN_TIME,
    COLUMN_JSON
};
struct column {
    const char *name;
    enum column_type type;
};
/* A question about something, and what its columns are, in order. */
struct export_rows {
    struct stmt *(*ask)(struct db *db, int64_t of);
    const struct column *columns; /* ends with a NULL name */
};

/* Of a user id. */
extern const struct export_rows export_account, export_sessions, export_api_keys, export_invites,
    export_personas, export_favourites, export_usage, export_audit, export_mails, export_lorebooks;
/* Of a character, a document, a lorebook. */
extern const struct export_rows export_character, export_revisions, export_documents, export_chunks,
    export_lore_entries;
/* Of a conversation. */
extern const struct export_rows export_conversation, export_cast, export_branches, export_facts,
    export_episodes, export_summaries, export_standing;
/* Its messages in the order in which they were said, those after `after`, EXPORT_PAGE at once; the
 * first column is the id. */
#define EXPORT_PAGE 200
struct stmt *export_ask_messages(struct db *db, int64_t of, int64_t after);
extern const struct column export_message_columns[];
/* Of a message; of a fact. */
extern const struct export_rows export_variants, export_earlier, export_sources;

/* The row that stands in `s`, as members of an object that has been begun. */
void export_write_row(struct json *json, struct stmt *s, const struct column *columns);

/* --- ids, each list by id, `limit` at most; pool thread ----------------------------------------- */

MUST_USE enum err export_characters(struct db *db, int64_t user_id, int64_t *ids, size_t limit,
                                    size_t *count);
int64_t export_message_count(struct db *db, int64_t conversation_id);
/* Keys of every picture of a person, personas, characters and their older versions; each calls
 * visit once. */
MUST_USE enum err person_pictures(struct db *db, int64_t user_id,
                                  void (*visit)(void *ctx, struct str key), void *ctx);
