/*
 * Everything that is kept of a person, one question for each table. Whoever adds a table or a column
 * that says something about a person adds it here: tests/api/data.test.js compares the archive with
 * schema.sql.
 *
 * Left out on purpose: secrets (passwords, tokens, keys, invitation codes), what is made again from
 * the rest (search words, vectors, counts), and recorded prompts, in which cards of other people
 * stand.
 */
#include "person/export_store.h"

#include "store/rows.h"

#include "base/banned.h"

#define LIST_LIMIT 100000 /* of lists that stand in one file; nobody has as many */

/* --- the archive's own row -------------------------------------------------------------------- */

enum err export_load(struct db *db, int64_t user_id, struct export_row *row) {
    struct stmt *s =
        DB_SQL(db, "SELECT job_id, bytes, made_at, expires_at FROM export WHERE user_id = :user");
    bind_id(s, ":user", user_id);
    bool is_there = stmt_row(s);
    if (is_there)
        *row = (struct export_row){
            .user_id = user_id,
            .job_id = column_id(s, 0),
            .bytes = column_int(s, 1),
            .made_at = column_time(s, 2),
            .expires_at = column_time(s, 3),
        };
    return stmt_done_one(s, is_there);
}

enum err export_begin(struct tx *tx, int64_t user_id, int64_t job_id) {
    struct stmt *s =
        DB_SQL(tx_db(tx), "INSERT OR REPLACE INTO export (user_id, job_id) VALUES (:user, :job)");
    bind_id(s, ":user", user_id);
    bind_id(s, ":job", job_id);
    return stmt_run(s);
}

enum err export_made(struct tx *tx, const struct export_row *row) {
    struct stmt *s = DB_SQL(tx_db(tx), "UPDATE export SET bytes = :bytes, made_at = :made, "
                                       "    expires_at = :expires WHERE job_id = :job");
    bind_int(s, ":bytes", row->bytes);
    bind_time(s, ":made", row->made_at);
    bind_time(s, ":expires", row->expires_at);
    bind_id(s, ":job", row->job_id);
    return stmt_run_one(s);
}

enum err export_remove_expired(struct tx *tx, int64_t now) {
    struct stmt *s = DB_SQL(tx_db(tx), "DELETE FROM export WHERE expires_at <= :now");
    bind_time(s, ":now", now);
    return stmt_run(s);
}

bool export_is_known(struct db *db, int64_t job_id) {
    struct stmt *s = DB_SQL(db, "SELECT 1 FROM export WHERE job_id = :job");
    bind_id(s, ":job", job_id);
    return stmt_int(s, 0) == 1;
}

/* --- counts ----------------------------------------------------------------------------------- */

static enum err count_possessions(struct db *db, int64_t user_id, struct person_counts *counts) {
    struct stmt *s = DB_SQL(
        db, "SELECT (SELECT count(*) FROM character INDEXED BY character_of_owner "
            "          WHERE owner_id = :user AND deleted_at IS NULL), "
            "       (SELECT count(*) FROM character c INDEXED BY character_of_owner "
            "          JOIN knowledge_document d ON d.character_id = c.id "
            "          WHERE c.owner_id = :user AND c.deleted_at IS NULL), "
            "       (SELECT count(*) FROM persona WHERE user_id = :user), "
            "       (SELECT count(*) FROM memory_fact WHERE user_id = :user), "
            "       (SELECT count(*) FROM character c INDEXED BY character_of_owner "
            "          JOIN conversation_character p ON p.character_id = c.id "
            "          JOIN conversation t ON t.id = p.conversation_id "
            "          WHERE c.owner_id = :user AND c.deleted_at IS NULL AND t.owner_id <> :user "
            "            AND t.deleted_at IS NULL)");
    bind_id(s, ":user", user_id);
    if (stmt_row(s)) {
        counts->characters = column_int(s, 0);
        counts->documents = column_int(s, 1);
        counts->personas = column_int(s, 2);
        counts->facts = column_int(s, 3);
        counts->talks_of_others = column_int(s, 4);
    }
    return stmt_done(s);
}

/* Texts, not rows: what a person would call theirs. */
enum err pool_person_counts(struct db *db, int64_t user_id, struct person_counts *counts) {
    *counts = (struct person_counts){0};
    enum err err = count_possessions(db, user_id, counts);
    if (err != E_OK)
        return err;
    struct stmt *s =
        DB_SQL(db, "SELECT count(DISTINCT t.id), count(DISTINCT m.id), "
                   "       coalesce(sum(length(CAST(v.content AS BLOB))), 0) "
                   "FROM conversation t INDEXED BY conversation_of_owner "
                   "LEFT JOIN message m ON m.conversation_id = t.id AND m.deleted_at IS NULL "
                   "LEFT JOIN variant v ON v.message_id = m.id "
                   "WHERE t.owner_id = :user AND t.deleted_at IS NULL");
    bind_id(s, ":user", user_id);
    if (stmt_row(s)) {
        counts->conversations = column_int(s, 0);
        counts->messages = column_int(s, 1);
        counts->text_bytes = column_int(s, 2);
    }
    return stmt_done(s);
}

/* --- rows ------------------------------------------------------------------------------------- */

static void write_value(struct json *json, struct stmt *s, int i, enum column_type type) {
    if (column_is_null(s, i))
        return json_write_null(json);
    switch (type) {
    case COLUMN_ID:
        return json_write_id(json, column_id(s, i));
    case COLUMN_TEXT:
        return json_write_str(json, column_str(s, i));
    case COLUMN_INT:
        return json_write_int(json, column_int(s, i));
    case COLUMN_REAL:
        return json_write_double(json, column_double(s, i));
    case COLUMN_BOOL:
        return json_write_bool(json, column_bool(s, i));
    case COLUMN_TIME:
        return json_write_time(json, column_time(s, i));
    case COLUMN_JSON:
        return json_write_raw(json, column_str(s, i));
    }
}

void export_write_row(struct json *json, struct stmt *s, const struct column *columns) {
    for (int i = 0; columns[i].name != NULL; i++) {
        json_key(json, str_from(columns[i].name));
        write_value(json, s, i, columns[i].type);
    }
}

static struct stmt *of(struct stmt *s, int64_t id) {
    bind_id(s, ":of", id);
    return s;
}

static struct stmt *limited(struct stmt *s, int64_t id) {
    bind_id(s, ":of", id);
    bind_int(s, ":limit", LIST_LIMIT);
    return s;
}

/* clang-format off */
static struct stmt *ask_account(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT id, email, email_verified_at, display_name, role, avatar_blob, preferences, is_adult, adult_declared_at, created_at, updated_at "
        "FROM user WHERE id = :of"), id);
}
static const struct column columns_account[] = {
    {"id", COLUMN_ID}, {"email", COLUMN_TEXT}, {"email_verified_at", COLUMN_TIME}, {"display_name", COLUMN_TEXT}, {"role", COLUMN_TEXT},
    {"picture", COLUMN_TEXT}, {"preferences", COLUMN_JSON}, {"is_adult", COLUMN_BOOL}, {"adult_declared_at", COLUMN_TIME}, {"created_at", COLUMN_TIME},
    {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_account = {ask_account, columns_account};
static struct stmt *ask_sessions(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT id, device, address, created_at, last_used_at, expires_at, revoked_at, revoke_reason FROM session WHERE user_id = :of ORDER BY id LIMIT :limit"), id);
}
static const struct column columns_sessions[] = {
    {"id", COLUMN_ID}, {"device", COLUMN_TEXT}, {"address", COLUMN_TEXT}, {"created_at", COLUMN_TIME}, {"last_used_at", COLUMN_TIME},
    {"expires_at", COLUMN_TIME}, {"revoked_at", COLUMN_TIME}, {"revoke_reason", COLUMN_TEXT}, {0}};
const struct export_rows export_sessions = {ask_sessions, columns_sessions};
static struct stmt *ask_api_keys(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT id, name, scopes, created_at, expires_at, last_used_at, revoked_at FROM api_key WHERE user_id = :of ORDER BY id LIMIT :limit"), id);
}
static const struct column columns_api_keys[] = {
    {"id", COLUMN_ID}, {"name", COLUMN_TEXT}, {"scopes", COLUMN_TEXT}, {"created_at", COLUMN_TIME}, {"expires_at", COLUMN_TIME},
    {"last_used_at", COLUMN_TIME}, {"revoked_at", COLUMN_TIME}, {0}};
const struct export_rows export_api_keys = {ask_api_keys, columns_api_keys};
static struct stmt *ask_mails(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT id, kind, recipient, subject, state, attempts, reason, expires_at, created_at, updated_at FROM mail WHERE user_id = :of ORDER BY id LIMIT :limit"), id);
}
static const struct column columns_mails[] = {
    {"id", COLUMN_ID}, {"kind", COLUMN_TEXT}, {"recipient", COLUMN_TEXT}, {"subject", COLUMN_TEXT}, {"state", COLUMN_TEXT}, {"attempts", COLUMN_INT},
    {"reason", COLUMN_TEXT}, {"expires_at", COLUMN_TIME}, {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_mails = {ask_mails, columns_mails};
static struct stmt *ask_invites(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT id, role, note, uses_left, created_at, expires_at, revoked_at FROM invite WHERE created_by = :of ORDER BY id LIMIT :limit "
        "-- read in a pool thread"), id);
}
static const struct column columns_invites[] = {
    {"id", COLUMN_ID}, {"role", COLUMN_TEXT}, {"note", COLUMN_TEXT}, {"uses_left", COLUMN_INT}, {"created_at", COLUMN_TIME},
    {"expires_at", COLUMN_TIME}, {"revoked_at", COLUMN_TIME}, {0}};
const struct export_rows export_invites = {ask_invites, columns_invites};
static struct stmt *ask_personas(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT id, name, description, avatar_blob, is_default, created_at, updated_at FROM persona WHERE user_id = :of ORDER BY id LIMIT :limit"), id);
}
static const struct column columns_personas[] = {
    {"id", COLUMN_ID}, {"name", COLUMN_TEXT}, {"description", COLUMN_TEXT}, {"picture", COLUMN_TEXT}, {"is_default", COLUMN_BOOL},
    {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_personas = {ask_personas, columns_personas};
static struct stmt *ask_favourites(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT f.character_id, CASE WHEN c.owner_id = :of OR (c.visibility <> 'private' AND c.deleted_at IS NULL "
        "  AND (c.content_tier = 'all_ages' OR (SELECT is_adult FROM user WHERE id = :of))) THEN c.name END, f.created_at FROM favourite f JOIN character c ON c.id = f.character_id "
        "WHERE f.user_id = :of ORDER BY f.character_id LIMIT :limit"), id);
}
static const struct column columns_favourites[] = {
    {"character_id", COLUMN_ID}, {"character", COLUMN_TEXT}, {"created_at", COLUMN_TIME}, {0}};
const struct export_rows export_favourites = {ask_favourites, columns_favourites};
/* A row for each reply says nothing that the messages do not say: a line for each day and task. */
static struct stmt *ask_usage(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT created_at / 86400000 * 86400000, task, count(*), sum(prompt_tokens), sum(reply_tokens) FROM usage WHERE user_id = :of "
        "GROUP BY 1, 2 LIMIT :limit"), id);
}
static const struct column columns_usage[] = {
    {"day", COLUMN_TIME}, {"task", COLUMN_TEXT}, {"calls", COLUMN_INT}, {"prompt_tokens", COLUMN_INT}, {"reply_tokens", COLUMN_INT}, {0}};
const struct export_rows export_usage = {ask_usage, columns_usage};
static struct stmt *ask_audit(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT id, at, action, target_kind, target_id, actor_id = :of, detail FROM audit "
        "WHERE actor_id = :of OR (target_kind = 'user' AND target_id = :of) ORDER BY id LIMIT :limit -- read in a pool thread"), id);
}
static const struct column columns_audit[] = {
    {"id", COLUMN_ID}, {"at", COLUMN_TIME}, {"action", COLUMN_TEXT}, {"target_kind", COLUMN_TEXT}, {"target_id", COLUMN_ID}, {"was_you", COLUMN_BOOL},
    {"detail", COLUMN_JSON}, {0}};
const struct export_rows export_audit = {ask_audit, columns_audit};
static struct stmt *ask_lorebooks(struct db *db, int64_t id) {
    return limited(DB_SQL(db,
        "SELECT id, name, description, scan_depth, token_budget, recursive_scanning, extensions, unknown, created_at, updated_at FROM lorebook "
        "WHERE owner_id = :of AND character_id IS NULL ORDER BY id LIMIT :limit"), id);
}
static const struct column columns_lorebooks[] = {
    {"id", COLUMN_ID}, {"name", COLUMN_TEXT}, {"description", COLUMN_TEXT}, {"scan_depth", COLUMN_INT}, {"token_budget", COLUMN_INT},
    {"recursive_scanning", COLUMN_BOOL}, {"extensions", COLUMN_JSON}, {"unknown", COLUMN_JSON}, {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_lorebooks = {ask_lorebooks, columns_lorebooks};
static struct stmt *ask_lore_entries(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT id, keys, secondary_keys, content, name, comment, enabled, constant, selective, case_sensitive, use_regex, insertion_order, priority, "
        "  position, extensions, unknown FROM lore_entry WHERE lorebook_id = :of ORDER BY place"), id);
}
static const struct column columns_lore_entries[] = {
    {"id", COLUMN_ID}, {"keys", COLUMN_JSON}, {"secondary_keys", COLUMN_JSON}, {"content", COLUMN_TEXT}, {"name", COLUMN_TEXT}, {"comment", COLUMN_TEXT},
    {"enabled", COLUMN_BOOL}, {"constant", COLUMN_BOOL}, {"selective", COLUMN_BOOL}, {"case_sensitive", COLUMN_BOOL}, {"use_regex", COLUMN_BOOL},
    {"insertion_order", COLUMN_REAL}, {"priority", COLUMN_REAL}, {"position", COLUMN_TEXT}, {"extensions", COLUMN_JSON}, {"unknown", COLUMN_JSON}, {0}};
const struct export_rows export_lore_entries = {ask_lore_entries, columns_lore_entries};

static struct stmt *ask_character(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT id, name, nickname, tagline, visibility, content_tier, talkativeness, voice, model_settings, avatar_blob, origin, revision, created_at, "
        "  updated_at, deleted_at FROM character WHERE id = :of"), id);
}
static const struct column columns_character[] = {
    {"id", COLUMN_ID}, {"name", COLUMN_TEXT}, {"nickname", COLUMN_TEXT}, {"tagline", COLUMN_TEXT}, {"visibility", COLUMN_TEXT}, {"content_tier", COLUMN_TEXT},
    {"talkativeness", COLUMN_REAL}, {"voice", COLUMN_TEXT}, {"model_settings", COLUMN_JSON}, {"picture", COLUMN_TEXT}, {"origin", COLUMN_TEXT},
    {"revision", COLUMN_INT}, {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME}, {"deleted_at", COLUMN_TIME}, {0}};
const struct export_rows export_character = {ask_character, columns_character};
static struct stmt *ask_revisions(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT revision, created_at, avatar_blob, card FROM character_revision WHERE character_id = :of ORDER BY revision"), id);
}
static const struct column columns_revisions[] = {
    {"revision", COLUMN_INT}, {"created_at", COLUMN_TIME}, {"picture", COLUMN_TEXT}, {"card", COLUMN_JSON}, {0}};
const struct export_rows export_revisions = {ask_revisions, columns_revisions};
static struct stmt *ask_documents(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT id, name, bytes, created_at FROM knowledge_document WHERE character_id = :of ORDER BY id"), id);
}
static const struct column columns_documents[] = {
    {"id", COLUMN_ID}, {"name", COLUMN_TEXT}, {"bytes", COLUMN_INT}, {"created_at", COLUMN_TIME}, {0}};
const struct export_rows export_documents = {ask_documents, columns_documents};
static struct stmt *ask_chunks(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT heading, content FROM knowledge_chunk WHERE document_id = :of ORDER BY place"), id);
}
static const struct column columns_chunks[] = {
    {"heading", COLUMN_TEXT}, {"content", COLUMN_TEXT}, {0}};
const struct export_rows export_chunks = {ask_chunks, columns_chunks};

static struct stmt *ask_conversation(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT t.id, t.title, t.persona_id, p.name, t.mode, t.settings, t.head_id, t.from_conversation_id, t.from_message_id, t.pinned, t.archived, t.unread, "
        "  t.last_message_at, t.created_at, t.updated_at, t.deleted_at FROM conversation t LEFT JOIN persona p ON p.id = t.persona_id WHERE t.id = :of"), id);
}
static const struct column columns_conversation[] = {
    {"id", COLUMN_ID}, {"title", COLUMN_TEXT}, {"persona_id", COLUMN_ID}, {"persona", COLUMN_TEXT}, {"mode", COLUMN_TEXT}, {"settings", COLUMN_JSON},
    {"head_id", COLUMN_ID}, {"from_conversation_id", COLUMN_ID}, {"from_message_id", COLUMN_ID}, {"pinned", COLUMN_BOOL}, {"archived", COLUMN_BOOL},
    {"unread", COLUMN_INT}, {"last_message_at", COLUMN_TIME}, {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME}, {"deleted_at", COLUMN_TIME}, {0}};
const struct export_rows export_conversation = {ask_conversation, columns_conversation};
static struct stmt *ask_cast(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT character_id, name FROM conversation_character WHERE conversation_id = :of ORDER BY place"), id);
}
static const struct column columns_cast[] = {
    {"id", COLUMN_ID}, {"name", COLUMN_TEXT}, {0}};
const struct export_rows export_cast = {ask_cast, columns_cast};
static struct stmt *ask_branches(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT id, parent_id, fork_message_id, created_at FROM branch WHERE conversation_id = :of ORDER BY id"), id);
}
static const struct column columns_branches[] = {
    {"id", COLUMN_ID}, {"parent_id", COLUMN_ID}, {"fork_message_id", COLUMN_ID}, {"created_at", COLUMN_TIME}, {0}};
const struct export_rows export_branches = {ask_branches, columns_branches};
struct stmt *export_ask_messages(struct db *db, int64_t id, int64_t after) {
    struct stmt *s = DB_SQL(
        db, "SELECT id, branch_id, parent_id, parent_variant, role, author_kind, author_id, author_name, chosen, hidden, external_id, extra, revision, "
            "  created_at, updated_at, deleted_at FROM message WHERE conversation_id = :of AND id > :after ORDER BY id LIMIT :limit");
    bind_id(s, ":of", id);
    bind_int(s, ":after", after);
    bind_int(s, ":limit", EXPORT_PAGE);
    return s;
}
const struct column export_message_columns[] = {
    {"id", COLUMN_ID}, {"branch_id", COLUMN_ID}, {"parent_id", COLUMN_ID}, {"parent_variant", COLUMN_INT}, {"role", COLUMN_TEXT},
    {"author_kind", COLUMN_TEXT}, {"author_id", COLUMN_ID}, {"author_name", COLUMN_TEXT}, {"chosen", COLUMN_INT}, {"hidden", COLUMN_BOOL},
    {"external_id", COLUMN_TEXT}, {"extra", COLUMN_JSON}, {"revision", COLUMN_INT}, {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME},
    {"deleted_at", COLUMN_TIME}, {0}};
static struct stmt *ask_variants(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT place, state, content, reasoning, model, finish_reason, prompt_tokens, reply_tokens, created_at, updated_at FROM variant "
        "WHERE message_id = :of ORDER BY place"), id);
}
static const struct column columns_variants[] = {
    {"place", COLUMN_INT}, {"state", COLUMN_TEXT}, {"content", COLUMN_TEXT}, {"reasoning", COLUMN_TEXT}, {"model", COLUMN_TEXT},
    {"finish_reason", COLUMN_TEXT}, {"prompt_tokens", COLUMN_INT}, {"reply_tokens", COLUMN_INT}, {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_variants = {ask_variants, columns_variants};
static struct stmt *ask_earlier(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT place, revision, kind, content, created_at FROM message_revision WHERE message_id = :of ORDER BY created_at"), id);
}
static const struct column columns_earlier[] = {
    {"variant", COLUMN_INT}, {"revision", COLUMN_INT}, {"kind", COLUMN_TEXT}, {"content", COLUMN_TEXT}, {"created_at", COLUMN_TIME}, {0}};
const struct export_rows export_earlier = {ask_earlier, columns_earlier};
static struct stmt *ask_facts(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT id, character_id, kind, subject, predicate, object, text, importance, confidence, valid_from, valid_to, superseded_by, state, pinned, uses, "
        "  last_used_at, made_by, created_at, updated_at FROM memory_fact WHERE conversation_id = :of ORDER BY id"), id);
}
static const struct column columns_facts[] = {
    {"id", COLUMN_ID}, {"character_id", COLUMN_ID}, {"kind", COLUMN_TEXT}, {"subject", COLUMN_TEXT}, {"predicate", COLUMN_TEXT}, {"object", COLUMN_TEXT},
    {"text", COLUMN_TEXT}, {"importance", COLUMN_REAL}, {"confidence", COLUMN_REAL}, {"valid_from", COLUMN_TIME}, {"valid_to", COLUMN_TIME},
    {"superseded_by", COLUMN_ID}, {"state", COLUMN_TEXT}, {"pinned", COLUMN_BOOL}, {"uses", COLUMN_INT}, {"last_used_at", COLUMN_TIME},
    {"made_by", COLUMN_TEXT}, {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_facts = {ask_facts, columns_facts};
static struct stmt *ask_sources(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT message_id FROM memory_source WHERE fact_id = :of ORDER BY message_id"), id);
}
static const struct column columns_sources[] = {
    {"message_id", COLUMN_ID}, {0}};
const struct export_rows export_sources = {ask_sources, columns_sources};
static struct stmt *ask_episodes(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT id, title, text, mood, started_at, ended_at, covers_from, covers_to, importance, made_by, created_at, updated_at FROM memory_episode "
        "WHERE conversation_id = :of ORDER BY covers_from"), id);
}
static const struct column columns_episodes[] = {
    {"id", COLUMN_ID}, {"title", COLUMN_TEXT}, {"text", COLUMN_TEXT}, {"mood", COLUMN_TEXT}, {"started_at", COLUMN_TIME}, {"ended_at", COLUMN_TIME},
    {"covers_from", COLUMN_ID}, {"covers_to", COLUMN_ID}, {"importance", COLUMN_REAL}, {"made_by", COLUMN_TEXT}, {"created_at", COLUMN_TIME},
    {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_episodes = {ask_episodes, columns_episodes};
static struct stmt *ask_summaries(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT id, kind, text, covers_from, covers_to, is_edited, made_by, created_at, updated_at FROM memory_summary WHERE conversation_id = :of ORDER BY kind"), id);
}
static const struct column columns_summaries[] = {
    {"id", COLUMN_ID}, {"kind", COLUMN_TEXT}, {"text", COLUMN_TEXT}, {"covers_from", COLUMN_ID}, {"covers_to", COLUMN_ID}, {"is_edited", COLUMN_BOOL},
    {"made_by", COLUMN_TEXT}, {"created_at", COLUMN_TIME}, {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_summaries = {ask_summaries, columns_summaries};
static struct stmt *ask_standing(struct db *db, int64_t id) {
    return of(DB_SQL(db,
        "SELECT status, closeness, mood, made_by, updated_at FROM memory_progress WHERE conversation_id = :of"), id);
}
static const struct column columns_standing[] = {
    {"status", COLUMN_TEXT}, {"closeness", COLUMN_REAL}, {"mood", COLUMN_TEXT}, {"made_by", COLUMN_TEXT}, {"updated_at", COLUMN_TIME}, {0}};
const struct export_rows export_standing = {ask_standing, columns_standing};
/* clang-format on */

/* --- ids -------------------------------------------------------------------------------------- */

enum err export_characters(struct db *db, int64_t user_id, int64_t *ids, size_t limit,
                           size_t *count) {
    struct stmt *s =
        DB_SQL(db, "SELECT id FROM (SELECT id FROM character INDEXED BY character_of_owner "
                   "                WHERE owner_id = :user AND deleted_at IS NULL "
                   "                UNION ALL SELECT id FROM character INDEXED BY character_trash "
                   "                WHERE deleted_at > 0 AND owner_id = :user) "
                   "ORDER BY id LIMIT :limit");
    bind_id(s, ":user", user_id);
    bind_int(s, ":limit", (int64_t)limit);
    return stmt_ids(s, ids, limit, count);
}

int64_t export_message_count(struct db *db, int64_t conversation_id) {
    struct stmt *s =
        DB_SQL(db, "SELECT count(*) FROM message WHERE conversation_id = :conversation");
    bind_id(s, ":conversation", conversation_id);
    return stmt_int(s, 0);
}

enum err person_pictures(struct db *db, int64_t user_id, void (*visit)(void *ctx, struct str key),
                         void *ctx) {
    struct stmt *s =
        DB_SQL(db, "WITH mine (id, avatar_blob) AS ("
                   "  SELECT id, avatar_blob FROM character INDEXED BY character_of_owner "
                   "    WHERE owner_id = :user AND deleted_at IS NULL "
                   "  UNION ALL SELECT id, avatar_blob FROM character INDEXED BY character_trash "
                   "    WHERE deleted_at > 0 AND owner_id = :user) "
                   "SELECT avatar_blob FROM user WHERE id = :user AND avatar_blob IS NOT NULL "
                   "UNION SELECT avatar_blob FROM persona "
                   "  WHERE user_id = :user AND avatar_blob IS NOT NULL "
                   "UNION SELECT avatar_blob FROM mine WHERE avatar_blob IS NOT NULL "
                   "UNION SELECT r.avatar_blob FROM mine JOIN character_revision r "
                   "  ON r.character_id = mine.id WHERE r.avatar_blob IS NOT NULL "
                   "-- read in a pool thread");
    bind_id(s, ":user", user_id);
    while (stmt_row(s))
        visit(ctx, column_str(s, 0));
    return stmt_done(s);
}
