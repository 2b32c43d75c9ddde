/*
 * A path of a talk as a conversation of its own: its messages with all their variants, each showing
 * the one that the path followed. Writer thread.
 */
#include "conversation/message_store.h"

#include "base/id.h"
#include "conversation/message_inside.h"
#include "memory/turn.h"

#include "base/banned.h"

#define PATH_PAGE 100 /* messages read at once */

static enum err copy_variants(struct tx *tx, int64_t from_message, int64_t to_message) {
    struct stmt *s = DB_SQL(
        tx_db(tx),
        "INSERT INTO variant (message_id, place, state, content, reasoning, model, finish_reason, "
        "  prompt_tokens, reply_tokens, created_at, updated_at) "
        "SELECT :to, place, IIF(state = 'streaming', 'interrupted', state), content, reasoning, model, "
        "  finish_reason, prompt_tokens, reply_tokens, created_at, updated_at "
        "FROM variant WHERE message_id = :from");
    bind_id(s, ":from", from_message);
    bind_id(s, ":to", to_message);
    return stmt_run(s);
}

static enum err copy_message(struct tx *tx, const struct message *from, struct message *to) {
    enum err err = message_insert(tx, to);
    if (err == E_OK)
        err = copy_variants(tx, from->id, to->id);
    return err != E_OK ? err : memory_touch_message(tx, to->id, to->conversation_id);
}

/* One message of a path, and which variant of the message before it it follows. */
struct step {
    int64_t message_id, parent_id, parent_variant;
};

/* A path from its leaf back to the root. */
static enum err path_steps(struct db *db, struct arena *arena, int64_t conversation_id,
                           int64_t leaf_id, struct step **steps, size_t *count) {
    size_t room = 0, read = PATH_PAGE;
    enum err err = E_OK;
    *steps = NULL;
    *count = 0;
    for (int64_t before = 0; err == E_OK && read == PATH_PAGE;) {
        struct message *page;
        struct arena page_arena;
        arena_init(&page_arena);
        err = message_page(db, &page_arena, conversation_id, leaf_id, before, PATH_PAGE, &page,
                           &read);
        for (size_t i = 0; err == E_OK && i < read; i++) {
            ARENA_GROW(arena, *steps, *count, room);
            (*steps)[(*count)++] =
                (struct step){page[i].id, page[i].parent_id, page[i].parent_variant};
            before = page[i].id;
        }
        arena_release(&page_arena);
    }
    return err;
}

/* A copy of one message, showing `variant` of it (-1: the chosen one), behind `*last`, which becomes
 * the copy. */
static enum err copy_behind(struct tx *tx, int64_t from_conversation, int64_t message_id,
                            int64_t variant, struct message *last) {
    struct message from;
    struct arena arena; /* of one message: a path may be longer than what fits into memory */
    arena_init(&arena);
    enum err err = message_load(tx_db(tx), &arena, from_conversation, message_id, variant, &from);
    if (err == E_OK) {
        struct message copy = from;
        copy.id = id_new();
        copy.conversation_id = last->conversation_id;
        copy.branch_id = last->branch_id;
        copy.parent_id = last->id;
        copy.parent_variant = last->swipe_index;
        err = copy_message(tx, &from, &copy);
        last->id = copy.id;
        last->swipe_index = copy.swipe_index;
    }
    arena_release(&arena);
    return err;
}

/* From the root on, so that ids grow along the copy too. */
enum err conversation_copy_path(struct tx *tx, int64_t from_id, int64_t upto_id, int64_t to_id,
                                int64_t trunk_id, int64_t now) {
    struct arena arena;
    struct step *path;
    size_t count;
    struct message last = {.conversation_id = to_id, .branch_id = trunk_id, .swipe_index = -1};
    arena_init(&arena);
    enum err err = path_steps(tx_db(tx), &arena, from_id, upto_id, &path, &count);
    for (size_t i = count; err == E_OK && i-- > 0;) {
        bool is_followed = i > 0 && path[i - 1].parent_id == path[i].message_id;
        err = copy_behind(tx, from_id, path[i].message_id,
                          is_followed ? path[i - 1].parent_variant : -1, &last);
    }
    if (err == E_OK)
        err = conversation_show_end(tx, to_id, last.id, now);
    arena_release(&arena);
    return err;
}
