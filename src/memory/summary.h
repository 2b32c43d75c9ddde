/*
 * Summaries and episodes of a talk: made by a model, or by rules from the talk's own sentences.
 */
#pragma once

#include "memory/memory_store.h"

/* What there is to sum up, and what came of it. */
struct summary_work {
    const struct memory_cast *cast;
    struct memory_scope scope;
    const struct memory_line *lines; /* not yet summed up, oldest first */
    size_t count;
    struct memory_summary recent, full, relationship; /* as they are; id 0: none */
    struct memory_progress progress;
    const struct memory_fact *bonds; /* facts about the two */
    size_t bond_count;
    struct memory_counts counts;
};

struct summary_result {
    struct str recent, full, relationship; /* STR_NONE: stays as it is */
    struct str status, mood;
    double closeness;
    struct str title, episode; /* of the stretch */
    double importance;
    const char *made_by;
};

void summary_by_rules(struct arena *arena, const struct summary_work *work,
                      struct summary_result *result);
extern const struct str summary_schema;
struct str summary_instruction(struct arena *arena, const struct memory_cast *cast);
struct str summary_question(struct arena *arena, const struct summary_work *work);
/* False when the answer is none. */
bool summary_read(struct arena *arena, struct str answer, const struct summary_work *work,
                  struct summary_result *result);
/* Inside a write. */
MUST_USE enum err writer_summary(struct tx *tx, const struct summary_work *work,
                                 const struct summary_result *result, int64_t now);
