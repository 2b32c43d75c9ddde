/*
 * Calls to models that nobody waits for (learning, summaries). At most one at a time per endpoint,
 * and people go first: while somebody's turn is under way at the endpoint a background call waits
 * to begin; on an endpoint of one's own machine or network, where one request holds up the next, a
 * turn that begins also ends the background call that is under way, which is then said to have
 * failed with E_BUSY and may come again.
 */
#pragma once

#include "model/route.h"

struct background_call;

struct background_answer {
    enum err err;    /* E_BUSY: somebody's turn went first, or everything rests; try again later */
    struct str text; /* the whole reply; borrowed during the call */
    struct str model_name;
    int64_t model_id;
    struct chat_usage usage;
    int64_t first_token_ms, total_ms;
    struct str detail; /* of a failure */
};
typedef void (*background_done_fn)(const struct background_answer *answer, void *ctx);

/* The request must stay until done, which comes exactly once, later; E_ABSENT when the route has no
 * model. */
struct background_call *background_start(struct str route, struct chat_request *request,
                                         background_done_fn done, void *ctx);
void background_cancel(struct background_call *call); /* done(E_CANCELLED) comes, later */

/* --- for route.c ------------------------------------------------------------------------------ */
/* Models of one address are one endpoint; 0: none. */
struct model;
int64_t background_endpoint(const struct model *model);
/* A person's call begins and ends at an endpoint. */
void background_yield(int64_t endpoint, bool is_local);
void background_resume(int64_t endpoint);
