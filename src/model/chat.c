/* The port's small change: which adapter a provider's name means, the words of finish reasons, and what
 * of a reply is said in the part. */
#include "model/chat.h"

#include "base/check.h"

#include "base/banned.h"

static const struct chat_port *const PORTS[] = {
    &chat_openai,
    &chat_ollama,
    &chat_anthropic,
    &chat_understudy,
};

const struct chat_port *chat_port_find(struct str provider) {
    for (size_t i = 0; i < COUNT_OF(PORTS); i++)
        if (str_eq(provider, str_from(PORTS[i]->provider)))
            return PORTS[i];
    return NULL;
}

const char *chat_finish_word(enum chat_finish finish) {
    static const char *const WORDS[] = {
        [CHAT_FINISH_STOP] = "stop",
        [CHAT_FINISH_LENGTH] = "length",
        [CHAT_FINISH_FILTER] = "content_filter",
        [CHAT_FINISH_OTHER] = "other",
    };
    return WORDS[finish];
}

struct str chat_without_note(struct str reply) {
    ptrdiff_t end = str_find(reply, STR(CHAT_NOTE_END), 0);
    if (end < 0 || !str_starts(reply, STR(CHAT_NOTE_BEGIN)))
        return reply;
    struct str note = str_slice(reply, 0, (size_t)end + sizeof CHAT_NOTE_END - 1);
    struct str rest = str_slice(reply, note.len, reply.len);
    bool is_note = str_has(note, STR(CHAT_NOTE_NAME)) && str_find_char(note, '\n', 0) < 0 &&
                   (rest.len == 0 || rest.at[0] == '\n');
    return is_note ? str_trim(rest) : reply;
}
