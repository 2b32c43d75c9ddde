/* The port's small change: which adapter a provider's name means, and the words of finish reasons.
 */
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
