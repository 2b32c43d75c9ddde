/* The routes of conversations and their messages. */
#pragma once

#include "net/router.h"

extern const struct route conversation_routes[];
extern const struct route message_routes[]; /* message_api.c: read, edit, swipe, delete */
extern const struct route
    preview_routes[]; /* preview_api.c: the prompt of a character that is being written */
extern const struct route say_routes[]; /* say_api.c: say, regenerate, continue, answer */
