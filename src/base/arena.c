/*
 * A chain of blocks, newest first, and a pointer that only moves forward.
 *
 * Block sizes double from 4 KiB to 1 MiB: small requests take one malloc, and a large one wastes at
 * most half of its last block. What is larger than a quarter of the next block gets a block of its
 * own behind the newest one, so that the room left there is not lost.
 *
 * Each block ends with a guard word. It is not a defence, only a witness: a write past a block
 * stops the process at release with a name instead of corrupting somebody else. Under
 * AddressSanitizer the bytes not handed out are poisoned, so the very write is reported.
 */
#include "base/arena.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#endif
#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(at, len)   __asan_poison_memory_region((at), (len))
#define UNPOISON(at, len) __asan_unpoison_memory_region((at), (len))
#else
#define POISON(at, len)   ((void)(at), (void)(len))
#define UNPOISON(at, len) ((void)(at), (void)(len))
#endif
#include "base/banned.h"

#define ALIGNMENT         16
#define BLOCK_FIRST_BYTES 4096
#define BLOCK_LAST_BYTES  ((size_t)1 << 20)
#define FIRST_ITEMS       16 /* of an array that grows */
#define GUARD             UINT64_C(0x67756172642e2e2e)

struct arena_block {
    struct arena_block *older;
    size_t size_bytes; /* with this head and the guard */
    bool is_borrowed;  /* the caller's memory: never freed here */
} __attribute__((aligned(ALIGNMENT)));

struct arena_cleanup {
    struct arena_cleanup *older;
    void (*fn)(void *);
    void *ctx;
};

static char *guard_of(struct arena_block *block) {
    return (char *)block + block->size_bytes - sizeof(uint64_t);
}

static char *first_byte_of(struct arena_block *block) {
    return (char *)block + sizeof(struct arena_block);
}

static void block_init(struct arena_block *block, size_t size_bytes, bool is_borrowed) {
    block->older = NULL;
    block->size_bytes = size_bytes;
    block->is_borrowed = is_borrowed;
    memcpy(guard_of(block), &(uint64_t){GUARD}, sizeof(uint64_t));
    POISON(first_byte_of(block), size_bytes - sizeof(struct arena_block));
}

static struct arena_block *block_new(size_t size_bytes) {
    struct arena_block *block = malloc(size_bytes);
    if (block == NULL)
        BUG("out of memory: a block of %zu bytes", size_bytes);
    block_init(block, size_bytes, false);
    return block;
}

static void fill_from(struct arena *arena, struct arena_block *block) {
    block->older = arena->block;
    arena->block = block;
    arena->at = first_byte_of(block);
    arena->end = guard_of(block);
}

void arena_init(struct arena *arena) {
    *arena = (struct arena){0};
}

void arena_init_with(struct arena *arena, void *bytes, size_t len) {
    arena_init(arena);
    uintptr_t start = ((uintptr_t)bytes + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    size_t lost = start - (uintptr_t)bytes;
    if (bytes == NULL || len < lost + sizeof(struct arena_block) + ALIGNMENT + sizeof(uint64_t))
        return;
    struct arena_block *block = (struct arena_block *)start;
    block_init(block, len - lost, true);
    fill_from(arena, block);
}

size_t arena_room(const struct arena *arena) {
    size_t ceiling = arena->ceiling_bytes ? arena->ceiling_bytes : ARENA_CEILING_BYTES;
    return ceiling > arena->used_bytes ? ceiling - arena->used_bytes : 0;
}

/* The size of the next ordinary block: twice the newest one, within bounds. */
static size_t next_size(const struct arena *arena) {
    size_t size = arena->block ? arena->block->size_bytes * 2 : BLOCK_FIRST_BYTES;
    if (size < BLOCK_FIRST_BYTES)
        size = BLOCK_FIRST_BYTES;
    size_t most = arena->block_bytes ? arena->block_bytes : BLOCK_LAST_BYTES;
    return size > most ? most : size;
}

/* `need` is rounded to the alignment. */
static void *alloc_from_new_block(struct arena *arena, size_t need) {
    size_t overhead = sizeof(struct arena_block) + sizeof(uint64_t);
    size_t size = next_size(arena);
    if (need > size / 4 && arena->block) {
        struct arena_block *own = block_new(need + overhead);
        own->older = arena->block->older;
        arena->block->older = own;
        return first_byte_of(own);
    }
    fill_from(arena, block_new(need + overhead > size ? need + overhead : size));
    void *bytes = arena->at;
    arena->at += need;
    return bytes;
}

void *arena_alloc(struct arena *arena, size_t len) {
    if (len > arena_room(arena))
        BUG("an arena passed its ceiling: %zu used, %zu more asked", arena->used_bytes, len);
    arena->used_bytes += len;
    size_t need = len ? (len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    void *bytes;
    if (arena->at && need <= (size_t)(arena->end - arena->at)) {
        bytes = arena->at;
        arena->at += need;
    } else {
        bytes = alloc_from_new_block(arena, need);
    }
    UNPOISON(bytes, len);
    return bytes;
}

void *arena_zero(struct arena *arena, size_t len) {
    return memset(arena_alloc(arena, len), 0, len);
}

void *arena_grow(struct arena *arena, void *items, size_t size, size_t count, size_t *room) {
    if (count < *room)
        return items;
    *room = *room > 0 ? *room * 2 : FIRST_ITEMS;
    void *more = arena_alloc(arena, *room * size);
    if (count > 0)
        memcpy(more, items, count * size);
    return more;
}

void arena_on_release(struct arena *arena, void (*fn)(void *), void *ctx) {
    struct arena_cleanup *cleanup = arena_alloc(arena, sizeof(*cleanup));
    *cleanup = (struct arena_cleanup){.older = arena->cleanup, .fn = fn, .ctx = ctx};
    arena->cleanup = cleanup;
}

static void run_destructors(struct arena *arena) {
    while (arena->cleanup) {
        struct arena_cleanup *cleanup = arena->cleanup;
        arena->cleanup = cleanup->older; /* first, so that a destructor may add another */
        cleanup->fn(cleanup->ctx);
    }
}

void arena_wipe_on_release(struct arena *arena) {
    arena->is_wiped = true;
}

/* explicit_bzero: no compiler takes it for a store that nobody reads. */
static void wipe(struct arena_block *block) {
    char *first = first_byte_of(block);
    explicit_bzero(first, (size_t)(guard_of(block) - first));
}

void arena_release(struct arena *arena) {
    run_destructors(arena);
    struct arena_block *block = arena->block;
    while (block) {
        struct arena_block *older = block->older;
        UNPOISON(block, block->size_bytes);
        uint64_t guard;
        memcpy(&guard, guard_of(block), sizeof(guard));
        BUG_IF(guard != GUARD);
        if (arena->is_wiped)
            wipe(block);
        if (!block->is_borrowed)
            free(block);
        block = older;
    }
    arena_init(arena);
}
