/* How many tokens a text is: an estimate by script and word shape, scaled per model by what
 * endpoints report (model.tokens_scale). */
#pragma once

#include "base/str.h"

int64_t tokens_estimate(struct str text); /* for scale 1.0; never 0 for text */
/* The longest prefix (at a character border) of at most `tokens`. */
struct str tokens_cut(struct str text, int64_t tokens);
/* A new scale from what was estimated (unscaled) and what was reported: slow, bounded to 0.5 .. 2.
 */
double tokens_calibrate(double scale, int64_t estimated, int64_t reported);
