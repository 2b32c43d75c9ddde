/*
 * What the files of the gate know of each other.
 *
 *   gate_head.c  framing, target and Host, who is at the other end, whose pages may read the answer
 *   gate.c       the order of it all; the route, the caller, rate and right
 *   gate_body.c  the body and its fields; the handler
 *
 * A check that gives false has answered.
 */
#pragma once

#include "net/http.h"

/* --- gate_head.c -------------------------------------------------------------------------------- */

bool gate_judge_head(struct exchange *exchange);
bool gate_is_listed_origin(struct str origin); /* among net.allowed_origins */

/* --- gate_body.c -------------------------------------------------------------------------------- */

bool gate_check_expect(struct exchange *exchange);
bool gate_check_body(struct exchange *exchange); /* by what the head says of it */
