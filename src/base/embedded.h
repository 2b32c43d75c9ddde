/*
 * What the binary carries inside: the web app, the starter characters, the rules, the schema and
 * its migrations.
 *
 * The table is made at build time by assets/pack.c, sorted by name; it lives in the library
 * troupe_embedded. Reading it is reading memory: any thread, no I/O, nothing to free.
 */
#pragma once

#include "base/str.h"

struct embedded {
    struct str name; /* "web/index.html", "characters/fenella-rusk/card.json", "migrations/002.sql",
                        "schema.sql" */
    struct str mime; /* ready for Content-Type */
    struct str bytes; /* the file as it is; a NUL that is not counted stands behind the last byte */
    struct str gzip;  /* STR_NONE unless it is text of the web app and became smaller */
    struct str brotli; /* likewise */
    /* Strong ETags with their quotes, one per coding (RFC 9110 section 8.8.3); STR_NONE where the
     * coding is. */
    struct str etag, etag_gzip, etag_brotli;
    bool is_immutable; /* the name holds a hash of the content: may be cached for a year */
};

/* NULL when there is none. */
const struct embedded *embedded_find(struct str name);
size_t embedded_count(void);
const struct embedded *embedded_at(size_t index); /* in the order of the names' bytes */
/* Nobody needs them for a while: what was read of their bytes is no longer counted as memory of this process. It is there
 * again when it is read. Any thread. */
void embedded_rest(void);
