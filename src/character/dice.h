/* "2d6+1": what {{roll}} throws. */
#pragma once

#include "base/str.h"

struct dice {
    int64_t count, faces; /* 1 to 1000; 1 to 10^9 */
    int64_t plus;         /* added to the sum of all */
};
/* "20", "d20", "2d6", "2d6+3", "1d8-1". False for anything else. */
bool dice_read(struct str text, struct dice *dice);
