/*
 * What listeners say and where they stand: the realtime commands (conversation:join, message:send
 * ...) as rows, for every carrier. The rights are checked at each command, also on a socket that
 * has been open for hours.
 */
#pragma once

#include "net/channel.h"
#include "store/job.h"

extern const struct channel_owner live_owner;
/* job:progress to every socket of the person whose job it is: for job_on_event. */
void live_job_event(const struct job_event *event);
extern const struct route
    live_routes[]; /* GET /api/v1/conversations/{id}/events (SSE, Last-Event-ID) */
