/*
 * Which blob store is in use: one, chosen at start by app.c. The stores themselves are behind the
 * port (vendor-free/disk.c).
 */
#include "store/blob.h"

#include "base/check.h"

#include "base/banned.h"

static const struct blob_port *chosen;

const struct blob_port *blob_port(void) {
    BUG_IF(chosen == NULL);
    return chosen;
}

void blob_use(const struct blob_port *port, const char *directory) {
    chosen = port;
    if (port->use_directory != NULL)
        port->use_directory(directory);
}
