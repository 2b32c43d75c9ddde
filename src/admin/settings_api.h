/*
 * Settings in the running house. What an admin says is stored, and stands between the file and the
 * environment (base/config.h says why).
 */
#pragma once

#include "base/config.h"
#include "net/router.h"

/* The floor above owns the settings: it hands over how to see them and how to read all again. */
struct settings_port {
    const struct config *(*now)(void);
    void (*read_again)(void);
};
void settings_use(const struct settings_port *port); /* before the routes are looked at */

/* What was wrong with the settings when they were last read; empty when nothing was. */
struct str settings_problems(void);
/* Reads what is stored into `config`, in its turn; false when nothing is. The store is open. */
bool settings_read_stored(struct config *config);

extern const struct route settings_routes[];
