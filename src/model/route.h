/*
 * A route is a named, ordered list of models. A call tries them in order: an error, an overload or
 * a stall before the first token moves on to the next; after the first token the call has failed
 * and its text is kept. An endpoint that fails five times in a row rests (breaker), and is probed
 * by one call when the rest is over. The Understudy speaks only when a route has no model at all: a
 * person who configured a model wants to know that it is down, not to be answered by somebody else.
 * A model that has as many calls as it may is waited for (queue.h), not passed by.
 */
#pragma once

#include "model/chat.h"

struct route_call;

struct route_events {
    void (*began)(void *ctx, const struct chat_endpoint
                                 *endpoint); /* which model is asked now; again at each fallback */
    void (*delta)(void *ctx, struct str text);
    void (*reasoning)(void *ctx, struct str text);
    void (*done)(void *ctx, enum chat_finish finish, const struct chat_usage *usage);
    void (*failed)(void *ctx,
                   const struct chat_failure *
                       failure); /* nothing is left to try, or it broke off after the first token */
    /* A busy model is waited for: how many stand before this call, and it; 0 when its turn comes.
     * NULL: nobody wants to know. */
    void (*queued)(void *ctx, int64_t position);
};

struct route_plan {
    int64_t context_tokens; /* of the smallest model that may be asked: what the prompt is assembled
                               for */
    int64_t reply_tokens;
    double tokens_scale; /* of the first model */
    bool is_understudy;
    struct str model_name; /* of the first model; the cache's, valid until the loop turns */
};

/* What a prompt for this route must fit into. An unknown or empty route is the Understudy. */
struct route_plan route_plan(struct str route);

/* request->endpoint and the sampling ceilings are filled per model. The request must stay until done
 * or failed, which come exactly once, later; what it points to as chat.h says. began and queued may
 * come before this returns. */
struct route_call *route_start(struct str route, struct chat_request *request,
                               const struct route_events *events, void *ctx);
void route_cancel(struct route_call *call); /* failed(E_CANCELLED) comes, later */

/* How the last calls of a model went. */
enum route_state { ROUTE_UNKNOWN, ROUTE_OK, ROUTE_FAILING, ROUTE_RESTING };
struct route_health {
    enum route_state state;
    int64_t resting_ms; /* still to go */
};
struct model;
struct route_health route_health(const struct model *model);
