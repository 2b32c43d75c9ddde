/* Rows of the sections [models], [understudy] and [embedder]. */
#include "model/setting.h"

#include "model/chat.h"
#include "model/embed.h"

#include "base/banned.h"

struct model_settings model_settings = {
    .first_token_ms = 120000, .stall_ms = 45000, .reply_ms = 3600000, .rest_ms = 15000};

const struct setting model_setting_rows[] = {
    {.section = "models",
     .key = "first_token_ms",
     .type = SETTING_INT,
     .at = &model_settings.first_token_ms,
     .fallback = "120000",
     .min = 100,
     .max = 1800000,
     .unit = "ms",
     .help = "How long an endpoint may take to begin; local servers load a model first."},
    {.section = "models",
     .key = "stall_ms",
     .type = SETTING_INT,
     .at = &model_settings.stall_ms,
     .fallback = "45000",
     .min = 100,
     .max = 600000,
     .unit = "ms",
     .help = "How long an endpoint may be silent in the middle of a reply."},
    {.section = "models",
     .key = "reply_ms",
     .type = SETTING_INT,
     .at = &model_settings.reply_ms,
     .fallback = "3600000",
     .min = 100,
     .max = 86400000,
     .unit = "ms",
     .help = "How long a whole reply may take; what was said by then is kept."},
    {.section = "models",
     .key = "rest_ms",
     .type = SETTING_INT,
     .at = &model_settings.rest_ms,
     .fallback = "15000",
     .min = 10,
     .max = 600000,
     .unit = "ms",
     .help =
         "How long an endpoint that failed five times in a row is left alone; doubles up to sixteen times this."},
    {.section = "models",
     .key = "discovery_hosts",
     .type = SETTING_TEXT,
     .at = &model_settings.discovery_hosts,
     .fallback = "127.0.0.1",
     .max = 500,
     .help =
         "Where set-up looks for model servers, separated by commas; host:port asks that port only."},
    {0},
};

const struct setting understudy_setting_rows[] = {
    {.section = "understudy",
     .key = "tokens_per_second",
     .type = SETTING_INT,
     .at = &understudy_settings.tokens_per_second,
     .fallback = "30",
     .min = 0,
     .max = 10000,
     .help = "The pace of the built-in stand-in; 0 says everything at once."},
    {.section = "understudy",
     .key = "seed",
     .type = SETTING_INT,
     .at = &understudy_settings.seed,
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help =
         "Makes the stand-in repeatable: the same talk gets the same answer; 0 for a new one each time."},
    {0},
};

const struct setting embedder_setting_rows[] = {
    {.section = "embedder",
     .key = "weights",
     .type = SETTING_TEXT,
     .at = &embedder_settings.weights,
     .fallback = "",
     .max = 4000,
     .needs_restart = true,
     .help =
         "A file with the weights of the built-in embedder; empty takes those in the binary, or troupe.weights beside it."},
    {0},
};
