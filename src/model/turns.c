/* Rules are applied in the order of their numbers, each on what the one before has made. */
#include "model/turns.h"

#include "base/buf.h"

#include <string.h>

#include "base/banned.h"

/* Said by the user when the house needs a turn that nobody spoke. */
#define BEGINNING STR("[The conversation begins.]")
#define GO_ON                                                                                      \
    STR("[Continue your last message from exactly where it breaks off. Repeat nothing of it, and " \
        "add no comment.]")

static struct str join(struct arena *arena, struct str a, struct str b) {
    if (a.len == 0 || b.len == 0)
        return a.len ? a : b;
    return str_printf(arena, STR_FMT "\n\n" STR_FMT, STR_ARG(a), STR_ARG(b));
}

static void add(struct turns *turns, enum chat_role role, struct str content) {
    turns->messages[turns->count++] = (struct chat_message){.role = role, .content = content};
}

static size_t count_head(const struct turns *turns) {
    size_t count = 0;
    while (count < turns->count && turns->messages[count].role == CHAT_SYSTEM)
        count++;
    return count;
}

static void join_head(struct arena *arena, struct turns *turns) {
    size_t head = count_head(turns);
    if (head < 2)
        return;
    struct str whole = STR("");
    for (size_t i = 0; i < head; i++)
        whole = join(arena, whole, turns->messages[i].content);
    turns->messages[0].content = whole;
    memmove(turns->messages + 1, turns->messages + head,
            (turns->count - head) * sizeof *turns->messages);
    turns->count -= head - 1;
}

/* A note in brackets is how people write stage directions to a model; it will not be taken for
 * speech. */
static void fold(struct arena *arena, struct turns *turns, bool also_head) {
    size_t head = count_head(turns);
    for (size_t i = also_head ? 0 : head; i < turns->count; i++) {
        struct chat_message *message = &turns->messages[i];
        if (message->role != CHAT_SYSTEM)
            continue;
        message->role = CHAT_USER;
        if (i >= head)
            message->content = str_printf(arena, "[" STR_FMT "]", STR_ARG(message->content));
    }
}

static bool is_blank(struct str s) {
    return str_trim(s).len == 0;
}

static void alternate(struct arena *arena, struct turns *turns) {
    struct chat_message *from = turns->messages;
    size_t count = turns->count, head = count_head(turns);
    struct turns out = {ARENA_ARRAY(arena, struct chat_message, count + 2), 0};
    for (size_t i = 0; i < head; i++)
        out.messages[out.count++] = from[i];
    for (size_t i = head; i < count; i++) {
        if (is_blank(from[i].content))
            continue;
        if (out.count == head && from[i].role == CHAT_ASSISTANT)
            add(&out, CHAT_USER, BEGINNING);
        struct chat_message *last = out.count > head ? &out.messages[out.count - 1] : NULL;
        if (last && last->role == from[i].role)
            last->content = join(arena, last->content, from[i].content);
        else
            add(&out, from[i].role, from[i].content);
    }
    if (out.count == head)
        add(&out, CHAT_USER, BEGINNING);
    *turns = out;
}

static struct turns copy_of(struct arena *arena, const struct chat_request *request) {
    struct turns turns = {
        ARENA_ARRAY(arena, struct chat_message, request->message_count + 1),
        request->message_count,
    };
    if (turns.count)
        memcpy(turns.messages, request->messages, turns.count * sizeof *turns.messages);
    return turns;
}

struct turns turns_shape(struct arena *arena, const struct chat_request *request, unsigned rules) {
    struct turns turns = copy_of(arena, request);
    if (rules & TURNS_JOIN_HEAD)
        join_head(arena, &turns);
    if (rules & (TURNS_FOLD_SYSTEM | TURNS_NO_SYSTEM))
        fold(arena, &turns, rules & TURNS_NO_SYSTEM);
    if (rules & TURNS_ALTERNATE)
        alternate(arena, &turns);
    if (rules & TURNS_ASK_ON && turns.count &&
        turns.messages[turns.count - 1].role == CHAT_ASSISTANT)
        add(&turns, CHAT_USER, GO_ON);
    return turns;
}
