/* multipart/form-data (RFC 7578) of a body that is in memory: the parts one after another,
 * borrowed. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct multipart {
    struct str rest;
    struct str boundary;
    size_t count;
};

struct part {
    struct str name;      /* of the form field */
    struct str file_name; /* only a label: cleaned of folders and control characters; STR_NONE for
                             plain fields */
    struct str content_type;
    struct str bytes;
};

#define MULTIPART_PARTS_LIMIT 1000

/* content_type is the request's header. E_INPUT when it has no usable boundary. */
MUST_USE enum err multipart_begin(struct multipart *multipart, struct str content_type,
                                  struct str body);
/* E_OK and *part; E_ABSENT after the last one; E_INPUT when malformed; E_LIMIT past the count. */
MUST_USE enum err multipart_next(struct multipart *multipart, struct arena *arena,
                                 struct part *part);
