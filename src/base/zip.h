/*
 * A ZIP archive, written entry by entry into a file that is open for writing: for what a person
 * takes along. Whatever is not written through here (nothing is read, nothing is encrypted, no
 * zip64) is not needed.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#define ZIP_ENTRIES_LIMIT 65534        /* 65535 would mean "see zip64" */
#define ZIP_BYTES_LIMIT   4294967294LL /* likewise, for every offset and size */
#define ZIP_NAME_LIMIT    240          /* bytes of an entry's name: below what file systems take */

struct zip; /* one archive under way; one thread at a time */

/* Writes to `fd` from its beginning; the descriptor stays the caller's, and must be one that can be
 * written at any offset. `at_ms` is the time that all entries bear (UTC). */
struct zip *zip_new(int fd, int64_t at_ms);
/* Frees it; what was written stays as it is, which is no archive unless zip_finish() was E_OK. */
void zip_free(struct zip *zip);

/*
 * One entry after another: begin, write as often as needed, end. The name is relative, with '/'
 * between folders, UTF-8, at most ZIP_NAME_LIMIT bytes, and not the name of an earlier entry: all
 * that is the caller's to see to (zip_name_part() makes parts of what people wrote). is_packed
 * already: pictures and the like are stored as they are. The first error stays: E_STORAGE when the
 * disk is full, E_LIMIT past one of the limits above, and what follows does nothing.
 */
void zip_begin(struct zip *zip, struct str name, bool is_packed);
void zip_write(struct zip *zip, struct str bytes);
void zip_end(struct zip *zip);
/* The directory at the end: now it is an archive. Bytes of the whole in *bytes (may be NULL). The
 * file is not synced: that is the caller's. */
MUST_USE enum err zip_finish(struct zip *zip, int64_t *bytes);
enum err zip_err(const struct zip *zip); /* the first error so far */
int64_t zip_bytes(const struct zip *zip);

/* A name that any file system takes, made of any text: control characters, separators and what
 * Windows reserves become '-', ends are trimmed, at most `limit` bytes on a character's border;
 * "unnamed" when nothing is left. */
struct str zip_name_part(struct arena *arena, struct str text, size_t limit);
