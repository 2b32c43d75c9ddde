/* `troupe doctor`: what is wrong, in plain words. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

/* Looks at everything and prints a line for each thing to standard output. 1 if any of them fails,
 * else 0. config_problems: what the settings' reader found. */
int doctor_run(const char *data, struct str listen, struct str config_problems);
