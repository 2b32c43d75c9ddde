/* What the operator may set about calls to models. */
#pragma once

#include "base/config.h"

struct model_settings {
    int64_t first_token_ms;     /* an endpoint may load a model before it speaks */
    int64_t stall_ms;           /* between two pieces of a reply */
    int64_t reply_ms;           /* a whole reply, however lively */
    int64_t rest_ms;            /* of an endpoint that failed five times in a row */
    struct str discovery_hosts; /* "127.0.0.1", or with the only port to ask: "127.0.0.1:8081,
                                   gpu:11434" */
};
extern struct model_settings model_settings;
extern const struct setting model_setting_rows[];
extern const struct setting understudy_setting_rows[];
extern const struct setting embedder_setting_rows[];
