/* Routes of characters. Listed by app.c. */
#pragma once

#include "net/router.h"

extern const struct route character_routes[];      /* one character: make, read, change, trash */
extern const struct route knowledge_routes[];      /* knowledge_api.c */
extern const struct route discovery_routes[];      /* lists, search, tags, favourites */
extern const struct route character_file_routes[]; /* portraits, import, export */
