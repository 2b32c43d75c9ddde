/*
 * Brings the messages of a prompt into the order that an endpoint accepts. Most take them as they
 * are; chat templates of local models and Anthropic want one system text in front, then user and
 * assistant in turn, beginning with the user.
 */
#pragma once

#include "model/chat.h"

enum turns_rule {
    TURNS_JOIN_HEAD = 1,   /* the system messages at the front become one */
    TURNS_FOLD_SYSTEM = 2, /* later system messages become part of a user's turn */
    TURNS_NO_SYSTEM = 4,   /* so does the one at the front */
    TURNS_ALTERNATE = 8, /* turns of the same side become one; the user begins; nothing is empty */
    TURNS_ASK_ON = 16,   /* a last assistant turn is followed by a user's request to go on */
};

struct turns {
    struct chat_message *messages;
    size_t count;
};

struct turns turns_shape(struct arena *arena, const struct chat_request *request, unsigned rules);
