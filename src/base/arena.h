/*
 * Memory with one end: all that lives as long as a request, a turn or a start-up step is allocated
 * here and released at once.
 *
 * Blocks grow by doubling; a guard word behind every block is checked at release. Destructors run
 * newest first, so that foreign objects (a cJSON tree) can hang on an arena. An arena belongs to
 * one thread at a time; it may be handed to the writer or the pool while its owner waits.
 *
 * Allocation never returns NULL: when memory is exhausted, or the ceiling is passed, the process
 * stops with a report. What is sized by input therefore checks its own limit first and answers
 * E_LIMIT.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena_block;
struct arena_cleanup;

struct arena {
    struct arena_block *block;     /* newest first */
    struct arena_cleanup *cleanup; /* newest first */
    char *at;                      /* next free byte of the newest block */
    char *end;
    size_t used_bytes;    /* sum of what was asked for */
    size_t ceiling_bytes; /* 0: ARENA_CEILING_BYTES */
    size_t block_bytes;   /* 0: blocks grow to 1 MiB; less for what is kept long, to waste little */
    bool is_wiped;        /* see arena_wipe_on_release() */
};

#define ARENA_CEILING_BYTES \
    ((size_t)256 << 20) /* far above any request; a runaway stops before the machine swaps */

void arena_init(struct arena *arena);
/* Uses `bytes` of the caller (a connection's scratch) as the first block, so that a small request
 * allocates nothing. */
void arena_init_with(struct arena *arena, void *bytes, size_t len);
void *arena_alloc(struct arena *arena, size_t len); /* 16-byte aligned, not cleared */
void *arena_zero(struct arena *arena, size_t len);  /* cleared */
/* Calls fn(ctx) at release. A destructor may still use the arena's memory. */
void arena_on_release(struct arena *arena, void (*fn)(void *), void *ctx);
/* The arena holds a secret, or will: whatever is allocated in it, before or after, is overwritten when
 * it is released, with all copies that were made of the secret there. */
void arena_wipe_on_release(struct arena *arena);
/* Runs destructors, frees every block; the arena is as after arena_init (its ceiling is the default
 * again). */
void arena_release(struct arena *arena);
/* Bytes that may still be asked for before the ceiling; what is sized by input compares with it and
 * answers E_LIMIT. */
size_t arena_room(const struct arena *arena);

/* An array of `count` items of `size` bytes with place for one more: itself while count < *room, else
 * a copy twice as large (what it was stays in the arena), and *room tells its size. `items` may be
 * NULL while there are none. What grows by input has its limit elsewhere. */
void *arena_grow(struct arena *arena, void *items, size_t size, size_t count, size_t *room);

#define ARENA_NEW(arena, type) ((type *)arena_zero((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) \
    ((type *)arena_zero((arena), sizeof(type) * (size_t)(count)))
#define ARENA_GROW(arena, items, count, room) \
    ((items) = arena_grow((arena), (items), sizeof(*(items)), (count), &(room)))
