/* The outbox, for admins: mail that waits, rests or failed, and a test of the relay. */
#pragma once

#include "net/router.h"

extern const struct route outbox_routes[];
