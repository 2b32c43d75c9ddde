/* The files under SQLite, for db.c and store.c: file.c has the reasons. */
#pragma once

#include "base/err.h"

/* The name by which db_open() asks for this layer; registered once, above whatever is SQLite's default then. */
#define FILE_LAYER "troupe"
void file_layer_register(void);

/* Maps the database at `path` (made when it is not there), once for all connections. Before the first of them is
 * opened, and unmapped after the last was closed. E_STORAGE: it cannot be opened; that it cannot be mapped is no error, it is read
 * then. */
MUST_USE enum err file_map(const char *path);
void file_unmap(void);
/* The house has come to rest: mapped pages are no longer counted as ours. Any thread. */
void file_rest(void);
