/*
 * Who did what to whom, of everything that staff does: rows that are written in the transaction of
 * the deed and never change. Ids only, and no texts of people: the names are looked up when
 * somebody reads, so that a deleted account leaves none behind.
 */
#pragma once

#include "base/json.h"
#include "store/store.h"

struct audit {
    int64_t id;
    int64_t at_ms;          /* filled in by audit_add */
    int64_t actor_id;       /* 0: the command line, or the house itself */
    struct str action;      /* "user.role", "settings.change" */
    struct str target_kind; /* "user", "setting", "model", "route", "invite", "job" */
    int64_t target_id;      /* 0: the detail says it */
    struct str detail;      /* JSON object */
    struct str actor_name;  /* of audit_list: as it is now; STR_NONE: gone, or nobody */
};

MUST_USE enum err audit_add(struct tx *tx, const struct audit *entry);
/* Newest first, before `before_id` (0: from the end); `action` (STR_NONE: all) may end at a dot:
 * "user." is all about users. */
MUST_USE enum err audit_list(struct db *db, struct arena *arena, int64_t before_id,
                             struct str action, int64_t actor_id, size_t limit,
                             struct audit **items, size_t *count);
/* {"from": ..., "to": ...} for a detail; texts of the arena. */
struct str audit_change(struct arena *arena, const char *what, struct str from, struct str to);
