/*
 * Linear probing over a power of two, at most three quarters full. Removal shifts the run behind
 * the hole back, so there are no tombstones and a table that lives for weeks does not slow down.
 *
 * Hash: SipHash-1-3 (Aumasson, Bernstein 2012; the reduced rounds that Rust and Ruby use for
 * tables), keyed by 16 random bytes per process. Text keys and id keys share a table but never
 * meet: an id entry has no text.
 */
#include "base/map.h"

#include "base/check.h"
#include "base/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define FIRST_ROOM 8

struct map_slot {
    void *value; /* NULL: the slot is free */
    char *text;  /* owned; NULL: the key is an id */
    union {
        size_t text_len;
        int64_t id;
    };
    uint64_t hash;
};

static uint64_t siphash_key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void draw_key(void) {
    crypto_random(siphash_key, sizeof(siphash_key));
}

static inline uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t map_hash(const void *bytes, size_t len) {
    pthread_once(&key_once, draw_key);
    uint64_t v[4] = {siphash_key[0] ^ UINT64_C(0x736f6d6570736575),
                     siphash_key[1] ^ UINT64_C(0x646f72616e646f6d),
                     siphash_key[0] ^ UINT64_C(0x6c7967656e657261),
                     siphash_key[1] ^ UINT64_C(0x7465646279746573)};
    const char *at = bytes;
    uint64_t word, last = (uint64_t)len << 56;
    for (size_t left = len; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    if (len & 7)
        memcpy(&word, at, len & 7);
    last |= word;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *map) {
    *map = (struct map){0};
}

void map_release(struct map *map) {
    for (size_t i = 0; i < map->room; i++)
        free(map->slots[i].text);
    free(map->slots);
    map_init(map);
}

/* A key of either kind: text NULL means the id. */
struct key {
    const char *text;
    size_t text_len;
    int64_t id;
    uint64_t hash;
};

static struct key text_key(struct str s) {
    return (struct key){.text = s.at ? s.at : "", .text_len = s.len, .hash = map_hash(s.at, s.len)};
}

static struct key id_key(int64_t id) {
    return (struct key){.id = id, .hash = map_hash(&id, sizeof(id))};
}

static bool is_key_of(const struct map_slot *slot, const struct key *key) {
    if (slot->hash != key->hash || (slot->text == NULL) != (key->text == NULL))
        return false;
    if (key->text == NULL)
        return slot->id == key->id;
    return slot->text_len == key->text_len && memcmp(slot->text, key->text, key->text_len) == 0;
}

/* The slot that holds the key, or the free one where it belongs. The table is never full. */
static struct map_slot *slot_of(const struct map *map, const struct key *key) {
    size_t mask = map->room - 1;
    for (size_t i = key->hash & mask;; i = (i + 1) & mask)
        if (map->slots[i].value == NULL || is_key_of(&map->slots[i], key))
            return &map->slots[i];
}

static void *find(const struct map *map, struct key key) {
    return map->count ? slot_of(map, &key)->value : NULL;
}

static void grow(struct map *map) {
    struct map bigger = {.room = map->room ? map->room * 2 : FIRST_ROOM, .count = map->count};
    bigger.slots = calloc(bigger.room, sizeof(*bigger.slots));
    if (bigger.slots == NULL)
        BUG("out of memory: a map of %zu slots", bigger.room);
    for (size_t i = 0; i < map->room; i++) {
        if (map->slots[i].value == NULL)
            continue;
        size_t at = map->slots[i].hash & (bigger.room - 1);
        while (bigger.slots[at].value)
            at = (at + 1) & (bigger.room - 1);
        bigger.slots[at] = map->slots[i];
    }
    free(map->slots);
    *map = bigger;
}

static void put(struct map *map, struct key key, void *value) {
    BUG_IF(value == NULL);
    if (map->count + 1 > map->room / 4 * 3)
        grow(map);
    struct map_slot *slot = slot_of(map, &key);
    if (slot->value == NULL) {
        map->count++;
        slot->hash = key.hash;
        if (key.text) {
            slot->text = malloc(key.text_len + 1);
            if (slot->text == NULL)
                BUG("out of memory: a key of %zu bytes", key.text_len);
            memcpy(slot->text, key.text, key.text_len);
            slot->text[key.text_len] = '\0';
            slot->text_len = key.text_len;
        } else {
            slot->id = key.id;
        }
    }
    slot->value = value;
}

/* Moves entries back into the hole as long as that brings them nearer to (never before) their home
 * slot. */
static void close_hole(struct map *map, size_t hole) {
    size_t mask = map->room - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
        size_t home = map->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        map->slots[hole] = map->slots[i];
        hole = i;
    }
    map->slots[hole] = (struct map_slot){0};
}

static void *take(struct map *map, struct key key) {
    if (map->count == 0)
        return NULL;
    struct map_slot *slot = slot_of(map, &key);
    void *value = slot->value;
    if (value == NULL)
        return NULL;
    free(slot->text);
    map->count--;
    close_hole(map, (size_t)(slot - map->slots));
    return value;
}

void *map_find(const struct map *map, struct str key) {
    return find(map, text_key(key));
}

void map_put(struct map *map, struct str key, void *value) {
    put(map, text_key(key), value);
}

void *map_remove(struct map *map, struct str key) {
    return take(map, text_key(key));
}

void *map_find_id(const struct map *map, int64_t id) {
    return find(map, id_key(id));
}

void map_put_id(struct map *map, int64_t id, void *value) {
    put(map, id_key(id), value);
}

void *map_remove_id(struct map *map, int64_t id) {
    return take(map, id_key(id));
}

bool map_next(const struct map *map, size_t *cursor, struct str *key, int64_t *id, void **value) {
    while (*cursor < map->room) {
        const struct map_slot *slot = &map->slots[(*cursor)++];
        if (slot->value == NULL)
            continue;
        if (key)
            *key = slot->text ? str_of(slot->text, slot->text_len) : STR_NONE;
        if (id)
            *id = slot->text ? 0 : slot->id;
        if (value)
            *value = slot->value;
        return true;
    }
    return false;
}
