/* The routes of recall: what is indexed of a conversation, and what can be found in it. */
#pragma once

#include "net/router.h"

extern const struct route recall_routes[];

/* The member "index" of GET /memory/{conversation_id} (memory_api.c): how far indexing has come. */
struct db;
MUST_USE enum err recall_index_write(struct json *json, struct db *db, int64_t conversation_id);
extern const struct shape recall_index_shape;
