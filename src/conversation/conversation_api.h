/* The routes of conversations and their messages. */
#pragma once

#include "net/router.h"

extern const struct route conversation_routes[];
extern const struct route message_routes[];
