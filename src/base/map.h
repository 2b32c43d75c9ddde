/*
 * Hash maps: from text (copied in) and from ids. Open addressing, siphash-keyed per process so that
 * hostile keys cannot collide on purpose. Values are borrowed pointers: the map never frees them.
 */
#pragma once

#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t count;
    size_t room; /* a power of two, or 0 */
};

void map_init(struct map *map);
void map_release(struct map *map);
void *map_find(const struct map *map, struct str key); /* NULL when absent */
/* Adds or replaces. The value may not be NULL, because NULL means absent; a set stores any pointer.
 */
void map_put(struct map *map, struct str key, void *value);
void *map_remove(struct map *map, struct str key); /* the value that was there, or NULL */

void *map_find_id(const struct map *map, int64_t id);
void map_put_id(struct map *map, int64_t id, void *value);
void *map_remove_id(struct map *map, int64_t id);

/* Walks every entry; start with *cursor = 0; false at the end. Do not change the map meanwhile.
 * Out-parameters may be NULL. */
bool map_next(const struct map *map, size_t *cursor, struct str *key, int64_t *id, void **value);

/* The keyed hash itself (SipHash-1-3 under a key drawn once per process), for tables of other
 * shapes. */
uint64_t map_hash(const void *bytes, size_t len);
