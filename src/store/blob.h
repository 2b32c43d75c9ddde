/*
 * The blob port: bytes by the SHA-256 of their content. Avatars, imported originals, later media.
 * The implementation on disk is vendor-free/disk.c; S3 comes beside it.
 *
 * put writes to a temporary name, syncs file and folder, then renames: a key that was given out is
 * durable.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define BLOB_KEY_LEN 64 /* hex of SHA-256 */
#define BLOB_SHELVES 256

struct blob_info {
    struct str key; /* borrowed */
    int64_t bytes;
    int64_t put_at_ms; /* last, also when it was there already */
};
typedef void (*blob_each_fn)(const struct blob_info *info, void *ctx);

struct blob_port {
    const char *name;
    /* On a pool or writer thread. `key` gets 64 letters and a NUL. Putting what is there already is
     * E_OK. */
    enum err (*pool_put)(struct str bytes, char key[BLOB_KEY_LEN + 1]);
    /* Any thread; E_ABSENT when there is none. The bytes are the arena's. */
    enum err (*load)(struct arena *arena, struct str key, struct str *bytes);
    /* Unless it was put since `before_ms`: E_CONFLICT. E_ABSENT when there is none. */
    enum err (*pool_remove)(struct str key, int64_t before_ms);
    /* Every blob of one shelf, 0 to BLOB_SHELVES - 1; they hold about equally many. */
    enum err (*pool_each)(int shelf, blob_each_fn each, void *ctx);
    /* The data folder, once, before the first use; NULL for a port that keeps nothing there. */
    void (*use_directory)(const char *directory);
};

const struct blob_port *blob_port(void); /* the chosen one */
/* Chooses, at start; `directory` is the data folder (the port makes its own below it). */
void blob_use(const struct blob_port *port, const char *directory);

extern const struct blob_port blob_disk; /* vendor-free/disk.c */
void blob_disk_directory(
    const char *directory); /* what blob_use calls: blobs are in directory/blobs */
