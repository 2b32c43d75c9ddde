/*
 * Time zones by their IANA names ("Europe/Berlin"), from the system's own tables. A zone that the
 * system does not know is UTC.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define ZONE_NAME_MAX 64

/* True for "UTC" and for every zone that the system has a table of. Looks at a file. */
bool zone_is_known(struct str name);
/* How far clocks there are ahead of UTC at that moment; 0 for a zone that is not known. What was
 * asked lately is remembered. Loop thread. */
int64_t zone_offset_ms(struct str name, int64_t at_ms);
/* The same from the bytes of a table (TZif, RFC 9636). E_INPUT when it is malformed. */
MUST_USE enum err zone_offset_of(struct str table, int64_t at_ms, int64_t *offset_ms);
